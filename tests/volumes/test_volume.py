"""A volume knows where it lies, and its axial slices go home voxel for voxel from every orientation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import aff2axcodes

from gliomask.errors import DataError
from gliomask.volumes.volume import AxialGrid, Volume, concerns, to_axial
from orientations import ORIENTATIONS, affine_of, rotation

SPACINGS = [(1.0, 1.0, 1.0), (0.45, 0.9, 5.0), (6.5, 0.5, 0.5), (0.7, 3.3, 0.7)]
HEAD = (5, 6, 7)
RAS = np.eye(4)


def test_there_are_48_orientations() -> None:
    assert (
        len({Volume(np.zeros(HEAD), affine_of(o[0], o[1], SPACINGS[0]), "RAS").orientation for o in ORIENTATIONS}) == 48
    )


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_round_trip_is_bit_equal(axes: Any, signs: Any, spacing: Any) -> None:
    array = np.random.default_rng(0).normal(size=HEAD).astype(np.float32)
    volume = Volume(array, affine_of(axes, signs, spacing), "RAS")
    assert volume.orientation == "".join(aff2axcodes(volume.affine))  # type: ignore[no-untyped-call]
    assert volume.spacing == spacing
    assert volume.obliquity == 0
    stack, grid = to_axial(volume)
    assert np.array_equal(grid.back(stack), array)
    assert grid.spacing == tuple(spacing[axes.index(world)] for world in (2, 1, 0))


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_slices_rows_and_columns_run_up_back_and_left(axes: Any, signs: Any) -> None:
    affine = affine_of(axes, signs, (0.5, 2.0, 4.0))
    indices = np.moveaxis(np.indices(HEAD), 0, -1)
    grid = AxialGrid.of(Volume(np.zeros(HEAD), affine, "RAS"))
    x, y, z = (grid.slices(indices @ affine[world, :3] + affine[world, 3]) for world in range(3))
    assert (np.diff(z, axis=0) > 0).all()  # superior
    assert (np.diff(y, axis=1) < 0).all()  # posterior
    assert (np.diff(x, axis=2) < 0).all()  # left
    assert not np.diff(z, axis=1).any()
    assert not np.diff(z, axis=2).any()
    assert not np.diff(y, axis=2).any()


@given(
    which=st.sampled_from(ORIENTATIONS),
    spacing=st.tuples(*[st.floats(0.2, 10)] * 3),
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    degrees=st.floats(-40, 40),
    axis=st.integers(0, 2),
)
@settings(max_examples=100, deadline=None)
def test_oblique_volumes_come_back_as_well(which: Any, spacing: Any, shape: Any, degrees: float, axis: int) -> None:
    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    affine: Any = rotation(degrees, axis) @ affine_of(which[0], which[1], spacing)
    volume = Volume(array, affine, "RAS")
    stack, grid = to_axial(volume)
    assert np.array_equal(grid.back(stack), array)
    assert np.array_equal(volume.affine, affine)
    assert volume.obliquity == pytest.approx(abs(degrees), abs=1e-4)
    assert volume.shear == pytest.approx(0, abs=1e-4)
    assert volume.orientation == Volume(array, affine_of(which[0], which[1], spacing), "RAS").orientation


def test_lps_is_turned_into_ras() -> None:
    lps = affine_of((0, 1, 2), (1, 1, 1), (1.0, 2.0, 3.0))
    volume = Volume(np.zeros(HEAD), lps, "LPS")
    assert volume.orientation == "LPS"
    assert volume.affine[:3, 3].tolist() == [11.25, -7.5, 3.125]
    assert volume.affine.dtype == np.float64
    assert not volume.affine.flags.writeable


@pytest.mark.parametrize(
    ("axes", "spacing", "plane"),
    [
        ((0, 1, 2), (1, 1, 5), "axial"),
        ((1, 2, 0), (1, 1, 5), "sagittal"),
        ((0, 2, 1), (0.9, 1, 5), "coronal"),
        ((0, 1, 2), (1, 1, 1.2), None),
        ((0, 1, 2), (5, 1, 1), "sagittal"),
    ],
)
def test_plane_is_told_by_the_thickest_axis(axes: Any, spacing: Any, plane: str | None) -> None:
    assert Volume(np.zeros(HEAD), affine_of(axes, (1, 1, 1), spacing), "RAS").plane == plane


@pytest.mark.parametrize(
    ("affine", "shape", "said"),
    [
        (np.diag([1, 1, 5, 1]), (200, 200, 20), ()),
        (np.diag([5, 1, 1, 1]), (30, 200, 200), ("sagittal acquisition",)),
        (rotation(35) @ np.diag([1, 1, 1, 1]), (200, 200, 200), ("turned by 35 degrees",)),
        (np.array([[1, 0, 0, 0], [0, 1, 0.5, 0], [0, 0, 5, 0], [0, 0, 0, 1]]), (200, 200, 20), ("5.7 degrees off",)),
        (np.diag([1, 1, 5, 1]), (200, 90, 20), ("field of view of 200 x 90 mm",)),
        (np.diag([1, 1, 5, 1]), (240, 240, 4), ("slices cover 20 mm from bottom to top",)),
        (np.diag([1, 1, 5, 1]), (240, 240, 1), ()),
        (np.diag([5, 1, 1, 1]), (30, 200, 90), ("sagittal acquisition", "slices cover 90 mm")),
    ],
)
def test_concerns_are_said(affine: Any, shape: Any, said: tuple[str, ...]) -> None:
    found = concerns(Volume(np.zeros(shape, np.uint8), affine, "RAS"))
    assert len(found) == len(said)
    assert all(part in sentence for part, sentence in zip(said, found, strict=True))


@pytest.mark.parametrize(
    ("array", "affine", "found"),
    [
        (np.zeros((3, 3)), RAS, "an array of 3 x 3"),
        (np.zeros((3, 3, 3, 2)), RAS, "an array of 3 x 3 x 3 x 2"),
        (np.zeros((3, 0, 3)), RAS, "an array of 3 x 0 x 3"),
        (np.zeros((3, 3, 3), np.complex64), RAS, "complex64"),
        (np.full((3, 3, 3), np.nan), RAS, "27 voxel(s) that are NaN"),
        (np.full((3, 3, 3), -np.inf), RAS, "infinite"),
        (np.zeros(HEAD), np.eye(3), "no 4 x 4 matrix"),
        (np.zeros(HEAD), np.full((4, 4), np.nan), "finite numbers"),
        (np.zeros(HEAD), np.diag([1, 1, 0, 1]), "cannot be inverted"),
        (np.zeros(HEAD), np.ones((4, 4)), "cannot be inverted"),
        (np.zeros(HEAD), np.diag([1, 1, 1, 2]), "cannot be inverted"),
        (np.zeros(HEAD), np.diag([1, 1, 1e-30, 1]), "cannot be inverted"),
        (np.zeros(HEAD), np.diag([1, 1, 1e30, 1]), "cannot be inverted"),
    ],
)
def test_what_is_no_volume_is_refused(array: Any, affine: Any, found: str) -> None:
    with pytest.raises(DataError) as caught:
        Volume(array, affine, "RAS", source="case.nii")
    assert found in caught.value.found
    assert caught.value.path == "case.nii"


def test_frame_must_be_stated() -> None:
    with pytest.raises(TypeError, match="frame"):
        Volume(np.zeros(HEAD), RAS)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="'RAS' or 'LPS'"):
        Volume(np.zeros(HEAD), RAS, "RSA")  # type: ignore[arg-type]


def test_arrays_of_another_grid_are_refused() -> None:
    stack, grid = to_axial(Volume(np.zeros(HEAD), RAS, "RAS"))
    with pytest.raises(ValueError, match="the stack is"):
        grid.back(stack[1:])
    with pytest.raises(ValueError, match="the array is"):
        grid.slices(np.zeros((7, 6, 5)))
