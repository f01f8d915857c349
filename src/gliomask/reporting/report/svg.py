"""Turns a figure into SVG that lives inside a page and takes the page's ink. Knows no chart and no score.

A page may be light, dark or printed, so a figure for it is drawn in stand-in colours that become CSS variables, its
words stay words, and its ground is transparent. The same figure gives the same text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

from gliomask.reporting.style import POSITIVE, style

DATA = "#0072B2"
"""Colour of what was measured: the blue of Okabe and Ito (2008)."""
ACCENT = POSITIVE
"""Colour of what stands out from it: means, training, missed tumours."""
PAGE_INK = "#010203"
"""Stands in for the colour of the page's text."""
WIDTH = 4.0
"""Inches. Text of 10 points stays legible where a figure of this width fills a telephone's screen."""

_STAND_INS = {PAGE_INK: "currentColor", DATA.lower(): "var(--data)", ACCENT.lower(): "var(--accent)"}
_NAMESPACE = re.compile(r"\{.*\}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_DECIMALS = re.compile(r"(\.\d\d)\d+")
_FONT = re.compile(r"font-family: [^;]+; ?")


@contextmanager
def chart_style(ink: str = "black") -> Iterator[None]:
    """Apply the settings of the report's charts inside a block; all lines and words are drawn in one ink."""
    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color")
    settings = {
        **dict.fromkeys(inked, ink),
        "font.size": 10.0,
        "axes.titlesize": 10.5,
        "axes.labelsize": 10.0,
        "xtick.labelsize": 9.5,
        "ytick.labelsize": 9.5,
        "legend.fontsize": 9.5,
        "axes.grid": True,
        "grid.alpha": 0.15,
        "lines.markersize": 5.0,
        "svg.fonttype": "none",
    }
    with style(), mpl.rc_context(settings):  # type: ignore[arg-type]  # its keys are literal types
        yield


def ink() -> str:
    """Return the ink of the block."""
    return str(mpl.rcParams["text.color"])


def inline_svg(figure: Figure, *, name: str, label: str) -> Markup:
    """Return a figure as an ``<svg>`` element for a page.

    Parameters
    ----------
    figure
        Drawn inside ``chart_style(PAGE_INK)``.
    name
        Name of the figure, unlike that of any other in the page: ids are made from it.
    label
        What the figure shows, for those who cannot see it.
    """
    buffer = BytesIO()
    with chart_style(PAGE_INK), mpl.rc_context({"svg.hashsalt": name}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    root = ElementTree.fromstring(buffer.getvalue())  # noqa: S314 - written three lines above
    for parent in root.iter():
        for child in [child for child in parent if child.tag.endswith(("style", "metadata"))]:
            parent.remove(child)
    referred = _referred(root)
    for element in root.iter():
        _tidy(element, referred, name)
    del root.attrib["width"], root.attrib["height"], root.attrib["version"]
    root.attrib.update({"role": "img", "aria-label": label})
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 - escaped by ElementTree


def _referred(root: ElementTree.Element) -> set[str]:
    """Return the ids that something refers to; Matplotlib gives every group one, the same in each figure."""
    values = [value for element in root.iter() for value in element.attrib.values()]
    links = {value[1:] for value in values if value.startswith("#")}
    return links | {found for value in values for found in _REFERENCE.findall(value)}


def _tidy(element: ElementTree.Element, referred: set[str], name: str) -> None:
    element.tag = _NAMESPACE.sub("", element.tag)
    kept = {_NAMESPACE.sub("", key): value for key, value in element.attrib.items()}
    if kept.get("id") not in referred:
        kept.pop("id", None)
    for key, value in kept.items():
        if key in {"d", "transform", "x", "y"}:
            kept[key] = _DECIMALS.sub(r"\1", " ".join(value.split()))
        elif key == "style":
            kept[key] = _coloured(_FONT.sub("", value))
        elif key == "id":
            kept[key] = f"{name}-{value}"
        kept[key] = _REFERENCE.sub(rf"url(#{name}-\1)", kept[key])
    if "href" in kept:
        kept["href"] = f"#{name}-{kept['href'][1:]}"
    element.attrib.clear()
    element.attrib.update(kept)


def _coloured(declarations: str) -> str:
    for stand_in, colour in _STAND_INS.items():
        declarations = declarations.replace(stand_in, colour)
    return declarations
