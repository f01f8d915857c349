"""Names in one line, and the part of an image that is worth showing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomask.reporting.look import brain_box, brightest, printable, stretched


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("TCGA_1", "TCGA_1"),
        ("Пациент é", "Пациент é"),
        ("a\nb\t", "a\\nb\\t"),
        ("\udc80", "\\udc80"),
        ("\x7f", "\\x7f"),
    ],
)
def test_a_name_is_one_line_of_characters(name: str, shown: str) -> None:
    assert printable(name) == shown


@given(seed=st.integers(0, 1000))
def test_the_box_holds_what_two_of_three_sequences_show(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = np.zeros((3, 30, 40, 3), dtype=np.uint8)
    image[:, rng.integers(0, 9) : rng.integers(12, 30), rng.integers(0, 9) : rng.integers(12, 40)] = 200
    image[rng.random(image.shape) < 0.3] = 0
    image[:, -1:, :, rng.integers(0, 3)] = image[:, :, -1:, rng.integers(0, 3)] = 200  # in one sequence alone
    shown = (image > 0.15 * np.percentile(image, 99.8)).sum(axis=3) >= 2
    for axis, part in zip((1, 2), brain_box(image, margin=2), strict=True):
        used = np.flatnonzero(shown.any(axis=0).mean(axis=2 - axis) > 0.02)
        assert (part.start, part.stop) == (max(0, used[0] - 2), min(image.shape[axis], used[-1] + 3))


def test_a_dark_image_is_shown_whole() -> None:
    image = np.zeros((2, 8, 9, 3), dtype=np.uint8)
    assert brain_box(image) == (slice(0, 8), slice(0, 9))
    assert brightest(image) == 1.0
    assert stretched(image[..., 1]).max() == 0


def test_stretching_makes_the_brightest_white_and_keeps_the_order() -> None:
    levels = np.arange(101, dtype=np.uint8).repeat(1000)
    shown = stretched(levels)
    assert shown.max() == 255
    assert shown[50500] == pytest.approx(127.5, abs=1)
    assert np.all(np.diff(shown.astype(int)) >= 0)
