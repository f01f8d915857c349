"""Counts of right and wrong pixels, made once for each slice; every score is a function of these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SliceCounts:
    """Counts of N slices.

    Parameters
    ----------
    tp, fp, fn, tn
        (N,) int64: pixels that are tumour in both, in the prediction only, in the truth only, in neither.
    patients
        (N,) str: the patient each slice belongs to; slices of a patient follow each other.
    """

    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    fn: NDArray[np.int64]
    tn: NDArray[np.int64]
    patients: NDArray[np.str_]

    def __post_init__(self) -> None:
        """Check that the arrays belong together.

        Raises
        ------
        ValueError
            If lengths differ.
        """
        lengths = {len(array) for array in (self.tp, self.fp, self.fn, self.tn, self.patients)}
        if len(lengths) != 1:
            raise ValueError(f"counts of different length: {sorted(lengths)}")

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.tp)

    @property
    def has_tumour(self) -> NDArray[np.bool_]:
        """(N,) bool: whether the truth of the row has any tumour."""
        return self.tp + self.fn > 0

    def per_patient(self) -> SliceCounts:
        """Return the counts summed over each patient's slices, one row a patient, in order of appearance."""
        names, first, inverse = np.unique(self.patients, return_index=True, return_inverse=True)
        order = np.argsort(first)
        tp, fp, fn, tn = (np.bincount(inverse, a, len(names)).astype(np.int64)[order] for a in self._arrays())
        return SliceCounts(tp, fp, fn, tn, names[order])

    def per_batch(self, size: int) -> SliceCounts:
        """Return the counts summed over consecutive slices, ``size`` at a time; the last batch may be shorter."""
        starts = np.arange(0, len(self), size)
        tp, fp, fn, tn = (np.add.reduceat(a, starts) if len(self) else a for a in self._arrays())
        return SliceCounts(tp, fp, fn, tn, np.array([f"batch {number}" for number in range(len(starts))], np.str_))

    def _arrays(self) -> tuple[NDArray[np.int64], ...]:
        return self.tp, self.fp, self.fn, self.tn


def check_masks(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> None:
    """Refuse masks that cannot be compared.

    Raises
    ------
    ValueError
        If the shapes differ or are not (S, H, W), or a mask is not boolean (0 and 255 would count wrongly).
    """
    if prediction.shape != truth.shape or prediction.ndim != 3:
        raise ValueError(f"masks of shape {prediction.shape} and {truth.shape}; expected two equal (S, H, W)")
    if prediction.dtype != np.bool_ or truth.dtype != np.bool_:
        raise ValueError(f"masks of dtype {prediction.dtype} and {truth.dtype}; expected bool")


def count_slices(prediction: NDArray[np.bool_], truth: NDArray[np.bool_], patient: str) -> SliceCounts:
    """Count a patient's slices.

    Parameters
    ----------
    prediction, truth
        (S, H, W) bool.
    patient
        Name of the patient.

    Raises
    ------
    ValueError
        If the shapes differ, or a mask is not boolean (0 and 255 would count wrongly).
    """
    check_masks(prediction, truth)
    pairs = (prediction & truth, prediction & ~truth, ~prediction & truth, ~prediction & ~truth)
    tp, fp, fn, tn = (pair.sum(axis=(1, 2), dtype=np.int64) for pair in pairs)
    return SliceCounts(tp, fp, fn, tn, patients=np.full(len(truth), patient))


def join(parts: list[SliceCounts]) -> SliceCounts:
    """Put the counts of several patients one after the other.

    Raises
    ------
    ValueError
        If there are none.
    """
    if not parts:
        raise ValueError("no counts to join")
    names = ("tp", "fp", "fn", "tn", "patients")
    return SliceCounts(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
