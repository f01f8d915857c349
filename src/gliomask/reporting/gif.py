"""Writes a patient as an animated GIF, slice by slice, with outlines. Knows nothing of models or folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gliomask.errors import UsageError
from gliomask.files import whole_file
from gliomask.reporting.canvas import font, shortened
from gliomask.reporting.contours import rim
from gliomask.reporting.look import FLAIR, PREDICTION, TRUTH, Line, brightest, printable

_STRIP = 24  # height in pixels of the strips above and below the slice
_SIDE = 512  # side in pixels that slices are magnified to, by whole numbers
_NARROWEST = 320  # width in pixels that the number and the legend need
_GREYS = 64
_LETTERS = 12
_INK = {TRUTH: _GREYS, PREDICTION: _GREYS + 1}  # places in the palette, behind the greys
_PALETTE = bytes(
    [round(255 * place / (_GREYS - 1)) for place in range(_GREYS) for _ in range(3)] + [*TRUTH.rgb, *PREDICTION.rgb]
)


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
        One line above the slices; its middle is left out where it does not fit.

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
    masks = [(mask, line) for mask, line in ((truth, TRUTH), (prediction, PREDICTION)) if mask is not None]
    scale = max(1, _SIDE // max(image.shape[1:3]))
    blank = _blank((image.shape[1] * scale, image.shape[2] * scale), printable(caption), [line for _, line in masks])
    places = _places(image[..., FLAIR])
    frames = []
    for number, plane in enumerate(image[..., FLAIR]):
        shown = places[plane].repeat(scale, axis=0).repeat(scale, axis=1)
        for mask, line in masks:
            pixels = rim(mask[number], line, scale=scale)
            shown[pixels[:, 0], pixels[:, 1]] = _INK[line]
        frames.append(_frame(blank, shown, _STRIP if caption else 0, f"slice {number + 1} of {len(image)}"))
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


def _places(flair: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the place in the palette of each grey value; all slices alike, so that they can be compared."""
    places: NDArray[np.float64] = (_GREYS - 1) * np.minimum(np.arange(256) / brightest(flair), 1.0)
    return places.round().astype(np.uint8)


def _blank(shape: tuple[int, int], caption: str, lines: list[Line]) -> Image.Image:
    """Return what all frames share, in places of the palette: the caption above and the legend below the slice."""
    width = max(shape[1], _NARROWEST)
    picture = Image.new("L", (width, (_STRIP if caption else 0) + shape[0] + _STRIP))
    pen, letters = ImageDraw.Draw(picture), font(_LETTERS)
    middle = picture.height - _STRIP // 2
    if caption:
        pen.text((8, _STRIP // 2), shortened(pen, caption, width - 16, letters), _GREYS - 1, letters, anchor="lm")
    right = width - 8
    for line in reversed(lines):
        pen.text((right, middle), line.label, _GREYS - 1, letters, anchor="rm")
        right -= round(pen.textlength(line.label, letters)) + 8
        _sample(pen, line, right, middle)
        right -= 42
    return picture


def _sample(pen: ImageDraw.ImageDraw, line: Line, right: int, middle: int) -> None:
    drawn, left_out = line.pixels
    for step in range(26):
        if step % (drawn + left_out) < drawn:
            pen.point([(right - 26 + step, middle), (right - 26 + step, middle + 1)], _INK[line])


def _frame(blank: Image.Image, shown: NDArray[np.uint8], top: int, number: str) -> Image.Image:
    """Put a slice and its number into what all frames share."""
    frame = blank.copy()
    frame.paste(Image.fromarray(shown), ((frame.width - shown.shape[1]) // 2, top))
    ImageDraw.Draw(frame).text((8, frame.height - _STRIP // 2), number, _GREYS - 1, font(_LETTERS), anchor="lm")
    frame.putpalette(_PALETTE)
    return frame
