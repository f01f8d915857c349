"""The whole study: features of manual and predicted masks, against subtypes and each other, and kept in a folder.

===================  ====================================================================================
``features.csv``     two rows a patient and kind of masks: with all components, with the largest alone
``associations.csv`` a row a feature and subtype: table, p-value, corrections, effect size, patients left out
``auc.csv``          a row a feature and cluster: AUC against the rest, with its interval
``agreement.csv``    a row a feature, predicted against manual (where masks were given)
``summary.json``     what was measured and how, and all of the tables but the features
===================  ====================================================================================

The page about it (``report.html``) lies beside them and is written after them, so that a page without ``summary.json``
is of something else. Knows no picture, and not where masks come from.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gliomask.config import CutName
from gliomask.data import naming
from gliomask.data.records import PatientRecord
from gliomask.files import whole_file
from gliomask.radiogenomics.agreement import Agreement, agree
from gliomask.radiogenomics.association import Association, ClusterAuc, associate, cluster_aucs
from gliomask.radiogenomics.features import COMPONENTS, FEATURES, SHAPE_FEATURES, Components, select
from gliomask.radiogenomics.study_folder import PAGE, SUMMARY, require_own_folder

MANUAL, PREDICTED = "manual", "predicted"
"""The two kinds of masks."""
_MISSING = {"", "na", "n/a", "nan", "null", "[not available]", "[not applicable]"}
_RECIPROCAL = "bevr"  # the study speaks of 1/BEVR, which is large where the tumour is irregular


@dataclass(frozen=True)
class Study:
    """What was found.

    Attributes
    ----------
    features
        Of `gliomask.radiogenomics.features.feature_table`, with a first column ``masks``, manual or predicted.
    labels
        Patients by subtype, text; missing where there is no label.
    repeated
        Scans of somebody of whom there is an earlier one: measured, but neither tested nor compared, since a person
        counts once.
    cut
        How features were cut.
    associations, aucs
        By kind of masks; the latter of 1/BEVR in place of BEVR.
    agreements
        By the components that were measured; empty without predicted masks.
    """

    features: pd.DataFrame
    labels: pd.DataFrame
    repeated: tuple[str, ...]
    cut: CutName
    associations: dict[str, list[Association]]
    aucs: dict[str, list[ClusterAuc]]
    agreements: dict[Components, list[Agreement]]

    @property
    def kinds(self) -> list[str]:
        """Kinds of masks that were measured, manual first."""
        return list(self.associations)

    def values(self, kind: str, features: Sequence[str]) -> pd.DataFrame:
        """Return one row a patient of that kind of masks, one column a feature, each as it is defined."""
        return select(self.features[self.features["masks"] == kind], features)

    def values_once(self, kind: str, features: Sequence[str]) -> pd.DataFrame:
        """Return the same without the scans of somebody of whom there is an earlier one."""
        return self.values(kind, features).drop(index=list(self.repeated), errors="ignore")


def label_table(
    patients: Sequence[PatientRecord], subtypes: Sequence[str], table: Mapping[str, Mapping[str, str]] | None = None
) -> pd.DataFrame:
    """Return one row a patient, one column a subtype, text, missing where there is no label.

    Whole numbers that a program wrote with decimals (``2.0``) lose them; what stands for a missing value (NA, NaN, N/A,
    null, [Not Available]) is missing.

    Parameters
    ----------
    patients
        Whose.
    subtypes
        Columns.
    table
        Labels by patient, then column, a patient being called by its name or as in data.csv; the columns of
        data.csv if not given.
    """
    rows = {}
    for patient in patients:
        person = naming.person(patient.name)
        found = patient.clinical if table is None else table.get(patient.name, table.get(person, {}))
        rows[patient.name] = [_label(found.get(subtype)) for subtype in subtypes]
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(subtypes), dtype="object")


def _label(text: str | None) -> str | None:
    if text is None or text.strip().lower() in _MISSING:
        return None
    return re.sub(r"^([0-9]+)\.0+$", r"\1", text.strip())


def analyse(
    tables: Mapping[str, pd.DataFrame], labels: pd.DataFrame, *, features: Sequence[str] = (), cut: CutName = "median"
) -> Study:
    """Test features of each kind of masks against subtypes, and predicted against manual.

    Parameters
    ----------
    tables
        Of `feature_table`, by kind of masks; predicted masks may be of fewer patients. Each kind is cut at its own
        median.
    labels
        Of `label_table`.
    features
        Names of the features to test; those of the radiogenomic studies if none are given. All are compared.
    cut
        How they are cut.
    """
    tested = list(features) or [feature.name for feature in SHAPE_FEATURES]
    repeated = labels.index[labels.index.map(naming.person).duplicated()].tolist()
    chosen = {kind: select(table, tested).drop(index=repeated, errors="ignore") for kind, table in tables.items()}
    reciprocal = {kind: _reciprocal(values) for kind, values in chosen.items()}
    agreements: dict[Components, list[Agreement]] = {}
    for components in COMPONENTS if PREDICTED in tables else ():
        pair = [select(tables[kind], FEATURES, components) for kind in (MANUAL, PREDICTED)]
        agreements[components] = agree(*(values.drop(index=repeated, errors="ignore") for values in pair))
    return Study(
        pd.concat([table.assign(masks=kind) for kind, table in tables.items()]).pipe(_masks_first),
        labels,
        tuple(repeated),
        cut,
        {kind: associate(values, labels, cut=cut) for kind, values in chosen.items()},
        {kind: cluster_aucs(values, labels) for kind, values in reciprocal.items()},
        agreements,
    )


def write_study(study: Study, folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Write the tables and, last, ``summary.json``, whose content is returned: ``facts`` first, then what was found.

    Raises
    ------
    UsageError
        As `require_own_folder`.
    OSError
        If the folder cannot be written.
    """
    require_own_folder(folder)
    for earlier in (PAGE, SUMMARY):
        (folder / earlier).unlink(missing_ok=True)
    tables = {
        "associations": _rows("masks", study.associations),
        "auc": _rows("masks", study.aucs),
        "agreement": _rows("components", study.agreements),
    }
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items() if rows} | {"features": study.features}
    for name, frame in frames.items():
        with whole_file(folder / f"{name}.csv") as part:
            frame.to_csv(part, index=False, float_format="%.8g")
    if not study.agreements:  # one of an earlier study would be taken for this one's
        (folder / "agreement.csv").unlink(missing_ok=True)
    found = {**facts, "cut": study.cut, "quartiles": quartiles(study), **tables}
    with whole_file(folder / SUMMARY) as part:
        part.write_text(json.dumps(found, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return found


def quartiles(study: Study) -> dict[str, dict[str, list[float | None]]]:
    """Return lower quartile, median and upper quartile of every feature by kind of masks; None where nobody has any."""
    found: dict[str, dict[str, list[float | None]]] = {}
    for kind in study.kinds:
        values = study.values(kind, list(FEATURES)).quantile([0.25, 0.5, 0.75])
        found[kind] = {name: [_plain(value) for value in values[name]] for name in FEATURES}
    return found


def _reciprocal(values: pd.DataFrame) -> pd.DataFrame:
    if _RECIPROCAL not in values:
        return values
    name = f"1/{_RECIPROCAL}"
    return values.assign(**{_RECIPROCAL: 1 / values[_RECIPROCAL]}).rename(columns={_RECIPROCAL: name})


def _masks_first(table: pd.DataFrame) -> pd.DataFrame:
    return table[["patient", "masks", *(name for name in table if name not in {"patient", "masks"})]]


def _rows(column: str, found: Mapping[Any, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return the fields of dataclasses in plain values, behind a first column with the key they came under."""
    return [
        {column: key, **{field.name: _plain(getattr(each, field.name)) for field in dataclasses.fields(each)}}
        for key, part in found.items()
        for each in part
    ]


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
