"""Figures of predictions: what their panels and titles say, and that nothing global is touched."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from gliomask.errors import UsageError
from gliomask.reporting.figures import contact_sheet, prediction_figure, save_figure
from gliomask.reporting.style import NEGATIVE, POSITIVE, PREDICTION, TRUTH, style

IMAGE = np.random.default_rng(0).integers(0, 255, (24, 24, 3), dtype=np.uint8)


def disc(radius: int = 6) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:24, :24]
    mask: NDArray[np.bool_] = (rows - 12) ** 2 + (columns - 12) ** 2 <= radius**2
    return mask


def draw(truth: NDArray[np.bool_] | None, dice: float | None, threshold: float = 0.35) -> Figure:
    probabilities = disc().astype(np.float32) * 0.9
    return prediction_figure(
        IMAGE, truth, probabilities, disc(5), title="patient A, slice 3", dice=dice, threshold=threshold
    )


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.texts)


def test_title_tells_patient_dice_and_the_threshold_that_was_used() -> None:
    title = texts(draw(disc(), 0.8765))
    assert "patient A, slice 3" in title
    assert "Dice 0.876" in title or "Dice 0.877" in title
    assert "threshold 0.35" in title


def test_the_four_panels_are_image_truth_probabilities_and_prediction() -> None:
    figure = draw(disc(), 0.5)
    names = [axes.get_title() for axes in figure.axes[:4]]
    assert names == [
        "Image (FLAIR)",
        f"Truth ({disc().sum()} pixels)",
        "Probability of tumour",
        f"Prediction ({disc(5).sum()} pixels)",
    ]
    assert np.array_equal(np.asarray(figure.axes[0].images[0].get_array()), IMAGE[..., 1])


def test_probabilities_are_coloured_from_0_to_1_with_the_threshold_marked() -> None:
    figure = draw(disc(), 0.5, threshold=0.3)
    panel = figure.axes[2]
    assert panel.images[0].get_clim() == (0.0, 1.0)
    (bar,) = panel.child_axes
    marks = [np.asarray(line.get_xdata()).tolist() for line in bar.lines]
    assert [0.3, 0.3] in marks


@pytest.mark.parametrize("dice", [None, float("nan")])
def test_without_truth_the_figure_says_so_and_shows_no_dice(dice: float | None) -> None:
    figure = draw(None, dice)
    assert "Dice -," in texts(figure)
    assert [text.get_text() for text in figure.axes[1].texts] == ["no truth"]


def test_arrays_of_another_size_are_refused() -> None:
    with pytest.raises(UsageError, match="equal sizes"):
        draw(np.zeros((8, 8), dtype=np.bool_), 0.5)


def test_contact_sheets_hold_thirty_slices_a_page_in_order() -> None:
    image = np.repeat(IMAGE[np.newaxis], 32, axis=0)
    masks = np.repeat(disc()[np.newaxis], 32, axis=0)
    pages = contact_sheet(image, masks, None, title="patient A")
    notes = [[axes.texts[0].get_text() for axes in page.axes if axes.texts] for page in pages]
    assert notes == [[str(number) for number in range(1, 31)], ["31", "32"]]
    assert "page 2 of 2" in texts(pages[1])


def test_contact_sheets_outline_truth_in_green_and_prediction_in_red_dashes() -> None:
    (page,) = contact_sheet(IMAGE[np.newaxis], disc()[np.newaxis], disc(4)[np.newaxis], title="patient A")
    truth, prediction = page.axes[0].lines
    assert (truth.get_color(), truth.get_linestyle()) == (TRUTH.colour, "-")
    assert (prediction.get_color(), prediction.get_linestyle()) == (PREDICTION.colour, "--")
    assert truth.get_linewidth() > prediction.get_linewidth()


def test_contact_sheets_refuse_masks_of_another_patient() -> None:
    with pytest.raises(UsageError, match="mask of the truth"):
        contact_sheet(IMAGE[np.newaxis], np.zeros((2, 24, 24), dtype=np.bool_), None, title="patient A")


def test_a_saved_figure_is_a_png_whose_bytes_repeat(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save_figure(draw(disc(), 0.5), tmp_path / "new" / name)
    first, second = ((tmp_path / "new" / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.png", "b.png"]
    with Image.open(tmp_path / "new" / "a.png") as picture:
        assert "Software" not in picture.info


def test_figures_are_the_same_from_any_thread_and_leave_the_settings_alone(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    threads = [Thread(target=lambda path=path: save_figure(draw(disc(), 0.5), path)) for path in paths]
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
