"""Scores: pure functions of counts. A name says over what is averaged. Knows no interval, no file and no model.

=========================  =========================================================================================
``dice_patient``           one value a patient, over all of the patient's slices; the headline
``dice_slice_tumour``      mean over slices whose truth has tumour
``dice_slice_all``         mean over all slices, empty against empty counted 1; read it beside ``predicting_nothing``
``dice_pooled``            one value over all slices together
``dice_original``          the original project's arithmetic, kept only to reproduce its table; too high by n / (n - 1)
``false_positive_slices``  share of the slices without tumour in which some was found
=========================  =========================================================================================

One rule for empty masks: where neither prediction nor truth has tumour a score is ``empty`` (1 unless said otherwise);
where only one of them has, nothing was right and it is 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gliomask.evaluation.counts import SliceCounts

MISSED = 0.1
"""A patient with tumour is missed if Dice is below this."""
ORIGINAL_BATCH = 32
"""Batch size of the original project's test loop."""

_Values = NDArray[np.float64]


def dice(counts: SliceCounts, *, empty: float = 1.0) -> _Values:
    """Return the Dice coefficient of each row, 2 tp / (2 tp + fp + fn) (Dice 1945, doi:10.2307/1932409).

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
    return _share(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn, counts, empty)


def iou(counts: SliceCounts, *, empty: float = 1.0) -> _Values:
    """Return intersection over union of each row, tp / (tp + fp + fn) (Jaccard 1912); (N,) as for `dice`."""
    return _share(counts.tp, counts.tp + counts.fp + counts.fn, counts, empty)


def precision(counts: SliceCounts, *, empty: float = 1.0) -> _Values:
    """Return which part of the prediction is tumour, tp / (tp + fp), of each row; (N,) as for `dice`."""
    return _share(counts.tp, counts.tp + counts.fp, counts, empty)


def recall(counts: SliceCounts, *, empty: float = 1.0) -> _Values:
    """Return which part of the tumour was found, tp / (tp + fn), of each row; (N,) as for `dice`."""
    return _share(counts.tp, counts.tp + counts.fn, counts, empty)


def volume_error(counts: SliceCounts) -> _Values:
    """Return predicted over true volume, less one, of each row.

    Returns
    -------
    numpy.ndarray
        (N,) float64 from -1 (nothing found); 0 is the right volume. NaN where there is no tumour to relate it to.
    """
    truth, predicted = counts.tp + counts.fn, counts.tp + counts.fp
    return np.where(truth > 0, predicted / np.maximum(truth, 1) - 1, np.nan)


def missed(counts: SliceCounts) -> NDArray[np.bool_]:
    """Return which rows have tumour of which hardly any was found: (N,) bool, Dice below 0.1."""
    return counts.has_tumour & (dice(counts) < MISSED)


def dice_slice_tumour(counts: SliceCounts) -> float:
    """Return the mean Dice over slices whose truth has tumour; NaN if there is none."""
    tumour = counts.has_tumour
    return float(dice(counts)[tumour].mean()) if tumour.any() else float("nan")


def dice_slice_all(counts: SliceCounts, *, empty: float = 1.0) -> float:
    """Return the mean Dice over all slices, empty against empty counted ``empty``."""
    return float(dice(counts, empty=empty).mean())


def predicting_nothing(counts: SliceCounts) -> float:
    """Return the ``dice_slice_all`` of a model that never finds anything: the fraction of empty slices."""
    return float((~counts.has_tumour).mean())


def dice_pooled(counts: SliceCounts, *, empty: float = 1.0) -> float:
    """Return the Dice over all slices together; ``empty`` if neither prediction nor truth has tumour anywhere."""
    return float(dice(counts.per_batch(max(len(counts), 1)), empty=empty)[0])


def false_positive_slices(counts: SliceCounts) -> float:
    """Return the share of the slices without tumour in which some was found; NaN if every slice has tumour."""
    empty = ~counts.has_tumour
    return float((counts.fp[empty] > 0).mean()) if empty.any() else float("nan")


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


def _share(part: NDArray[np.int64], whole: NDArray[np.int64], counts: SliceCounts, empty: float) -> _Values:
    nothing = counts.tp + counts.fp + counts.fn == 0
    return np.where(nothing, empty, part / np.maximum(whole, 1))
