"""Draws all slices of a patient with outlines, page by page. Knows nothing of models or folders."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gliomask.errors import UsageError
from gliomask.reporting.canvas import TITLE, add_legend, add_outline, font, note, shortened, tile, with_palette
from gliomask.reporting.look import FLAIR, PREDICTION, TRUTH, Line, brain_box, printable, stretched

_ROWS, _COLUMNS = 6, 5
_TILE = 240  # width of a slice
_GAP, _SIDE, _TOP, _BOTTOM = 10, 24, 72, 56  # room between the slices, beside them, above and below


def contour_pages(
    image: NDArray[np.uint8], truth: NDArray[np.bool_] | None, prediction: NDArray[np.bool_] | None, *, title: str
) -> list[Image.Image]:
    """Draw all slices of a patient with the outlines of truth and prediction, up to 5 x 6 on a page.

    Parameters
    ----------
    image
        SxHxWx3 uint8; the FLAIR channel is shown, cut to what is not black, all slices with the same grey scale.
    truth, prediction
        SxHxW bool, or None for no outline.
    title
        Title of every page, such as the patient's name, its middle left out where it does not fit; pages are counted
        if there are several.

    Returns
    -------
    list of Image
        One per page, with a palette; slices in order, row by row.

    Raises
    ------
    UsageError
        If the masks and the image differ in size.
    """
    masks = [(mask, line) for mask, line in ((truth, TRUTH), (prediction, PREDICTION)) if mask is not None]
    for mask, line in masks:
        if mask.shape != image.shape[:3]:
            raise UsageError(f"the mask of the {line.label} has shape {mask.shape}; expected {image.shape[:3]}")
    rows, columns = brain_box(image)
    shown = stretched(image[:, rows, columns, FLAIR])
    cut = [(mask[:, rows, columns], line) for mask, line in masks]
    pages = math.ceil(len(image) / (_ROWS * _COLUMNS))
    return [
        _page(shown, cut, page, title, f", page {page + 1} of {pages}" if pages > 1 else "") for page in range(pages)
    ]


def _page(
    shown: NDArray[np.uint8], masks: list[tuple[NDArray[np.bool_], Line]], page: int, title: str, number: str
) -> Image.Image:
    slices = range(page * _ROWS * _COLUMNS, min((page + 1) * _ROWS * _COLUMNS, len(shown)))
    size = _TILE, max(1, round(_TILE * shown.shape[1] / shown.shape[2]))
    width = 2 * _SIDE + _COLUMNS * (_TILE + _GAP) - _GAP
    height = _TOP + _BOTTOM + math.ceil(len(slices) / _COLUMNS) * (size[1] + _GAP) - _GAP
    picture = Image.new("RGB", (width, height), "white")
    pen, letters = ImageDraw.Draw(picture), font(TITLE)
    room = width - 2 * _SIDE - pen.textlength(number, letters)
    pen.text((_SIDE, 22), shortened(pen, printable(title), room, letters) + number, "black", letters)
    for place, each in enumerate(slices):
        one = tile(shown[each], size).convert("RGB")
        for mask, line in masks:
            add_outline(one, mask[each], line, width=0.6)
        note(one, str(each + 1))
        row, column = divmod(place, _COLUMNS)
        picture.paste(one, (_SIDE + column * (_TILE + _GAP), _TOP + row * (size[1] + _GAP)))
    add_legend(picture, [line for _, line in masks], (width // 2, height - _BOTTOM // 2))
    return with_palette(picture)
