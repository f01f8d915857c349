"""Slices and masks as text: pictures within a budget of characters, outlines as SVG paths. Knows no patient."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gliomask.reporting.contours import outline
from gliomask.reporting.look import brain_box, brightest

_QUALITIES = (90, 80, 65)
_SHRINKAGES = (1, 2, 4, 8)


def encode(planes: NDArray[np.uint8], budget: int) -> list[str]:
    """Return grey pictures as data addresses that together keep to a budget, as finely as it allows.

    Parameters
    ----------
    planes
        (S, H, W) uint8.
    budget
        Characters. Exceeded only if an eighth of the resolution at the lowest quality is still too much.

    Returns
    -------
    list of str
        One JPEG a slice, ``data:image/jpeg;base64,...``.
    """
    pictures: list[str] = []
    for shrinkage in _SHRINKAGES:
        for quality in _QUALITIES:
            pictures = [_jpeg(plane, shrinkage, quality) for plane in planes]
            if sum(map(len, pictures)) <= budget:
                return pictures
    return pictures


def _jpeg(plane: NDArray[np.uint8], shrinkage: int, quality: int) -> str:
    buffer = BytesIO()
    Image.fromarray(plane).reduce(shrinkage).save(buffer, format="JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def grey(volume: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Stretch the grey values of one sequence so that all but the brightest 0.2 % fit between black and white.

    Parameters
    ----------
    volume
        (S, H, W) uint8; all slices get the same scale.
    """
    stretched: NDArray[np.floating] = volume * (255 / brightest(volume))
    return stretched.clip(0, 255).astype(np.uint8)


def crop_box(images: NDArray[np.uint8], masks: Sequence[NDArray[np.bool_]]) -> tuple[slice, slice]:
    """Return the rows and columns that hold the head and every pixel of the masks.

    Parameters
    ----------
    images
        (S, H, W, 3) uint8.
    masks
        Each (S, H, W) bool; a prediction outside of the head must not be cut off.
    """
    shown = np.any([mask.any(axis=0) for mask in masks], axis=0)
    shown[brain_box(images)] = True
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def svg_path(mask: NDArray[np.bool_]) -> str:
    """Return the outlines of a mask (H, W) as SVG path data in pixels, the corner of the first pixel at (0, 0)."""
    parts = []
    for line in outline(mask):
        points = [f"{column + 0.5:g} {row + 0.5:g}" for row, column in line[:-1]]
        parts.append(f"M{'L'.join(points)}Z")
    return "".join(parts)


def profile_path(heights: NDArray[np.float64]) -> str:
    """Return a curve of heights (S,), 0 to 1, over the slices as SVG path data in a box of (S - 1) x 1."""
    points = [f"{place} {1 - height:.3g}" for place, height in enumerate(heights)]
    return f"M{'L'.join(points)}"
