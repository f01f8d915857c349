"""Scores: pure functions of counts. A name says over what is averaged.

=====================  =============================================================================================
``dice_patient``       one value a patient, over all of the patient's slices; the headline
``dice_slice_tumour``  mean over slices whose truth has tumour
``dice_slice_all``     mean over all slices, empty against empty counted 1; read it beside ``predicting_nothing``
``dice_pooled``        one value over all slices together
``dice_original``      the original project's arithmetic, kept only to reproduce its table; too high by n / (n - 1)
=====================  =============================================================================================

Dice is 2 tp / (2 tp + fp + fn) (Dice 1945, doi:10.2307/1932409).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gliomask.evaluation.counts import SliceCounts

MISSED = 0.1
"""A patient is missed if Dice is below this."""
ORIGINAL_BATCH = 32
"""Batch size of the original project's test loop."""


def dice(counts: SliceCounts, *, empty: float = 1.0) -> NDArray[np.float64]:
    """Return the Dice coefficient of each row of counts.

    Parameters
    ----------
    counts
        N rows: slices, patients or batches.
    empty
        Value where neither prediction nor truth has tumour.

    Returns
    -------
    numpy.ndarray
        (N,) float64, 0 to 1 (or ``empty``).
    """
    total = 2 * counts.tp + counts.fp + counts.fn
    return np.where(total > 0, 2 * counts.tp / np.maximum(total, 1), empty)


def dice_patient(counts: SliceCounts) -> dict[str, float]:
    """Return mean, median, quartiles and lowest of the patients' Dice, and how many were missed (Dice < 0.1)."""
    values = dice(counts.per_patient())
    lower, median, upper = np.percentile(values, [25, 50, 75])
    return {
        "mean": float(values.mean()),
        "median": float(median),
        "lower_quartile": float(lower),
        "upper_quartile": float(upper),
        "lowest": float(values.min()),
        "missed": int((values < MISSED).sum()),
        "patients": len(values),
    }


def dice_slice_tumour(counts: SliceCounts) -> float:
    """Return the mean Dice over slices whose truth has tumour; NaN if there is none."""
    tumour = counts.tp + counts.fn > 0
    return float(dice(counts)[tumour].mean()) if tumour.any() else float("nan")


def dice_slice_all(counts: SliceCounts) -> float:
    """Return the mean Dice over all slices, empty against empty counted 1."""
    return float(dice(counts).mean())


def predicting_nothing(counts: SliceCounts) -> float:
    """Return the ``dice_slice_all`` of a model that never finds anything: the fraction of empty slices."""
    return float((counts.tp + counts.fn == 0).mean())


def dice_pooled(counts: SliceCounts) -> float:
    """Return the Dice over all slices together; 1 if there is no tumour anywhere."""
    return float(dice(counts.per_batch(max(len(counts), 1)))[0])


def original_mean(batch_dice: ArrayLike) -> float:
    """Divide the sum of n values by n - 1, as the original project does.

    Raises
    ------
    ValueError
        If there are fewer than two values: the original divides by zero there.
    """
    values = np.asarray(batch_dice, float)
    if values.size < 2:
        raise ValueError(f"{values.size} batch; the original's arithmetic needs at least two")
    return float(values.sum() / (values.size - 1))


def dice_original(counts: SliceCounts, *, batch: int = ORIGINAL_BATCH) -> float | None:
    """Return the original project's test score: Dice pooled over each batch, summed, over the number of batches - 1.

    Its arithmetic, not its data: slices come patient by patient at the size of the image, the original's came shuffled
    at 128 pixels. None if the slices make fewer than two batches, where the original divides by zero.
    """
    values = dice(counts.per_batch(batch))
    return original_mean(values) if values.size >= 2 else None


def summarise(counts: SliceCounts) -> dict[str, Any]:
    """Return every score of a set of slices by name, ready for JSON (NaN becomes None)."""
    tumour = dice_slice_tumour(counts)
    return {
        "dice_patient": dice_patient(counts),
        "dice_slice_tumour": None if np.isnan(tumour) else tumour,
        "dice_slice_all": dice_slice_all(counts),
        "dice_slice_all_of_predicting_nothing": predicting_nothing(counts),
        "dice_pooled": dice_pooled(counts),
        "dice_original": dice_original(counts),
    }
