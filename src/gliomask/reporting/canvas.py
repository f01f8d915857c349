"""Draws with Pillow: words, slices, smooth outlines, legends; writes PNGs. Knows nothing of patients or scores.

Places and sizes are in pixels, x before y, as Pillow has them.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gliomask.files import whole_file
from gliomask.reporting.contours import outline
from gliomask.reporting.look import DPI, LEVEL, PREDICTION, TRUTH, Line

TITLE, HEADING, LABEL, NOTE = 24, 22, 19, 17
"""Heights of letters."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_POINT = DPI / 72  # pixels of a point
_FINE = 4  # parts that the side of a pixel is divided into, to draw smooth lines
_STEP = 0.5  # pixels between the dots that make a line
_AT_ONCE = 10_000  # dots, to bound the memory that the outlines of a noisy mask take
_SAMPLE, _GAP, _APART = 57, 16, 38  # in a legend: length of a line, room before its label, room before the next line
_GREYS, _SHADES = 200, 8  # in a picture of 256 colours: greys, and greys that the edges of lines are mixed with


@lru_cache
def font(size: int) -> Font:
    """Return letters of a size: those of Matplotlib, which has more scripts, or else Pillow's own."""
    found = find_spec("matplotlib")  # is looked for, not imported
    if found is not None and found.origin is not None:
        path = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if path.is_file():
            return ImageFont.truetype(path, size)
    return ImageFont.load_default(size)


def shortened(pen: ImageDraw.ImageDraw, text: str, room: float, letters: Font) -> str:
    """Return a text as it fits into a width; where it does not, its middle is left out."""
    if pen.textlength(text, letters) <= room:
        return text

    def cut(kept: int) -> str:
        return f"{text[: kept - kept // 2]}...{text[len(text) - kept // 2 :]}"

    fitting = bisect(range(len(text)), room, key=lambda kept: pen.textlength(cut(kept), letters))
    return cut(max(0, fitting - 1))


def note(picture: Image.Image, text: str) -> None:
    """Write a short text into the upper left corner of a tile, readable on black and on white."""
    ImageDraw.Draw(picture).text((7, 5), text, "white", font(NOTE), stroke_width=2, stroke_fill="black")


def tile(plane: NDArray[np.uint8], size: tuple[int, int], *, smooth: bool = True) -> Image.Image:
    """Return a plane as a picture of a size.

    Parameters
    ----------
    plane
        HxW uint8.
    size
        Width and height.
    smooth
        Whether values between pixels are interpolated, except in a whole-numbered or more than threefold magnification.
    """
    height, width = plane.shape
    whole = size[0] % width == 0 and size[1] % height == 0
    sharp = not smooth or whole or min(size[0] / width, size[1] / height) > 3
    return Image.fromarray(plane).resize(size, Image.Resampling.NEAREST if sharp else Image.Resampling.BICUBIC)


def add_outline(picture: Image.Image, mask: NDArray[np.bool_], line: Line, *, width: float = 1.0) -> None:
    """Draw the outlines of a mask (HxW bool) on a tile that shows the same pixels, their `width` multiplied."""
    steps = np.array([picture.height / mask.shape[0], picture.width / mask.shape[1]])
    _stroke(picture, [(path + 0.5) * steps for path in outline(mask)], line, width * line.width * _POINT)


def add_legend(picture: Image.Image, lines: Sequence[Line], centre: tuple[int, int]) -> None:
    """Explain outlines around a place."""
    pen, letters = ImageDraw.Draw(picture), font(LABEL)
    widths = [_SAMPLE + _GAP + round(pen.textlength(line.label, letters)) for line in lines]
    left = centre[0] - (sum(widths) + _APART * (len(lines) - 1)) // 2
    for line, width in zip(lines, widths, strict=True):
        sample = np.array([[centre[1], left], [centre[1], left + _SAMPLE]], dtype=np.float64)
        _stroke(picture, [sample], line, line.width * _POINT)
        pen.text((left + _SAMPLE + _GAP, centre[1]), line.label, "black", letters, anchor="lm")
        left += width + _APART


def _stroke(picture: Image.Image, paths: Sequence[NDArray[np.float64]], line: Line, width: float) -> None:
    """Draw along paths (Nx2: y, x) with round ends; dots on finer pixels make the coverage of each pixel."""
    dots = np.concatenate([np.empty((0, 2)), *(_dots(path, line, width) for path in paths)])
    if len(dots) == 0:
        return
    reach = width / 2 + 1
    low, high = np.floor(dots.min(axis=0) - reach).astype(int), np.ceil(dots.max(axis=0) + reach).astype(int)
    fine = np.zeros((high - low) * _FINE, dtype=np.uint8)
    centres = np.floor((dots - low) * _FINE).astype(np.intp) @ (fine.shape[1], 1)
    around = int(width / 2 * _FINE)
    rows, columns = np.mgrid[-around : around + 1, -around : around + 1]
    disc = (rows * fine.shape[1] + columns)[rows**2 + columns**2 <= (width / 2 * _FINE) ** 2]
    for start in range(0, len(centres), _AT_ONCE):
        fine.reshape(-1)[np.add.outer(centres[start : start + _AT_ONCE], disc)] = 255
    picture.paste(line.rgb, (int(low[1]), int(low[0])), Image.fromarray(fine).reduce(_FINE))


def _dots(path: NDArray[np.float64], line: Line, width: float) -> NDArray[np.float64]:
    """Return points along a path, close together, without the gaps of the line."""
    lengths = np.concatenate(([0.0], np.hypot(*np.diff(path, axis=0).T).cumsum()))
    places = np.arange(0.0, lengths[-1] + _STEP / 2, _STEP)
    if line.dash:
        dash, gap = (part * width for part in line.dash)
        within = (places + width / 2) % (dash + gap)  # begins with a dash, however short the path is
        places = places[(within >= width / 2) & (within <= dash - width / 2)]
    return np.stack([np.interp(places, lengths, axis) for axis in path.T], axis=1)


def save_png(picture: Image.Image, path: Path) -> None:
    """Write a picture as PNG; it appears only when it is complete, and the same picture gives the same bytes.

    Parameters
    ----------
    picture
        What to write.
    path
        File to write; folders are made.
    """
    with whole_file(path) as temporary:
        picture.save(temporary, format="PNG", dpi=(DPI, DPI), compress_level=LEVEL)


def with_palette(picture: Image.Image) -> Image.Image:
    """Return a picture of greys and outlines with one byte per pixel: packed in a third of the time.

    Parameters
    ----------
    picture
        RGB: greys, and the colours of outlines mixed with greys and with each other.

    Returns
    -------
    Image
        P: 200 greys, the colours of outlines as they are, and mixtures.
    """
    red, green, blue = (np.asarray(band) for band in picture.split())
    index = ((np.arange(256) * (_GREYS - 1) + 127) // 255).astype(np.uint8)[green]
    coloured = (red != green) | (green != blue)
    mixtures = _mixtures()
    codes = (red[coloured].astype(np.int32) << 16) | (green[coloured].astype(np.int32) << 8) | blue[coloured]
    found, which = np.unique(codes, return_inverse=True)
    distances = sum((found[:, np.newaxis] // 256**place % 256 - mixtures[:, 2 - place]) ** 2 for place in range(3))
    index[coloured] = (_GREYS + distances.argmin(axis=1)).astype(np.uint8)[which]
    greys = np.linspace(0, 255, _GREYS).round().astype(np.uint8)
    result = Image.fromarray(index)
    result.putpalette(np.concatenate((greys.repeat(3), mixtures.astype(np.uint8).ravel())).tobytes())
    return result


@lru_cache
def _mixtures() -> NDArray[np.int32]:
    """Return the colours of outlines, mixed with greys and with each other in quarters."""
    truth, prediction = (np.array(line.rgb) for line in (TRUTH, PREDICTION))
    greys = np.linspace(0, 255, _SHADES)[:, np.newaxis].repeat(3, axis=1)
    pairs = [(truth, greys), (prediction, greys), (truth, prediction[np.newaxis])]
    mixed = [share * colour + (1 - share) * others for colour, others in pairs for share in (0.25, 0.5, 0.75)]
    return np.concatenate([truth[np.newaxis], prediction[np.newaxis], *mixed]).round().astype(np.int32)
