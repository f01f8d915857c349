"""What Pillow draws: smooth outlines where they belong, dashes, letters, and pictures of 256 colours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from gliomask.reporting import canvas
from gliomask.reporting.canvas import add_outline, font, save_png, shortened, tile, with_palette
from gliomask.reporting.look import PREDICTION, TRUTH, Line

_POINT = 160 / 72


@pytest.fixture
def no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide the letters of Matplotlib."""
    monkeypatch.setattr(canvas, "find_spec", lambda _: None)
    font.cache_clear()
    yield
    font.cache_clear()


def disc(radius: int = 15) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:60, :60]
    mask: NDArray[np.bool_] = (rows - 30) ** 2 + (columns - 30) ** 2 <= radius**2
    return mask


def coverage(mask: NDArray[np.bool_], line: Line, side: int = 240, width: float = 0.6) -> NDArray[np.float64]:
    """How much of each pixel an outline on black covers, 0 to 1."""
    picture = Image.new("RGB", (side, side))
    add_outline(picture, mask, line, width=width)
    strongest = int(np.argmax(line.rgb))
    return np.asarray(picture, dtype=np.float64)[..., strongest] / line.rgb[strongest]


def distances(radius: float) -> NDArray[np.float64]:
    """How far each pixel of 240 x 240 is from a circle around the middle of `disc`, magnified four times."""
    rows, columns = np.mgrid[:240, :240] + 0.5
    away: NDArray[np.float64] = np.abs(np.hypot(rows - 122, columns - 122) - radius)
    return away


def test_a_solid_outline_is_closed_has_its_width_and_lies_on_the_edge_of_the_mask() -> None:
    drawn, away = coverage(disc(), TRUTH), distances(4 * 15.2)
    assert drawn[away > 6].max() == 0  # the edge of the mask lies within a pixel of the circle, magnified 4 times
    length = 2 * np.pi * 4 * 15.2
    assert drawn.sum() == pytest.approx(length * 0.6 * TRUTH.width * _POINT, rel=0.1)
    around = np.linspace(0, 2 * np.pi, 200)
    for angle in around:
        beam = np.arange(50, 72)
        rows, columns = (122 + beam * np.sin(angle)).astype(int), (122 + beam * np.cos(angle)).astype(int)
        assert drawn[rows, columns].max() > 0.9


def test_a_dashed_outline_has_dashes_and_gaps_of_its_lengths() -> None:
    drawn, length = coverage(disc(), PREDICTION), 2 * np.pi * 4 * 15.2
    width = 0.6 * PREDICTION.width * _POINT
    dash, gap = PREDICTION.dash
    round_ends = dash - 1 + np.pi / 4
    assert drawn.sum() == pytest.approx(length * width * round_ends / (dash + gap), rel=0.12)
    solid = coverage(disc(), Line("", PREDICTION.colour, PREDICTION.width, (), (1, 0)))
    assert np.all(drawn <= solid + 1e-9)
    assert (solid - drawn).max() == 1.0


def test_outlines_at_the_border_are_drawn_and_those_of_an_empty_mask_are_not() -> None:
    drawn = coverage(np.ones((60, 60), dtype=np.bool_), TRUTH)
    assert min(drawn[0].min(), drawn[-1].min(), drawn[:, 0].min(), drawn[:, -1].min()) > 0.9
    assert drawn[3:-3, 3:-3].max() == 0
    assert coverage(np.zeros((60, 60), dtype=np.bool_), TRUTH).max() == 0


@pytest.mark.parametrize("line", [TRUTH, PREDICTION])
def test_a_single_pixel_of_a_large_slice_is_outlined(line: Line) -> None:
    mask = np.zeros((2000, 2000), dtype=np.bool_)
    mask[1000, 1200] = True
    drawn = coverage(mask, line)
    rows, columns = np.nonzero(drawn > 0.5)
    assert np.all(np.abs(rows - 120) < 4)
    assert np.all(np.abs(columns - 144) < 4)
    assert len(rows) > 0


def test_tiles_are_sharp_in_whole_magnifications_and_smooth_in_others() -> None:
    plane = np.array([[0, 200], [200, 0]], dtype=np.uint8)
    assert set(np.unique(np.asarray(tile(plane, (4, 4)))).tolist()) == {0, 200}
    assert len(np.unique(np.asarray(tile(plane, (5, 5))))) > 2
    assert set(np.unique(np.asarray(tile(plane, (5, 5), smooth=False))).tolist()) == {0, 200}


@pytest.mark.parametrize("room", [60, 150, 400])
def test_a_long_text_keeps_both_ends_and_fits(room: int) -> None:
    pen, letters = ImageDraw.Draw(Image.new("L", (1, 1))), font(20)
    text = "begin" + "x" * 200 + "end"
    short = shortened(pen, text, room, letters)
    assert room - 40 < pen.textlength(short, letters) <= room
    first, last = short.split("...")
    assert text.startswith(first)
    assert text.endswith(last)
    assert abs(len(first) - len(last)) <= 1
    assert shortened(pen, "short", 400, letters) == "short"


def test_letters_are_those_of_matplotlib_which_know_more_scripts() -> None:
    pen = ImageDraw.Draw(Image.new("L", (1, 1)))
    missing = pen.textbbox((0, 0), "\uffff", font(20))
    assert pen.textbbox((0, 0), "Ж", font(20)) != missing


@pytest.mark.usefixtures("no_matplotlib")
def test_without_them_there_are_letters_still() -> None:
    pen = ImageDraw.Draw(Image.new("L", (1, 1)))
    assert pen.textlength("patient", font(40)) > 1.8 * pen.textlength("patient", font(20)) > 40


def test_a_picture_of_256_colours_keeps_greys_and_the_colours_of_outlines() -> None:
    grey = tile(np.arange(256, dtype=np.uint8)[np.newaxis].repeat(60, axis=0), (256, 60))
    picture = grey.convert("RGB")
    for mask, line in ((disc(25), TRUTH), (disc(20), PREDICTION)):
        add_outline(picture, np.pad(mask, ((0, 0), (0, 196))), line)
    before, packed = np.asarray(picture, dtype=int), with_palette(picture)
    after = np.asarray(packed.convert("RGB"), dtype=int)
    assert packed.mode == "P"
    uncoloured = np.ptp(before, axis=2) == 0
    assert np.abs(after - before)[uncoloured].max() <= 1
    for line in (TRUTH, PREDICTION):
        where = np.all(before == line.rgb, axis=2)
        assert where.sum() > 50
        assert np.all(after[where] == line.rgb)
    assert np.abs(after - before).max() < 45
    assert np.abs(after - before)[~uncoloured].mean() < 8


def test_a_saved_picture_is_whole_and_its_bytes_repeat(tmp_path: Path) -> None:
    picture = with_palette(tile(np.arange(100, dtype=np.uint8).reshape(10, 10), (33, 33)).convert("RGB"))
    for name in ("a.png", "b.png"):
        save_png(picture, tmp_path / "new" / name)
    first, second = ((tmp_path / "new" / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.png", "b.png"]
    with Image.open(tmp_path / "new" / "a.png") as read:
        assert np.array_equal(np.asarray(read.convert("RGB")), np.asarray(picture.convert("RGB")))
