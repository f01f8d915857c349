"""Calibration: known probabilities, known errors, and the Dice of every threshold."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gliomask.evaluation.calibration import calibration, count_probabilities, dice_over_thresholds
from gliomask.evaluation.counts import count_slices
from gliomask.evaluation.scores import dice

RNG = np.random.default_rng(0)


def honest(shape: tuple[int, int, int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return probabilities and a truth that follows them."""
    said = RNG.random(shape, dtype=np.float32)
    return said, RNG.random(shape) < said


def test_honest_probabilities_have_no_error() -> None:
    found = calibration([count_probabilities(*honest((4, 200, 200)))])["all_slices"]
    assert found["expected_calibration_error"] < 0.01
    assert [part["confidence"] for part in found["bins"]] == pytest.approx(np.arange(0.05, 1, 0.1), abs=0.01)
    assert [part["observed"] for part in found["bins"]] == pytest.approx(np.arange(0.05, 1, 0.1), abs=0.02)


def test_error_by_hand() -> None:
    said = np.array([[[0.85, 0.85, 0.85, 0.85], [0.15, 0.15, 0.15, 0.15]]], np.float32)
    truth = np.array([[[1, 1, 0, 0], [0, 0, 0, 0]]], np.bool_)
    found = calibration([count_probabilities(said, truth)])["tumour_slices"]
    assert found["expected_calibration_error"] == pytest.approx((4 * 0.35 + 4 * 0.15) / 8)
    assert [(part["low"], part["pixels"]) for part in found["bins"]] == [(0.1, 4), (0.8, 4)]


def test_slices_with_tumour_are_apart_from_all() -> None:
    said = np.full((2, 4, 4), 0.5, np.float32)
    truth = np.zeros((2, 4, 4), np.bool_)
    truth[0, :2] = True
    found = calibration([count_probabilities(said, truth)])
    assert found["tumour_slices"]["expected_calibration_error"] == pytest.approx(0)
    assert found["all_slices"]["expected_calibration_error"] == pytest.approx(0.25)


@pytest.mark.parametrize("threshold", [0.03, 0.25, 0.5, 0.75, 0.97])
def test_dice_over_thresholds_is_that_of_the_masks(threshold: float) -> None:
    patients = [honest((3, 20, 20)) for _ in range(3)]
    rows = dice_over_thresholds([count_probabilities(*patient) for patient in patients])
    counts = [count_slices(said >= threshold, truth, "A").per_patient() for said, truth in patients]
    (found,) = [row["dice_patient"] for row in rows if row["threshold"] == threshold]
    assert found == pytest.approx(np.mean([dice(count)[0] for count in counts]), abs=1e-3)


def test_certainty_is_counted() -> None:
    said = np.array([[[0.0, 1.0]]], np.float32)
    found = calibration([count_probabilities(said, said > 0.5)])
    assert found["all_slices"]["expected_calibration_error"] == 0
    assert {row["dice_patient"] for row in found["thresholds"]} == {1.0}


def test_patient_without_tumour_left_alone_scores_one() -> None:
    nothing = np.zeros((1, 4, 4), np.float32)
    assert dice_over_thresholds([count_probabilities(nothing, nothing > 1)])[0]["dice_patient"] == 1


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        count_probabilities(np.zeros((1, 2, 2), np.float32), np.zeros((1, 2, 3), np.bool_))
