"""Every score of an evaluation with its interval, overall and by group. Knows no files.

Intervals are 95 % bootstrap intervals over patients (`gliomask.evaluation.intervals`), also where the mean is over
slices: a person who is drawn brings all of its slices.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomask.data import naming
from gliomask.evaluation import scores
from gliomask.evaluation.counts import SliceCounts
from gliomask.evaluation.intervals import mean_interval, ratio_interval

SIZES = ("small", "medium", "large")
"""Terciles of tumour size."""
SMALLEST = 5
"""Fewest persons in a group that gets an interval: the bootstrap's is far too narrow for fewer (docs/scores.md)."""
_NO_INTERVAL = {"low": None, "high": None}
PATIENT_SCORES = (
    "iou", "precision", "recall", "volume_error", "volume_error_absolute", "volume_error_ml", "hd95", "nsd_1", "nsd_2",
)  # fmt: skip
"""Columns of the patient table that are averaged over patients, beside Dice."""
OF_WHOLE_VOLUMES = ("hd95", "nsd_1", "nsd_2")
"""Those that are averaged only where every patient has them: a mean over some would be of who knows whom."""


def summarise(counts: SliceCounts, patients: pd.DataFrame) -> dict[str, Any]:
    """Return every score by name, ready for JSON.

    Parameters
    ----------
    counts
        One row a slice.
    patients
        One row a patient, columns as in ``patients.csv``.

    Returns
    -------
    dict
        ``mean``, ``low`` and ``high`` of each score, with what it takes to read it; None where nothing is averaged.
    """
    return {
        "dice_patient": dice_patient(patients),
        **{
            f"{name}_patient": _over_patients(patients, name, complete=name in OF_WHOLE_VOLUMES)
            for name in PATIENT_SCORES
        },
        "dice_slice_tumour": _dice_slice_tumour(counts),
        "dice_slice_all": {
            **_slice_interval(counts, np.ones(len(counts), bool), scores.dice(counts)),
            "slices": len(counts),
            "predicting_nothing": scores.predicting_nothing(counts),
        },
        "dice_pooled": _dice_pooled(counts),
        "dice_original": scores.dice_original(counts),
        "false_positive_slices": _false_positive_slices(counts),
        "lesions": _lesions(patients),
    }


def dice_patient(patients: pd.DataFrame) -> dict[str, Any]:
    """Return mean with interval, median, quartiles and lowest of the patients' Dice, and how many were missed.

    Parameters
    ----------
    patients
        At least one row, columns as in ``patients.csv``.

    Returns
    -------
    dict
        ``without_tumour`` says how many patients have none in the scored slices: their Dice is 1 or 0.
    """
    array = patients["dice"].to_numpy(float)
    lower, median, upper = np.percentile(array, [25, 50, 75])
    return {
        **mean_interval(array, _persons(patients["patient"])).as_values(),
        "median": float(median),
        "lower_quartile": float(lower),
        "upper_quartile": float(upper),
        "lowest": float(array.min()),
        "missed": int(patients["missed"].sum()),
        "without_tumour": int((patients["truth_pixels"] == 0).sum()),
        "patients": len(array),
    }


def group_scores(patients: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    """Return `dice_patient` of each institution, tercile of tumour size and set of missing sequences.

    Groups of fewer than `SMALLEST` persons get no interval.
    """
    missing = patients["missing"].replace("", "none")
    by_size = _grouped(patients, patients["size"])
    return {
        "institution": _grouped(patients, patients["institution"]),
        "size": {name: by_size[name] for name in (*SIZES, "none") if name in by_size},
        "missing": _grouped(patients, missing),
    }


def _grouped(patients: pd.DataFrame, keys: pd.Series[str]) -> dict[str, dict[str, Any]]:
    parts = {str(name): part for name, part in patients.groupby(keys.to_numpy())}
    return {
        name: dice_patient(part) | (_NO_INTERVAL if len(set(_persons(part["patient"]))) < SMALLEST else {})
        for name, part in parts.items()
    }


def _over_patients(patients: pd.DataFrame, name: str, *, complete: bool) -> dict[str, Any] | None:
    values = patients[name].to_numpy(float)
    known = values[~np.isnan(values)]
    if not len(known) or (complete and len(known) < len(values)):
        return None
    interval = mean_interval(values, _persons(patients["patient"]))
    return {**interval.as_values(), "median": float(np.median(known)), "patients": len(known)}


def _dice_slice_tumour(counts: SliceCounts) -> dict[str, Any] | None:
    chosen = counts.has_tumour
    if not chosen.any():
        return None
    return {**_slice_interval(counts, chosen, scores.dice(counts)), "slices": int(chosen.sum())}


def _false_positive_slices(counts: SliceCounts) -> dict[str, Any] | None:
    empty, wrong = ~counts.has_tumour, counts.fp > 0
    if not empty.any():
        return None
    found = _slice_interval(counts, empty, wrong.astype(float))
    return {**found, "false_positive": int((empty & wrong).sum()), "empty": int(empty.sum())}


def _dice_pooled(counts: SliceCounts) -> dict[str, Any]:
    each = counts.per_patient()
    if not (each.tp + each.fp + each.fn).any():
        return {"mean": 1.0, "low": None, "high": None}
    return ratio_interval(2 * each.tp, 2 * each.tp + each.fp + each.fn, _persons(each.patients)).as_values()


def _slice_interval(
    counts: SliceCounts, chosen: NDArray[np.bool_], values: NDArray[np.float64]
) -> dict[str, float | None]:
    """Return mean and interval of the values of the chosen slices; patients are drawn, slices come along."""
    names, rows = np.unique(counts.patients, return_inverse=True)
    sums, sizes = np.bincount(rows, values * chosen), np.bincount(rows, chosen)
    return ratio_interval(sums, sizes, _persons(names)).as_values()


def _persons(patients: Iterable[str]) -> list[str]:
    """Return who the patients are."""
    return [naming.person(str(name)) for name in patients]


def _lesions(patients: pd.DataFrame) -> dict[str, int] | None:
    if patients["lesions"].isna().any():
        return None
    truth, found = int(patients["lesions"].sum()), int(patients["lesions_found"].sum())
    invented = int(patients["lesions_invented"].sum())
    return {"truth": truth, "found": found, "missed": truth - found, "invented": invented}
