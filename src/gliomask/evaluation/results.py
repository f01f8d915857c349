"""What an evaluation found, as tables, kept in a folder and read back. Knows no predictor and no picture.

=================  ==================================================================================
``patients.csv``   a row a patient: counts, scores, surface distances, lesions, institution, size
``slices.csv``     a row a slice: tp, fp, fn, tn
``summary.json``   what was scored, every mean with its interval, groups, calibration
``masks/``         the masks that were scored, ``PATIENT/PATIENT_<number>_mask.png``
=================  ==================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomask.data.records import PatientRecord
from gliomask.errors import DataError
from gliomask.evaluation import scores
from gliomask.evaluation.calibration import ProbabilityCounts, calibration
from gliomask.evaluation.counts import SliceCounts
from gliomask.evaluation.lesions import LesionCounts
from gliomask.evaluation.summary import PATIENT_SCORES, SIZES, group_scores, summarise
from gliomask.evaluation.surfaces import Spacing, SurfaceScores
from gliomask.files import whole_file

SUMMARY, PATIENTS, SLICES, MASKS = "summary.json", "patients.csv", "slices.csv", "masks"
_COUNTS = ("tp", "fp", "fn", "tn")
_WHERE = ("test", "out-of-fold", "scores")
_CURE = "run gliomask evaluate again"


@dataclass(frozen=True)
class PatientResult:
    """What was found in one patient beyond the counts.

    Attributes
    ----------
    patient
        Who.
    numbers
        Slice numbers that were scored, rising.
    surfaces, lesions
        Of the whole volume; None where only some of its slices were scored.
    probabilities
        None for masks without probabilities.
    spacing
        Distance of slices, rows and columns in mm; None where it is not known.
    """

    patient: PatientRecord
    numbers: tuple[int, ...]
    surfaces: SurfaceScores | None
    lesions: LesionCounts | None
    probabilities: ProbabilityCounts | None
    spacing: Spacing | None = None


@dataclass(frozen=True)
class Evaluation:
    """Scored slices and patients.

    Attributes
    ----------
    counts
        One row a slice; slices of a patient follow each other.
    numbers
        (N,) int64: the number of each slice.
    patients
        One row a patient, in the order of ``counts``; columns as in ``patients.csv``.
    calibration
        See `gliomask.evaluation.calibration.calibration`; None for masks without probabilities.
    unit
        Unit of the distances, ``mm`` or ``pixels``.
    """

    counts: SliceCounts
    numbers: NDArray[np.int64]
    patients: pd.DataFrame
    calibration: dict[str, Any] | None
    unit: str

    def summary(self) -> dict[str, Any]:
        """Return every score by name, means with their intervals; None where there is nothing to average."""
        return summarise(self.counts, self.patients)

    def groups(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return ``dice_patient`` by institution, tumour size and missing sequences."""
        return group_scores(self.patients)


def collect(counts: SliceCounts, results: Sequence[PatientResult]) -> Evaluation:
    """Put the results of patients together.

    Parameters
    ----------
    counts
        All scored slices, patients in the order of ``results``.
    results
        One a patient; the spacing is known for all of them or for none.
    """
    known = [result.probabilities for result in results if result.probabilities is not None]
    return Evaluation(
        counts,
        np.array([number for result in results for number in result.numbers], np.int64),
        _patient_table(counts, results),
        calibration(known) if len(known) == len(results) else None,
        "pixels" if any(result.spacing is None for result in results) else "mm",
    )


def write_evaluation(evaluation: Evaluation, folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Write the tables and ``summary.json`` (``facts`` first, then what was found), and return what is in the latter.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    (folder / SUMMARY).unlink(missing_ok=True)  # until the new tables are whole there is no evaluation
    slices = pd.DataFrame({"patient": evaluation.counts.patients, "slice": evaluation.numbers})
    slices = slices.assign(**{name: getattr(evaluation.counts, name) for name in _COUNTS})
    for name, table in ((PATIENTS, evaluation.patients.round(6)), (SLICES, slices)):
        with whole_file(folder / name) as part:
            table.to_csv(part, index=False)
    found = facts | {
        "unit": evaluation.unit,
        "scores": evaluation.summary(),
        "groups": evaluation.groups(),
        "calibration": evaluation.calibration,
    }
    with whole_file(folder / SUMMARY) as part:
        part.write_text(json.dumps(found, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return found


def read_evaluation(folder: Path) -> tuple[Evaluation, dict[str, Any]]:
    """Read what `write_evaluation` wrote, and the content of ``summary.json``.

    Raises
    ------
    DataError
        If the folder holds no evaluation, or a damaged one.
    """
    if not (folder / SUMMARY).is_file():
        raise DataError(folder, f"no {SUMMARY}", "a folder that `gliomask evaluate` wrote", "run it first")
    try:
        facts = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        return _read_tables(folder, facts), facts
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(folder, f"not a usable evaluation ({error})", "whole tables", _CURE) from error


def _read_tables(folder: Path, facts: dict[str, Any]) -> Evaluation:
    text = dict.fromkeys(("patient", "institution", "missing", "size", "spacing"), "str")
    patients = pd.read_csv(folder / PATIENTS, dtype=text, keep_default_na=False)
    columns = [name for name in patients.columns if name not in {*text, "missed"}]
    patients[columns] = patients[columns].apply(pd.to_numeric)
    if {*text, "missed", "dice", *PATIENT_SCORES} - set(patients.columns):
        raise ValueError("a column of patients.csv is absent")
    slices = pd.read_csv(folder / SLICES, dtype={"patient": "str"}, keep_default_na=False)
    tp, fp, fn, tn = (slices[name].to_numpy(np.int64) for name in _COUNTS)
    counts = SliceCounts(tp, fp, fn, tn, slices["patient"].to_numpy(np.str_))
    each = counts.per_patient()
    counted = np.stack([each.tp, each.fp, each.fn], axis=1)
    if list(patients["patient"]) != list(each.patients) or (patients[list(_COUNTS[:3])].to_numpy() != counted).any():
        raise ValueError("the tables disagree")
    return Evaluation(counts, slices["slice"].to_numpy(np.int64), patients, facts["calibration"], facts["unit"])


def find_evaluation(path: Path) -> Path:
    """Return the folder of an evaluation: the path itself, or that of a run on its test or out-of-fold patients.

    Raises
    ------
    DataError
        If there is none.
    """
    if not path.is_dir():
        raise DataError(path, "no such folder", "a folder of `gliomask train` or `gliomask evaluate`", "check the name")
    for folder in (path, *(path / name for name in _WHERE)):
        if _is_evaluation(folder / SUMMARY):
            return folder
    found = f"{SUMMARY} in its folder {' or '.join(_WHERE)}"
    raise DataError(path, "no evaluation", found, f"run `gliomask evaluate DATA --model {path}` first")


def _is_evaluation(path: Path) -> bool:
    """Tell an evaluation's summary from those of other commands, and from none; a damaged one is told of later."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    return isinstance(known, dict) and "scores" in known


def _patient_table(counts: SliceCounts, results: Sequence[PatientResult]) -> pd.DataFrame:
    each = counts.per_patient()
    truth, predicted = each.tp + each.fn, each.tp + each.fp
    millilitres = [np.nan if result.spacing is None else np.prod(result.spacing) / 1000 for result in results]
    records = [result.patient for result in results]
    nsd = [() if result.surfaces is None else result.surfaces.nsd for result in results]
    table = pd.DataFrame(
        {
            "patient": each.patients,
            "institution": [record.institution for record in records],
            "missing": ["+".join(record.missing) for record in records],
            "slices": [len(result.numbers) for result in results],
            "tumour_slices": np.bincount(_patient_numbers(counts), counts.has_tumour, len(each)).astype(np.int64),
            "truth_pixels": truth,
            "predicted_pixels": predicted,
            **{name: getattr(each, name) for name in _COUNTS[:3]},
            "dice": scores.dice(each),
            "missed": scores.missed(each),
            "iou": scores.iou(each),
            "precision": scores.precision(each),
            "recall": scores.recall(each),
            "volume_error": scores.volume_error(each),
            "volume_error_absolute": np.abs(scores.volume_error(each)),
            "volume_error_ml": (predicted - truth) * millilitres,
            "spacing": ["" if r.spacing is None else " x ".join(f"{d:g}" for d in r.spacing) for r in results],
            "hd95": [np.nan if result.surfaces is None else result.surfaces.hd95 for result in results],
            "nsd_1": [values[0] if values else np.nan for values in nsd],
            "nsd_2": [values[1] if values else np.nan for values in nsd],
        }
    )
    for column, name in (("lesions", "truth"), ("lesions_found", "found"), ("lesions_invented", "invented")):
        table[column] = [np.nan if r.lesions is None else getattr(r.lesions, name) for r in results]
    return table.assign(size=_size_terciles(truth))


def _size_terciles(truth: NDArray[np.int64]) -> list[str]:
    """Call each tumour small, medium or large: terciles of the scored patients with tumour, equal sizes together.

    ``none`` without tumour; nothing where fewer than three patients have one.
    """
    sizes = truth[truth > 0]
    if len(sizes) < len(SIZES):
        return ["" if size else "none" for size in truth]
    bounds = np.quantile(sizes, [1 / 3, 2 / 3], method="inverted_cdf")
    return [SIZES[int(np.searchsorted(bounds, size))] if size else "none" for size in truth]


def _patient_numbers(counts: SliceCounts) -> NDArray[np.intp]:
    """Return (N,) the row of each slice's patient, in order of appearance."""
    _, first, inverse = np.unique(counts.patients, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
