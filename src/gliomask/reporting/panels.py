"""Draws one predicted slice: image, truth, probabilities, prediction. Knows nothing of models or folders."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gliomask.errors import UsageError
from gliomask.reporting.canvas import HEADING, LABEL, TITLE, add_legend, add_outline, font, shortened, tile
from gliomask.reporting.look import FILL, FLAIR, PREDICTION, TRUTH, Line, printable, stretched

_TILE = 512  # width of a panel
_GAP, _SIDE, _TOP, _BOTTOM = 56, 32, 136, 120  # room between the panels, beside them, above and below
_BAR = (51, 20, 410, 16)  # of the colour bar: distance from the left and lower edge of its panel, width, height
_HEAT = bytes.fromhex(
    "000004 040314 0B0724 160B38 210C4A 300A5C 3D0965 4A0C6B 57106E 65156E 71196E 7D1E6D 8A226A 982766 A32C61 AF315B"
    "BC3754 C73E4C D04545 D94D3D E35933 EA632A F1711F F67E14 F98C0A FB9B06 FCAA0F FBBA1F F9C932 F5D949 F2E865 F3F68A"
    "FCFFA4"
)  # every eighth colour of Matplotlib's "inferno": perceptually uniform, readable in grey


def prediction_picture(  # noqa: PLR0913 - the four pictures of the original and what its title says
    image: NDArray[np.uint8],
    truth: NDArray[np.bool_] | None,
    probabilities: NDArray[np.floating],
    prediction: NDArray[np.bool_],
    *,
    title: str,
    dice: float | None,
    threshold: float,
) -> Image.Image:
    """Draw image, truth, probabilities and prediction of a slice in a square of four.

    Parameters
    ----------
    image
        HxWx3 uint8; the FLAIR channel is shown.
    truth
        HxW bool, or None where there is none.
    probabilities
        HxW, 0 to 1.
    prediction
        HxW bool.
    title
        First line of the picture's title, such as patient and slice; its middle is left out where it does not fit.
    dice
        Dice of this slice, or None (or not-a-number) where it is not known.
    threshold
        Probability from which the prediction called a pixel tumour.

    Returns
    -------
    Image
        RGB: image and truth above, probabilities with their colour bar and prediction with the legend below.

    Raises
    ------
    UsageError
        If the arrays differ in size.
    """
    for array in (truth, probabilities, prediction):
        if array is not None and array.shape != image.shape[:2]:
            raise UsageError(f"an array of shape {array.shape} for a slice of {image.shape[:2]}; expected equal sizes")
    flair = image[..., FLAIR]
    size = _TILE, max(1, round(_TILE * flair.shape[0] / flair.shape[1]))
    grey = tile(stretched(flair), size).convert("RGB")
    found = _tinted(grey, prediction, PREDICTION)
    if truth is not None:
        add_outline(found, truth, TRUTH, width=0.6)
    add_outline(found, prediction, PREDICTION)
    panels = [
        ("Image (FLAIR)", grey),
        (_heading(truth, TRUTH), _truth(grey, truth)),
        ("Probability of tumour", _heat(probabilities, size)),
        (_heading(prediction, PREDICTION), found),
    ]
    width, height = 2 * (_SIDE + _TILE) + _GAP, _TOP + 2 * size[1] + _GAP + _BOTTOM
    picture = Image.new("RGB", (width, height), "white")
    pen, letters = ImageDraw.Draw(picture), font(TITLE)
    score = "-" if dice is None or math.isnan(dice) else f"{dice:.3f} (this slice)"
    pen.text((_SIDE, 22), shortened(pen, printable(title), width - 2 * _SIDE, letters), "black", letters)
    pen.text((_SIDE, 52), f"Dice {score}, threshold {threshold:g}", "black", letters)
    for place, (heading, panel) in enumerate(panels):
        left, top = _SIDE + place % 2 * (_TILE + _GAP), _TOP + place // 2 * (size[1] + _GAP)
        picture.paste(panel, (left, top))
        pen.text((left + _TILE // 2, top - 13), heading, "black", font(HEADING), anchor="ms")
    _add_bar(picture, height - _BOTTOM, threshold)
    lines = [PREDICTION] if truth is None else [TRUTH, PREDICTION]
    add_legend(picture, lines, (_SIDE + _TILE + _GAP + _TILE // 2, height - _BOTTOM + 26))
    return picture


def _heading(mask: NDArray[np.bool_] | None, line: Line) -> str:
    return line.label.capitalize() + ("" if mask is None else f" ({int(mask.sum()):,} pixels)")


def _truth(grey: Image.Image, truth: NDArray[np.bool_] | None) -> Image.Image:
    """Return a slice with its truth tinted and outlined, or say that there is none."""
    if truth is None:
        panel = Image.new("RGB", grey.size)
        place = grey.width // 2, grey.height // 2
        ImageDraw.Draw(panel).text(place, f"no {TRUTH.label}", "white", font(LABEL), anchor="mm")
        return panel
    panel = _tinted(grey, truth, TRUTH)
    add_outline(panel, truth, TRUTH)
    return panel


def _tinted(grey: Image.Image, mask: NDArray[np.bool_], line: Line) -> Image.Image:
    panel = grey.copy()
    panel.paste(line.rgb, None, tile(mask * np.uint8(round(255 * FILL)), panel.size, smooth=False))
    return panel


def _heat(probabilities: NDArray[np.floating], size: tuple[int, int]) -> Image.Image:
    """Return probabilities in colours."""
    shown = tile((255 * np.clip(probabilities, 0, 1)).round().astype(np.uint8), size)
    colours = np.frombuffer(_HEAT, dtype=np.uint8).reshape(-1, 3)
    places = np.linspace(0, 255, len(colours)).round()
    table = np.stack([np.interp(np.arange(256), places, band) for band in colours.T], axis=1)
    shown.putpalette(table.round().astype(np.uint8).tobytes())
    return shown.convert("RGB")


def _add_bar(picture: Image.Image, edge: int, threshold: float) -> None:
    """Draw the colours of probabilities below their panel, with the threshold marked."""
    pen, letters = ImageDraw.Draw(picture), font(LABEL)
    left, top, width, height = _SIDE + _BAR[0], edge + _BAR[1], *_BAR[2:]
    below = top + height
    picture.paste(_heat(np.linspace(0, 1, width)[np.newaxis], (width, height)), (left, top))
    mark = left + round(min(max(threshold, 0.0), 1.0) * (width - 1))
    pen.rectangle((mark - 3, top, mark + 3, below - 1), "black")
    pen.rectangle((mark - 1, top, mark + 1, below - 1), "white")
    pen.rectangle((left - 1, top - 1, left + width, below), outline="black")
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        place = left + round(tick * (width - 1))
        pen.line((place, below, place, below + 6), "black", 2)
        pen.text((place, below + 10), f"{tick:.2f}", "black", letters, anchor="ma")
    pen.text((left + width // 2, below + 38), "Probability (white line: threshold)", "black", letters, anchor="ma")
