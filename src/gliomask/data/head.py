"""Where the head lies in a stack of slices, for images that show much more than a head. Pure NumPy.

The public slices are filled by the head; a network that was trained on them misses tumours in a head half that size.
"""

from __future__ import annotations

from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from gliomask.data.normalisation import BRIGHT_FRACTION, high_percentile

SMALLEST = 0.78
"""Part of the square's side that the head takes up at least in the public volumes: 0.785 in the smallest of 94."""
_USUAL = 0.96  # their median
_FEWEST_SLICES = 4
_FAINT = 0.05
_FLAIR = 1


def head_window(images: NDArray[np.uint8], pixel: tuple[float, float] = (1.0, 1.0)) -> tuple[slice, slice] | None:
    """Return the rows and columns that a head fills as it does in the training slices, if it is smaller in the image.

    Parameters
    ----------
    images
        (S, H, W, 3) uint8.
    pixel
        Height and width of a pixel, in any unit.

    Returns
    -------
    tuple of slice or None
        A square in space around the head, cut off at the edge of the image. None if the head is as large as it should
        be; if there are fewer than four slices, since the head may be small in a slice of its top; or if nothing is to
        be seen.
    """
    if len(images) < _FEWEST_SLICES:
        return None
    flair = images[..., _FLAIR]
    bright = flair > BRIGHT_FRACTION * high_percentile(flair)
    if not bright.any():
        return None
    extents = [_extent(bright.mean(axis=axis).max(axis=0)) for axis in (2, 1)]
    sides = [(high - low) * step for (low, high), step in zip(extents, pixel, strict=True)]
    if max(sides) >= SMALLEST * max(length * step for length, step in zip(flair.shape[1:], pixel, strict=True)):
        return None
    side = max(sides) / _USUAL
    rows, columns = (
        _around(extent, side / step, length)
        for extent, step, length in zip(extents, pixel, flair.shape[1:], strict=True)
    )
    return rows, columns


def _extent(profile: NDArray[np.float64]) -> tuple[int, int]:
    """Return where a profile begins and ends, faint outskirts left out."""
    above = np.flatnonzero(profile > _FAINT * profile.max())
    return int(above[0]), int(above[-1]) + 1


def _around(extent: tuple[int, int], side: float, length: int) -> slice:
    """Return the pixels that a stretch around the middle of an extent touches: no rim of the head is rounded away."""
    low, high = floor((sum(extent) - side) / 2), ceil((sum(extent) + side) / 2)
    return slice(max(low, 0), min(high, length))
