"""Colours, letters and settings of everything that Matplotlib draws, once. Knows nothing of what is drawn.

Figures are made with Matplotlib's object interface and never with pyplot: nothing is left open and any thread may draw.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gliomask.reporting.look import DPI

POSITIVE = "#D55E00"
NEGATIVE = "#56B4E9"
NEUTRAL = "#4D4D4D"
"""Colours of charts, from the palette of Okabe and Ito (2008), which colour-blind readers can tell apart."""

HEAT = "inferno"
"""Colour map of probabilities and frequencies: perceptually uniform, readable in grey."""

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
