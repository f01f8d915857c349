"""A volume on another's grid shows the same thing at the same place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gliomask.errors import DataError
from gliomask.volumes.resample import resample
from gliomask.volumes.volume import Volume
from orientations import ORIENTATIONS, affine_of, rotation


def slope(shape: tuple[int, int, int], affine: Any, frame: str | None = None) -> Volume:
    """Return a volume whose value is linear in the place of the voxel."""
    places = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    return Volume((places @ [1.0, -2.0, 0.5] + 3).astype(np.float32), affine, "RAS", "t1.nii", frame)


def centred(affine: Any, shape: tuple[int, int, int]) -> Any:
    moved = affine.copy()
    moved[:3, 3] = -affine[:3, :3] @ (np.subtract(shape, 1) / 2)
    return moved


@given(one=st.sampled_from(ORIENTATIONS), two=st.sampled_from(ORIENTATIONS), angle=st.floats(-30, 30))
@settings(max_examples=60, deadline=None)
def test_what_is_linear_in_space_is_exact(one: Any, two: Any, angle: float) -> None:
    """The source covers the grid with room to spare, so linear interpolation of a linear image is exact."""
    source = centred(rotation(angle, 1) @ affine_of(one[0], one[1], (1.5, 2.0, 3.0)), (40, 30, 20))
    grid = centred(affine_of(two[0], two[1], (2.0, 3.0, 2.5)), (7, 6, 5))
    expected = slope((7, 6, 5), grid)
    found, covered = resample(slope((40, 30, 20), source), expected)
    assert covered == 1
    assert np.allclose(found.array, expected.array, atol=1e-3)
    assert np.array_equal(found.affine, expected.affine)
    assert found.array.dtype == np.float32


def test_same_grid_is_left_alone() -> None:
    volume = slope((4, 5, 6), np.eye(4))
    same, covered = resample(volume, slope((4, 5, 6), np.eye(4)))
    assert same is volume
    assert covered == 1


def test_turned_array_comes_back_exactly() -> None:
    array = np.random.default_rng(0).integers(0, 99, (5, 6, 7)).astype(np.int16)
    turned = np.diag([-1.0, 1, 1, 1])
    turned[0, 3] = 4
    found, _ = resample(Volume(array[::-1], turned, "RAS"), Volume(array, np.eye(4), "RAS"))
    assert np.array_equal(found.array, array)


def test_outside_is_the_lowest_value() -> None:
    array = np.full((4, 4, 4), 5, np.int16)
    array[0, 0, 0] = -7
    moved = np.eye(4)
    moved[2, 3] = 1
    found, covered = resample(Volume(array, moved, "RAS"), Volume(array, np.eye(4), "RAS"))
    assert covered == 0.75
    assert (found.array[:, :, 0] == -7).all()
    assert (found.array[1:, :, 1:] == 5).all()


def test_thick_slices_count_to_their_edges() -> None:
    thick = Volume(np.full((4, 4, 2), 9.0), np.diag([1.0, 1, 6, 1]), "RAS")
    thin = np.eye(4)
    thin[2, 3] = -2
    found, covered = resample(thick, Volume(np.zeros((4, 4, 11)), thin, "RAS"))
    assert covered == 1
    assert (found.array == 9).all()


def test_frames_of_reference_that_differ_are_refused() -> None:
    grid = slope((4, 5, 6), np.eye(4), "1.2.3.4567")
    with pytest.raises(DataError, match="another frame of reference") as caught:
        resample(slope((4, 5, 6), np.eye(4), "1.2.3.9876"), grid)
    assert "1.2.3" not in str(caught.value)
    assert resample(slope((4, 5, 6), np.eye(4)), grid)[0].array.shape == (4, 5, 6)


def test_volume_elsewhere_is_refused() -> None:
    away = np.eye(4)
    away[0, 3] = 3
    with pytest.raises(DataError, match=r"t1\.nii: a volume that covers 25% of FLAIR"):
        resample(slope((4, 5, 6), away), slope((4, 5, 6), np.eye(4)))
