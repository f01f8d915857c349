"""Grey values: statistics of the bright voxels by hand, and one normalisation for everybody."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from gliomask.data.normalisation import (
    IMAGENET_STATISTICS,
    channel_statistics,
    high_percentile,
    normalise,
    stack_statistics,
)


def column(*channels: list[int]) -> NDArray[np.uint8]:
    """Return a slice of one column, (1, H, 1, 3) uint8, from the grey values of its three channels."""
    return np.array(channels, np.uint8).T[None, :, None, :]


def of(values: list[int]) -> tuple[float, float]:
    mean, deviation = channel_statistics(column(values, values, values))[:, 0].tolist()
    return mean, deviation


def test_bright_statistics_by_hand() -> None:
    assert of([0] * 50 + [100] * 25 + [200] * 25) == (150, 50)


def test_channels_are_independent() -> None:
    statistics = channel_statistics(column([0, 100, 200], [50, 50, 50], [0, 0, 0]))
    assert statistics.tolist() == [[150, 50, 0], [50, 1, 1]]
    assert statistics.shape == (2, 3)
    assert statistics.dtype == np.float32


@given(level=st.integers(1, 255), count=st.integers(1, 50))
@settings(deadline=None)
def test_constant_channel_has_its_level_and_a_deviation_of_one(level: int, count: int) -> None:
    assert of([level] * count) == (level, 1)


def test_black_channel_has_mean_zero_and_a_deviation_of_one() -> None:
    assert of([0] * 10) == (0, 1)
    assert not normalise(np.zeros((2, 4, 4, 3), np.uint8), channel_statistics(np.zeros((2, 4, 4, 3), np.uint8))).any()


@pytest.mark.parametrize(("level", "bright"), [(9, False), (10, False), (11, True)])
def test_bright_begins_above_a_tenth_of_the_99th_percentile(level: int, bright: bool) -> None:
    mean, _ = of([level] * 50 + [100] * 50)
    assert mean == ((level + 100) / 2 if bright else 100)


@given(
    levels=st.lists(st.integers(100, 255), min_size=5, max_size=30),
    background=st.lists(st.integers(0, 10), max_size=200),
)
@settings(deadline=None)
def test_background_does_not_matter(levels: list[int], background: list[int]) -> None:
    mean, deviation = of(levels + background)
    assert mean == pytest.approx(np.mean(levels), rel=1e-6)
    assert deviation == pytest.approx(max(np.std(levels), 1), rel=1e-5)


def test_a_few_hot_pixels_do_not_decide_what_is_bright() -> None:
    mean, _ = of([20] * 995 + [255] * 5)  # 20 would be background if the brightest pixel set the scale
    assert mean == pytest.approx((20 * 995 + 255 * 5) / 1000)


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=20)
def test_order_of_slices_and_direction_do_not_matter(seed: int) -> None:
    volume = np.random.default_rng(seed).integers(0, 256, (3, 6, 5, 3), dtype=np.uint8)
    expected = channel_statistics(volume)
    for other in (volume[::-1], volume[:, ::-1], volume.transpose(0, 2, 1, 3)):
        assert np.array_equal(channel_statistics(other), expected)


def test_a_single_slice_may_be_given_without_its_axis() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(channel_statistics(image), channel_statistics(image[None]))


def test_bright_voxels_get_mean_zero_and_deviation_one() -> None:
    volume = np.random.default_rng(1).integers(60, 256, (3, 8, 8, 3), dtype=np.uint8)
    volume[:, :3] = 0
    planes = normalise(volume, channel_statistics(volume))[:, :, 3:]
    np.testing.assert_allclose(planes.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(planes.std(axis=(0, 2, 3)), 1, atol=1e-5)


def test_normalised_values_by_hand() -> None:
    images = np.array([[[[10, 20, 30]]]], np.uint8)
    planes = normalise(images, np.array([[0, 10, 40], [5, 2, 10]], np.float32))
    assert planes.ravel().tolist() == [2, 5, -1]


def test_normalised_slices_are_what_a_network_takes() -> None:
    images = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    before = images.copy()
    planes = normalise(images, np.array([[0, 0, 0], [1, 1, 1]], np.float32))
    assert planes.shape == (2, 3, 4, 5)
    assert planes.dtype == np.float32
    assert planes.flags.c_contiguous
    assert np.array_equal(planes.transpose(0, 2, 3, 1), images)
    assert np.array_equal(images, before)


def test_imagenet_statistics_are_the_published_ones() -> None:
    expected = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]) * 255
    np.testing.assert_allclose(IMAGENET_STATISTICS, expected, rtol=1e-6)


def test_imagenet_normalisation_does_not_look_at_the_stack() -> None:
    black, white = np.zeros((1, 2, 2, 3), np.uint8), np.full((1, 2, 2, 3), 255, np.uint8)
    assert np.array_equal(stack_statistics(black, "imagenet"), stack_statistics(white, "imagenet"))
    assert not np.array_equal(stack_statistics(black, "volume"), stack_statistics(white, "volume"))


def test_volume_normalisation_looks_at_the_whole_stack() -> None:
    stack = np.stack([np.full((2, 2, 3), level, np.uint8) for level in (100, 200)])
    assert stack_statistics(stack, "volume")[:, 0].tolist() == [150, 50]


@given(arrays(np.uint8, array_shapes(min_dims=1, max_dims=3, max_side=20)))
def test_percentile_from_the_histogram_is_that_of_numpy(grey: NDArray[np.uint8]) -> None:
    assert high_percentile(grey) == pytest.approx(float(np.percentile(grey, 99)), abs=1e-9)
    assert high_percentile(grey, 99.8) == pytest.approx(float(np.percentile(grey, 99.8)), abs=1e-9)
