"""The picture of a predicted slice: what its panels show and its words say."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from drawn import Word, legible
from gliomask.errors import UsageError
from gliomask.reporting.look import PREDICTION, TRUTH, Line, stretched
from gliomask.reporting.panels import prediction_picture

IMAGE = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
SIDE, STEP, TOP = 32, 568, 136


def disc(radius: int = 8) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:32, :32]
    mask: NDArray[np.bool_] = (rows - 16) ** 2 + (columns - 16) ** 2 <= radius**2
    return mask


def draw(truth: NDArray[np.bool_] | None, dice: float | None = 0.5, threshold: float = 0.35) -> Image.Image:
    probabilities = np.linspace(0, 1, 32 * 32, dtype=np.float32).reshape(32, 32)
    title = "patient A, slice 3"
    return prediction_picture(IMAGE, truth, probabilities, disc(6), title=title, dice=dice, threshold=threshold)


def panel(picture: Image.Image, row: int, column: int) -> NDArray[np.int64]:
    """The pixels of a panel, one of the slice's being 16 x 16 of them."""
    shown = np.asarray(picture, dtype=np.int64)
    return shown[TOP + row * STEP :, SIDE + column * STEP :][:512, :512]


def centres(shown: NDArray[np.int64]) -> NDArray[np.int64]:
    return shown[8::16, 8::16]


def test_the_title_tells_patient_dice_and_the_threshold_that_was_used(words: list[Word]) -> None:
    draw(disc(), 0.8765)
    texts = [word.text for word in words]
    assert "patient A, slice 3" in texts
    assert "Dice 0.876 (this slice), threshold 0.35" in texts or "Dice 0.877 (this slice), threshold 0.35" in texts


def test_the_four_panels_are_named_in_their_places(words: list[Word]) -> None:
    draw(disc())
    names = [
        "Image (FLAIR)",
        f"Truth ({disc().sum()} pixels)",
        "Probability of tumour",
        f"Prediction ({disc(6).sum()} pixels)",
    ]
    found = {word.text: word.box for word in words if word.text in names}
    assert list(found) == names
    for place, name in enumerate(names):
        left, _, right, lower = found[name]
        assert (left + right) / 2 == pytest.approx(SIDE + place % 2 * STEP + 256, abs=2)
        assert 0 < TOP + place // 2 * STEP - lower < 20


def test_the_image_is_the_flair_sequence() -> None:
    grey = stretched(IMAGE[..., 1])
    assert np.array_equal(centres(panel(draw(disc()), 0, 0)), grey[..., np.newaxis].repeat(3, axis=2))


@pytest.mark.parametrize(("row", "line"), [(0, TRUTH), (1, PREDICTION)])
def test_masks_are_tinted_and_outlined(row: int, line: Line) -> None:
    mask = np.zeros((32, 32), dtype=np.bool_)
    mask[8:24, 8:24] = True
    empty = np.zeros_like(mask)
    truth, prediction = (mask, empty) if line is TRUTH else (empty, mask)
    picture = prediction_picture(IMAGE, truth, mask * 1.0, prediction, title="A", dice=0.0, threshold=0.5)
    shown, grey = centres(panel(picture, row, 1)), stretched(IMAGE[..., 1])[..., np.newaxis]
    tinted = 0.65 * grey + 0.35 * np.array(line.rgb)
    assert np.abs(shown - tinted)[mask].max() <= 2
    assert np.all((shown == grey)[~mask])
    for edge in panel(picture, row, 1)[[127, 384], 140:372], panel(picture, row, 1)[140:372, [127, 384]].swapaxes(0, 1):
        share = np.all(edge == line.rgb, axis=2).mean(axis=1)
        assert np.all(share == 1 if line is TRUTH else (share > 0.4) & (share < 0.8))


def test_truth_and_prediction_are_both_seen_where_they_are_the_same() -> None:
    picture = prediction_picture(IMAGE, disc(), disc() * 1.0, disc(), title="A", dice=1.0, threshold=0.5)
    counts = [int(np.all(panel(picture, 1, 1) == line.rgb, axis=2).sum()) for line in (TRUTH, PREDICTION)]
    assert min(counts) > 300


def test_probabilities_have_the_colours_of_inferno_from_0_to_1() -> None:
    shown = centres(panel(draw(disc()), 1, 0)).reshape(-1, 3)
    expected = colormaps["inferno"](np.linspace(0, 1, len(shown)))[:, :3] * 255
    assert np.abs(shown - expected).max() < 6  # neighbours among the 256 colours differ by up to 5


@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0])
def test_the_colour_bar_runs_from_0_to_1_with_the_threshold_marked(words: list[Word], threshold: float) -> None:
    picture = draw(disc(), threshold=threshold)
    ticks = {word.text: (word.box[0] + word.box[2]) / 2 for word in words if word.text in {"0.00", "1.00"}}
    upper = min(word.box[1] for word in words if word.text in ticks)
    left, right = round(ticks["0.00"]), round(ticks["1.00"])
    bar = np.asarray(picture, dtype=np.int64)[int(upper) - 20, left : right + 1]
    place = threshold * (right - left)
    white = np.flatnonzero(np.all(bar == 255, axis=1))
    assert np.abs(white - place).max() <= 3
    assert len(white) >= 2
    expected = colormaps["inferno"](np.linspace(0, 1, len(bar)))[:, :3] * 255
    beside = (
        (np.abs(np.arange(len(bar)) - place) > 6) & (np.arange(len(bar)) > 2) & (np.arange(len(bar)) < len(bar) - 3)
    )
    assert np.abs(bar - expected)[beside].max() < 12


@pytest.mark.parametrize("dice", [None, float("nan")])
def test_without_truth_the_picture_says_so_and_shows_no_dice(words: list[Word], dice: float | None) -> None:
    picture = draw(None, dice)
    texts = [word.text for word in words]
    assert "Dice -, threshold 0.35" in texts
    assert "no truth" in texts
    assert "truth" not in texts
    assert not np.all(np.asarray(picture) == TRUTH.rgb, axis=2).any()
    assert np.ptp(panel(picture, 0, 1), axis=2).max() == 0


@pytest.mark.parametrize("shape", [(32, 32), (20, 90), (90, 20), (512, 512)])
@pytest.mark.parametrize("title", ["A", "a name that is far too long for the picture " * 9, "two\nlines"])
def test_words_are_legible(words: list[Word], shape: tuple[int, int], title: str) -> None:
    image, mask = np.full((*shape, 3), 90, dtype=np.uint8), np.ones(shape, dtype=np.bool_)
    picture = prediction_picture(image, mask, mask * 0.5, mask, title=title, dice=1.0, threshold=0.123456)
    assert len(words) == 14
    assert {word.picture for word in words} == {picture.size}
    legible(words)


def test_arrays_of_another_size_are_refused() -> None:
    with pytest.raises(UsageError, match="equal sizes"):
        draw(np.zeros((8, 8), dtype=np.bool_))
