"""Colours, line styles, sizes and resolution of every picture, once. Knows nothing of what is drawn.

Figures are made with Matplotlib's object interface and never with pyplot: nothing is left open and any thread may draw.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

DPI = 160
"""Dots per inch of every PNG."""

POSITIVE = "#D55E00"
NEGATIVE = "#56B4E9"
NEUTRAL = "#4D4D4D"
"""Colours of charts, from the palette of Okabe and Ito (2008), which colour-blind readers can tell apart."""

HEAT = "inferno"
"""Colour map of probabilities and frequencies: perceptually uniform, readable in grey."""


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
        Width in points, in figures.
    dash
        Dashes and gaps in units of the width, in figures; empty is a solid line.
    pixels
        Pixels drawn and pixels left out, in raster pictures; (1, 0) is a solid line.
    """

    label: str
    colour: str
    width: float
    dash: tuple[float, ...]
    pixels: tuple[int, int]

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as red, green and blue, 0 to 255."""
        red, green, blue = (round(255 * part) for part in to_rgb(self.colour))
        return red, green, blue

    def artist(self, width: float = 1.0) -> dict[str, Any]:
        """Return the keywords of a Matplotlib line, its width multiplied by `width`."""
        style = (0.0, self.dash) if self.dash else "solid"
        return {"color": self.colour, "linewidth": width * self.width, "linestyle": style}

    def handle(self) -> Line2D:
        """Return an entry of a legend."""
        return Line2D([], [], label=self.label, **self.artist())


TRUTH = Line("truth", "#2EE65C", 2.0, (), (1, 0))
PREDICTION = Line("prediction", "#FF3B30", 1.3, (3.0, 1.5), (6, 4))

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 9.0,
    "axes.titleweight": "normal",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": "#D9D9D9",
    "grid.linewidth": 0.6,
    "figure.titlesize": 11.0,
    "figure.facecolor": "white",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "savefig.bbox": None,
    "image.origin": "upper",
    "text.usetex": False,
    "text.parse_math": False,  # names may hold any character
}
_LOCK = RLock()


@contextmanager
def style() -> Iterator[None]:
    """Apply the settings of Matplotlib inside a block or, as ``@style()``, inside a function, one thread at a time."""
    with _LOCK, mpl.rc_context(_SETTINGS):
        yield


def new_figure(width: float, height: float, *, layout: bool = True) -> Figure:
    """Return an empty figure that no window system and no global state know of.

    Parameters
    ----------
    width, height
        Size in inches.
    layout
        Whether Matplotlib arranges the axes; otherwise they stay where they are put.
    """
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained" if layout else None)
    FigureCanvasAgg(figure)
    return figure


def printable(text: str) -> str:
    """Return a text with what is no character, such as bytes of a file's name that are none, written as an escape."""
    return text.encode("utf-8", "backslashreplace").decode()


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
    return max(1.0, float(np.percentile(values, 99.8)))
