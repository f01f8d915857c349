"""Writes a patient as an animated GIF, slice by slice, with outlines. Knows nothing of models or folders."""

from __future__ import annotations

from bisect import bisect
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gliomask.errors import UsageError
from gliomask.files import whole_file
from gliomask.reporting.contours import draw_overlay
from gliomask.reporting.style import PREDICTION, TRUTH, Line, brightest, printable

_STRIP = 24  # height in pixels of the strips above and below the slice
_SIDE = 512  # side in pixels that slices are magnified to, by whole numbers
_NARROWEST = 320  # width in pixels that the legend needs
_GREYS = 64
_COLOURS = np.array([TRUTH.rgb, PREDICTION.rgb], dtype=np.uint8)


def write_gif(
    path: Path,
    image: NDArray[np.uint8],
    truth: NDArray[np.bool_] | None,
    prediction: NDArray[np.bool_] | None,
    *,
    milliseconds: int = 200,
    caption: str = "",
) -> None:
    """Write the FLAIR slices of a patient with their outlines, the slice's number and a legend.

    All frames share one palette (64 greys and the two colours of the outlines), without dithering: the file is small
    and the same input gives the same bytes.

    Parameters
    ----------
    path
        File to write; it appears only when it is complete. Folders are made.
    image
        SxHxWx3 uint8.
    truth, prediction
        SxHxW bool, or None for no outline.
    milliseconds
        Duration of a frame; GIF counts in steps of 10.
    caption
        One line above the slices; cut where it does not fit.

    Raises
    ------
    UsageError
        If there is no slice, shapes differ, or the duration is below the 20 ms that viewers honour.
    """
    if image.ndim != 4 or len(image) == 0:
        raise UsageError(f"the image has shape {image.shape}; expected at least one slice, S x H x W x 3")
    if milliseconds < 20:
        raise UsageError(f"a frame of {milliseconds} ms; expected 20 ms or more")
    for mask in (truth, prediction):
        if mask is not None and mask.shape != image.shape[:3]:
            raise UsageError(f"a mask has shape {mask.shape}; expected {image.shape[:3]}")
    lines = [line for mask, line in ((truth, TRUTH), (prediction, PREDICTION)) if mask is not None]
    frames = []
    for number, plane in enumerate(_brightened(image)):
        overlay = draw_overlay(plane, _plane(truth, number), _plane(prediction, number), scale=_scale(plane))
        frames.append(_quantise(_frame(overlay, printable(caption), f"slice {number + 1} of {len(image)}", lines)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        frames[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=frames[1:],
            duration=milliseconds,
            loop=0,
            optimize=False,
        )


def _brightened(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Stretch all slices alike, so that dark scans can be seen and slices of one patient compared."""
    levels = np.arange(256) * (255.0 / brightest(image[..., 1]))
    stretched: NDArray[np.uint8] = np.minimum(levels, 255.0).round().astype(np.uint8)[image]
    return stretched


def _plane(mask: NDArray[np.bool_] | None, number: int) -> NDArray[np.bool_] | None:
    return None if mask is None else mask[number]


def _scale(plane: NDArray[np.uint8]) -> int:
    longest: int = max(plane.shape[:2])
    return max(1, _SIDE // longest)


def _frame(overlay: NDArray[np.uint8], caption: str, number: str, lines: list[Line]) -> Image.Image:
    """Put a slice between its caption and its footer."""
    height, width = overlay.shape[:2]
    top = _STRIP if caption else 0
    canvas = Image.new("RGB", (max(width, _NARROWEST), top + height + _STRIP))
    canvas.paste(Image.fromarray(overlay), ((canvas.width - width) // 2, top))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(13)
    middle = canvas.height - _STRIP // 2
    if caption:
        pen.text((8, _STRIP // 2), _shortened(pen, caption, canvas.width - 16, font), "white", font, anchor="lm")
    pen.text((8, middle), number, "white", font, anchor="lm")
    right = canvas.width - 8
    for line in reversed(lines):
        pen.text((right, middle), line.label, "white", font, anchor="rm")
        right -= round(pen.textlength(line.label, font)) + 8
        _sample(pen, line, right, middle)
        right -= 42
    return canvas


def _sample(pen: ImageDraw.ImageDraw, line: Line, right: int, middle: int) -> None:
    drawn, left_out = line.pixels
    for step in range(26):
        if step % (drawn + left_out) < drawn:
            pen.point([(right - 26 + step, middle), (right - 26 + step, middle + 1)], line.rgb)


def _shortened(
    pen: ImageDraw.ImageDraw, text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> str:
    if pen.textlength(text, font) <= width:
        return text
    fitting = bisect(range(len(text)), width, key=lambda end: ceil(pen.textlength(text[:end] + "...", font)))
    return text[: max(0, fitting - 1)] + "..."


def _quantise(frame: Image.Image) -> Image.Image:
    """Map a picture that holds only greys and the colours of outlines onto the shared palette."""
    pixels = np.asarray(frame)
    index = (pixels[..., 1].astype(np.uint16) * (_GREYS - 1) + 127) // 255
    red, green, blue = np.moveaxis(pixels, 2, 0)
    for number, colour in enumerate(_COLOURS):
        index[(red == colour[0]) & (green == colour[1]) & (blue == colour[2])] = _GREYS + number
    quantised = Image.fromarray(index.astype(np.uint8))
    greys = np.linspace(0, 255, _GREYS).round().astype(np.uint8)
    quantised.putpalette(np.concatenate((greys.repeat(3), _COLOURS.ravel())).tobytes())
    return quantised
