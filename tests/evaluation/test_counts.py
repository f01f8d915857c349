"""Counts by hand, sums that lose no pixel, and masks that would count wrongly refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from gliomask.evaluation.counts import SliceCounts, count_slices, join

FIELDS = ("tp", "fp", "fn", "tn")


def as_mask(*rows: str) -> NDArray[np.bool_]:
    """Return (1, H, W) bool from rows of # and dots."""
    return np.array([[character == "#" for character in row] for row in rows])[np.newaxis]


def table(counts: SliceCounts) -> list[tuple[int, ...]]:
    return [tuple(int(getattr(counts, name)[row]) for name in FIELDS) for row in range(len(counts))]


def rows(values: list[tuple[int, int, int, int]], patients: list[str]) -> SliceCounts:
    tp, fp, fn, tn = np.array(values, np.int64).T
    return SliceCounts(tp, fp, fn, tn, np.array(patients, np.str_))


def test_counts_by_hand() -> None:
    prediction = np.concatenate([as_mask("##..", "##.."), as_mask("....", "...."), as_mask("####", "####")])
    truth = np.concatenate([as_mask(".##.", ".#.."), as_mask("#...", "...."), as_mask("....", "....")])
    counts = count_slices(prediction, truth, "A")
    assert table(counts) == [(2, 2, 1, 3), (0, 0, 1, 7), (0, 8, 0, 0)]
    assert counts.patients.tolist() == ["A", "A", "A"]


@given(masks=arrays(np.bool_, (2, 3, 4, 5)))
def test_every_pixel_is_counted_once(masks: NDArray[np.bool_]) -> None:
    prediction, truth = masks
    counts = count_slices(prediction, truth, "A")
    assert (counts.tp + counts.fp + counts.fn + counts.tn).tolist() == [20, 20, 20]
    assert (counts.tp + counts.fp).tolist() == prediction.sum(axis=(1, 2)).tolist()
    assert (counts.tp + counts.fn).tolist() == truth.sum(axis=(1, 2)).tolist()


@given(masks=arrays(np.bool_, (2, 2, 3, 3)))
def test_swapping_prediction_and_truth_swaps_false_positives_and_negatives(masks: NDArray[np.bool_]) -> None:
    one, other = count_slices(masks[0], masks[1], "A"), count_slices(masks[1], masks[0], "A")
    assert table(one) == [(tp, fp, fn, tn) for tp, fn, fp, tn in table(other)]


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.int64])
@pytest.mark.parametrize("which", [0, 1])
def test_masks_of_0_and_255_are_refused(kind: Any, which: int) -> None:
    masks: list[Any] = [as_mask("##.."), as_mask(".##.")]
    masks[which] = masks[which].astype(kind) * kind(255)
    with pytest.raises(ValueError, match="expected bool"):
        count_slices(masks[0], masks[1], "A")


@pytest.mark.parametrize(("one", "other"), [((1, 2, 2), (1, 2, 3)), ((1, 2, 2), (2, 2, 2)), ((2, 2), (2, 2))])
def test_masks_of_different_shape_are_refused(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected two equal \(S, H, W\)"):
        count_slices(np.zeros(one, np.bool_), np.zeros(other, np.bool_), "A")


def test_large_counts_do_not_overflow() -> None:
    full = np.ones((1, 300, 300), np.bool_)
    assert table(count_slices(full, full, "A")) == [(90_000, 0, 0, 0)]


def test_patients_are_summed_in_order_of_appearance() -> None:
    counts = rows([(1, 2, 3, 4), (10, 20, 30, 40), (5, 5, 5, 5)], ["Z", "A", "A"])
    summed = counts.per_patient()
    assert summed.patients.tolist() == ["Z", "A"]
    assert table(summed) == [(1, 2, 3, 4), (15, 25, 35, 45)]


def test_batches_are_consecutive_and_the_last_may_be_shorter() -> None:
    counts = rows([(n, 10 * n, 0, 1) for n in range(1, 6)], ["A", "A", "B", "B", "B"])
    assert table(counts.per_batch(2)) == [(3, 30, 0, 2), (7, 70, 0, 2), (5, 50, 0, 1)]
    assert table(counts.per_batch(5)) == table(counts.per_batch(99)) == [(15, 150, 0, 5)]
    assert table(counts.per_batch(1)) == table(counts)


@given(
    values=st.lists(st.tuples(*[st.integers(0, 10**6)] * 4), min_size=1, max_size=20),
    size=st.integers(1, 25),
    seed=st.integers(0, 99),
)
def test_sums_lose_no_pixel(values: list[tuple[int, int, int, int]], size: int, seed: int) -> None:
    patients = np.sort(np.random.default_rng(seed).integers(0, 4, len(values))).astype(str).tolist()
    counts = rows(values, patients)
    for name in FIELDS:
        total = getattr(counts, name).sum()
        assert getattr(counts.per_patient(), name).sum() == total
        assert getattr(counts.per_batch(size), name).sum() == total
    assert len(counts.per_batch(size)) == -(-len(values) // size)
    assert len(counts.per_patient()) == len(set(patients))


def test_join_puts_one_after_the_other() -> None:
    one, other = rows([(1, 2, 3, 4)], ["A"]), rows([(5, 6, 7, 8), (9, 9, 9, 9)], ["a longer name"] * 2)
    both = join([one, other])
    assert table(both) == table(one) + table(other)
    assert both.patients.tolist() == ["A", "a longer name", "a longer name"]


def test_nothing_cannot_be_joined() -> None:
    with pytest.raises(ValueError, match="no counts"):
        join([])


def test_columns_of_different_length_are_refused() -> None:
    three, two = np.zeros(3, np.int64), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match="different length"):
        SliceCounts(three, three, two, three, np.array(["A"] * 3))
