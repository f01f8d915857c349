"""Tables of scores for people: what ``evaluate``, ``demo`` and ``compare`` print. Knows how a score is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WORDS = {
    "dice_patient": "dice_patient, mean",
    "iou_patient": "IoU per patient",
    "precision_patient": "precision per patient",
    "recall_patient": "recall per patient",
    "volume_error_patient": "volume error per patient",
    "hd95_patient": "HD95 per patient",
    "nsd_1_patient": "surface Dice per patient, tolerance 1",
    "nsd_2_patient": "surface Dice per patient, tolerance 2",
    "dice_slice_tumour": "dice_slice_tumour",
    "dice_slice_all": "dice_slice_all",
    "dice_pooled": "dice_pooled",
    "false_positive_slices": "false positives among empty slices",
}
"""Means that have an interval, in the order in which they are shown."""


def score_rows(summary: Mapping[str, Any], unit: str) -> list[tuple[str, str, str]]:
    """Return name, value and 95 % interval of every score, the headline first.

    Parameters
    ----------
    summary
        As `Evaluation.summary` returns it.
    unit
        Of distances.
    """
    units = {"hd95_patient": f" ({unit})", "nsd_1_patient": f" {unit}", "nsd_2_patient": f" {unit}"}
    rows = [
        (words + units.get(name, ""), number(summary[name]["mean"]), interval(summary[name]))
        for name, words in WORDS.items()
        if summary[name] is not None
    ]
    patient = summary["dice_patient"]
    details = [
        ("dice_patient, median", number(patient["median"]), ""),
        ("dice_patient, lowest", number(patient["lowest"]), ""),
        ("patients missed (Dice < 0.1)", f"{patient['missed']} of {patient['patients']}", ""),
    ]
    rows[1:1] = details
    place = [name for name, *_ in rows].index("dice_slice_all") + 1
    rows.insert(place, ("  of predicting nothing", number(summary["dice_slice_all"]["predicting_nothing"]), ""))
    lesions = summary["lesions"]
    if lesions is not None:
        rows.append(("lesions found, invented", f"{lesions['found']} of {lesions['truth']}, {lesions['invented']}", ""))
    rows.append(("dice_original (too high; to compare only)", number(summary["dice_original"]), ""))
    return rows


def number(value: float | None) -> str:
    """Write a score; a dash for none."""
    return "-" if value is None else f"{value:.4f}"


def interval(score: Mapping[str, float | None]) -> str:
    """Write the 95 % interval of a score; nothing if it has none."""
    low, high = score["low"], score["high"]
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"
