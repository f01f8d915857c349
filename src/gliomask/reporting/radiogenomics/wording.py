"""A radiogenomic study in words and tables, as page and command line show them. Knows no page and no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gliomask.data import naming
from gliomask.radiogenomics.agreement import Agreement
from gliomask.radiogenomics.association import Association, ClusterAuc
from gliomask.radiogenomics.features import FEATURES, Components
from gliomask.radiogenomics.study import MANUAL, PREDICTED, Study
from gliomask.reporting.report.wording import MINUS, NONE, interval_text, number, plural

ORIGIN = (
    "the ten hypotheses of the published study (p < 0.005 after Bonferroni's correction) come from an earlier study of "
    "the same patients: agreement with them is a repetition, no independent confirmation"
)
"""What a reader of the p-values must know (Buda 2019 after Mazurowski 2017)."""
CITATION = "Buda, Saha, Mazurowski 2019, doi:10.1016/j.compbiomed.2019.05.002"
"""Where the published numbers come from."""
PUBLISHED = {
    ("bevr", "RNASeqCluster"): "< 0.0002",
    **{("bevr", name): "< 0.02" for name in ("MethylationCluster", "miRNACluster", "CNCluster", "COCCluster")},
    ("mf", "RNASeqCluster"): "< 0.005",
    ("asd", "RNASeqCluster"): "< 0.02",
}
"""P-values of the publication, as far as it gives them."""
HEADLINE = ("bevr", "RNASeqCluster", "2")
"""The feature, subtype and cluster that the publication speaks of first."""
PUBLISHED_AUC = {MANUAL: 0.78, PREDICTED: 0.80}
"""Its AUC of 1/BEVR for that cluster."""
_UNITS = {"mm": ("", "mm", "mm²", "mm³"), "voxels": ("", "voxels", "voxel faces", "voxels")}
_SHORT = {"bevr": "BEVR", "1/bevr": "1/BEVR", "asd": "ASD", "mf": "MF"}


@dataclass(frozen=True)
class TestRow:
    """One feature and subtype: what a table says of it, cells by kind of masks."""

    __test__ = False  # not a test of pytest, whatever its name

    feature: str
    subtype: str
    patients: str
    p: dict[str, str]
    bonferroni: dict[str, str]
    benjamini_hochberg: dict[str, str]
    effect: dict[str, str]
    published: str


def caveats(study: Study, facts: Mapping[str, Any]) -> list[str]:
    """Return what must be known to read the numbers: sentences without their full stop."""
    found = [ORIGIN] if is_repetition(study) else []
    if study.repeated:
        count, names = plural(len(study.repeated), "further scan"), ", ".join(study.repeated)
        left_out = "neither tested nor compared" if PREDICTED in study.kinds else "not tested"
        found.append(f"{count} of a person who counts once, measured and {left_out}: {names}")
    if facts["spacing"] is None:
        found.append(
            "the spacing of the slices is not known: lengths are in voxels, slices as far apart as pixels, which is no "
            "anatomy. It does not matter for BEVR, nor, with square pixels, for ASD and MF"
        )
    persons = study.labels.drop(index=list(study.repeated))
    lacking = [f"{name} {int(missing)}" for name, missing in persons.isna().sum().items() if missing]
    if lacking:
        found.append(f"patients without a label, who are left out and not guessed: {', '.join(lacking)}")
    for kind in study.kinds:
        rows = study.features[(study.features["masks"] == kind) & (study.features["component_count"] == 0)]
        if len(rows):
            found.append(f"{plural(rows['patient'].nunique(), 'patient')} with an empty {kind} mask, not measured")
    if PREDICTED in study.kinds:
        found.append(_seen(facts["patients_seen_in_training"]))
        told = [each for each in defined_agreements(study) if each.patients > 1]
        if told and all(each.bias == 0 == each.upper_limit for each in told):
            found.append("predicted masks measure as the manual ones do: was the truth itself given as --masks?")
        if facts["patients_without_prediction"]:
            count = plural(len(facts["patients_without_prediction"]), "patient")
            found.append(f"{count} without a predicted mask, measured on the manual one alone")
    return found


def is_repetition(study: Study) -> bool:
    """Tell whether patients are of the published study, so that its numbers belong beside these."""
    return any(map(naming.is_public, study.labels.index))


def published_p(study: Study) -> dict[tuple[str, str], str]:
    """Return the published p-values by feature and subtype; none if patients or the way of cutting are others."""
    return PUBLISHED if is_repetition(study) and study.cut == "median" else {}


def corrected_for(study: Study) -> str:
    """Say for how many tests p-values were corrected: those that have one, of each kind of masks."""
    counts = {kind: sum(not np.isnan(each.p) for each in found) for kind, found in study.associations.items()}
    if len(set(counts.values())) == 1:
        return f"{plural(counts[MANUAL], 'test')} of one kind of masks"
    return " and ".join(f"{plural(count, 'test')} of {kind} masks" for kind, count in counts.items())


def title(feature: str, unit: str = "") -> str:
    """Return a feature in words, with its unit."""
    known = FEATURES.get(feature)
    if known is None:
        return short(feature)
    power = _UNITS[unit][known.dimension] if unit else ""
    return f"{known.title}, {power}" if power else known.title


def short(feature: str) -> str:
    """Return a feature's name where there is little room."""
    return _SHORT.get(feature, feature.replace("_", " "))


def test_rows(study: Study) -> list[TestRow]:
    """Return the table of tests, in the order they were made."""
    pairs = zip(*study.associations.values(), strict=True)
    published = published_p(study)
    rows = []
    for each in pairs:
        by_kind = dict(zip(study.kinds, each, strict=True))
        first = by_kind[MANUAL]
        rows.append(
            TestRow(
                first.feature,
                first.subtype,
                " / ".join(dict.fromkeys(str(one.patients) for one in each)),
                {kind: p_text(one.p) for kind, one in by_kind.items()},
                {kind: p_text(one.bonferroni) for kind, one in by_kind.items()},
                {kind: p_text(one.benjamini_hochberg) for kind, one in by_kind.items()},
                {kind: number(one.effect) for kind, one in by_kind.items()},
                published.get((first.feature, first.subtype), NONE),
            )
        )
    return rows


test_rows.__test__ = False  # type: ignore[attr-defined]  # nor is this one


def auc_rows(study: Study) -> list[tuple[str, ...]]:
    """Return feature, subtype, cluster, and for each kind of masks patients in the cluster, AUC and interval."""
    kinds = [{(each.feature, each.subtype, each.cluster): each for each in found} for found in study.aucs.values()]
    return [
        (short(key[0]), *key[1:], *(cell for found in kinds for cell in _auc_cells(found.get(key)))) for key in kinds[0]
    ]


def headline_auc(study: Study, kind: str) -> ClusterAuc | None:
    """Return the AUC of 1/BEVR for RNASeq cluster 2, if it was measured."""
    feature, subtype, cluster = HEADLINE
    wanted = (f"1/{feature}", subtype, cluster)
    return next((each for each in study.aucs[kind] if (each.feature, each.subtype, each.cluster) == wanted), None)


def headline_test(study: Study, kind: str) -> Association | None:
    """Return the test of BEVR against RNASeq, if it was made."""
    return next((each for each in study.associations[kind] if (each.feature, each.subtype) == HEADLINE[:2]), None)


def quartile_rows(study: Study, unit: str) -> list[tuple[str, ...]]:
    """Return every feature with its unit, kind of masks, patients, lower quartile, median and upper quartile."""
    rows = []
    for kind in study.kinds:
        values = study.values(kind, list(FEATURES))
        for feature in FEATURES:
            known = values[feature].dropna()
            points = [value_text(each) for each in known.quantile([0.25, 0.5, 0.75])]
            rows.append((title(feature, unit), kind, str(len(known)), *points))
    return sorted(rows, key=lambda row: [title(name, unit) for name in FEATURES].index(row[0]))


def agreement_rows(study: Study, unit: str) -> list[tuple[str, ...]]:
    """Return feature, components, patients, Pearson with its interval, Spearman, bias and limits of agreement."""
    return [
        (
            title(each.feature, unit), _components_words(each.feature, components),
            _counted(each.patients, each.left_out), number(each.pearson),
            interval_text(_known(each.pearson_low), _known(each.pearson_high)), number(each.spearman),
            value_text(each.bias), f"{value_text(each.lower_limit)} to {value_text(each.upper_limit)}",
        )
        for pair in zip(*study.agreements.values(), strict=True)
        for components, each in zip(study.agreements, pair, strict=True)
    ]  # fmt: skip


def defined_agreements(study: Study) -> list[Agreement]:
    """Return predicted against manual of every feature as it is defined; nothing without predicted masks."""
    pairs = zip(*study.agreements.values(), strict=True)
    kinds = list(study.agreements)
    return [pair[kinds.index(FEATURES[pair[0].feature].components)] for pair in pairs]


def patient_rows(study: Study, features: list[str]) -> list[tuple[str, ...]]:
    """Return patient, kind of masks, components, each feature as it is defined, remarks."""
    rows = []
    for kind in study.kinds:
        told = study.features[(study.features["masks"] == kind) & (study.features["components"] == "all")]
        told = told.set_index("patient")
        values = study.values(kind, features)
        rows += [
            (
                patient, kind, str(told.loc[patient, "component_count"]),
                *(value_text(values.loc[patient, name]) for name in features), str(told.loc[patient, "remarks"]),
            )
            for patient in values.index
        ]  # fmt: skip
    return sorted(rows)


def p_text(p: float) -> str:
    """Return a p-value with two digits that count."""
    if np.isnan(p):
        return NONE
    return f"{p:.1e}".replace("e-0", "e-").replace("-", MINUS) if p < 0.001 else f"{p:#.2g}"


def value_text(value: object) -> str:
    """Return a feature's value with three digits that count."""
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return NONE
    size = float(value)  # type: ignore[arg-type]
    return (f"{size:,.0f}" if abs(size) >= 1000 else f"{size:.3g}").replace("-", MINUS)


def _seen(patients: int | None) -> str:
    if patients is None:
        return "whether the model had seen the patients whose masks it predicted is not known"
    if patients:
        return f"the model had seen {plural(patients, 'patient')} whose masks it predicted, in training or to be chosen"
    return "the model had seen none of the patients whose masks it predicted"


def _auc_cells(found: ClusterAuc | None) -> tuple[str, str, str]:
    if found is None:
        return NONE, NONE, NONE
    return str(found.patients), number(found.auc), auc_interval_text(found)


def auc_interval_text(found: ClusterAuc) -> str:
    """Return the interval of an AUC."""
    return interval_text(_known(found.low), _known(found.high))


def _components_words(feature: str, components: Components) -> str:
    words = "largest alone" if components == "largest" else "all"
    return f"{words} (as defined)" if FEATURES[feature].components == components else words


def _counted(patients: int, left_out: int) -> str:
    return f"{patients} ({left_out} left out)" if left_out else str(patients)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
