"""One volume on the grid of another: the other sequences of a patient on FLAIR's. Knows nothing of what they show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gliomask.errors import DataError
from gliomask.volumes.volume import Volume

_LEAST_OVERLAP = 0.5
_SAME = 0.1  # of a voxel
_EDGE = 1e-6
_EXPECTED = "a volume of the same patient in the same position"


def resample(volume: Volume, grid: Volume) -> tuple[Volume, float]:
    """Return a volume on another's grid, and which part of it is covered; nothing is registered.

    Parameters
    ----------
    volume
        What is resampled.
    grid
        Whose shape and affine the result has.

    Returns
    -------
    Volume
        By linear interpolation, float32, or rounded to uint8 if the volume is uint8; the volume's lowest value where
        the grid lies outside of it. The volume itself if it lies on the grid already. Half a voxel beyond the outermost
        centres still counts as inside.
    float
        0.5 to 1: the part of the grid that lies in the volume.

    Raises
    ------
    DataError
        If both have a frame of reference and they differ, or less than half of the grid lies in the volume.
    """
    frames = volume.frame_of_reference, grid.frame_of_reference
    if None not in frames and frames[0] != frames[1]:
        cure = "register it to FLAIR first, and save both as NIfTI"
        raise DataError(volume.source, "another frame of reference than FLAIR's", _EXPECTED, cure)
    if volume.array.shape == grid.array.shape and np.allclose(volume.affine, grid.affine, atol=1e-4):
        return volume, 1.0
    between = np.linalg.inv(volume.affine) @ grid.affine
    covered = _covered(between, grid.array.shape, volume.array.shape)
    if covered < _LEAST_OVERLAP:
        cure = "check that it is the same examination, or leave it out"
        raise DataError(volume.source, f"a volume that covers {covered:.0%} of FLAIR", _EXPECTED, cure)
    values = _linear(volume, between, grid.array.shape)
    return Volume(values, grid.affine, "RAS", volume.source, volume.frame_of_reference), covered


def same_grid(volume: Volume, other: Volume) -> bool:
    """Tell whether two volumes have the same voxels: no corner lies further off than a tenth of one."""
    if volume.array.shape != other.array.shape:
        return False
    ends = [(0, length - 1) for length in volume.array.shape]
    corners = np.stack([*(axis.ravel() for axis in np.meshgrid(*ends, indexing="ij")), np.ones(8)])
    apart = np.linalg.inv(volume.affine) @ other.affine @ corners - corners
    return bool(np.abs(apart).max() < _SAME)


def to_grid(mask: Volume, grid: Volume) -> NDArray[np.bool_]:
    """Return a mask (not 0) on another's grid, (X, Y, Z) bool: where at least half of a voxel is in it.

    A voxel is looked at in as many places along each of its axes as it is wide in voxels of the mask, eight at most.
    """
    from scipy import ndimage  # noqa: PLC0415 - slow to import

    between = np.linalg.inv(mask.affine) @ grid.affine
    counts = np.clip(np.rint(np.abs(between[:3, :3]).max(axis=0)), 1, 8).astype(int)
    inside = (mask.array != 0).astype(np.uint8)
    found, total = np.zeros(grid.array.shape, np.uint16), int(np.prod(counts))
    for place in np.ndindex(*counts.tolist()):
        apart = (np.array(place) + 0.5) / counts - 0.5
        offset = between[:3, 3] + between[:3, :3] @ apart
        found += ndimage.affine_transform(
            inside, between[:3, :3], offset, grid.array.shape, order=0, mode="grid-constant"
        )
    return 2 * found >= total


def part_inside(mask: Volume, grid: Volume) -> float:
    """Return which part of a mask's voxels (not 0), by their centres, lies in a grid; 1 of a mask of none."""
    marked = np.argwhere(mask.array != 0)
    if len(marked) == 0:
        return 1.0
    between = np.linalg.inv(grid.affine) @ mask.affine
    places = marked @ between[:3, :3].T + between[:3, 3]
    return float(((places >= -0.5 - _EDGE) & (places <= np.array(grid.array.shape) - 0.5 + _EDGE)).all(axis=1).mean())


def _covered(between: NDArray[np.float64], shape: tuple[int, ...], inside: tuple[int, ...]) -> float:
    """Return which part of a grid lies inside an array, at some thirty points along each axis."""
    ranges = [np.linspace(0, length - 1, min(length, 32)) for length in shape]
    points = np.stack([*np.meshgrid(*ranges, indexing="ij"), np.ones([len(steps) for steps in ranges])])
    places = np.tensordot(between[:3], points, 1).reshape(3, -1)
    sizes = np.array(inside)[:, None]
    return float(((places >= -0.5 - _EDGE) & (places <= sizes - 0.5 + _EDGE)).all(axis=0).mean())


def _linear(volume: Volume, between: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.generic]:
    from scipy import ndimage  # noqa: PLC0415 - slow to import

    place = {"matrix": between[:3, :3], "offset": between[:3, 3], "output_shape": shape}
    values = volume.array.astype(np.float32)
    result = np.empty(shape, np.float32)
    ndimage.affine_transform(values, output=result, order=1, mode="nearest", **place)
    inside = ndimage.affine_transform(np.ones(values.shape, np.uint8), order=0, mode="grid-constant", **place)
    result[inside == 0] = values.min()
    return np.rint(result).astype(np.uint8) if volume.array.dtype == np.uint8 else result
