"""Draws what a model found beside the truth, for one slice and for one patient. Knows nothing of models or folders."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gliomask.errors import UsageError
from gliomask.files import whole_file
from gliomask.reporting.style import DPI, HEAT, PREDICTION, TRUTH, Line, brightest, style
from gliomask.reporting.tiles import (
    Grid,
    add_fill,
    add_legend,
    add_outline,
    brain_box,
    show_slice,
    tile_figure,
)

_FLAIR = 1
_ROWS, _COLUMNS = 6, 5
_LEVEL = 3  # of zlib: slices become as small as at 6, Pillow's own, in half the time


@style()
def prediction_figure(  # noqa: PLR0913 - the four pictures of the original and what its title says
    image: NDArray[np.uint8],
    truth: NDArray[np.bool_] | None,
    probabilities: NDArray[np.floating],
    prediction: NDArray[np.bool_],
    *,
    title: str,
    dice: float | None,
    threshold: float,
) -> Figure:
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
        First line of the figure's title, such as patient and slice.
    dice
        Dice of this slice, or None (or not-a-number) where it is not known.
    threshold
        Probability from which the prediction called a pixel tumour.

    Returns
    -------
    Figure
        With the axes image, truth, probabilities, prediction and colour bar, in this order.

    Raises
    ------
    UsageError
        If the arrays differ in size.
    """
    for array in (truth, probabilities, prediction):
        if array is not None and array.shape != image.shape[:2]:
            raise UsageError(f"an array of shape {array.shape} for a slice of {image.shape[:2]}; expected equal sizes")
    grid = Grid(2, 2, (3.2, 3.2 * image.shape[0] / image.shape[1]), 0.2, 0.2, 0.85, 0.75, gap=0.35)
    score = "-" if dice is None or math.isnan(dice) else f"{dice:.3f} (this slice)"
    figure, axes = tile_figure(grid, f"{title}\nDice {score}, threshold {threshold:g}")
    flair = image[..., _FLAIR]
    show_slice(axes[0][0], flair)
    axes[0][0].set_title("Image (FLAIR)")
    _mask_panel(axes[0][1], flair, truth, TRUTH)
    _probability_panel(axes[1][0], probabilities, threshold)
    _mask_panel(axes[1][1], flair, prediction, PREDICTION)
    if truth is not None:
        add_outline(axes[1][1], truth, TRUTH, width=0.6)
    axes[1][1].legend(
        handles=[line.handle() for line in ((PREDICTION,) if truth is None else (TRUTH, PREDICTION))],
        loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, handlelength=3.0,
    )  # fmt: skip
    return figure


def _mask_panel(axes: Axes, flair: NDArray[np.uint8], mask: NDArray[np.bool_] | None, line: Line) -> None:
    if mask is None:
        axes.imshow(np.zeros_like(flair), cmap="gray", vmin=0, vmax=255)
        axes.text(0.5, 0.5, f"no {line.label}", transform=axes.transAxes, ha="center", va="center", color="white")
        axes.set_title(line.label.capitalize())
        return
    show_slice(axes, flair)
    add_fill(axes, mask, line)
    add_outline(axes, mask, line)
    axes.set_title(f"{line.label.capitalize()} ({int(mask.sum()):,} pixels)")


def _probability_panel(axes: Axes, probabilities: NDArray[np.floating], threshold: float) -> None:
    """Show probabilities, and under them their colours with the threshold marked."""
    shown = axes.imshow(probabilities, cmap=HEAT, vmin=0.0, vmax=1.0)
    axes.set_title("Probability of tumour")
    below = axes.inset_axes((0.1, -0.07, 0.8, 0.03))
    bar = shown.figure.colorbar(shown, cax=below, orientation="horizontal", ticks=[0.0, 0.25, 0.5, 0.75, 1.0])
    bar.ax.set_xlabel("Probability (white line: threshold)")
    bar.ax.axvline(threshold, color="white", linewidth=2.0)


@style()
def contact_sheet(
    image: NDArray[np.uint8], truth: NDArray[np.bool_] | None, prediction: NDArray[np.bool_] | None, *, title: str
) -> list[Figure]:
    """Draw all slices of a patient with the outlines of truth and prediction, up to 5 x 6 on a page.

    Parameters
    ----------
    image
        SxHxWx3 uint8; the FLAIR channel is shown, cut to what is not black, all slices with the same grey scale.
    truth, prediction
        SxHxW bool, or None for no outline.
    title
        Title of every page, such as the patient's name; pages are counted if there are several.

    Returns
    -------
    list of Figure
        One per page, slices in order, row by row.

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
    flair = image[:, rows, columns, _FLAIR]
    cut = [(mask[:, rows, columns], line) for mask, line in masks]
    pages = math.ceil(len(image) / (_ROWS * _COLUMNS))
    return [
        _page(flair, cut, page, f"{title}, page {page + 1} of {pages}" if pages > 1 else title) for page in range(pages)
    ]


def _page(flair: NDArray[np.uint8], masks: list[tuple[NDArray[np.bool_], Line]], page: int, title: str) -> Figure:
    first = page * _ROWS * _COLUMNS
    numbers = range(first, min(first + _ROWS * _COLUMNS, len(flair)))
    height = 1.5 * flair.shape[1] / flair.shape[2]
    grid = Grid(math.ceil(len(numbers) / _COLUMNS), _COLUMNS, (1.5, height))
    figure, axes = tile_figure(grid, title)
    tiles = [tile for row in axes for tile in row]
    white = brightest(flair)
    for tile, number in zip(tiles, numbers, strict=False):
        show_slice(tile, flair[number], white=white, note=str(number + 1))
        for mask, line in masks:
            add_outline(tile, mask[number], line, width=0.6)
    add_legend(figure, [line for _, line in masks])
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; it appears only when it is complete, and the same figure gives the same bytes.

    Parameters
    ----------
    figure
        What to write.
    path
        File to write; folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with style(), whole_file(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in a script that the font lacks: boxes
        figure.savefig(
            temporary, format="png", dpi=DPI, metadata={"Software": None}, pil_kwargs={"compress_level": _LEVEL}
        )
