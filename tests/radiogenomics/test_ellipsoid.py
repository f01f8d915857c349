"""The smallest ellipsoid around points: known ones, containment, the promised tolerance, and what stretching does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from gliomask.radiogenomics.ellipsoid import Ellipsoid, enclosing_ellipsoid

Points = NDArray[np.float64]
BALL = 4 / 3 * math.pi

clouds = arrays(np.float64, st.tuples(st.integers(5, 40), st.just(3)), elements=st.integers(-20, 20).map(float))


def reach(ellipsoid: Ellipsoid, points: Points) -> Points:
    """Return 1 for points on the ellipsoid, less for those inside."""
    away = points - ellipsoid.centre
    return np.asarray(np.einsum("ni,ij,nj->n", away, ellipsoid.matrix, away))


def solid(points: Points) -> bool:
    return bool(np.linalg.matrix_rank(points - points.mean(axis=0), tol=1e-6) == 3)


def test_ellipsoid_around_the_ends_of_its_axes_is_found() -> None:
    axes = np.array([[4.0, 1.0, 0.0], [0.0, 2.0, 0.5], [0.0, 0.0, 0.1]])
    ends = np.concatenate([np.eye(3), -np.eye(3)])  # their smallest ellipsoid is the unit ball
    found = enclosing_ellipsoid(ends @ axes + [7.0, -3.0, 100.0], tolerance=1e-6)
    assert found.volume == pytest.approx(BALL * abs(np.linalg.det(axes)), rel=1e-6)
    assert found.centre == pytest.approx([7.0, -3.0, 100.0], abs=1e-3)
    assert np.linalg.inv(found.matrix) == pytest.approx(axes.T @ axes, rel=1e-4, abs=1e-4)


def test_cube_and_points_inside_it() -> None:
    corners = np.array([[x, y, z] for x in (0, 2) for y in (0, 2) for z in (0, 2)], float)
    inside = np.random.default_rng(0).random((50, 3)) * 2
    found = enclosing_ellipsoid(np.concatenate([corners, inside]), tolerance=1e-6)
    assert found.volume == pytest.approx(BALL * 3**1.5, rel=1e-6)


def test_triangle_has_the_ellipse_of_steiner() -> None:
    triangle = np.array([[0.0, 0.0], [4.0, 0.0], [1.0, 3.0]])
    found = enclosing_ellipsoid(triangle, tolerance=1e-6)
    assert found.volume == pytest.approx(4 * math.pi / (3 * math.sqrt(3)) * 6, rel=1e-6)
    assert found.centre == pytest.approx(triangle.mean(axis=0), abs=1e-3)


@given(points=clouds)
@settings(deadline=None, max_examples=40)
def test_every_point_is_inside_and_the_volume_is_least_within_the_tolerance(points: Points) -> None:
    assume(solid(points))
    rough, fine = (enclosing_ellipsoid(points, tolerance=tolerance) for tolerance in (1e-2, 1e-6))
    assert reach(rough, points).max() == pytest.approx(1, abs=1e-7)
    assert reach(fine, points).max() == pytest.approx(1, abs=1e-7)
    assert 1 - 1e-6 <= rough.volume / fine.volume <= 1 + 1e-2


@given(points=clouds, scale=st.tuples(*[st.floats(0.01, 100)] * 3), shift=st.tuples(*[st.floats(-1e3, 1e3)] * 3))
@settings(deadline=None, max_examples=40)
def test_volume_follows_stretching_and_shifting(
    points: Points, scale: tuple[float, ...], shift: tuple[float, ...]
) -> None:
    assume(solid(points))
    before, after = (enclosing_ellipsoid(each).volume for each in (points, points * scale + shift))
    assert after == pytest.approx(before * np.prod(scale), rel=2.1e-4)  # each within the tolerance of 1e-4


@pytest.mark.parametrize(
    "points",
    [
        np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]),  # in a plane along the axes
        np.array([[0.0, 0, 0], [1, 0, 1], [0, 1, 1], [1, 1, 2], [2, 1, 3]]),  # in another
    ],
)
def test_points_in_a_plane_are_refused(points: Points) -> None:
    with pytest.raises(ValueError, match="expected an extent in every direction"):
        enclosing_ellipsoid(points)


@pytest.mark.parametrize("tolerance", [0.0, -1.0, float("nan")])
def test_a_tolerance_that_rounding_forbids_is_refused(tolerance: float) -> None:
    with pytest.raises(ValueError, match="expected 1e-9 or more"):
        enclosing_ellipsoid(np.eye(4, 3), tolerance=tolerance)
