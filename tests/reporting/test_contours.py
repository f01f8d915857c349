"""Outlines: closed, at the right place, also at the border; rims that cover no more than the outermost pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from skimage.measure import find_contours

from gliomask.errors import UsageError
from gliomask.reporting.contours import outline, rim
from gliomask.reporting.look import PREDICTION, TRUTH


def square(rows: slice, columns: slice, size: int = 16) -> NDArray[np.bool_]:
    mask = np.zeros((size, size), dtype=np.bool_)
    mask[rows, columns] = True
    return mask


def test_the_outline_of_a_square_runs_half_a_pixel_around_it() -> None:
    (path,) = outline(square(slice(3, 7), slice(5, 12)))
    assert path.min(axis=0).tolist() == [2.5, 4.5]
    assert path.max(axis=0).tolist() == [6.5, 11.5]
    assert np.array_equal(path[0], path[-1])


def test_the_outline_is_closed_where_the_mask_fills_the_image() -> None:
    (path,) = outline(np.ones((8, 8), dtype=np.bool_))
    assert np.array_equal(path[0], path[-1])
    assert path.min() == -0.5
    assert path.max() == 7.5


def test_the_outline_of_a_disc_has_its_radius() -> None:
    rows, columns = np.mgrid[:64, :64]
    (path,) = outline((rows - 30) ** 2 + (columns - 33) ** 2 <= 20**2)
    radii = np.hypot(path[:, 0] - 30, path[:, 1] - 33)
    assert np.abs(radii - 20).max() < 0.8


def test_a_hole_and_a_second_component_have_outlines_of_their_own() -> None:
    mask = square(slice(1, 8), slice(1, 8))
    mask[4, 4] = False
    mask[12, 12] = True
    assert len(outline(mask)) == 3


def test_an_empty_mask_has_no_outline_and_a_stack_is_refused() -> None:
    assert outline(np.zeros((4, 4), dtype=np.bool_)) == []
    with pytest.raises(UsageError, match="one slice"):
        outline(np.zeros((2, 4, 4), dtype=np.bool_))


@given(seed=st.integers(0, 1000))
def test_outlines_of_the_part_that_holds_the_mask_are_those_of_the_whole(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((20, 25), dtype=np.bool_)
    mask[rng.integers(0, 9) : rng.integers(9, 21), rng.integers(0, 9) : rng.integers(9, 26)] = True
    mask &= rng.random(mask.shape) < 0.7
    whole = [path - 1 for path in find_contours(np.pad(mask.astype(np.float64), 1), 0.5)]  # type: ignore[no-untyped-call]
    assert len(outline(mask)) == len(whole)
    assert all(np.array_equal(path, other) for path, other in zip(outline(mask), whole, strict=True))


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1000), scale=st.integers(1, 3))
def test_a_solid_rim_is_every_outermost_pixel_of_the_mask_and_no_other(seed: int, scale: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.pad(rng.random((9, 12)) < 0.6, ((0, 3), (2, 0)))
    large = np.kron(mask, np.ones((scale, scale), dtype=np.bool_))
    drawn = np.zeros_like(large)
    drawn[tuple(rim(mask, TRUTH, scale=scale).T)] = True
    assert np.array_equal(drawn, large & ~binary_erosion(large))


def test_a_dashed_rim_leaves_gaps_through_which_another_shows() -> None:
    mask = square(slice(2, 14), slice(2, 14))
    solid, dashed = ({tuple(pixel) for pixel in rim(mask, line, scale=2).tolist()} for line in (TRUTH, PREDICTION))
    assert dashed < solid
    assert len(solid) == 4 * 23
    assert len(dashed) / len(solid) == pytest.approx(0.6, abs=0.05)


def test_an_empty_mask_has_no_rim_and_what_is_no_slice_is_refused() -> None:
    assert rim(np.zeros((4, 4), dtype=np.bool_), TRUTH).shape == (0, 2)
    with pytest.raises(UsageError, match="one slice"):
        rim(np.zeros((2, 4, 4), dtype=np.bool_), TRUTH)
    with pytest.raises(UsageError, match="scale is 0"):
        rim(np.zeros((4, 4), dtype=np.bool_), TRUTH, scale=0)
