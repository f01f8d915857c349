"""To the network's square and back: nothing moves, nothing is lost that the size allows to keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gliomask.data.resampling import SquareFit

SIDES = st.integers(24, 80)


def ellipse(height: int, width: int, centre: tuple[float, float], radius: tuple[float, float]) -> NDArray[np.bool_]:
    """Return (1, H, W) bool; centre and radius are fractions of height and width."""
    rows, columns = np.mgrid[:height, :width]
    y = ((rows + 0.5) / height - centre[0]) / radius[0]
    x = ((columns + 0.5) / width - centre[1]) / radius[1]
    return np.asarray(x**2 + y**2 <= 1)[None]


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def there_and_back(fit: SquareFit, masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return fit.back(fit.masks(masks).astype(np.float32)) >= 0.5


@given(height=SIDES, width=SIDES, size=st.integers(32, 96), y=st.floats(0.4, 0.6), x=st.floats(0.4, 0.6))
@settings(deadline=None, max_examples=60)
def test_a_mask_survives_the_way_there_and_back(height: int, width: int, size: int, y: float, x: float) -> None:
    fit, mask = SquareFit(height, width, size), ellipse(height, width, (y, x), (0.35, 0.35))
    again = there_and_back(fit, mask)
    assert again.shape == mask.shape
    assert dice(again, mask) > (0.97 if size >= fit.sides[0] else 0.88)
    for axis in (1, 2):
        centres = [np.argwhere(each)[:, axis].mean() for each in (mask, again)]
        assert abs(centres[0] - centres[1]) < 0.35 * max(1, fit.sides[0] / size)  # pixels


@given(height=SIDES, width=SIDES)
@settings(deadline=None, max_examples=30)
def test_nothing_is_resampled_where_the_side_is_the_networks(height: int, width: int) -> None:
    fit = SquareFit(height, width, max(height, width))
    mask = np.random.default_rng(height * 100 + width).random((2, height, width)) < 0.3
    assert np.array_equal(there_and_back(fit, mask), mask)
    maps = np.random.default_rng(1).random((2, fit.size, fit.size), dtype=np.float32)
    top, left = (fit.size - height) // 2, (fit.size - width) // 2
    assert np.array_equal(fit.back(maps), maps[:, top : top + height, left : left + width])


def test_equal_size_is_the_identity() -> None:
    rng, fit = np.random.default_rng(0), SquareFit(33, 33, 33)
    images, masks = rng.integers(0, 256, (2, 33, 33, 3), dtype=np.uint8), rng.random((2, 33, 33)) < 0.5
    maps = rng.random((2, 33, 33), dtype=np.float32)
    assert np.array_equal(fit.images(images), images)
    assert np.array_equal(fit.masks(masks), masks)
    assert np.array_equal(fit.back(maps), maps)


@pytest.mark.parametrize(("height", "width", "top", "left"), [(2, 4, 1, 0), (4, 2, 0, 1), (3, 6, 1, 0), (6, 3, 0, 1)])
def test_a_rectangle_lies_in_the_middle_of_black(height: int, width: int, top: int, left: int) -> None:
    fit = SquareFit(height, width, max(height, width))
    images = np.full((1, height, width, 3), 7, np.uint8)
    expected = np.zeros((1, fit.sides[0], fit.sides[0], 3), np.uint8)
    expected[:, top : top + height, left : left + width] = 7
    assert np.array_equal(fit.images(images), expected)
    assert np.array_equal(fit.masks(images[..., 0] > 0), expected[..., 0] > 0)


@pytest.mark.parametrize("size", [16, 32, 50])
def test_every_slice_and_channel_stays_itself(size: int) -> None:
    fit = SquareFit(32, 32, size)
    images = np.arange(6, dtype=np.uint8).reshape(2, 1, 1, 3) * 40 + np.zeros((2, 32, 32, 3), np.uint8)
    out = fit.images(images)
    assert out.shape == (2, size, size, 3)
    assert out.dtype == np.uint8
    assert np.array_equal(out, np.broadcast_to(images[:, :1, :1], out.shape))


def test_shrinking_averages_instead_of_skipping() -> None:
    checkerboard = ((np.indices((64, 64)).sum(axis=0) % 2) * 255).astype(np.uint8)
    images = np.repeat(checkerboard[None, ..., None], 3, axis=-1)
    shrunk = SquareFit(64, 64, 32).images(images)
    assert shrunk.min() > 110
    assert shrunk.max() < 145


def test_growing_is_linear_between_pixel_centres() -> None:
    maps = np.tile(np.array([0, 1], np.float32), (1, 2, 1))
    grown = SquareFit(4, 4, 2).back(maps)
    np.testing.assert_allclose(grown[0], np.tile([0, 0.25, 0.75, 1], (4, 1)), atol=1e-6)


@pytest.mark.parametrize(("columns", "tumour"), [(31, False), (32, True)])
def test_a_mask_pixel_needs_half_of_its_area(columns: int, tumour: bool) -> None:
    """Pixel 10 stands for columns 30, 31 and 32."""
    mask = np.zeros((1, 96, 96), bool)
    mask[:, :, :columns] = True
    row = SquareFit(96, 96, 32).masks(mask)[0, 16]
    assert row[:10].all()
    assert row[10] == tumour
    assert not row[11:].any()


@pytest.mark.parametrize("size", [32, 48])
def test_shapes_and_dtypes(size: int) -> None:
    fit = SquareFit(40, 30, size)
    assert fit.sides == (40, 40)
    masks = fit.masks(np.ones((3, 40, 30), bool))
    assert masks.shape == (3, size, size)
    assert masks.dtype == np.bool_
    back = fit.back(np.ones((3, size, size), np.float32))
    assert back.shape == (3, 40, 30)
    assert back.dtype == np.float32


def test_what_a_map_says_is_not_cut_off() -> None:
    maps = np.full((1, 32, 32), -37.5, np.float32)  # logits go below 0 and above 1
    assert np.allclose(SquareFit(45, 50, 32).back(maps), -37.5)


def test_slices_of_another_size_are_refused() -> None:
    fit = SquareFit(20, 30, 32)
    with pytest.raises(ValueError, match=r"slices are \(30, 20\), not \(20, 30\)"):
        fit.images(np.zeros((1, 30, 20, 3), np.uint8))
    with pytest.raises(ValueError, match=r"slices are \(20, 20\), not"):
        fit.masks(np.zeros((1, 20, 20), bool))
    with pytest.raises(ValueError, match=r"maps are \(20, 30\), not \(32, 32\)"):
        fit.back(np.zeros((1, 20, 30), np.float32))


@pytest.mark.parametrize("sides", [(0, 3, 3), (3, 0, 3), (3, 3, 0), (-1, 3, 3)])
def test_sides_below_one_pixel_are_refused(sides: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="sides must be positive"):
        SquareFit(*sides)


@settings(max_examples=60, deadline=None)
@given(st.integers(20, 60), st.integers(20, 60), st.floats(0.4, 2.5), st.sampled_from([32, 48]))
def test_pixels_that_are_not_square_are_not_stretched(height: int, width: int, tall: float, size: int) -> None:
    """A disc in space is a disc for the network: as wide as it is high, to two pixels and a half."""
    rows, columns = np.mgrid[:height, :width]
    radius = 0.4 * min(height * tall, width)
    disc = np.hypot((rows - (height - 1) / 2) * tall, columns - (width - 1) / 2) <= radius
    fit = SquareFit(height, width, size, (tall, 1.0))
    (seen,) = fit.masks(disc[np.newaxis])
    high, wide = seen.any(axis=1).sum(), seen.any(axis=0).sum()
    scale = size / max(height * tall, width)
    assert abs(high - 2 * radius * scale) <= 2.5 * max(1, tall * scale)
    assert abs(wide - 2 * radius * scale) <= 2.5 * max(1, scale)
    assert fit.back(seen[np.newaxis].astype(np.float32)).shape == (1, height, width)


def test_pixels_twice_as_high_are_two_pixels() -> None:
    half = np.zeros((1, 16, 32, 3), np.uint8)
    half[:, 4:8, 8:24] = 200
    seen = SquareFit(16, 32, 32, (2.0, 1.0)).images(half)
    assert (seen[0, 10:14, 10:22] == 200).all()
    assert not seen[0, :6].any()
    assert not seen[0, 18:].any()
