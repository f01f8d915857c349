"""Bootstrap intervals: what is resampled, what is left out, and that they hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from gliomask.evaluation.intervals import Estimate, mean_interval, ratio_interval


def test_interval_lies_around_the_mean_and_repeats() -> None:
    values = np.random.default_rng(0).random(30)
    found = mean_interval(values)
    assert found.low < found.mean < found.high
    assert found.mean == pytest.approx(values.mean())
    assert mean_interval(values) == found


def test_equal_values_leave_no_doubt() -> None:
    assert mean_interval([0.5] * 9) == Estimate(0.5, 0.5, 0.5)


def test_width_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(1).normal(0, 1, 400)
    found = mean_interval(values)
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)


def test_ninety_five_of_a_hundred_intervals_hold_the_true_mean() -> None:
    rng = np.random.default_rng(2)
    held = [found.low <= 0.5 <= found.high for found in (mean_interval(rng.random(40)) for _ in range(200))]
    assert 0.9 <= np.mean(held) <= 0.99


def test_slices_of_a_patient_are_drawn_together() -> None:
    each = ratio_interval(np.repeat([0.0, 1.0], 10), np.ones(20))  # twenty patients of a slice
    together = ratio_interval([0, 10], [10, 10])  # two patients of ten slices
    assert each.mean == together.mean == 0.5
    assert together.high - together.low > 2 * (each.high - each.low)


def test_patients_without_a_value_are_left_out() -> None:
    known = [0.2, 0.9, 0.4, 0.7]
    found = mean_interval([*known, float("nan")])
    assert found.mean == pytest.approx(np.mean(known))
    assert not np.isnan([found.low, found.high]).any()


@pytest.mark.parametrize("values", [[0.7], [0.7, float("nan")]])
def test_one_patient_has_no_interval(values: list[float]) -> None:
    found = mean_interval(values)
    assert found.mean == 0.7
    assert np.isnan([found.low, found.high]).all()
    assert found.as_values() == {"mean": 0.7, "low": None, "high": None}


def test_nobody_has_no_mean() -> None:
    assert mean_interval([float("nan")]).as_values() == {"mean": None, "low": None, "high": None}


def test_sums_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        ratio_interval([1, 2], [1])


def test_a_person_is_drawn_with_all_scans() -> None:
    """Twenty patients who are ten persons with two equal scans each are no surer than the ten."""
    values = np.random.default_rng(5).random(10)
    persons = [f"person {number}" for number in range(10)]
    alone = mean_interval(values)
    twice = mean_interval(np.repeat(values, 2), list(np.repeat(persons, 2)))
    assert (twice.mean, twice.low, twice.high) == pytest.approx((alone.mean, alone.low, alone.high))
    assert mean_interval(values, persons) == alone
    surer = mean_interval(np.repeat(values, 2))
    assert surer.high - surer.low < 0.8 * (alone.high - alone.low)
    assert np.isnan(mean_interval([0.4, 0.6], ["one", "one"]).low)
    with pytest.raises(ValueError, match="1 persons of 2 patients"):
        mean_interval([0.4, 0.6], ["one"])
