"""Pages of contours: slices in order, outlines in their colours, words that can be read."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from drawn import Word, legible
from gliomask.errors import UsageError
from gliomask.reporting.look import PREDICTION, TRUTH, Line
from gliomask.reporting.pages import contour_pages

TILE, STEP, SIDE, TOP, BOTTOM = 240, 250, 24, 72, 56


def patient(slices: int, height: int = 24, width: int = 24) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Slices from dark to bright, and a square mask in each."""
    levels = np.linspace(60, 240, slices).astype(np.uint8)
    image = levels[:, np.newaxis, np.newaxis, np.newaxis].repeat(height, 1).repeat(width, 2).repeat(3, 3)
    mask = np.zeros((slices, height, width), dtype=np.bool_)
    mask[:, 6:18, 6:18] = True
    return image, mask


def pixels(page: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(page.convert("RGB"))


def test_pages_hold_thirty_slices_in_order_row_by_row(words: list[Word]) -> None:
    image, mask = patient(32)
    first, second = contour_pages(image, mask, None, title="patient A")
    titles = ["patient A, page 1 of 2", "patient A, page 2 of 2"]
    texts = [word.text for word in words if word.text != TRUTH.label]
    assert texts == [titles[0], *map(str, range(1, 31)), titles[1], "31", "32"]
    assert first.size == (2 * SIDE + 5 * STEP - 10, TOP + BOTTOM + 6 * STEP - 10)
    assert second.size == (first.width, TOP + BOTTOM + TILE)
    middles = [
        int(pixels(page)[TOP + row * STEP + 120, SIDE + column * STEP + 120, 0])
        for page, rows, columns in ((first, 6, 5), (second, 1, 2))
        for row in range(rows)
        for column in range(columns)
    ]
    expected = np.minimum(image[:, 0, 0, 1] * (255 / image[-1, 0, 0, 1]), 255)
    assert np.abs(np.array(middles) - expected).max() <= 2
    assert np.all(pixels(second)[TOP : TOP + TILE, SIDE + 2 * STEP :] == 255)


def test_the_truth_is_outlined_in_green_and_the_prediction_in_red_dashes_over_it() -> None:
    image, mask = patient(3)
    apart = np.roll(mask, 3, axis=(1, 2))
    apart[1] = False
    (page,) = contour_pages(image, mask, apart, title="patient A")
    scale = TILE // 24
    for number in range(3):
        shown = pixels(page)[TOP : TOP + TILE, SIDE + number * STEP :][:, :TILE].astype(int)
        edge = shown[6 * scale, 8 * scale : 17 * scale]  # upper edge of the truth
        assert np.all(edge == TRUTH.rgb)
        dashed = np.all(shown[21 * scale, 11 * scale : 20 * scale] == PREDICTION.rgb, axis=1)  # lower of the prediction
        assert dashed.any() == (number != 1)
        assert dashed.mean() < 0.8
        red = (shown[..., 0] > 200) & (shown[..., 1] < 90)
        assert red.any() == (number != 1)
        assert np.ptp(shown[: 4 * scale], axis=2).max() == 0


def test_where_outlines_coincide_both_are_seen() -> None:
    image, mask = patient(2)
    (page,) = contour_pages(image, mask, mask, title="patient A")
    shown = pixels(page)[TOP : TOP + TILE, SIDE : SIDE + TILE]
    counts = [int(np.all(shown == line.rgb, axis=2).sum()) for line in (TRUTH, PREDICTION)]
    assert min(counts) > 100


@pytest.mark.parametrize("lines", [[TRUTH, PREDICTION], [TRUTH], [PREDICTION], []])
def test_the_legend_names_what_is_drawn_with_its_colour_and_no_more(words: list[Word], lines: list[Line]) -> None:
    image, mask = patient(2)
    truth, prediction = (mask if line in lines else None for line in (TRUTH, PREDICTION))
    (page,) = contour_pages(image, truth, prediction, title="A")
    named = [word for word in words if word.text in {"truth", "prediction"}]
    assert [word.text for word in named] == [line.label for line in lines]
    foot = pixels(page)[-BOTTOM:]
    for word, line in zip(named, lines, strict=True):
        sample = foot[:, int(word.box[0]) - 73 : int(word.box[0])]
        assert np.all(sample == line.rgb, axis=2).sum() > 60
    assert lines or np.all(foot == 255)


SIZES = [(2, 24, 24), (60, 24, 24), (7, 20, 90), (7, 90, 20), (31, 512, 512)]


@pytest.mark.parametrize(("slices", "height", "width"), SIZES)
@pytest.mark.parametrize("title", ["A", "a name that is far too long for the page " * 9, "two\nlines"])
def test_words_are_legible(words: list[Word], slices: int, height: int, width: int, title: str) -> None:
    image, mask = patient(slices, height, width)
    pages = contour_pages(image, mask, mask, title=title)
    around = [word for word in words if not word.text.isdecimal()]
    assert [around[start].picture for start in range(0, len(around), 3)] == [page.size for page in pages]
    for start in range(0, len(around), 3):  # title, truth, prediction
        legible(around[start : start + 3])
    notes = [word for word in words if word.text.isdecimal()]
    assert len(notes) == slices
    for note in notes:
        legible([note])
    if len(title) > 50:
        heading = next(word.text for word in words if "..." in word.text)
        assert heading.startswith("a name")
        assert heading.endswith("page 1 of 2" if slices > 30 else "page ")


def test_masks_of_another_patient_are_refused() -> None:
    image, mask = patient(2)
    with pytest.raises(UsageError, match="mask of the truth"):
        contour_pages(image, mask[:1], None, title="patient A")
