"""Turns masks into outlines and draws them on a slice. Knows nothing of figures, files or patients."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

from gliomask.errors import UsageError
from gliomask.reporting.style import PREDICTION, TRUTH, Line

_Kind = TypeVar("_Kind", bound=np.generic)
_INSIDE = 0.9  # a level this close to the mask's 1 puts every point nearer to the pixel inside than to the one outside


def outline(mask: NDArray[np.bool_], level: float = 0.5) -> list[NDArray[np.float64]]:
    """Return the closed outlines of a mask, also where it touches the border of the image.

    Marching squares (Lorensen and Cline 1987) on the mask with one row and column of background around it.

    Parameters
    ----------
    mask
        HxW bool.
    level
        Between 0 and 1: 0.5 runs half-way between the pixels inside and outside.

    Returns
    -------
    list of NDArray
        One Nx2 float array per outline, of outer rims and of holes: row and column in pixels, the centre of the first
        pixel at (0, 0), first point equal to last. Empty if the mask is.

    Raises
    ------
    UsageError
        If the mask is not two-dimensional.
    """
    if mask.ndim != 2:
        raise UsageError(f"the mask has shape {mask.shape}; expected one slice, H x W")
    padded = np.pad(mask.astype(np.float64), 1)
    # scikit-image does not annotate this function
    return [path - 1.0 for path in find_contours(padded, level)]  # type: ignore[no-untyped-call]


def draw_overlay(
    image: NDArray[np.uint8],
    truth: NDArray[np.bool_] | None,
    prediction: NDArray[np.bool_] | None,
    *,
    channel: int = 1,
    scale: int = 2,
) -> NDArray[np.uint8]:
    """Draw the outlines of truth (green, solid) and prediction (red, dashed) on one channel of a slice.

    Outlines are one pixel wide and lie on the outermost pixels of the magnified mask. Where both run along the same
    pixels, the truth shows through the gaps of the prediction.

    Parameters
    ----------
    image
        HxWx3 uint8.
    truth, prediction
        HxW bool, or None for no outline.
    channel
        Channel to show in grey: 0 pre-contrast T1, 1 FLAIR, 2 post-contrast T1.
    scale
        Whole-numbered magnification; every pixel becomes scale x scale equal ones.

    Returns
    -------
    NDArray
        (H*scale)x(W*scale)x3 uint8, RGB.

    Raises
    ------
    UsageError
        If a mask and the image differ in size or the scale is below 1.
    """
    if scale < 1:
        raise UsageError(f"scale is {scale}; expected 1 or more")
    canvas = np.repeat(_magnify(image[..., channel], scale)[..., np.newaxis], 3, axis=2)
    for mask, line in ((truth, TRUTH), (prediction, PREDICTION)):
        if mask is None:
            continue
        if mask.shape != image.shape[:2]:
            raise UsageError(f"the mask of the {line.label} has shape {mask.shape}; expected {image.shape[:2]}")
        for pixels in _rims(_magnify(mask, scale)):
            drawn = _dashed(pixels, line)
            canvas[drawn[:, 0], drawn[:, 1]] = line.rgb
    return canvas


def _magnify(plane: NDArray[_Kind], scale: int) -> NDArray[_Kind]:
    return plane.repeat(scale, axis=0).repeat(scale, axis=1)


def _rims(mask: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Return the pixels inside the mask that have a neighbour above, below, left or right outside it, in order."""
    rims = []
    for path in outline(mask, _INSIDE):
        pixels = np.rint(path).astype(np.intp)
        moved = np.any(pixels[1:] != pixels[:-1], axis=1)
        rims.append(pixels[np.concatenate(([True], moved))])
    return rims


def _dashed(pixels: NDArray[np.intp], line: Line) -> NDArray[np.intp]:
    drawn, left_out = line.pixels
    return pixels[np.arange(len(pixels)) % (drawn + left_out) < drawn]
