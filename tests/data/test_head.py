"""A head that is small in its image is predicted as if the image ended where the head does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from builders import patient_name, short_phantoms, write_known_model
from gliomask.data.cache import open_cache, read_patient
from gliomask.data.head import SMALLEST, head_window
from gliomask.data.index import build_index
from gliomask.data.resampling import SquareFit
from gliomask.inference.predictor import Predictor
from gliomask.volumes.phantom import write_phantoms
from gliomask.volumes.slices import write_image, write_mask

SIDE = 80


def heads(
    radius: float, centre: tuple[float, float] = (0.0, 0.0), shape: tuple[int, int] = (SIDE, SIDE)
) -> NDArray[np.uint8]:
    """Return six slices of a bright disc, the uppermost of them small."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    away = np.hypot(rows - (shape[0] - 1) / 2 - centre[0], columns - (shape[1] - 1) / 2 - centre[1])
    planes = [np.where(away < radius * part, 150, 2) for part in (0.8, 1, 1, 0.9, 0.6, 0.2)]
    return np.stack([np.stack(planes)] * 3, axis=-1).astype(np.uint8)


@given(st.floats(8, 40), st.tuples(st.floats(-15, 15), st.floats(-15, 15)))
@example(10.625, (1.5, -0.90625))  # a rim of one pixel that counts as faint
def test_window_is_a_square_around_the_head(radius: float, centre: tuple[float, float]) -> None:
    images = heads(radius, centre)
    window = head_window(images)
    if window is None:
        longest = max((images[..., 1] > 100).any(axis=axes).sum() for axes in ((0, 1), (0, 2)))
        assert longest / SIDE >= SMALLEST - 0.05  # the faint outskirts are left out
        return
    rows, columns = window
    assert (images[:, rows, columns] > 100).sum() == (images > 100).sum()
    assert rows.stop - rows.start <= 2.2 * radius / 0.9
    inside = all(part.start > 0 and part.stop < SIDE for part in window)
    assert not inside or abs((rows.stop - rows.start) - (columns.stop - columns.start)) <= 1


def test_no_window_where_the_head_fills_the_image() -> None:
    assert head_window(heads(0.5 * SIDE * 0.85)) is None


def test_no_window_in_slices_that_may_be_of_the_top() -> None:
    assert head_window(heads(12)[:3]) is None


def test_no_window_where_nothing_is_to_be_seen() -> None:
    assert head_window(np.zeros((6, SIDE, SIDE, 3), np.uint8)) is None


def test_window_is_square_in_space() -> None:
    rows, columns = np.mgrid[:60, :160]
    disc = np.where(np.hypot((rows - 30) * 2.0, columns - 80) < 30, 150, 0).astype(np.uint8)
    window = head_window(np.stack([np.stack([disc] * 5)] * 3, axis=-1), (2.0, 1.0))
    assert window is not None
    tall, wide = ((part.stop - part.start) * step for part, step in zip(window, (2.0, 1.0), strict=True))
    assert tall == pytest.approx(wide, abs=3)


def test_a_wider_field_of_view_changes_next_to_nothing(tmp_path: Path) -> None:
    with short_phantoms():
        write_phantoms(tmp_path, patients=1, size=96, seed=4)
    images, _ = read_patient(tmp_path, build_index(tmp_path).patients[0])
    wide = np.pad(images, ((0, 0), (60, 40), (30, 70), (0, 0)))
    predictor = Predictor.load()
    near, far = predictor.predict(images), predictor.predict(wide)
    assert (near.cropped, far.cropped) == (False, True)
    back = far.mask[:, 60:156, 30:126]
    assert back.sum() == far.mask.sum() > 0
    assert 2 * (back & near.mask).sum() / (back.sum() + near.mask.sum()) > 0.9
    assert far.probabilities.shape == wide.shape[:3]


def test_what_was_left_out_is_said(tmp_path: Path) -> None:
    predictor = Predictor.load(write_known_model(tmp_path))
    assert predictor.predict(heads(15)).cropped
    assert not predictor.predict(heads(38)).cropped


def test_training_sees_the_head_that_prediction_sees(tmp_path: Path) -> None:
    """A training on images that show much more than a head learns from the window that a prediction looks at."""
    name, images = patient_name(0), heads(15, (6, -4))
    folder = tmp_path / name
    folder.mkdir()
    for number, image in enumerate(images, start=1):
        write_image(folder / f"{name}_{number}.tif", image)
        write_mask(folder / f"{name}_{number}_mask.tif", image[..., 1] > 100)
    cache, window = open_cache(build_index(tmp_path, use_cache=False), 32), head_window(images)
    assert window is not None
    near = images[:, *window]
    fit = SquareFit(near.shape[1], near.shape[2], 32)
    assert np.array_equal(cache.images, fit.images(near))
    assert np.array_equal(cache.masks, fit.masks(near[..., 1] > 100))
    assert cache.tumour_pixels.tolist() == cache.masks.sum(axis=(1, 2)).tolist()
    assert cache.masks.mean() > 0.2
