"""How grey values become network input: one definition for training and for prediction.

NumPy and Pillow. Knows nothing of files, patients or networks.
"""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gliomask.config import NormalisationName

BRIGHT_FRACTION = 0.1
"""A voxel is bright (not background) above this fraction of the 99th percentile of its channel."""

IMAGENET_STATISTICS = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], np.float32) * np.float32(255)
"""Mean and standard deviation of the ImageNet pictures, (2, 3), on the scale 0 to 255."""


def channel_statistics(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return mean and standard deviation of the bright voxels of each channel.

    Parameters
    ----------
    images
        (..., H, W, 3) uint8: a volume, or one slice.

    Returns
    -------
    numpy.ndarray
        (2, 3) float32: means, then standard deviations, in grey values. A channel without bright voxels
        gives mean 0; a standard deviation below one grey level is raised to one.
    """
    statistics = np.empty((2, 3), np.float32)
    levels = np.arange(256, dtype=np.float64)
    for channel in range(3):
        histogram = _histogram(images[..., channel]).astype(np.float64)
        percentile = int(np.searchsorted(np.cumsum(histogram), 0.99 * histogram.sum()))
        histogram[: int(BRIGHT_FRACTION * percentile) + 1] = 0
        count = max(histogram.sum(), 1.0)
        mean = float(levels @ histogram / count)
        variance = float((levels - mean) ** 2 @ histogram / count)
        statistics[:, channel] = mean, max(np.sqrt(variance), 1.0)
    return statistics


def _histogram(grey: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how often each of the 256 grey values occurs; NumPy would make integers of eight bytes first."""
    return np.array(Image.fromarray(np.ascontiguousarray(grey).reshape(1, -1)).histogram(), np.int64)


def high_percentile(grey: NDArray[np.uint8], percent: float = 99.0) -> float:
    """Return a percentile of grey values of any shape, as `numpy.percentile` does, but from their histogram."""
    below = np.cumsum(_histogram(grey))
    place = percent / 100 * (grey.size - 1)
    low, high = (int(np.searchsorted(below, rank, side="right")) for rank in (int(place), ceil(place)))
    return low + (high - low) * (place - int(place))


def stack_statistics(images: NDArray[np.uint8], normalisation: NormalisationName) -> NDArray[np.float32]:
    """Return the (2, 3) float32 statistics that `normalise` applies to a stack (S, H, W, 3) uint8."""
    return IMAGENET_STATISTICS if normalisation == "imagenet" else channel_statistics(images)


def normalise(images: NDArray[np.uint8], statistics: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn slices into network input.

    Parameters
    ----------
    images
        (S, H, W, C) uint8.
    statistics
        (2, C) float32 means and standard deviations in grey values.

    Returns
    -------
    numpy.ndarray
        (S, C, H, W) float32, contiguous: value minus mean, over standard deviation.
    """
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32)
    planes -= statistics[0][:, None, None]
    planes /= statistics[1][:, None, None]
    return planes
