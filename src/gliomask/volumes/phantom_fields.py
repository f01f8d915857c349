"""Smooth random functions and soft shapes that phantoms are made of; knows nothing of heads, tumours or scanners.

Coordinates: x (left to right of the image) and y (front to back) run from -1 to 1 over the image, z from 0 (skull base)
to 1 (vertex). Lengths are in units of half the image side; one unit of z is `HEIGHT` such units long.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Point = tuple[float, float, float]

HEIGHT = 1.4
_Z_LOW, _Z_HIGH = -0.1, 1.15
_UNIT = (151 / 315) ** -1.5  # a cubic B-spline keeps 151/315 of the variance of white noise along each axis


@dataclass(frozen=True)
class Frame:
    """Where the pixels of one slice lie in the head."""

    x: Array
    """(H, W), left to right."""
    y: Array
    """(H, W), front to back."""
    z: Array
    """(H, W), skull base to vertex."""
    level: float
    """Position of the slice in the scanner, in units of z."""
    pixel: float
    """Side of a pixel: the width of a soft edge."""

    @property
    def size(self) -> int:
        """Side of the slice in pixels."""
        return int(self.x.shape[0])


@dataclass(frozen=True)
class SmoothField:
    """A smooth random function of mean 0 and variance 1: white noise on a coarse grid, between cubic B-splines."""

    grid: Array
    """(Z, N, N), the white noise."""

    @classmethod
    def draw(cls, rng: np.random.Generator, spacing: float, *, spacing_z: float | None = None) -> SmoothField:
        """Draw a field whose grid points lie `spacing` apart; along z, if it is given, `spacing_z`."""
        across = int(np.ceil(2 / spacing)) + 3
        along = int(np.ceil((_Z_HIGH - _Z_LOW) * HEIGHT / (spacing_z or spacing))) + 3
        return cls(rng.standard_normal((along, across, across), dtype=np.float32) * np.float32(_UNIT))

    def plane(self, level: float, size: int) -> Array:
        """Evaluate the field on one slice.

        Parameters
        ----------
        level
            Position of the slice, in units of z.
        size
            Side of the slice in pixels.

        Returns
        -------
        (size, size) float32
        """
        along = self.grid.shape[0]
        place = np.clip((level - _Z_LOW) / (_Z_HIGH - _Z_LOW), 0, 1) * (along - 3)
        weights = _spline_weights(np.array([place]), along)[0]
        middle = np.einsum("z,zyx->yx", weights, self.grid)
        across = _image_weights(size, self.grid.shape[1])
        # einsum rather than @: the sums then have the same order, and bytes, whatever the number of threads
        half: Array = np.einsum("ab,xb->ax", across, np.ascontiguousarray(middle.T))
        return np.asarray(np.einsum("ax,cx->ac", half, across), dtype=np.float32)


@lru_cache(maxsize=64)
def _image_weights(size: int, knots: int) -> Array:
    return _spline_weights((np.arange(size) + 0.5) / size * (knots - 3), knots)


def _spline_weights(places: NDArray[np.float64], knots: int) -> Array:
    """Return the (places, knots) matrix of uniform cubic B-spline weights; places run from 0 to knots - 3."""
    distance = np.abs(places[:, None] + 1 - np.arange(knots)[None, :])
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = (2 - np.minimum(distance, 2)) ** 3 / 6
    return np.where(distance < 1, inner, outer).astype(np.float32)


def soft(distance: Array, width: float) -> Array:
    """Return 0 outside, 1 inside and between them a linear ramp of `width`: the fraction of a pixel that is covered."""
    return np.asarray(np.clip(distance * np.float32(1 / width) + np.float32(0.5), 0, 1), dtype=np.float32)


def smooth_step(value: Array) -> Array:
    """Return 3 t^2 - 2 t^3 of t = (value + 1) / 2 cut to [0, 1]: 0 below -1, 0.5 at 0, 1 above 1."""
    t = np.clip(value * np.float32(0.5) + np.float32(0.5), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def bump(value: Array, centre: float, width: float) -> Array:
    """Return a Gaussian of height 1."""
    scaled = (value - np.float32(centre)) * np.float32(1 / width)
    return np.exp(-scaled * scaled)


def ellipsoid(frame: Frame, centre: Point, radii: Point, *, mirror: Array | None = None) -> Array:
    """Return the approximate distance to the surface of an ellipsoid, positive inside.

    `mirror` replaces x, so that one call makes a pair (pass the distance from the midline).
    """
    x = frame.x if mirror is None else mirror
    squares = ((x - np.float32(centre[0])) * np.float32(1 / radii[0])) ** 2
    squares += ((frame.y - np.float32(centre[1])) * np.float32(1 / radii[1])) ** 2
    squares += ((frame.z - np.float32(centre[2])) * np.float32(1 / radii[2])) ** 2
    return np.asarray((1 - np.sqrt(squares)) * np.float32(min(radii[0], radii[1])), dtype=np.float32)


def tube(frame: Frame, ends: tuple[Point, Point], radii: tuple[float, float], *, mirror: Array | None = None) -> Array:
    """Return the approximate distance to a tube whose radius goes from `radii[0]` to `radii[1]`, positive inside."""
    x = frame.x if mirror is None else mirror
    start, end = np.array(ends, dtype=np.float32)
    axis = (end - start) * np.array([1, 1, HEIGHT], dtype=np.float32)
    dx, dy, dz = x - start[0], frame.y - start[1], (frame.z - start[2]) * np.float32(HEIGHT)
    along = np.clip((dx * axis[0] + dy * axis[1] + dz * axis[2]) * np.float32(1 / float(axis @ axis)), 0, 1)
    dx, dy, dz = dx - along * axis[0], dy - along * axis[1], dz - along * axis[2]
    radius = np.float32(radii[0]) + along * np.float32(radii[1] - radii[0])
    return np.asarray(radius - np.sqrt(dx * dx + dy * dy + dz * dz), dtype=np.float32)
