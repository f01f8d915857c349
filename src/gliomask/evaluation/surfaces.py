"""How far apart the surfaces of two masks lie: HD95 and surface Dice. Knows no patients, files or averages.

Each score keeps the surface that its reference implementation uses, so that numbers can be compared with other papers:

* HD95 is measured between voxels of the masks that have a background voxel for a neighbour (6-connected; beyond the
  image everything is background), every such voxel counting once, as in MONAI;
* surface Dice is measured between the corners of voxels at which mask and background meet, each weighing as much as
  the surface that passes it, as in DeepMind's ``surface-distance``.

A single slice is two-dimensional: pixels instead of voxels, contours instead of surfaces. (Handed over as a volume of
one slice, every pixel of a mask would be surface, having background above and below.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gliomask.evaluation.counts import check_masks
from gliomask.volumes.box import bounding_box

Spacing = tuple[float, float, float]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SurfaceScores:
    """HD95 and surface Dice of one pair of masks."""

    hd95: float
    """95 % Hausdorff distance in mm, or in pixels if the spacing is unknown; 0 is best."""
    nsd: tuple[float, ...]
    """Surface Dice at each of the tolerances asked for, in their order, 0 to 1."""


@dataclass(frozen=True)
class _Pair:
    """Two masks, cut to the box that holds both; (rows, columns) if there is a single slice."""

    prediction: Mask
    truth: Mask
    spacing: tuple[float, ...]
    diagonal: float
    """Of the whole image."""

    @property
    def empty(self) -> int:
        """How many of the two are empty."""
        return 2 - int(self.prediction.any()) - int(self.truth.any())


def surface_scores(
    prediction: Mask, truth: Mask, *, spacing: Spacing | None = None, tolerances: Iterable[float] = (1.0, 2.0)
) -> SurfaceScores:
    """Score how well the surface of a prediction follows that of the truth.

    Parameters
    ----------
    prediction, truth
        (S, H, W) bool. With S = 1 they are scored as two-dimensional.
    spacing
        Distance of neighbouring slices, rows and columns in mm. None: one pixel each, also from slice to slice, and
        every distance is in pixels.
    tolerances
        Distances up to which a surface counts as found, in the unit of the result.

    Returns
    -------
    SurfaceScores
        See `hd95` and `surface_dice`, also for what an empty mask scores.

    Raises
    ------
    ValueError
        If the masks are not two equal (S, H, W) of bool, the spacing is not three positive lengths, or a tolerance is
        negative or NaN.
    """
    limits = tuple(tolerances)
    if not all(limit >= 0 for limit in limits):
        raise ValueError(f"tolerances {limits}; expected distances of 0 or more")
    pair = _cut(prediction, truth, spacing)
    return SurfaceScores(_hd95(pair), _nsd(pair, limits))


def hd95(prediction: Mask, truth: Mask, *, spacing: Spacing | None = None) -> float:
    """Return the 95 % Hausdorff distance of two masks (Huttenlocher et al. 1993, doi:10.1109/34.232073).

    For each surface, the 95th percentile (linear between ranks) of the distances of its voxels to the nearest voxel of
    the other surface; the larger of the two. Two empty masks are 0 apart: nothing to find, nothing found. If one is
    empty, the distance is the diagonal of the image, the largest possible, as in the BraTS challenges: S x H x W
    voxels, or H x W pixels of a single slice, times the spacing.

    Parameters
    ----------
    prediction, truth, spacing
        As in `surface_scores`.

    Returns
    -------
    float
        In mm, or in pixels if `spacing` is None.

    Raises
    ------
    ValueError
        As in `surface_scores`.
    """
    return _hd95(_cut(prediction, truth, spacing))


def surface_dice(prediction: Mask, truth: Mask, *, tolerance: float, spacing: Spacing | None = None) -> float:
    """Return the surface Dice, or normalised surface distance, of two masks (Nikolov et al. 2021, doi:10.2196/26151).

    The area of both surfaces that lies within the tolerance (inclusive) of the other, as a fraction of the area of
    both. Two empty masks score 1, an empty and another 0.

    Parameters
    ----------
    prediction, truth, spacing
        As in `surface_scores`.
    tolerance
        Distance up to which a surface counts as found, in mm, or in pixels if `spacing` is None.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    ValueError
        As in `surface_scores`.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance {tolerance}; expected a distance of 0 or more")
    return _nsd(_cut(prediction, truth, spacing), (tolerance,))[0]


def _cut(prediction: Mask, truth: Mask, spacing: Spacing | None) -> _Pair:
    check_masks(prediction, truth)
    lengths = (1.0, 1.0, 1.0) if spacing is None else tuple(float(length) for length in spacing)
    if len(lengths) != 3 or not all(0 < length < math.inf for length in lengths):
        raise ValueError(f"spacing {lengths}; expected three positive lengths in mm (slice, row, column)")
    if len(truth) == 1:
        prediction, truth, lengths = prediction[0], truth[0], lengths[1:]
    diagonal = math.hypot(*(length * count for length, count in zip(lengths, truth.shape, strict=True)))
    box = bounding_box(prediction | truth)
    return _Pair(prediction[box], truth[box], lengths, diagonal)


def _hd95(pair: _Pair) -> float:
    if pair.empty:
        return 0.0 if pair.empty == 2 else pair.diagonal
    # erosion takes what lies beyond the box for background, which it is
    found, real = (mask & ~ndimage.binary_erosion(mask) for mask in (pair.prediction, pair.truth))
    return max(float(np.percentile(part, 95)) for part in _distances(found, real, pair.spacing))


def _nsd(pair: _Pair, tolerances: tuple[float, ...]) -> tuple[float, ...]:
    if pair.empty:
        return (float(pair.empty == 2),) * len(tolerances)
    measure = _measures(pair.spacing)
    found, real = (measure[_neighbour_codes(mask)] for mask in (pair.prediction, pair.truth))
    areas = np.concatenate([found[found > 0], real[real > 0]])
    distances = np.concatenate(_distances(found > 0, real > 0, pair.spacing))
    return tuple(float(areas[distances <= limit].sum() / areas.sum()) for limit in tolerances)


def _distances(one: Mask, other: Mask, spacing: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distances from each point of one surface to the nearest of the other, and back."""
    to_one, to_other = (ndimage.distance_transform_edt(~surface, sampling=spacing) for surface in (one, other))
    return to_other[one], to_one[other]


def _neighbour_codes(mask: Mask) -> NDArray[np.uint8]:
    """Return, for each corner of a voxel, which of the 8 (4) voxels around it are in the mask, a bit a voxel.

    Bit k is the voxel at the k-th offset of ``np.ndindex(2, 2, 2)``. An axis of n voxels has n + 1 corners.
    """
    padded = np.pad(mask, 1).astype(np.uint8)
    codes = np.zeros(tuple(count + 1 for count in mask.shape), np.uint8)
    for bit, offset in enumerate(np.ndindex((2,) * mask.ndim)):
        codes |= padded[tuple(slice(o, o + count) for o, count in zip(offset, codes.shape, strict=True))] << bit
    return codes


@lru_cache(maxsize=128)
def _measures(spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the area (length) of surface (contour) that passes a corner, by neighbour code; read-only."""
    table = _contour_lengths(*spacing) if len(spacing) == 2 else _surface_areas(spacing)
    table.flags.writeable = False
    return table


def _contour_lengths(row: float, column: float) -> NDArray[np.float64]:
    """Return the 16 lengths of straight lines between the middles of the sides of a 2 x 2 neighbourhood."""
    corner = math.hypot(row, column) / 2
    table = np.full(16, corner)  # one pixel differs from the other three
    table[[0b0000, 0b1111]] = 0
    table[[0b0011, 0b1100]] = column
    table[[0b0101, 0b1010]] = row
    table[[0b0110, 0b1001]] = 2 * corner
    return table


def _surface_areas(spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the 256 areas of the triangles that marching cubes puts into a 2 x 2 x 2 neighbourhood."""
    codes, normals = _unit_triangles()
    sides = np.array(spacing)
    areas = np.linalg.norm(normals * (sides.prod() / sides), axis=1)
    return np.bincount(codes, areas, minlength=256).astype(np.float64)


@lru_cache(maxsize=1)
def _unit_triangles() -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return neighbour code (T,) and normal (T, 3), as long as the area, of every triangle at unit spacing.

    The surface is that of Lorensen and Cline (1987, doi:10.1145/37402.37422), who give a neighbourhood and its
    complement the same triangles: those of the one with fewer voxels in it, so that voxels which touch only at an edge
    or a corner stay apart. This agrees with DeepMind's table on all 256 codes; marching cubes without regard to the
    complement differs on 44 of them, Lewiner's variant (2003) on 68.
    """
    from skimage.measure import marching_cubes  # noqa: PLC0415 - slow to import

    codes, normals = [], []
    for code in range(1, 255):
        inside = (code >> np.arange(8) & 1).reshape(2, 2, 2)
        fewer = inside if inside.sum() <= 4 else 1 - inside
        # scikit-image does not annotate this function
        mesh = marching_cubes(fewer.astype(np.float32), 0.5, method="lorensen")  # type: ignore[no-untyped-call]
        points, triangles = mesh[:2]
        a, b, c = points[triangles].astype(np.float64).swapaxes(0, 1)
        normals.append(np.cross(b - a, c - a) / 2)
        codes.append(np.full(len(triangles), code))
    return np.concatenate(codes), np.concatenate(normals)
