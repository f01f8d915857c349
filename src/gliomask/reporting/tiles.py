"""Lays slices out in a grid, with outlines, notes and a legend. Knows nothing of files, patients or scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from gliomask.reporting.contours import outline
from gliomask.reporting.look import FILL, Line, brightest, printable
from gliomask.reporting.style import new_figure


@dataclass(frozen=True)
class Grid:
    """Measures of a grid of tiles, in inches.

    Attributes
    ----------
    rows, columns
        Number of tiles.
    tile
        Width and height of a tile.
    left, right, top, bottom
        Room around the tiles.
    gap
        Room between the tiles.
    """

    rows: int
    columns: int
    tile: tuple[float, float] = (1.5, 1.5)
    left: float = 0.15
    right: float = 0.15
    top: float = 0.45
    bottom: float = 0.35
    gap: float = 0.06

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the figure."""
        width = self.left + self.right + self.columns * (self.tile[0] + self.gap) - self.gap
        return width, self.top + self.bottom + self.rows * (self.tile[1] + self.gap) - self.gap

    def rectangle(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Return left, bottom, width and height of a tile as fractions of the figure."""
        width, height = self.size
        left = self.left + column * (self.tile[0] + self.gap)
        bottom = height - self.top - row * (self.tile[1] + self.gap) - self.tile[1]
        return left / width, bottom / height, self.tile[0] / width, self.tile[1] / height


def tile_figure(grid: Grid, title: str) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with a title and its empty tiles, row by row."""
    figure = new_figure(*grid.size, layout=False)
    height = grid.size[1]
    figure.text(grid.left / grid.size[0], 1 - 0.14 / height, printable(title), ha="left", va="top", fontsize=11)
    axes = [
        [figure.add_axes(grid.rectangle(row, column)) for column in range(grid.columns)] for row in range(grid.rows)
    ]
    for tile in (tile for row in axes for tile in row):
        bare(tile)
    return figure, axes


def bare(axes: Axes) -> None:
    """Take ticks and frame away; labels stay possible."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def show_slice(axes: Axes, plane: NDArray[np.uint8]) -> None:
    """Show one sequence of a slice (HxW uint8) in grey, from black to its own brightest."""
    axes.imshow(plane, cmap="gray", vmin=0.0, vmax=brightest(plane))
    bare(axes)


def add_note(axes: Axes, note: str) -> None:
    """Write a short text into the upper left corner of a tile, readable on black and on white."""
    axes.text(
        0.03, 0.97, note, transform=axes.transAxes, ha="left", va="top", color="white", fontsize=7.5,
        path_effects=[withStroke(linewidth=1.5, foreground="black")],
    )  # fmt: skip


def add_outline(axes: Axes, mask: NDArray[np.bool_], line: Line, *, width: float = 1.0) -> None:
    """Draw the outlines of a mask (HxW bool) on a slice that is shown in pixels."""
    for path in outline(mask):
        axes.plot(path[:, 1], path[:, 0], solid_joinstyle="round", **_artist(line, width))
    axes.set_xlim(-0.5, mask.shape[1] - 0.5)
    axes.set_ylim(mask.shape[0] - 0.5, -0.5)


def add_fill(axes: Axes, mask: NDArray[np.bool_], line: Line) -> None:
    """Tint the pixels of a mask (HxW bool)."""
    tint = np.zeros((*mask.shape, 4))
    tint[mask] = (*(part / 255 for part in line.rgb), FILL)
    axes.imshow(tint, interpolation="nearest")


def add_legend(figure: Figure, lines: Sequence[Line], *, centre: float = 0.5) -> None:
    """Explain the outlines at the foot of the figure, around `centre`, a fraction of its width."""
    if lines:
        handles = [Line2D([], [], label=line.label, **_artist(line)) for line in lines]
        figure.legend(
            handles=handles, loc="lower center", bbox_to_anchor=(centre, 0.0), ncols=len(lines), borderaxespad=0.3,
            handlelength=3.0,
        )  # fmt: skip


def _artist(line: Line, width: float = 1.0) -> dict[str, Any]:
    """Return the keywords of a Matplotlib line, its width multiplied by `width`."""
    style = (0.0, line.dash) if line.dash else "solid"
    return {"color": line.colour, "linewidth": width * line.width, "linestyle": style}
