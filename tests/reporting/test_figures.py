"""Figures as files, and that nothing global is touched."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import matplotlib as mpl
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from gliomask.reporting.figures import save_figure
from gliomask.reporting.look import PREDICTION, TRUTH
from gliomask.reporting.style import NEGATIVE, POSITIVE, new_figure, style


def draw() -> Figure:
    with style():
        figure = new_figure(2, 1)
        figure.add_subplot().plot([0, 1], [1, 0], color=POSITIVE)
    return figure


def test_a_saved_figure_is_a_png_whose_bytes_repeat(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save_figure(draw(), tmp_path / "new" / name)
    first, second = ((tmp_path / "new" / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.png", "b.png"]
    with Image.open(tmp_path / "new" / "a.png") as picture:
        assert "Software" not in picture.info


def test_figures_are_the_same_from_any_thread_and_leave_the_settings_alone(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    threads = [Thread(target=lambda path=path: save_figure(draw(), path)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({path.read_bytes() for path in paths}) == 1
    assert dict(mpl.rcParams) == before


def test_settings_return_after_an_error() -> None:
    before = mpl.rcParams["font.size"]
    with pytest.raises(ZeroDivisionError), style():
        _ = 1 / 0
    assert mpl.rcParams["font.size"] == before


@pytest.mark.parametrize("pair", [(POSITIVE, NEGATIVE), (TRUTH.colour, PREDICTION.colour)])
def test_colours_that_stand_side_by_side_differ_in_luminance(pair: tuple[str, str]) -> None:
    bright, dark = sorted((luminance(colour) for colour in pair), reverse=True)
    assert (bright + 0.05) / (dark + 0.05) > 1.5


def luminance(colour: str) -> float:
    """Relative luminance as in WCAG 2.2."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
