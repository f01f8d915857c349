"""Size and shape against formulas: boxes exactly, balls and ellipsoids up to their voxels."""

from __future__ import annotations

import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from builders import ellipsoid_mask
from gliomask.radiogenomics.descriptors import describe

Mask = NDArray[np.bool_]

volumes = arrays(np.bool_, st.tuples(*[st.integers(1, 5)] * 3)).filter(np.any)


def box(*sides: int) -> Mask:
    return np.pad(np.ones(sides, np.bool_), 2)


@given(sides=st.tuples(*[st.integers(1, 7)] * 3))
@settings(deadline=None, max_examples=40)
def test_box_is_a_box_of_its_voxel_centres_plus_an_octahedron(sides: tuple[int, int, int]) -> None:
    x, y, z = (side - 1.0 for side in sides)  # the surface lies half a voxel outside of the outermost centres
    found = describe(box(*sides))
    assert found.volume == pytest.approx(x * y * z + x * y + y * z + z * x + (x + y + z) / 2 + 1 / 6)
    assert found.surface == pytest.approx(2 * (x * y + y * z + z * x) + math.sqrt(8) * (x + y + z) + math.sqrt(3))
    assert found.voxel_volume == np.prod(sides)
    assert found.solidity == pytest.approx(1)
    longest, *others = sorted((x, y, z), reverse=True)
    assert found.maximum_diameter == pytest.approx(math.hypot(longest + 1, *others))
    first, second, third = (side**2 - 1 for side in sorted(sides, reverse=True))
    if first:
        assert found.elongation == pytest.approx(math.sqrt(second / first), abs=1e-7)
        assert found.flatness == pytest.approx(math.sqrt(third / first), abs=1e-7)


def test_ball() -> None:
    found = describe(ellipsoid_mask(20, 20, 20))
    assert found.volume == pytest.approx(4 / 3 * math.pi * 20**3, rel=0.01)
    assert found.voxel_volume == pytest.approx(4 / 3 * math.pi * 20**3, rel=0.01)
    assert found.surface == pytest.approx(4 * math.pi * 20**2, rel=0.1)  # steps of voxels make any surface larger
    assert found.maximum_diameter == pytest.approx(40, abs=1)
    assert found.elongation == pytest.approx(1)
    assert found.flatness == pytest.approx(1)
    assert found.solidity > 0.96
    assert 0.9 < found.sphericity < 1


def test_ellipsoid_in_any_position_and_with_any_spacing() -> None:
    found = describe(ellipsoid_mask(6, 12, 24))
    assert found.volume == pytest.approx(4 / 3 * math.pi * 6 * 12 * 24, rel=0.02)
    assert (found.elongation, found.flatness) == pytest.approx((0.5, 0.25), rel=0.02)
    assert found.maximum_diameter == pytest.approx(48, abs=1.1)
    thick = describe(ellipsoid_mask(3, 12, 24), (2.0, 1.0, 1.0))  # the same, in slices of twice the thickness
    assert thick.volume == pytest.approx(found.volume, rel=0.03)
    assert (thick.elongation, thick.flatness) == pytest.approx((0.5, 0.25), abs=0.02)


@given(mask=volumes)
@settings(deadline=None, max_examples=40)
def test_turning_changes_nothing_and_doubling_the_spacing_only_what_has_a_unit(mask: Mask) -> None:
    found = describe(mask)
    for other in (np.rot90(mask, 1, (1, 2)), mask[::-1], mask.transpose(2, 1, 0)):
        assert astuple(describe(other)) == pytest.approx(astuple(found), rel=1e-6, abs=1e-6, nan_ok=True)
    double = replace(
        found, volume=8 * found.volume, voxel_volume=8 * found.voxel_volume, surface=4 * found.surface,
        maximum_diameter=2 * found.maximum_diameter,
    )  # fmt: skip
    assert astuple(describe(mask, (2.0, 2.0, 2.0))) == pytest.approx(astuple(double), abs=1e-6, nan_ok=True)


@given(mask=volumes)
@settings(deadline=None, max_examples=40)
def test_nothing_is_rounder_than_a_ball_or_fuller_than_its_hull(mask: Mask) -> None:
    found = describe(mask)
    assert 0 < found.sphericity < 1
    assert found.compactness == pytest.approx(found.sphericity**3)
    assert 0 < found.solidity <= 1 + 1e-9
    assert np.isnan(found.elongation) or 0 <= found.flatness <= found.elongation <= 1


def test_flat_tumour_has_no_thickness() -> None:
    found = describe(box(1, 5, 9))
    assert found.flatness == 0
    assert found.elongation == pytest.approx(math.sqrt(24 / 80))
    assert found.volume > 0


def test_voxel_has_no_axes() -> None:
    found = describe(box(1, 1, 1))
    assert np.isnan([found.elongation, found.flatness]).all()
    assert found.maximum_diameter == pytest.approx(1)


def test_empty_mask_has_nothing() -> None:
    assert np.isnan(astuple(describe(np.zeros((2, 3, 4), np.bool_)))).all()


def test_two_components_are_one_region() -> None:
    both = np.zeros((5, 5, 12), np.bool_)
    both[1:4, 1:4, 1:4] = both[1:4, 1:4, 8:11] = True
    alone = describe(both[:, :, :5])
    assert describe(both).volume == pytest.approx(2 * alone.volume)
    assert describe(both).solidity < 0.8
