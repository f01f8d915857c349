"""The smallest ellipsoid around points. Knows no mask."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

TOLERANCE = 1e-4
"""By how much the volume may exceed the least possible, as a part of it."""
_STEPS = 1_000_000


@dataclass(frozen=True)
class Ellipsoid:
    """All x with (x - centre)' matrix (x - centre) <= 1.

    Attributes
    ----------
    centre
        (D,) float64.
    matrix
        (D, D) float64, symmetric and positive definite.
    """

    centre: NDArray[np.float64]
    matrix: NDArray[np.float64]

    @property
    def volume(self) -> float:
        """Volume, or area in two dimensions."""
        dimensions = len(self.centre)
        ball = math.pi ** (dimensions / 2) / math.gamma(dimensions / 2 + 1)
        return float(ball / math.sqrt(np.linalg.det(self.matrix)))


def enclosing_ellipsoid(points: NDArray[np.float64], *, tolerance: float = TOLERANCE) -> Ellipsoid:
    """Return the ellipsoid of least volume that holds all points (Loewner-John), up to a tolerance.

    Khachiyan's algorithm (1996, doi:10.1287/moor.21.2.307) on the vertices of the convex hull, with the away steps of
    Todd and Yildirim (2007, doi:10.1016/j.dam.2007.02.013). It raises the weights u of points that stick out most and
    lowers those of points that lie deep inside. The ellipsoid with the weighted mean as its centre and D times the
    weighted covariance as the inverse of its matrix is never larger than the least one; blown up until it holds all
    points it is never smaller. The algorithm ends when the two volumes differ by less than the tolerance, so the
    result is certified and not merely converged.

    Parameters
    ----------
    points
        (N, D) float64, not all in one plane.
    tolerance
        By how much the volume may exceed the least possible, as a part of it; 1e-9 or more, for rounding.

    Raises
    ------
    ValueError
        If the points lie in a plane, or the tolerance is too small.
    ArithmeticError
        If the tolerance was not reached, which the theory rules out.
    """
    if not tolerance >= 1e-9:
        raise ValueError(f"tolerance is {tolerance}; expected 1e-9 or more")
    low, span = points.min(axis=0), np.ptp(points, axis=0)
    if not span.all():
        raise ValueError(f"points that span {span}; expected an extent in every direction")
    unit = (points - low) / span  # the ellipsoid follows any stretching, rounding errors do not
    try:
        unit = unit[ConvexHull(unit).vertices]
    except QhullError as error:
        raise ValueError(f"{len(points)} points in a plane; expected an extent in every direction") from error
    centre, matrix = _least(unit, tolerance)
    return Ellipsoid(low + centre * span, matrix / np.outer(span, span))


def _least(points: NDArray[np.float64], tolerance: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    number, dimensions = points.shape
    lifted = np.vstack([points.T, np.ones(number)])
    weights = np.full(number, 1 / number)
    for _ in range(_STEPS):
        reach = np.sum(lifted * (np.linalg.inv((lifted * weights) @ lifted.T) @ lifted), axis=0)  # mean dimensions + 1
        far = int(reach.argmax())
        growth = (reach[far] - 1) / dimensions  # of the squared axes until all points are inside
        if growth ** (dimensions / 2) <= 1 + tolerance:
            centre = points.T @ weights
            covariance = (points.T * weights) @ points - np.outer(centre, centre)
            return centre, np.linalg.inv(covariance) / (dimensions * growth)
        near = int(np.where(weights > 0, reach, np.inf).argmin())
        _step(weights, reach, far if reach[far] + reach[near] >= 2 * (dimensions + 1) else near, dimensions + 1)
    raise ArithmeticError(f"no ellipsoid within {tolerance} after {_STEPS} steps")


def _step(weights: NDArray[np.float64], reach: NDArray[np.float64], point: int, mean: int) -> None:
    """Move the weight of a point to where the volume gains most, at least to 0; the others share the difference."""
    gain = reach[point]
    emptied = -weights[point] / (1 - weights[point])
    step = emptied if gain <= 1 else max((gain - mean) / (mean * (gain - 1)), emptied)
    weights *= 1 - step
    weights[point] = 0.0 if step == emptied else weights[point] + step
