"""Turns masks into outlines. Knows nothing of figures, files or patients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours

from gliomask.errors import UsageError
from gliomask.reporting.look import Line

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
    part, corner = _cut(mask)
    padded = np.pad(part.astype(np.float64), 1)
    # scikit-image does not annotate this function
    return [path + (corner - 1.0) for path in find_contours(padded, level)]  # type: ignore[no-untyped-call]


def rim(mask: NDArray[np.bool_], line: Line, *, scale: int = 1) -> NDArray[np.intp]:
    """Return the outermost pixels of a magnified mask that a line covers, its gaps left out.

    Parameters
    ----------
    mask
        HxW bool.
    line
        Whose pixels are drawn and left out in turns along each outline.
    scale
        Whole-numbered magnification: every pixel becomes scale x scale equal ones.

    Returns
    -------
    NDArray
        Nx2: row and column in the magnified mask, of pixels inside that have a neighbour above, below, left or right
        outside.

    Raises
    ------
    UsageError
        If the mask is not two-dimensional or the scale is below 1.
    """
    if scale < 1:
        raise UsageError(f"scale is {scale}; expected 1 or more")
    if mask.ndim != 2:
        raise UsageError(f"the mask has shape {mask.shape}; expected one slice, H x W")
    part, corner = _cut(mask)
    drawn, left_out = line.pixels
    found = [np.empty((0, 2), dtype=np.intp)]
    for path in outline(part.repeat(scale, axis=0).repeat(scale, axis=1), _INSIDE):
        pixels = np.rint(path).astype(np.intp) + corner * scale
        pixels = pixels[np.concatenate(([True], np.any(pixels[1:] != pixels[:-1], axis=1)))]
        found.append(pixels[np.arange(len(pixels)) % (drawn + left_out) < drawn])
    return np.concatenate(found)


def _cut(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Return the smallest part of a mask that holds all of it, and the row and column where the part begins."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return mask[:0, :0], np.zeros(2, dtype=np.intp)
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], np.array([rows[0], columns[0]])
