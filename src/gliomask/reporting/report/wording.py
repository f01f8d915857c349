"""Scores in words and numbers as they are read: what each score averages and how sure it is. Knows no page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NONE = "–"  # noqa: RUF001 - the dash that a table shows where there is no number
MINUS = "\u2212"
_SEQUENCES = {"pre": "T1 before contrast", "post": "T1 after contrast", "pre+post": "T1 before and after contrast"}
_KINDS = {
    "volume_error_patient": "signed percent",
    "volume_error_absolute_patient": "percent",
    "volume_error_ml_patient": "volume",
    "false_positive_slices": "percent",
    "hd95_patient": "distance",
}
_NAMES = {
    "dice_patient": "Dice per patient",
    "iou_patient": "Intersection over union per patient",
    "precision_patient": "Precision per patient",
    "recall_patient": "Recall (sensitivity) per patient",
    "volume_error_patient": "Volume error per patient",
    "volume_error_absolute_patient": "Volume error per patient, without sign",
    "volume_error_ml_patient": "Volume error per patient, in ml",
    "hd95_patient": "Hausdorff distance, 95th percentile, per patient",
    "nsd_1_patient": "Surface Dice within 1 {one}, per patient",
    "nsd_2_patient": "Surface Dice within 2 {unit}, per patient",
    "dice_slice_tumour": "Dice per slice with tumour",
    "dice_slice_all": "Dice per slice, empty ones included",
    "dice_pooled": "Dice of all slices pooled",
    "dice_original": "Dice by the original project's arithmetic",
    "false_positive_slices": "Slices with a false alarm",
    "lesions": "Lesions found",
}
OF_WHOLE_VOLUMES = {"hd95_patient", "nsd_1_patient", "nsd_2_patient", "lesions"}
"""Scores that are given only where all slices of every patient are scored."""
_MEANINGS = {
    "dice_patient": "Overlap of prediction and truth over all scored slices of a patient; mean of the patients.",
    "iou_patient": "The same overlap, counted more severely: common pixels over all pixels of both masks.",
    "precision_patient": "Share of the predicted pixels that are tumour; mean of the patients.",
    "recall_patient": "Share of the tumour's pixels that were found; mean of the patients.",
    "volume_error_patient": "Predicted over true volume, less one: 0 % is the right volume, less is too small; mean of "
    "the patients with tumour.",
    "volume_error_absolute_patient": "The same without its sign, so that too large and too small do not cancel out.",
    "volume_error_ml_patient": "Predicted less true volume; mean of the patients.",
    "hd95_patient": "95 % of the points on either surface lie closer to the other than this; mean of the patients.",
    "nsd_1_patient": "Share of both surfaces that lie within 1 {one} of each other; mean of the patients.",
    "nsd_2_patient": "Share of both surfaces that lie within 2 {unit} of each other; mean of the patients.",
    "dice_slice_tumour": "Mean over the {slices:,} slices whose truth has tumour.",
    "dice_slice_all": "Mean over all {slices:,} slices; empty against empty counts 1. Predicting nothing at all would "
    "score {predicting_nothing:.3f} here.",
    "dice_pooled": "One Dice over all slices of all patients together, so that large tumours count most.",
    "dice_original": "Too high by its arithmetic, and only for comparison with that project's table: not a score of "
    "this model.",
    "false_positive_slices": "Slices without tumour in which some was found: {false_positive:,} of {empty:,}.",
    "lesions": "Connected tumours that the prediction touches. {missed:,} missed; {invented:,} predicted where there "
    "is none.",
}


@dataclass(frozen=True)
class ScoreRow:
    """A score as a table shows it: its name in ``summary.json``, its name and meaning in words, value and interval."""

    key: str
    name: str
    meaning: str
    value: str
    interval: str


def score_rows(scores: Mapping[str, Any], unit: str) -> list[ScoreRow]:
    """Return a row for every score, in the order of the summary.

    Parameters
    ----------
    scores
        ``scores`` of the summary.
    unit
        Unit of distances, mm or pixels.
    """
    return [_score_row(key, score, unit) for key, score in scores.items()]


def _score_row(key: str, score: Any, unit: str) -> ScoreRow:
    one = unit.removesuffix("s")
    values: dict[str, Any] = {"mean": score} if isinstance(score, int | float) else dict(score or {})
    name = _NAMES.get(key, key.replace("_", " ")).format(unit=unit, one=one)
    if score is None:
        reason = (
            "Not given: it needs every slice of every patient, without gaps."
            if key in OF_WHOLE_VOLUMES
            else "There was nothing to average."
        )
        return ScoreRow(key, name, reason, NONE, NONE)
    meaning = _MEANINGS.get(key, "").format(unit=unit, one=one, **values)
    if key == "lesions":
        return ScoreRow(key, name, meaning, f"{score['found']:,} of {score['truth']:,}", NONE)
    kind = _KINDS.get(key, "share")
    if "median" in values:
        patients = f" ({plural(values['patients'], 'patient')})" if "patients" in values else ""
        meaning = f"{meaning} Median {number(values['median'], kind, unit)}{patients}.".strip()
    interval = interval_text(values.get("low"), values.get("high"), kind, unit)
    return ScoreRow(key, name, meaning, number(values.get("mean"), kind, unit), interval)


def number(value: float | None, kind: str = "share", unit: str = "") -> str:
    """Return a number as it is read: three decimals, per cent, or a distance with its unit; a dash where there is none.

    Parameters
    ----------
    value
        The number.
    kind
        share, percent, signed percent, distance or volume (in ml, with its sign).
    unit
        Unit of a distance.
    """
    if value is None or math.isnan(value):
        return NONE
    texts = {
        "percent": f"{value:.1%}".replace("%", " %"),
        "signed percent": f"{value:+.1%}".replace("%", " %"),
        "distance": f"{value:.1f} {unit}".rstrip(),
        "volume": f"{value:+.1f} ml",
    }
    return texts.get(kind, f"{value:.3f}").replace("-", MINUS)


def interval_text(low: float | None, high: float | None, kind: str = "share", unit: str = "") -> str:
    """Return an interval as it is read, a dash where there is none."""
    if low is None or high is None:
        return NONE
    return f"{number(low, kind)} to {number(high, kind, unit)}"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def missing_text(missing: str) -> str:
    """Return missing sequences, as in ``pre+post``, in words."""
    return _SEQUENCES.get(missing, missing) if missing else "none"


def seen_sentence(seen: int | None, patients: int) -> str:
    """Say whether the model had seen the patients that it was scored on."""
    if seen is None:
        return "Whether the model had seen these patients in training is not known."
    if seen == 0:
        return "The model had seen none of them in training."
    return f"The model had seen {seen} of the {patients} in training or used them to choose its weights."
