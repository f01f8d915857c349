"""Writes Matplotlib's figures as files. Knows nothing of what is drawn."""

from __future__ import annotations

import warnings
from pathlib import Path

from matplotlib.figure import Figure

from gliomask.files import whole_file
from gliomask.reporting.look import DPI, LEVEL
from gliomask.reporting.style import style


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
            temporary, format="png", dpi=DPI, metadata={"Software": None}, pil_kwargs={"compress_level": LEVEL}
        )
