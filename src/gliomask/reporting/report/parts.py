"""What pages are put together from: templates, style, charts inside a page and as PNG. Knows no page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gliomask.reporting.figures import save_figure
from gliomask.reporting.report import wording
from gliomask.reporting.report.drawings import Drawing
from gliomask.reporting.report.svg import PAGE_INK, chart_style, inline_svg

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Chart:
    """A drawing as a template shows it."""

    title: str
    caption: str
    svg: Markup


def environment(*folders: Path) -> Environment:
    """Return what reads the templates of some folders and of this one; its filters are ``number`` and ``plural``."""
    templates = Environment(
        loader=FileSystemLoader([*folders, _HERE]), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    templates.filters |= {"number": wording.number, "plural": wording.plural}
    return templates


def as_chart(drawing: Drawing) -> Chart:
    """Draw for a page, in its ink."""
    with chart_style(PAGE_INK):
        figure = drawing.draw()
    return Chart(drawing.title, drawing.caption, inline_svg(figure, name=drawing.name, label=drawing.label))


def package_text(name: str) -> Markup:
    """Return a file of this folder, such as the style sheet, to be put into a page as it is."""
    return Markup((_HERE / name).read_text(encoding="utf-8"))  # noqa: S704 - part of this package


def write_figures(drawings: Iterable[Drawing], folder: Path) -> list[Path]:
    """Draw for print, each as ``<folder>/<name>.png``, and return the files.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    paths = []
    for drawing in drawings:
        path = folder / f"{drawing.name}.png"
        with chart_style():
            save_figure(drawing.draw(), path)
        paths.append(path)
    return paths
