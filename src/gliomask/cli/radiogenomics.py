"""``gliomask radiogenomics``: tumour shape against molecular subtype, on manual and on predicted masks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from gliomask.cli.console import OutputOptions, Printer, counter, parse
from gliomask.config import CutName
from gliomask.data import naming
from gliomask.errors import DataError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from gliomask.data.index import DatasetIndex
    from gliomask.data.records import PatientRecord
    from gliomask.radiogenomics.mesh import Spacing
    from gliomask.radiogenomics.study import Study


@dataclass(frozen=True, kw_only=True)
class RadiogenomicsOptions(OutputOptions):
    """Measure the shape of every tumour and test it against molecular subtypes.

    On the manual masks, and on predicted ones if they are given: both are tested and compared with each other.
    """

    data: tyro.conf.Positional[Path]
    """Folder in the Kaggle layout (see `gliomask index --help`)."""
    masks: Path | None = None
    """Folder of predicted masks, such as RUN/out-of-fold/masks that `gliomask evaluate` wrote, where no patient was
    predicted by a model that had seen it."""
    labels: Path | None = None
    """Table (CSV) of subtypes with a column Patient; the data.csv of DATA if not given."""
    subtypes: tuple[str, ...] = ()
    """Columns of the table to test against; if not given, RNASeqCluster, MethylationCluster, miRNACluster, CNCluster
    and COCCluster."""
    features: tuple[str, ...] = ()
    """Features to test; bevr, asd and mf if not given. All are measured; the others are volume, voxel_volume, surface,
    sphericity, compactness, elongation, flatness, maximum_diameter and solidity."""
    cut: CutName = "median"
    """Where features are cut for Fisher's exact test: at the values of the patients with a label. none: not at all,
    and the test is that of Kruskal and Wallis."""
    spacing: tuple[float, float, float] | None = None
    """Distance of slices, rows and columns in mm, if it is known; what the masks, or the data's volumes.csv, say if
    they all say the same; else lengths are in voxels."""
    out: Path = Path("radiogenomics")
    """Folder for the tables, the page (report.html) and its figures; not one that holds the page of a run."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(RadiogenomicsOptions, "radiogenomics", arguments)
    _check(options)
    from gliomask.radiogenomics.association import SUBTYPES
    from gliomask.radiogenomics.features import ManualMasks, feature_table
    from gliomask.radiogenomics.mesh import VOXELS
    from gliomask.radiogenomics.study import MANUAL, PREDICTED, analyse, label_table, write_study
    from gliomask.radiogenomics.study_folder import PAGE, require_own_folder
    from gliomask.reporting.radiogenomics.page import write_page
    from gliomask.reporting.radiogenomics.wording import caveats

    printer = Printer(options)
    index = printer.read_index(options.data)
    require_own_folder(options.out)
    table, subtypes = _labels(options.labels), tuple(dict.fromkeys(options.subtypes or SUBTYPES))
    labels = label_table(index.patients, subtypes, table)
    _require_labels(options, labels, table)
    predicted, facts = _predicted(options.masks, index)
    spacing = options.spacing or facts.pop("mask_spacing", None) or _common({each.spacing for each in index.patients})
    sources: list[tuple[str, Any, Sequence[PatientRecord]]] = [(MANUAL, ManualMasks(index), index.patients)]
    if predicted is not None:
        lacking = set(facts["patients_without_prediction"])
        sources.append((PREDICTED, predicted, [each for each in index.patients if each.name not in lacking]))
    tables: dict[str, pd.DataFrame] = {}
    for kind, masks, patients in sources:
        with printer.progress(f"measuring {kind} masks") as progress:
            tables[kind] = feature_table(
                masks, patients, spacing=spacing or VOXELS, on_patient=counter(progress, len(patients))
            )
    study = analyse(tables, labels, features=tuple(dict.fromkeys(options.features)), cut=options.cut)
    facts |= {
        "data": str(index.root),
        "data_fingerprint": index.fingerprint,
        "patients": len(index.patients),
        "labels": None if options.labels is None else str(options.labels),
        "spacing": spacing,
        "unit": "voxels" if spacing is None else "mm",
    }
    facts["caveats"] = caveats(study, facts)
    page = options.out / PAGE
    written = write_study(study, options.out, facts)
    figures = write_page(study, facts, page, figures=options.out / "figures")
    _tell(printer, study, facts)
    printer.line(f"tables: {options.out}; page: {page}; {len(figures)} figures in {options.out / 'figures'}")
    printer.result({**written, "page": page, "figures": figures})
    return 0


def _check(options: RadiogenomicsOptions) -> None:
    from gliomask.radiogenomics.features import FEATURES

    unknown = [name for name in options.features if name not in FEATURES]
    if unknown:
        raise UsageError(f"--features {' '.join(unknown)}; expected some of {', '.join(FEATURES)}")
    if options.spacing is not None and not all(0 < distance < float("inf") for distance in options.spacing):
        raise UsageError(f"spacing is {options.spacing}; expected three distances above 0, in mm")


def _labels(path: Path | None) -> dict[str, dict[str, str]] | None:
    """Read a table of labels. It is to be faultless: a row left out would pass for a label that is not known."""
    if path is None:
        return None
    from gliomask.data.clinical import read_clinical

    labels, problems = read_clinical(path.parent, (path.name,))
    for problem in problems:
        raise DataError(path, problem.found, problem.expected, problem.cure)
    return labels


def _require_labels(options: RadiogenomicsOptions, labels: pd.DataFrame, table: dict[str, Any] | None) -> None:
    """Refuse subtypes that were named and of which nobody has a label, and a table that fits nobody."""
    nobody = [str(name) for name in labels if labels[name].isna().all()]
    if not (set(nobody) & set(options.subtypes) or (table is not None and len(nobody) == labels.shape[1])):
        return
    where = "data.csv of the data" if options.labels is None else str(options.labels)
    found = f"no patient has a label of {', '.join(nobody)}"
    if table is None:
        raise UsageError(f"{where}: {found}; expected columns of that table, or another one with --labels")
    columns = sorted({column for row in table.values() for column in row})
    fitting = [name for name in labels.index if name in table or naming.person(name) in table]
    first = next(iter(table), "none")
    raise UsageError(
        f"{where}: {found}; expected some of its columns {', '.join(columns)}. Of its {len(table)} rows, called like "
        f"{first}, {len(fitting)} are of the patients, called like {labels.index[0]}"
    )


def _predicted(folder: Path | None, index: DatasetIndex) -> tuple[Any, dict[str, Any]]:
    """Return where predicted masks come from, and what is known of them."""
    if folder is None:
        return None, {"masks": None}
    from gliomask.evaluation.masks import MaskFolder

    masks = MaskFolder(folder)
    absent = masks.missing(index.patients)
    if len(absent) == len(index.patients):
        cure = "give the folder masks of an evaluation, RUN/out-of-fold/masks"
        raise DataError(
            folder, "no mask of any patient", "masks named <patient>_<number>_mask.png or <patient>.nii.gz", cure
        )
    known = _made_by(folder.resolve(), index)
    spacings = {masks.spacing(patient) for patient in index.patients if patient.name not in absent}
    return masks, {
        "mask_spacing": _common(spacings),
        "masks": str(folder.resolve()),
        "subset": known.get("subset"),
        "patients_seen_in_training": known.get("patients_seen_in_training"),
        "patients_without_prediction": absent,
    }


def _common(spacings: set[Spacing | None]) -> Spacing | None:
    """Return the spacing that all patients have, if they have one."""
    return next(iter(spacings)) if len(spacings) == 1 else None


def _made_by(masks: Path, index: DatasetIndex) -> dict[str, Any]:
    """Return what the evaluation says that kept these masks of these patients; nothing if there is none."""
    from gliomask.evaluation.results import SUMMARY

    for place in (masks, masks.parent):
        try:
            known = json.loads((place / SUMMARY).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if not isinstance(known, dict) or known.get("data_fingerprint") != index.fingerprint:
            continue
        kept = known.get("masks")
        if isinstance(kept, str) and (place / kept).is_dir() and masks in {place, (place / kept).resolve()}:
            return known
    return {}


def _tell(printer: Printer, study: Study, facts: dict[str, Any]) -> None:
    from gliomask.radiogenomics.study import PREDICTED
    from gliomask.reporting.radiogenomics import wording

    kinds = study.kinds
    columns = ("feature", "subtype", "patients", *(f"p, {kind}" for kind in kinds), "p, published")
    rows = [
        (wording.short(row.feature), row.subtype, row.patients, *row.p.values(), row.published)
        for row in wording.test_rows(study)
    ]
    test = study.associations[kinds[0]][0].test.partition(",")[0]
    printer.table(f"{test} test, features cut at: {study.cut}", columns, rows)
    tested = {wording.title(name, facts["unit"]) for name in {each.feature for each in study.associations[kinds[0]]}}
    rows = [row for row in wording.quartile_rows(study, facts["unit"]) if row[0] in tested]
    printer.table("features", ("feature", "masks", "patients", "lower quartile", "median", "upper quartile"), rows)
    feature, subtype, cluster = wording.HEADLINE
    areas = [(kind, found) for kind in kinds if (found := wording.headline_auc(study, kind)) is not None]
    for kind, found in areas:
        text = f"AUC of 1/{wording.short(feature)} for {subtype} {cluster}, {kind} masks: {found.auc:.3f}"
        published = f"; published {wording.PUBLISHED_AUC[kind]:.2f}" if wording.is_repetition(study) else ""
        printer.line(f"{text} ({wording.auc_interval_text(found)}{published})")
    if PREDICTED in kinds:
        heads = ("feature", "components", "patients", "Pearson", "interval", "Spearman", "bias", "limits of agreement")
        compared = [row for row in wording.agreement_rows(study, facts["unit"]) if row[0] in tested]
        printer.table("predicted against manual", heads, compared)
    for caveat in facts["caveats"]:
        printer.line(f"NOTE: {caveat}")
