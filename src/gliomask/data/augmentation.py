"""Random changes of training slices: drawn in one place (NumPy), applied in another (PyTorch, a whole batch at once).

What was drawn is an object that can be kept and replayed, and a slice gets the same change alone or in any batch.
Flips, rotations, shifts and scales are one resampling of image and mask together. Knows nothing of files or networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from gliomask.config import AugmentationConfig
from gliomask.data.neighbours import SOURCES

_FLAIR, _SEQUENCES = 1, 3
_NOISES = 2**20
"""Different noises that a slice can get."""


@dataclass(frozen=True)
class AugmentationParameters:
    """What happens to each of B slices.

    Parameters
    ----------
    matrix
        (B, 2, 3) float32: from output to input coordinates, x before y, the image spanning -1 to 1.
    gain, offset
        (B, 3) float32: factor and summand (in standard deviations) of the normalised channels.
    noise
        (B,) float32: standard deviation of Gaussian noise on the normalised channels.
    noise_seed
        (B,) int64: which noise; modulo 2**20, its place in a fixed stretch of random numbers.
    drop_channel
        (B, 3) bool: channels replaced by FLAIR.
    single_slice
        (B,) bool: slices normalised by their own statistics rather than their volume's, and their own neighbours.
    reverse
        (B,) bool: slices whose neighbours change places.
    """

    matrix: NDArray[np.float32]
    gain: NDArray[np.float32]
    offset: NDArray[np.float32]
    noise: NDArray[np.float32]
    noise_seed: NDArray[np.int64]
    drop_channel: NDArray[np.bool_]
    single_slice: NDArray[np.bool_]
    reverse: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.matrix)

    def select(self, rows: slice | NDArray[np.int64]) -> AugmentationParameters:
        """Return the parameters of some of the slices, in the order of ``rows``."""
        return AugmentationParameters(
            self.matrix[rows],
            self.gain[rows],
            self.offset[rows],
            self.noise[rows],
            self.noise_seed[rows],
            self.drop_channel[rows],
            self.single_slice[rows],
            self.reverse[rows],
        )


def draw(config: AugmentationConfig, count: int, rng: np.random.Generator) -> AugmentationParameters:
    """Draw what happens to ``count`` slices; a function of the generator's state alone."""
    intense = rng.random(count) < config.intensity
    gain = np.where(intense[:, None], 1 + config.gain * _symmetric(rng, count, 3), 1)
    offset = np.where(intense[:, None], config.offset * _symmetric(rng, count, 3), 0)
    noise = np.where(intense, config.noise * rng.random(count), 0)
    drop_channel = rng.random((count, 3)) < config.drop_channel
    matrix = _draw_matrices(config, count, rng).astype(np.float32)
    noise_seed = rng.integers(2**62, size=count)
    single_slice = rng.random(count) < config.single_slice
    # new changes are drawn last: what was there before stays the same
    drop_channel |= (rng.random(count) < config.drop_both)[:, None]
    reverse = rng.random(count) < config.reverse
    drop_channel[:, _FLAIR] = False
    return AugmentationParameters(
        matrix=matrix,
        gain=gain.astype(np.float32),
        offset=offset.astype(np.float32),
        noise=noise.astype(np.float32),
        noise_seed=noise_seed,
        drop_channel=drop_channel,
        single_slice=single_slice,
        reverse=reverse,
    )


def _symmetric(rng: np.random.Generator, *shape: int) -> NDArray[np.float64]:
    return rng.uniform(-1, 1, shape)


def _draw_matrices(config: AugmentationConfig, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    signs = np.ones((count, 2))
    signs[rng.random(count) < config.flip, 0] = -1
    signs[rng.random(count) < config.flip_vertical, 1] = -1
    linear = signs[:, :, None] * np.eye(2)
    turns = np.where(rng.random(count) < config.rotate90, rng.integers(4, size=count), 0)
    linear = linear @ np.stack([np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), int(turn)) for turn in turns])
    swapped = rng.random(count) < config.transpose
    linear[swapped] = linear[swapped] @ np.array([[0, 1], [1, 0]])

    moved = rng.random(count) < config.affine
    angle = np.deg2rad(config.rotate) * _symmetric(rng, count)
    factor = 1 + config.scale * _symmetric(rng, count)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
    shift = 2 * config.shift * _symmetric(rng, count, 2)  # the image spans two units
    linear = np.where(moved[:, None, None], linear @ (turn / factor[:, None, None]), linear)
    return np.concatenate([linear, np.where(moved[:, None], shift, 0)[:, :, None]], axis=2)


def to_planes(images: Tensor) -> Tensor:
    """Bring (B, H, W, C) uint8 slices to (B, C, H, W) float32, channels last in memory, values 0 to 255."""
    return images.permute(0, 3, 1, 2).float()


def normalise_planes(planes: Tensor, statistics: Tensor) -> Tensor:
    """Subtract means and divide by deviations, in place.

    Parameters
    ----------
    planes
        (B, C, H, W) float32, 0 to 255.
    statistics
        (B, 2, C) float32, in grey values (see `gliomask.data.normalisation`).
    """
    return planes.sub_(statistics[:, 0, :, None, None]).div_(statistics[:, 1, :, None, None])


def resample(images: Tensor, masks: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Move slices and their masks together: one bilinear resampling, background outside.

    Parameters
    ----------
    images
        (B, C, H, W) float32, 0 to 255.
    masks
        (B, H, W) uint8, 0 or 1.
    matrix
        (B, 2, 3) float32, from output to input coordinates.

    Returns
    -------
    tuple
        (B, C, H, W) float32 and (B, 1, H, W) float32; a mask is 1 where at least half of a pixel is tumour.
    """
    both = torch.cat([images, masks[:, None].to(images.dtype)], dim=1)
    grid = _grid(matrix, both.shape[2], both.shape[3])
    moved = F.grid_sample(both, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return moved[:, :-1], (moved[:, -1:] >= 0.5).to(images.dtype)


def _grid(matrix: Tensor, height: int, width: int) -> Tensor:
    """Return (B, H, W, 2) input coordinates: what `F.affine_grid` does (corners not aligned), in one pass."""
    x, y = ((torch.arange(side, device=matrix.device) * 2 + 1) / side - 1 for side in (width, height))
    columns, rows, shifts = (matrix[:, None, None, :, place] for place in range(3))
    return torch.addcmul(torch.addcmul(shifts, y[:, None, None], rows), x[:, None], columns)


def _on(device: torch.device, parameters: AugmentationParameters) -> tuple[Tensor, ...]:
    """Return matrix, gain, offset, noise, place of the noise, dropped channels, single slice, reversed, on a device.

    They travel as one array, without waiting for the device.
    """
    count = len(parameters)
    place = parameters.noise_seed % _NOISES  # below 2**24, so float32 holds it
    parts = (parameters.matrix, parameters.gain, parameters.offset, parameters.noise, place,
             parameters.drop_channel, parameters.single_slice, parameters.reverse)  # fmt: skip
    packed = np.concatenate([part.reshape(count, -1).astype(np.float32) for part in parts], axis=1)
    columns = torch.split(torch.from_numpy(packed).to(device, non_blocking=True), [6, 3, 3, 1, 1, 3, 1, 1], dim=1)
    matrix, gain, offset, noise, start, drop, single, reverse = columns
    place_of_noise = start[:, 0].long()
    return matrix.reshape(count, 2, 3), gain, offset, noise, place_of_noise, drop > 0.5, single > 0.5, reverse > 0.5


def change_intensities(
    planes: Tensor, parameters: AugmentationParameters, on_device: tuple[Tensor, ...] | None = None
) -> Tensor:
    """Apply gain, offset, noise and dropped channels.

    Parameters
    ----------
    planes
        (B, C, H, W) float32, normalised; a neighbour's FLAIR changes as the slice's.
    parameters
        What was drawn; they lie in the memory of the host and tell what need not be done.
    on_device
        The same where the slices lie, if it is there already.

    Returns
    -------
    Tensor
        (B, C, H, W) float32.
    """
    _, gain, offset, noise, start, drop, *_ = _on(planes.device, parameters) if on_device is None else on_device
    if planes.shape[1] > _SEQUENCES:
        gain, offset, drop = (each[:, SOURCES] for each in (gain, offset, drop))
    if (parameters.gain != 1).any() or parameters.offset.any():
        planes = torch.addcmul(offset[:, :, None, None], planes, gain[:, :, None, None])
    if parameters.noise.any():
        length = planes[0].numel()
        added = _noises(length, planes.device).unfold(0, length, 1)[start]
        planes = torch.addcmul(planes, added.view(planes.shape), noise[:, :, None, None])
    if parameters.drop_channel.any():
        planes = torch.where(drop[:, :, None, None], planes[:, _FLAIR : _FLAIR + 1], planes)
    return planes


@lru_cache(maxsize=4)
def _noises(length: int, device: torch.device) -> Tensor:
    """Return standard normal numbers, always the same, in which any of `_NOISES` places begins a slice's noise.

    Numbers of a slice's own would have to be drawn slice by slice, since a generator knows only one seed.
    """
    generator = torch.Generator().manual_seed(0)
    return torch.randn(_NOISES + length, generator=generator).to(device)


def augment(
    images: Tensor,
    masks: Tensor,
    *,
    volume_statistics: Tensor,
    slice_statistics: Tensor,
    parameters: AugmentationParameters,
) -> tuple[Tensor, Tensor]:
    """Turn cached slices into augmented network input and target.

    Parameters
    ----------
    images
        (B, H, W, C) uint8: three sequences, or five channels with the neighbours' FLAIR (`gliomask.data.neighbours`).
    masks
        (B, H, W) uint8, 0 or 1.
    volume_statistics, slice_statistics
        (B, 2, C) float32.
    parameters
        What happens to each slice.

    Returns
    -------
    tuple
        (B, C, H, W) float32 input and (B, 1, H, W) float32 target of 0 and 1.
    """
    device = images.device
    with torch.autocast(device.type, enabled=False):  # bfloat16 coordinates would be off by a pixel
        on_device = _on(device, parameters)
        matrix, *_, single, reverse = on_device
        planes, targets = resample(_neighbours_changed(to_planes(images), single, reverse), masks, matrix)
        statistics = torch.where(single[:, :, None], slice_statistics, volume_statistics)
        return change_intensities(normalise_planes(planes, statistics), parameters, on_device), targets


def _neighbours_changed(planes: Tensor, single: Tensor, reverse: Tensor) -> Tensor:
    """Let neighbours, if there are any, change places, or be the slice itself; (B, 1) bool each."""
    if planes.shape[1] > _SEQUENCES:
        around = planes[:, _SEQUENCES:]
        around = torch.where(reverse[:, :, None, None], around.flip(1), around)
        planes[:, _SEQUENCES:] = torch.where(single[:, :, None, None], planes[:, _FLAIR : _FLAIR + 1], around)
    return planes


def prepare(images: Tensor, masks: Tensor, *, statistics: Tensor) -> tuple[Tensor, Tensor]:
    """Turn cached slices into network input and target without any random change (validation, test).

    Shapes as for `augment`; ``statistics`` is (B, 2, C) float32.
    """
    return normalise_planes(to_planes(images), statistics), masks[:, None].float()
