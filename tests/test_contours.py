"""Outlines: closed, at the right place, also at the border; overlays that change nothing but the outlines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from gliomask.errors import UsageError
from gliomask.reporting.contours import draw_overlay, outline
from gliomask.reporting.style import PREDICTION, TRUTH


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


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1000), scale=st.integers(1, 3))
def test_the_truth_is_drawn_on_the_rim_of_the_mask_and_nowhere_else(seed: int, scale: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((9, 12)) < 0.6
    image = rng.integers(0, 255, (9, 12, 3), dtype=np.uint8)
    drawn = draw_overlay(image, mask, None, scale=scale)
    large = np.kron(mask, np.ones((scale, scale), dtype=np.bool_))
    rim = large & ~binary_erosion(large)
    assert np.array_equal(np.all(drawn == TRUTH.rgb, axis=2), rim)
    assert np.array_equal(drawn[~rim], draw_overlay(image, None, None, scale=scale)[~rim])


def test_truth_is_green_prediction_red_and_the_picture_is_the_flair_channel() -> None:
    image = np.zeros((16, 16, 3), dtype=np.uint8)
    image[..., 1] = 77
    truth, prediction = square(slice(2, 6), slice(2, 6)), square(slice(9, 14), slice(9, 14))
    drawn = draw_overlay(image, truth, prediction, scale=1)
    assert tuple(drawn[2, 2]) == TRUTH.rgb
    assert drawn[2, 2].argmax() == 1
    assert drawn[9:14, 9:14].reshape(-1, 3).tolist().count(list(PREDICTION.rgb)) > 8
    assert PREDICTION.rgb[0] == max(PREDICTION.rgb)
    assert np.all(drawn[7, :] == 77)


def test_both_outlines_stay_visible_where_they_coincide() -> None:
    mask = square(slice(2, 14), slice(2, 14))
    drawn = draw_overlay(np.zeros((16, 16, 3), dtype=np.uint8), mask, mask, scale=2)
    colours = {tuple(colour) for colour in drawn.reshape(-1, 3).tolist()}
    assert colours == {(0, 0, 0), TRUTH.rgb, PREDICTION.rgb}


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(UsageError, match="prediction"):
        draw_overlay(np.zeros((8, 8, 3), dtype=np.uint8), None, np.zeros((4, 4), dtype=np.bool_))
