"""Lesions counted by hand: touched, missed, invented, merged, split, too small."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from gliomask.evaluation.lesions import LesionCounts, count_lesions

Mask = NDArray[np.bool_]


def volume(*slices: str) -> Mask:
    """Return (S, H, W) bool from a string a slice: rows of # and dots, parted by blanks."""
    return np.array([[[character == "#" for character in row] for row in part.split()] for part in slices])


def counts(prediction: Mask, truth: Mask, smallest: int = 1) -> tuple[int, int, int, int]:
    found = count_lesions(prediction, truth, smallest=smallest)
    return found.truth, found.found, found.missed, found.invented


def test_found_missed_and_invented_by_hand() -> None:
    truth = volume("##....... ##....... ....##..#")
    prediction = volume(".##...... ......... ##......#")
    assert counts(prediction, truth) == (3, 2, 1, 1)


def test_nothing_and_everything() -> None:
    nothing, everything = np.zeros((2, 3, 4), np.bool_), np.ones((2, 3, 4), np.bool_)
    assert counts(nothing, nothing) == (0, 0, 0, 0)
    assert counts(nothing, everything) == (1, 0, 1, 0)
    assert counts(everything, nothing) == (0, 0, 0, 1)
    assert counts(everything, everything) == (1, 1, 0, 0)


def test_touching_beside_a_lesion_does_not_find_it() -> None:
    assert counts(volume("..##"), volume("##..")) == (1, 0, 1, 1)


def test_one_component_finds_several_lesions_and_several_find_one_once() -> None:
    apart, whole = volume("#.#.#"), volume("#####")
    assert counts(whole, apart) == (3, 3, 0, 0)
    assert counts(apart, whole) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    ("truth", "lesions"),
    [
        (volume("#. .#"), 1),  # pixels of a slice that share a corner
        (volume("#. ..", ".. .#"), 1),  # voxels that share a corner
        (volume("#. ..", ".# .."), 1),  # voxels that share an edge
        (volume("#.. ...", "..# ..."), 2),
        (volume("#", ".", "#"), 2),  # a slice between them
    ],
)
def test_neighbours_share_a_face_an_edge_or_a_corner(truth: Mask, lesions: int) -> None:
    assert counts(truth, truth) == (lesions, lesions, 0, 0)


@pytest.mark.parametrize(
    ("prediction", "truth", "expected"),
    [
        ("#.......", "........", (0, 0, 0, 0)),  # a small invention is not counted
        ("###.....", "........", (0, 0, 0, 1)),
        ("........", "#.......", (0, 0, 0, 0)),  # nor is a small lesion, missed
        ("#.......", "#.......", (0, 0, 0, 0)),  # or found
        ("#.......", "####....", (1, 1, 0, 0)),  # but a small prediction finds a lesion
        ("####....", "#.......", (0, 0, 0, 0)),  # and one that touches a small lesion is not invented
        ("#....###", "###....#", (1, 1, 0, 0)),
    ],
)
def test_components_below_the_smallest_are_not_counted(
    prediction: str, truth: str, expected: tuple[int, int, int, int]
) -> None:
    assert counts(volume(prediction), volume(truth), smallest=3) == expected


def test_the_smallest_itself_is_counted() -> None:
    assert counts(volume("###.##"), volume("......"), smallest=3) == (0, 0, 0, 1)
    assert counts(volume("###.##"), volume("......"), smallest=2) == (0, 0, 0, 2)


@given(masks=arrays(np.bool_, (2, 3, 4, 5)), smallest=st.integers(1, 4))
def test_swapping_swaps_missed_and_invented(masks: Mask, smallest: int) -> None:
    one, other = count_lesions(*masks, smallest=smallest), count_lesions(*masks[::-1], smallest=smallest)
    assert (one.missed, one.invented) == (other.invented, other.missed)
    assert one.truth == one.found + one.missed


def test_counts_of_patients_add_up() -> None:
    assert LesionCounts(3, 2, 1, 5) + LesionCounts(7, 3, 4, 2) == LesionCounts(10, 5, 5, 7)


@pytest.mark.parametrize("values", [(3, 2, 2, 0), (0, 1, -1, 0), (1, 1, 0, -1)])
def test_counts_that_do_not_add_up_are_refused(values: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        LesionCounts(*values)


@pytest.mark.parametrize("smallest", [0, -3])
def test_a_smallest_of_nothing_is_refused(smallest: int) -> None:
    with pytest.raises(ValueError, match="expected 1 voxel or more"):
        count_lesions(volume("#"), volume("#"), smallest=smallest)


@pytest.mark.parametrize("bad", [np.ones((2, 3), np.bool_), np.ones((1, 2, 4), np.bool_), np.ones((1, 2, 3), np.uint8)])
@pytest.mark.parametrize("which", [0, 1])
def test_other_masks_are_refused(bad: Any, which: int) -> None:
    masks: list[Any] = [np.ones((1, 2, 3), np.bool_)] * 2
    masks[which] = bad
    with pytest.raises(ValueError, match="expected"):
        count_lesions(masks[0], masks[1])
