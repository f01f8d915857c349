"""The box around a mask, against looking at every voxel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gliomask.inference.components import without_small
from gliomask.volumes.box import bounding_box
from gliomask.volumes.components import count_components

MASKS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=3, max_dims=3, max_side=6))


@given(MASKS)
def test_box_holds_the_mask_and_no_empty_margin(mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> None:
    box = bounding_box(mask)
    assert mask[box].sum() == mask.sum()
    if mask.any():
        places = np.argwhere(mask)
        assert [(side.start, side.stop) for side in box] == list(
            zip(places.min(axis=0), places.max(axis=0) + 1, strict=True)
        )
    else:
        assert mask[box].size == 0


@given(MASKS, st.sampled_from([0.1, 0.5, 1.0]))
def test_components_are_those_of_the_whole_volume(
    mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], fraction: float
) -> None:
    """A wide empty margin changes neither how many there are nor which are left out."""
    wide = np.pad(mask, 3)
    inside = tuple(slice(3, 3 + length) for length in mask.shape)
    assert count_components(wide) == count_components(mask)
    (found, left_out), (expected, expected_left_out) = (without_small(each, fraction) for each in (wide, mask))
    assert np.array_equal(found[inside], expected)
    assert found.sum() == expected.sum()
    assert left_out == expected_left_out


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 4)])
def test_empty_mask_has_no_components(shape: tuple[int, ...]) -> None:
    assert count_components(np.zeros(shape, bool)) == 0
