"""Makes the page about a radiogenomic study: tests, box plots, agreement, every patient. Knows no command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gliomask.files import whole_file
from gliomask.radiogenomics.agreement import Agreement
from gliomask.radiogenomics.study import MANUAL, PREDICTED, Study
from gliomask.reporting.radiogenomics import charts, wording
from gliomask.reporting.report.drawings import Drawing
from gliomask.reporting.report.parts import as_chart, environment, package_text, write_figures
from gliomask.reporting.report.wording import NONE, number, plural

_TEMPLATE = "radiogenomics.html.j2"
_LISTED = ("volume", "sphericity", "maximum_diameter", "solidity")  # beside the tested features


@dataclass(frozen=True)
class Tile:
    """A number at the head of the page."""

    what: str
    value: str
    more: str


def write_page(study: Study, facts: Mapping[str, Any], out: Path, *, figures: Path | None = None) -> list[Path]:
    """Write the page, and each of its charts as PNG if a folder is given; return the latter.

    Parameters
    ----------
    study
        What it tells.
    facts
        What `gliomask.radiogenomics.study.write_study` was given, with ``caveats`` (`wording.caveats`).
    out
        The HTML file.
    figures
        Folder for the charts.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    drawings = {"clusters": cluster_drawings(study), "agreement": agreement_drawings(study)}
    unit = str(facts["unit"])
    tested = list(dict.fromkeys(each.feature for each in study.associations[MANUAL]))
    listed = [*tested, *(name for name in _LISTED if name not in tested)]
    templates = environment(Path(__file__).parent)
    templates.filters |= {"short": wording.short, "title": wording.title}
    text = templates.get_template(_TEMPLATE).render(
        facts=facts,
        kinds=study.kinds,
        tiles=tiles(study),
        cut=study.cut,
        citation=wording.CITATION,
        test_rows=wording.test_rows(study),
        corrected_for=wording.corrected_for(study),
        associations=study.associations,
        quartile_rows=wording.quartile_rows(study, unit),
        auc_rows=wording.auc_rows(study),
        agreement_rows=wording.agreement_rows(study, unit),
        patient_rows=wording.patient_rows(study, listed),
        listed=listed,
        charts={section: [as_chart(drawing) for drawing in part] for section, part in drawings.items()},
        style=package_text("page.css"),
        provenance=_provenance(study, facts),
    )
    with whole_file(out) as part:
        part.write_text(text, encoding="utf-8")
    return [] if figures is None else write_figures([each for part in drawings.values() for each in part], figures)


def tiles(study: Study) -> list[Tile]:
    """Return the numbers that the publication speaks of first, those that were measured."""
    found = []
    known, repeats = wording.published_p(study), wording.is_repetition(study)
    for kind in study.kinds:
        test, area = wording.headline_test(study, kind), wording.headline_auc(study, kind)
        if test is not None:
            published = f"; published {known[wording.HEADLINE[:2]]}" if known else ""
            found.append(Tile(f"BEVR by RNASeq, {kind}", f"p = {wording.p_text(test.p)}", test.test + published))
        if area is not None:
            published = f"; published {wording.PUBLISHED_AUC[kind]:.2f}" if repeats else ""
            beside = wording.auc_interval_text(area) + published
            found.append(Tile(f"AUC of 1/BEVR for RNASeq 2, {kind}", number(area.auc), beside))
    compared = [each for each in wording.defined_agreements(study) if each.feature == wording.HEADLINE[0]]
    found += [
        Tile("BEVR, predicted and manual", f"r = {number(each.pearson)}", plural(each.patients, "patient"))
        for each in compared
    ]
    return found


def cluster_drawings(study: Study) -> list[Drawing]:
    """Return a chart for every feature and subtype that were tested and have labels."""
    drawings = []
    by_kind = {
        kind: study.values_once(kind, list({each.feature for each in found}))
        for kind, found in study.associations.items()
    }
    for each, row in zip(study.associations[MANUAL], wording.test_rows(study), strict=True):
        if not each.clusters:
            continue
        name = wording.short(each.feature)
        tests = ", ".join(f"{kind} masks p = {p}" for kind, p in row.p.items())
        drawings.append(Drawing(
            re.sub(r"[^a-z0-9]+", "-", f"{each.feature}-{each.subtype}".lower()), f"{name} by {each.subtype}",
            f"Each mark is a patient; a box reaches from quartile to quartile. {tests}.",
            f"{name} of {plural(each.patients, 'patient')} by {each.subtype}; {tests}",
            partial(
                charts.cluster_figure, {kind: values[each.feature] for kind, values in by_kind.items()},
                study.labels[each.subtype], each.clusters, name,
            ),
        ))  # fmt: skip
    return drawings


def agreement_drawings(study: Study) -> list[Drawing]:
    """Return predicted against manual, and their differences, of the features that were tested."""
    tested = {each.feature for each in study.associations[MANUAL]}
    drawings = []
    for each in wording.defined_agreements(study):
        if each.feature not in tested:
            continue
        name, (truth, found) = wording.short(each.feature), _both(study, each)
        correlations = f"Pearson {number(each.pearson)}, Spearman {number(each.spearman)}"
        drawings += [
            Drawing(
                f"{each.feature}-scatter", f"{name}, predicted and manual",
                f"{correlations}, {plural(each.patients, 'patient')}.",
                f"{name} of predicted against manual masks", partial(charts.scatter_figure, truth, found, name),
            ),
            Drawing(
                f"{each.feature}-difference", f"{name}, differences",
                "95 of 100 differences lie within the limits of agreement if they are normally distributed.",
                f"{name}: differences against means",
                partial(charts.bland_altman_figure, truth, found, each, name),
            ),
        ]  # fmt: skip
    return drawings


def _both(study: Study, agreement: Agreement) -> tuple[np.ndarray[Any, np.dtype[np.float64]], ...]:
    values = [study.values_once(kind, [agreement.feature])[agreement.feature] for kind in (MANUAL, PREDICTED)]
    pairs = pd.concat(values, axis=1, join="inner").dropna().to_numpy(float)
    return pairs[:, 0], pairs[:, 1]


def _provenance(study: Study, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    spacing = facts["spacing"]
    rows = [
        ("Data", str(facts["data"])),
        ("Fingerprint of the data", str(facts["data_fingerprint"])),
        ("Patients", str(facts["patients"])),
        ("Labels", str(facts["labels"] or "data.csv")),
        (
            "Spacing (slices, rows, columns)",
            "not known" if spacing is None else " x ".join(f"{d:g}" for d in spacing) + " mm",
        ),
        (
            "Features are cut at",
            {"none": "nothing (Kruskal-Wallis)"}.get(study.cut, f"the {study.cut} of the labelled"),
        ),
    ]
    if PREDICTED in study.kinds:
        rows += [("Predicted masks", str(facts["masks"])), ("Their subset", str(facts["subset"] or NONE))]
    return rows
