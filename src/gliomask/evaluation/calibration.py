"""Whether a probability means what it says, and what another threshold would give. Knows no model and no file.

Probabilities are counted once into hundredths, apart for tumour and for healthy pixels; everything here is a function
of those counts, so a hundred patients need a few kilobytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS = 100
"""Probabilities are counted in steps of one hundredth."""
BINS = 10
"""Bins of equal width of the reliability curve, as in Guo et al. 2017 (arXiv:1706.04599), who use 15."""


@dataclass(frozen=True)
class ProbabilityCounts:
    """How often each probability was said, in one patient.

    Attributes
    ----------
    pixels
        (2, 2, STEPS) int64: slices without and with tumour, healthy and tumour pixels, probability in hundredths.
    sums
        (2, STEPS) float64: sum of the probabilities in slices without and with tumour.
    """

    pixels: NDArray[np.int64]
    sums: NDArray[np.float64]


def count_probabilities(probabilities: NDArray[np.float32], truth: NDArray[np.bool_]) -> ProbabilityCounts:
    """Count the probabilities of a patient's slices.

    Parameters
    ----------
    probabilities
        (S, H, W) float32, 0 to 1.
    truth
        (S, H, W) bool.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if probabilities.shape != truth.shape or truth.ndim != 3:
        raise ValueError(f"probabilities {probabilities.shape} and truth {truth.shape}; expected (S, H, W) twice")
    pixels, sums = np.zeros((2, 2, STEPS), np.int64), np.zeros((2, STEPS))
    step = np.minimum((probabilities * STEPS).astype(np.intp), STEPS - 1)
    with_tumour = truth.any(axis=(1, 2))
    for kind in (0, 1):
        chosen = with_tumour == bool(kind)
        keys = (step[chosen] + STEPS * truth[chosen]).ravel()
        pixels[kind] = np.bincount(keys, minlength=2 * STEPS).reshape(2, STEPS)
        sums[kind] = np.bincount(step[chosen].ravel(), probabilities[chosen].ravel(), STEPS)
    return ProbabilityCounts(pixels, sums)


def calibration(patients: list[ProbabilityCounts]) -> dict[str, Any]:
    """Return reliability, expected calibration error and Dice over thresholds, ready for JSON.

    Parameters
    ----------
    patients
        One entry a patient, at least one.

    Returns
    -------
    dict
        ``tumour_slices`` and ``all_slices``: see `reliability`; ``thresholds``: see `dice_over_thresholds`.
    """
    pixels = np.sum([patient.pixels for patient in patients], axis=0)
    sums = np.sum([patient.sums for patient in patients], axis=0)
    return {
        "tumour_slices": reliability(pixels[1], sums[1]),
        "all_slices": reliability(pixels.sum(axis=0), sums.sum(axis=0)),
        "thresholds": dice_over_thresholds(patients),
    }


def reliability(pixels: NDArray[np.int64], sums: NDArray[np.float64]) -> dict[str, Any]:
    """Return the reliability curve and the expected calibration error (ECE) of counted probabilities.

    ECE is the mean over pixels of the distance between mean probability and share of tumour in the pixel's bin
    (Naeini 2015; Guo 2017); 10 bins of equal width.

    Parameters
    ----------
    pixels
        (2, STEPS) int64: healthy and tumour pixels.
    sums
        (STEPS,) float64: sum of the probabilities.
    """
    width = STEPS // BINS
    healthy, tumour = pixels.reshape(2, BINS, width).sum(axis=2)
    total, said = healthy + tumour, sums.reshape(BINS, width).sum(axis=1)
    bins = [
        {
            "low": place / BINS,
            "high": (place + 1) / BINS,
            "confidence": float(said[place] / total[place]),
            "observed": float(tumour[place] / total[place]),
            "pixels": int(total[place]),
        }
        for place in np.flatnonzero(total)
    ]
    error = float(np.abs(said - tumour).sum() / total.sum()) if total.any() else None
    return {"expected_calibration_error": error, "bins": bins}


def dice_over_thresholds(patients: list[ProbabilityCounts]) -> list[dict[str, float]]:
    """Return the mean ``dice_patient`` for thresholds 0.01 to 0.99, as rows of ``threshold`` and ``dice_patient``.

    All pixels above the threshold count, also those in components that a mask would leave out for being small.
    """
    pixels = np.stack([patient.pixels.sum(axis=0) for patient in patients])  # (P, 2, STEPS)
    above = pixels[:, :, ::-1].cumsum(axis=2)[:, :, ::-1]
    tp, fp = above[:, 1], above[:, 0]
    total = tp + fp + pixels[:, 1].sum(axis=1, keepdims=True)
    scores = np.where(total > 0, 2 * tp / np.maximum(total, 1), 1.0).mean(axis=0)
    return [{"threshold": step / STEPS, "dice_patient": float(scores[step])} for step in range(1, STEPS)]
