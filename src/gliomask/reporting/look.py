"""How outlines, grey values and names look in every picture, once. Knows nothing of how pictures are drawn."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliomask.data.normalisation import high_percentile

FLAIR = 1
"""Channel that is shown behind outlines."""

DPI = 160
"""Dots per inch of every PNG."""

LEVEL = 3
"""Level of zlib for every PNG: pictures of slices become as small as at 6, the usual one, in half the time."""

FILL = 0.35
"""Opacity of filled masks."""


@dataclass(frozen=True)
class Line:
    """How an outline looks: told apart by colour, by width and by dashes.

    Attributes
    ----------
    label
        Name in the legend.
    colour
        Hexadecimal colour.
    width
        Width in points, in figures and pages.
    dash
        Dashes and gaps in units of the width, in figures and pages; empty is a solid line.
    pixels
        Pixels drawn and pixels left out, in animations; (1, 0) is a solid line.
    """

    label: str
    colour: str
    width: float
    dash: tuple[float, ...]
    pixels: tuple[int, int]

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as red, green and blue, 0 to 255."""
        red, green, blue = bytes.fromhex(self.colour.removeprefix("#"))
        return red, green, blue


TRUTH = Line("truth", "#2EE65C", 2.0, (), (1, 0))
PREDICTION = Line("prediction", "#FF3B30", 1.3, (3.0, 1.5), (6, 4))


def printable(text: str) -> str:
    """Return a text in one line: what is no character (bytes of a file's name, a new line) is written as an escape."""
    return "".join(
        letter.encode("unicode_escape").decode() if unicodedata.category(letter) in {"Cc", "Cs"} else letter
        for letter in text
    )


def brightest(values: NDArray[np.uint8]) -> float:
    """Return the grey value that is shown as white: the 99.8th percentile, so that single bright voxels darken nothing.

    Parameters
    ----------
    values
        Any shape, uint8, one sequence.

    Returns
    -------
    float
        1 to 255.
    """
    return max(1.0, high_percentile(values, 99.8))


def stretched(flair: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the grey values of one or many slices so that the brightest are white, all slices alike."""
    levels = np.rint(np.minimum(np.arange(256) * (255.0 / brightest(flair)), 255.0)).astype(np.uint8)
    shown: NDArray[np.uint8] = levels[flair]
    return shown


def brain_box(image: NDArray[np.uint8], margin: int = 4) -> tuple[slice, slice]:
    """Return the rows and columns that hold anything brighter than noise, to cut black borders off.

    Parameters
    ----------
    image
        SxHxWx3 uint8.
    margin
        Pixels kept around.

    Returns
    -------
    tuple of slice
        Rows and columns; everything if the image is dark.
    """
    first, second, third = np.moveaxis(image > 0.15 * brightest(image), -1, 0)
    bright = ((first & second) | (third & (first | second))).any(axis=0)  # in two of the three sequences
    return _span(bright.mean(axis=1) > 0.02, margin), _span(bright.mean(axis=0) > 0.02, margin)


def _span(used: NDArray[np.bool_], margin: int) -> slice:
    places = np.flatnonzero(used)
    if len(places) == 0:
        return slice(0, len(used))
    return slice(max(0, int(places[0]) - margin), min(len(used), int(places[-1]) + 1 + margin))
