"""ASD, MF and BEVR: values known from geometry, and what must not change them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from builders import ellipsoid_mask
from gliomask.radiogenomics.components import largest_components
from gliomask.radiogenomics.ellipsoid import enclosing_ellipsoid
from gliomask.radiogenomics.mesh import surface_mesh
from gliomask.radiogenomics.shape import asd, bevr, mf

Mask = NDArray[np.bool_]

blobs = arrays(
    np.bool_, st.tuples(st.integers(1, 3), st.just(14), st.just(13)), elements=st.booleans(), fill=st.just(True)
)
"""Ragged plates: their outline is long enough for ASD and MF."""
volumes = arrays(np.bool_, st.tuples(*[st.integers(1, 5)] * 3)).filter(np.any)

MOVES: dict[str, Callable[[Mask], Mask]] = {
    "moved": lambda mask: np.pad(mask, ((2, 0), (0, 3), (5, 1))),
    "turned": lambda mask: np.rot90(mask, 1, (1, 2)),
    "turned twice": lambda mask: np.rot90(mask, 2, (1, 2)),
    "slices reversed": lambda mask: mask[::-1],
    "mirrored": lambda mask: mask[:, :, ::-1],
}


def wavy(waves: int, depth: float, radius: float = 60.0) -> Mask:
    """Return a slice (1, H, W) whose outline is at radius (1 + depth cos(waves angle))."""
    rows, columns = np.mgrid[:160, :160] - 79.5
    distance, angle = np.hypot(rows, columns), np.arctan2(rows, columns)
    return np.asarray(distance < radius * (1 + depth * np.cos(waves * angle)))[None]


def test_circle_has_neither_deviation_nor_fluctuation() -> None:
    circle = wavy(1, 0.0)
    assert 0 < asd(circle) < 0.005
    assert 0 < mf(circle) < 0.005


def test_ten_waves_deviate_by_their_amplitude_over_root_two() -> None:
    waves = wavy(10, 0.08)  # one wave in a bin, and one under the moving average, which is then flat
    assert asd(waves) == pytest.approx(0.08 / math.sqrt(2), rel=0.05)
    assert mf(waves) == pytest.approx(0.08 / math.sqrt(2), rel=0.05)


def test_moving_average_follows_long_waves_in_part() -> None:
    left = 1 - math.sin(0.5 * math.pi) / (0.5 * math.pi)  # of five waves, a tenth of the outline being half a wave
    assert mf(wavy(5, 0.08)) == pytest.approx(left * 0.08 / math.sqrt(2), rel=0.1)


def test_ellipsoid_nearly_fills_its_own_and_a_box_does_not() -> None:
    for axes in ((14, 14, 14), (7, 14, 21)):  # the surface lies half a voxel outside of the outermost centres
        assert bevr(ellipsoid_mask(*axes)) == pytest.approx(math.prod(axis / (axis + 0.5) for axis in axes), rel=0.02)
    chamfered = 39**3 + 3 * 39**2 + 1.5 * 39 + 1 / 6  # as in test_descriptors.py
    ball = 4 / 3 * math.pi * (20**2 + 2 * 19.5**2) ** 1.5
    assert bevr(np.ones((40, 40, 40), np.bool_)) == pytest.approx(chamfered / ball, rel=1e-4)


def test_bevr_of_a_voxel_is_that_of_an_octahedron() -> None:
    voxel = np.ones((1, 1, 1), np.bool_)
    assert bevr(voxel, tolerance=1e-6) == pytest.approx(1 / math.pi, rel=1e-5)  # 1/6 in a ball of radius 1/2


def test_bevr_is_of_the_largest_component_and_asd_of_the_largest_slice() -> None:
    tumour = np.zeros((9, 24, 24), np.bool_)
    tumour[2:6, 3:15, 3:14] = True
    alone, outline = bevr(tumour), (asd(tumour), mf(tumour))
    tumour[8, 20:, 20:] = True  # a stray component
    tumour[4, 22, 0] = True  # and one in the slice that is now the largest
    assert bevr(tumour) == alone
    assert (asd(tumour), mf(tumour)) == outline


def test_holes_have_no_part_in_the_outline() -> None:
    ring = wavy(6, 0.1)
    whole = asd(ring), mf(ring)
    ring[0, 70:90, 60:75] = False
    assert (asd(ring), mf(ring)) == whole


@pytest.mark.parametrize("move", MOVES)
@given(mask=blobs)
@settings(deadline=None, max_examples=25)
def test_outline_features_stay_when_the_volume_is_moved(move: str, mask: Mask) -> None:
    moved = MOVES[move](mask)
    assert asd(moved) == pytest.approx(asd(mask), rel=1e-9, abs=1e-12, nan_ok=True)
    assert mf(moved) == pytest.approx(mf(mask), rel=1e-9, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("move", [*MOVES, "laid down"])
@given(mask=volumes)
@settings(deadline=None, max_examples=25)
def test_bevr_stays_when_the_volume_is_moved(move: str, mask: Mask) -> None:
    moved = mask.transpose(2, 1, 0) if move == "laid down" else MOVES[move](mask)
    assert bevr(moved) == pytest.approx(bevr(mask), rel=1.1e-4)  # the tolerance of the ellipsoid
    assert 0 < bevr(mask) <= 1


@given(mask=volumes, spacing=st.tuples(*[st.floats(0.05, 20)] * 3))
@settings(deadline=None, max_examples=40)
def test_bevr_stays_when_the_voxels_are_stretched(mask: Mask, spacing: tuple[float, float, float]) -> None:
    ratios = []
    for component in largest_components(mask):
        mesh = surface_mesh(component, spacing)
        ratios.append(mesh.volume / enclosing_ellipsoid(mesh.vertices).volume)
    assert np.mean(ratios) == pytest.approx(bevr(mask), rel=1.1e-4)


def test_spacing_stretches_the_outline() -> None:
    circle = wavy(1, 0.0)
    assert asd(circle, (5.0, 2.0, 2.0)) == pytest.approx(asd(circle))
    assert mf(circle, (5.0, 2.0, 2.0)) == pytest.approx(mf(circle))
    assert asd(circle, (1.0, 2.0, 1.0)) > 10 * asd(circle)
    stretched = circle.repeat(2, axis=1)
    assert asd(stretched) == pytest.approx(asd(circle, (1.0, 2.0, 1.0)), rel=0.05)


@pytest.mark.parametrize("feature", [asd, mf, bevr])
def test_empty_mask_has_no_value(feature: Callable[[Mask], float]) -> None:
    assert math.isnan(feature(np.zeros((3, 8, 8), np.bool_)))


def test_short_outline_has_no_value_and_the_shortest_has() -> None:
    def plate(side: int) -> Mask:
        return np.ones((1, side, 8), np.bool_)  # 2 (side + 8) points halfway between pixels

    assert math.isnan(asd(plate(6)))
    assert math.isnan(mf(plate(6)))
    assert asd(plate(7)) > 0
    assert mf(plate(7)) > 0


@pytest.mark.parametrize("bad", [np.ones((4, 4), np.bool_), np.ones((1, 4, 4), np.uint8)])
@pytest.mark.parametrize("feature", [asd, mf, bevr])
def test_other_masks_are_refused(feature: Callable[..., float], bad: NDArray[np.generic]) -> None:
    with pytest.raises(ValueError, match="expected"):
        feature(bad)
