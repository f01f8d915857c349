"""Affines of every orientation, and turned ones. Knows nothing of what the tests prove."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

ORIENTATIONS = [(axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)]


def affine_of(axes: tuple[int, ...], signs: tuple[int, ...], spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the affine of an array whose axis k follows axis axes[k] of the patient."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for array, (world, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[world, array] = sign * spacing[array]
    affine[:3, 3] = -11.25, 7.5, 3.125
    return affine


def rotation(degrees: float, axis: int = 0) -> NDArray[np.float64]:
    angle = np.radians(degrees)
    turn, (a, b) = np.eye(4), [(1, 2), (0, 2), (0, 1)][axis]
    turn[a, a] = turn[b, b] = np.cos(angle)
    turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
    return turn
