"""How the values of a scanner become the grey levels that the models were trained on: 8 bits, each sequence by itself.

Pure NumPy. Knows nothing of files, geometry or networks. What follows, for training and prediction alike, is
`gliomask.data.normalisation`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliomask.data.normalisation import BRIGHT_FRACTION

GREY_OF_BRIGHT = 157.0
"""Grey level of the 99.5th percentile of the bright voxels: its median over the 330 public volumes (110 x 3)."""

_BRIGHT_PERCENTILE = 99.5
_FILL_SHARE = 0.001
_FILL_GAP = 0.1
_CUT_OFF_SHARE = 0.01
_WHITE = 255
_FLOOR_PERCENTILE = 0.1


def to_uint8(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Bring the values of one sequence to grey levels, the whole volume together.

    Parameters
    ----------
    values
        Any shape, finite; a whole volume of one sequence. uint8 is returned as it is.

    Returns
    -------
    numpy.ndarray
        The same shape, uint8. The 0.1th percentile becomes 0 and the 99.5th percentile of the bright voxels (above a
        tenth of the way from there to the 99th percentile) becomes 157; between and beyond, the scale is linear, and
        cut off at 0 and 255. So a scale or an offset of the values changes nothing, nor do a few outliers, nor a
        `fill_value`, which becomes 0. The public slices were scaled so that their brightest voxel is about 255, which
        an outlier decides; the percentile varies by a fifth over them. A constant volume becomes 0.

    Raises
    ------
    ValueError
        If the array is empty or holds NaN or infinite values.
    """
    if values.dtype == np.uint8:
        return values
    if not values.size or not np.isfinite(values).all():
        raise ValueError("expected finite values, and at least one")
    fill = fill_value(values)
    seen = values if fill is None else values[values != fill]
    floor, high = (float(value) for value in np.percentile(seen, [_FLOOR_PERCENTILE, 99], method="nearest"))
    bright = seen[seen > floor + BRIGHT_FRACTION * (high - floor)]
    if not bright.size:
        return np.zeros(values.shape, np.uint8)
    top = float(np.percentile(bright, _BRIGHT_PERCENTILE, method="nearest"))
    scaled = (values.astype(np.float64) - floor) * (GREY_OF_BRIGHT / (top - floor))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def fill_value(values: NDArray[Any]) -> float | None:
    """Return the negative value that stands for "nothing was measured here", if there is one.

    Magnitudes are not negative; a value below zero that many voxels share exactly, far below all others, is what a
    program wrote outside of the field of view, or outside of the brain.

    Parameters
    ----------
    values
        Any shape, finite.

    Returns
    -------
    float or None
        The smallest value, where it is negative, at least one voxel in a thousand has it, and the next one is further
        away than a tenth of what lies between that and the 99th percentile of the others.
    """
    least = values.min()
    if least >= 0 or (share := np.count_nonzero(values == least) / values.size) < _FILL_SHARE or share == 1:
        return None
    others = values[values != least].astype(np.float64)
    low = float(others.min())
    return float(least) if low - float(least) > _FILL_GAP * (float(np.percentile(others, 99)) - low) else None


def oddities(flair: NDArray[Any]) -> tuple[str, ...]:
    """Return what is odd about the values of a volume, one sentence each.

    Parameters
    ----------
    flair
        Any shape, finite.
    """
    if flair.dtype != np.uint8:
        fill = fill_value(flair)
        share = 0.0 if fill is None else np.count_nonzero(flair == fill) / flair.size
        return (f"{share:.1%} of the voxels are {fill:g}, far below all others: taken as not measured",) if fill else ()
    cut_off = np.count_nonzero(flair == _WHITE)
    share = cut_off / np.count_nonzero(flair > BRIGHT_FRACTION * _WHITE) if 0 < cut_off < flair.size else 0.0
    if share < _CUT_OFF_SHARE:  # in the public slices five bright voxels in a million have the highest value
        return ()
    return (f"{share:.0%} of the bright voxels are cut off at {_WHITE}: exported with too narrow a window?",)


def to_channels(
    flair: NDArray[Any], pre: NDArray[Any] | None = None, post: NDArray[Any] | None = None
) -> NDArray[np.uint8]:
    """Bring the sequences of one patient to the slices that a predictor takes.

    Parameters
    ----------
    flair, pre, post
        (S, H, W) on the same grid: FLAIR, T1 before and after contrast. What is missing is replaced by FLAIR, as in the
        public slices.

    Returns
    -------
    numpy.ndarray
        (S, H, W, 3) uint8: pre-contrast T1, FLAIR, post-contrast T1.

    Raises
    ------
    ValueError
        If the shapes differ, or `to_uint8` refuses the values.
    """
    grey = to_uint8(flair)
    others = [grey if other is None else to_uint8(other) for other in (pre, post)]
    return np.stack([others[0], grey, others[1]], axis=-1)
