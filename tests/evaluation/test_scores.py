"""Scores by hand: what is averaged over what, what empty slices do, and what the original's arithmetic adds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gliomask.evaluation.counts import SliceCounts
from gliomask.evaluation.scores import (
    dice,
    dice_original,
    dice_pooled,
    dice_slice_all,
    dice_slice_tumour,
    false_positive_slices,
    iou,
    missed,
    original_mean,
    precision,
    predicting_nothing,
    recall,
    volume_error,
)

Row = tuple[int, int, int, int]
PERFECT, OPPOSITE, EMPTY = (50, 0, 0, 50), (0, 40, 60, 0), (0, 0, 0, 100)
NUMBER = st.one_of(st.just(0), st.integers(0, 1000))
VALUES = st.lists(st.tuples(NUMBER, NUMBER, NUMBER, NUMBER), min_size=1, max_size=80)


def rows(values: list[Row], patients: list[str] | None = None) -> SliceCounts:
    tp, fp, fn, tn = np.array(values, np.int64).T
    return SliceCounts(tp, fp, fn, tn, np.array(patients or ["A"] * len(values), np.str_))


def test_dice_by_hand() -> None:
    values = dice(rows([PERFECT, OPPOSITE, (3, 1, 2, 0), EMPTY]))
    assert values.tolist() == [1, 0, 2 * 3 / (2 * 3 + 1 + 2), 1]


def test_what_empty_against_empty_means_is_an_argument() -> None:
    counts = rows([EMPTY, PERFECT, (0, 1, 0, 99)])
    assert dice(counts, empty=0).tolist() == [0, 1, 0]
    values = dice(counts, empty=float("nan"))
    assert np.isnan(values[0])
    assert values[1:].tolist() == [1, 0]


@given(values=VALUES)
def test_dice_is_between_0_and_1(values: list[Row]) -> None:
    found = dice(rows(values))
    assert np.all((found >= 0) & (found <= 1))


@given(values=VALUES)
def test_dice_is_symmetric_in_prediction_and_truth(values: list[Row]) -> None:
    swapped: list[Row] = [(tp, fn, fp, tn) for tp, fp, fn, tn in values]
    assert np.array_equal(dice(rows(values)), dice(rows(swapped)))


def test_pooled_and_patient_dice_differ_as_computed_by_hand() -> None:
    large, small = (900, 100, 100, 0), (0, 0, 10, 990)  # a large tumour found, a small one missed
    counts = rows([large, small, EMPTY], ["large", "small", "small"])
    assert dice_pooled(counts) == pytest.approx(1800 / 2010)
    assert dice(counts.per_patient()).tolist() == pytest.approx([0.9, 0])


def test_patient_dice_is_over_the_whole_volume_not_a_mean_of_slices() -> None:
    counts = rows([(10, 0, 0, 0), (0, 0, 30, 0), EMPTY])
    assert dice(counts.per_patient()) == pytest.approx([20 / 50])
    assert dice_slice_tumour(counts) == pytest.approx(1 / 2)
    assert dice_slice_all(counts) == pytest.approx(2 / 3)


@pytest.mark.parametrize(("tp", "expected"), [(0, True), (5, True), (6, False), (50, False)])
def test_patients_below_a_tenth_are_missed(tp: int, expected: bool) -> None:
    counts = rows([(tp, 0, 100 - tp, 0), PERFECT], ["A", "B"])  # Dice 2 tp / (tp + 100): 0.095 for 5, 0.113 for 6
    assert missed(counts.per_patient()).tolist() == [expected, False]


def test_without_tumour_nothing_can_be_missed() -> None:
    counts = rows([EMPTY, EMPTY, (0, 9, 0, 91)], ["A", "A", "B"])
    assert dice(counts.per_patient()).tolist() == [1, 0]
    assert not missed(counts.per_patient()).any()


@given(values=VALUES)
def test_predicting_nothing_scores_the_fraction_of_empty_slices(values: list[Row]) -> None:
    counts = rows(values)
    nothing = rows([(0, 0, tp + fn, fp + tn) for tp, fp, fn, tn in values])
    assert predicting_nothing(counts) == pytest.approx(dice_slice_all(nothing))
    assert predicting_nothing(counts) == sum(tp + fn == 0 for tp, _, fn, _ in values) / len(values)


def test_predicting_nothing_scores_0_65_on_data_of_which_65_percent_is_empty() -> None:
    counts = rows([PERFECT] * 1373 + [EMPTY] * 2556)  # the public data: 3929 slices
    assert round(predicting_nothing(counts), 4) == 0.6505


@given(values=VALUES, empty=st.integers(1, 50), seed=st.integers(0, 99))
def test_empty_slices_vanish_when_dice_is_pooled(values: list[Row], empty: int, seed: int) -> None:
    """The original's defect: however many empty slices are left alone, a pooled score does not see them."""
    order = np.random.default_rng(seed).permutation(len(values) + empty)
    mixed = [[*values, *[EMPTY] * empty][place] for place in order]
    assert dice_pooled(rows(mixed)) == dice_pooled(rows(values))
    assert dice_slice_tumour(rows(mixed)) == pytest.approx(dice_slice_tumour(rows(values)), nan_ok=True)
    assert dice_slice_all(rows(mixed)) >= dice_slice_all(rows(values)) - 1e-12
    assert predicting_nothing(rows(mixed)) >= empty / len(mixed)


def test_false_alarms_in_empty_slices_show_in_the_mean_over_slices() -> None:
    alarm = rows([(1000, 0, 0, 0), *[(0, 1, 0, 99)] * 9])
    assert dice_pooled(alarm) > 0.995
    assert dice_slice_all(alarm) == pytest.approx(0.1)


def test_no_tumour_anywhere() -> None:
    counts = rows([EMPTY, (0, 5, 0, 95)])
    assert np.isnan(dice_slice_tumour(counts))
    assert (dice_pooled(counts), false_positive_slices(counts)) == (0, 0.5)
    assert np.isnan(false_positive_slices(rows([PERFECT])))


# --- other scores


def test_overlap_scores_by_hand() -> None:
    counts = rows([(6, 2, 4, 88)])
    found = [score(counts)[0] for score in (iou, precision, recall, volume_error)]
    assert found == pytest.approx([6 / 12, 6 / 8, 6 / 10, 8 / 10 - 1])


@given(values=VALUES)
def test_dice_and_iou_tell_the_same(values: list[Row]) -> None:
    counts = rows(values)
    overlap = iou(counts)
    assert dice(counts) == pytest.approx(2 * overlap / (1 + overlap))


@pytest.mark.parametrize("score", [dice, iou, precision, recall])
def test_one_rule_for_empty_masks(score: Callable[..., NDArray[np.float64]]) -> None:
    counts = rows([EMPTY, (0, 7, 0, 93), (0, 0, 7, 93), PERFECT])
    assert score(counts).tolist() == [1, 0, 0, 1]
    assert score(counts, empty=0.25).tolist() == [0.25, 0, 0, 1]


def test_volume_error_has_no_value_without_tumour() -> None:
    found = volume_error(rows([(0, 0, 10, 0), (10, 10, 0, 0), EMPTY, (0, 3, 0, 0)]))
    assert found[:2].tolist() == [-1, 1]
    assert np.isnan(found[2:]).all()


def test_false_alarms_are_counted_among_empty_slices_only() -> None:
    counts = rows([EMPTY, (0, 1, 0, 99), (0, 50, 0, 50), EMPTY, (5, 5, 0, 0)])
    assert false_positive_slices(counts) == 0.5


# --- the original's arithmetic


@pytest.mark.parametrize(("true", "reported"), [(0.886, 0.96), (0.840, 0.91), (0.757, 0.82)])
def test_thirteen_batches_divided_by_twelve_give_the_published_scores(true: float, reported: float) -> None:
    assert round(original_mean([true] * 13), 2) == reported


def test_393_test_slices_score_13_twelfths_of_the_mean() -> None:
    rng = np.random.default_rng(3)
    counts = rows([tuple(row) for row in rng.integers(0, 500, (393, 4)).tolist()])
    batches = [dice(rows([tuple(np.sum(part, axis=0))]))[0] for part in _in_batches(counts, 32)]
    assert len(batches) == 13
    assert dice_original(counts) == pytest.approx(np.mean(batches) * 13 / 12)


def _in_batches(counts: SliceCounts, size: int) -> list[list[Row]]:
    table = list(zip(counts.tp, counts.fp, counts.fn, counts.tn, strict=True))
    return [table[start : start + size] for start in range(0, len(table), size)]


def test_perfect_prediction_scores_more_than_1_in_the_original() -> None:
    assert dice_original(rows([PERFECT] * 64)) == 2
    assert dice_original(rows([PERFECT] * 6), batch=2) == 1.5


def test_a_single_batch_has_no_original_score() -> None:
    assert dice_original(rows([PERFECT] * 32)) is None
    assert dice_original(rows([PERFECT] * 33)) == 2
    with pytest.raises(ValueError, match="at least two"):
        original_mean([0.9])
