"""Whatever a scanner's values are, they become the grey levels of the public slices, and outliers do not count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gliomask.data.greyscale import GREY_OF_BRIGHT, to_channels, to_uint8
from gliomask.volumes.phantom import simulate_patient
from gliomask.volumes.slices import read_image


@pytest.fixture(scope="module")
def head() -> NDArray[np.float64]:
    """Return a FLAIR volume of some shades more than 8 bits hold."""
    image = simulate_patient(2, seed=1, size=64, slices=10).image[..., 1]
    return image + np.random.default_rng(0).random(image.shape)


def test_percentiles_have_their_grey_levels(head: NDArray[np.float64]) -> None:
    grey = to_uint8(head)
    bright = grey[grey > 0.1 * np.percentile(grey, 99)]
    assert np.percentile(bright, 99.5) == pytest.approx(GREY_OF_BRIGHT, abs=2)
    assert grey.min() == 0
    assert grey.dtype == np.uint8
    assert grey.shape == head.shape


@given(scale=st.floats(1e-3, 1e30), offset=st.floats(-100, 100))
@settings(max_examples=30, deadline=None)
def test_scale_and_offset_do_not_count(scale: float, offset: float) -> None:
    values = np.random.default_rng(1).gamma(2, 20, (4, 20, 20))
    moved = to_uint8((values + offset) * scale).astype(int)
    assert np.abs(moved - to_uint8(values)).max() <= 1


@pytest.mark.parametrize("outlier", [1e6, 65535, -32768, -1e30])
def test_a_few_outliers_do_not_count(head: NDArray[np.float64], outlier: float) -> None:
    values = head.copy()
    values[5, 10:13, 10:13] = outlier
    same = np.ones(head.shape, np.bool_)
    same[5, 10:13, 10:13] = False
    assert np.abs(to_uint8(values).astype(int) - to_uint8(head))[same].max() <= 3
    assert to_uint8(values)[5, 11, 11] == (255 if outlier > 0 else 0)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint16, np.int32, np.float32, np.float64, np.bool_])
def test_every_type_of_number_is_taken(dtype: Any) -> None:
    values = np.arange(120).reshape(2, 6, 10).astype(dtype)
    assert to_uint8(values).max() > 100


def test_order_is_kept(head: NDArray[np.float64]) -> None:
    order = np.argsort(head, axis=None)
    assert (np.diff(to_uint8(head).ravel()[order].astype(int)) >= 0).all()


def test_eight_bits_are_left_alone() -> None:
    values = np.random.default_rng(0).integers(0, 90, (3, 5, 5), dtype=np.uint8)
    assert to_uint8(values) is values


@pytest.mark.parametrize("value", [0, 7, -3.5, 1e300])
def test_constant_volume_is_black(value: float) -> None:
    assert not to_uint8(np.full((2, 3, 3), value)).any()


def test_negative_background_is_black(head: NDArray[np.float64]) -> None:
    standard = (head - head.mean()) / head.std()
    assert np.abs(to_uint8(standard).astype(int) - to_uint8(head)).max() <= 1


@pytest.mark.parametrize("values", [np.array([np.nan, 1.0]), np.array([np.inf, 1.0]), np.zeros(0)])
def test_what_is_no_number_is_refused(values: Any) -> None:
    with pytest.raises(ValueError, match="finite"):
        to_uint8(values)


def test_missing_sequences_are_replaced_by_flair(head: NDArray[np.float64]) -> None:
    alone = to_channels(head)
    assert np.array_equal(alone[..., 0], to_uint8(head))
    assert np.array_equal(alone[..., 0], alone[..., 2])
    three = to_channels(head, pre=head[::-1], post=head[:, ::-1])
    assert np.array_equal(three, np.stack([to_uint8(head[::-1]), to_uint8(head), to_uint8(head[:, ::-1])], axis=-1))
    with pytest.raises(ValueError, match="shape"):
        to_channels(head, pre=head[1:])


@pytest.mark.slices
def test_public_slices_keep_about_their_grey_levels(lgg_folder: Path) -> None:
    """As if their values came from a scanner: bright voxels end up as bright as they were, within a half."""
    for folder in sorted(lgg_folder.glob("TCGA_*"))[:4]:
        flair = np.stack([read_image(path)[..., 1] for path in sorted(folder.glob("*[0-9].tif"))])
        grey = to_uint8(flair.astype(np.int16) * 7 + 40)
        ratio = grey[flair > 40].mean() / flair[flair > 40].mean()
        assert 0.67 < ratio < 1.5
