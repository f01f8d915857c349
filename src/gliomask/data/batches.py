"""Batches of cached slices, in an order that depends on seed and epoch alone.

Order and augmentation are drawn for the whole batch; each of several processes takes its share of the rows. So the
same slices are changed in the same way on one device or many, and an epoch can be repeated after a restart.
Knows nothing of networks or of Lightning.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from gliomask.config import NormalisationName, TrainConfig
from gliomask.data.augmentation import AugmentationParameters, draw
from gliomask.data.cache import SliceCache, read_rows
from gliomask.data.neighbours import SOURCES, neighbour_rows, read_slices
from gliomask.data.normalisation import IMAGENET_STATISTICS
from gliomask.errors import UsageError

_PIECE = 256
"""Slices that are copied at once to a device."""


class SliceBatch(NamedTuple):
    """B slices as they lie in the cache, and what shall happen to them.

    ``images`` (B, H, W, C) uint8, ``masks`` (B, H, W) uint8, ``volume_statistics`` and ``slice_statistics``
    (B, 2, C) float32, where C is 3, or 5 with neighbours, ``positions`` (B,) int64 rows of the cache, ``parameters``
    None where nothing is changed, ``weight`` the factor of the loss where a batch is taken in parts.
    """

    images: Tensor
    masks: Tensor
    volume_statistics: Tensor
    slice_statistics: Tensor
    positions: Tensor
    parameters: AugmentationParameters | None
    weight: float = 1.0

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> SliceBatch:
        """Return the batch with its tensors on a device; Lightning calls this."""
        return SliceBatch(
            self.images.to(device, non_blocking=non_blocking),
            self.masks.to(device, non_blocking=non_blocking),
            self.volume_statistics.to(device, non_blocking=non_blocking),
            self.slice_statistics.to(device, non_blocking=non_blocking),
            self.positions.to(device, non_blocking=non_blocking),
            self.parameters,
            self.weight,
        )


@dataclass(frozen=True)
class Share:
    """Which of ``world`` processes this is; a single process is rank 0 of 1."""

    rank: int = 0
    world: int = 1


@dataclass(frozen=True)
class BatchPlan:
    """Which slices make a batch, or a part of one, and what shall happen to them."""

    positions: NDArray[np.int64]
    parameters: AugmentationParameters | None
    weight: float = 1.0


class TrainingPlans(Sampler[BatchPlan]):
    """The batches of an epoch: shuffled, empty slices thinned out, augmentation drawn.

    Parameters
    ----------
    positions
        (N,) int64 rows of the cache to train on.
    has_tumour
        (N,) bool: which of them show tumour.
    config
        Seed, batch size (over all processes together), slices in an epoch, augmentation, most slices at once.
    share
        Rows of each batch that this process takes.

    Attributes
    ----------
    parts
        In how many parts a batch is taken, each a plan of its own. The loss of a part has the weight that makes the sum
        of the parts' losses, divided by their number, the mean over the batch.

    Raises
    ------
    UsageError
        If a batch cannot be shared evenly among the processes.
    """

    def __init__(
        self,
        positions: NDArray[np.int64],
        has_tumour: NDArray[np.bool_],
        config: TrainConfig,
        share: Share = Share(),
    ) -> None:
        if config.optimisation.batch_size % share.world:
            raise UsageError(
                f"batch_size is {config.optimisation.batch_size}; expected a multiple of {share.world}, as many slices "
                "on each device"
            )
        self._tumour, self._empty = positions[has_tumour], positions[~has_tumour]
        self._empties = len(self._empty)
        ratio = config.optimisation.empty_ratio
        if ratio and len(self._tumour):
            self._empties = min(self._empties, round(ratio * len(self._tumour)))
        self._limit = config.optimisation.epoch_slices
        self._augmentation, self._batch_size = config.augmentation, config.optimisation.batch_size
        self._seed, self._share, self._epoch = config.seed, share, 0
        mine = self._batch_size // share.world
        self.parts = math.ceil(mine / (config.hardware.micro_batch or mine))

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose batches come next."""
        self._epoch = epoch

    @property
    def slices(self) -> int:
        """Number of slices in an epoch."""
        count = len(self._tumour) + self._empties
        return min(count, self._limit) if self._limit else count

    @property
    def steps(self) -> int:
        """Number of optimiser steps in an epoch."""
        full, rest = divmod(self.slices, self._batch_size)
        return full + (rest >= self._share.world)

    def __len__(self) -> int:
        """Return the number of plans in an epoch: every batch, or every part of one."""
        full, rest = divmod(self.slices, self._batch_size)
        return full * self.parts + min(rest // self._share.world, self.parts)

    def __iter__(self) -> Iterator[BatchPlan]:
        """Yield this process's share of every batch, part by part."""
        rng = np.random.default_rng([self._seed, self._epoch])  # the same as [..., 0], so batches count from 1
        empty = rng.permutation(self._empty)[: self._empties]
        order = rng.permutation(np.concatenate([self._tumour, empty]))[: self.slices]
        for number in range(self.steps):
            positions = order[number * self._batch_size :][: self._batch_size]
            parameters = draw(
                self._augmentation, len(positions), np.random.default_rng([self._seed, self._epoch, 1 + number])
            )
            usable = len(positions) - len(positions) % self._share.world
            rows = np.arange(self._share.rank, usable, self._share.world)
            for number_of_part in range(min(self.parts, len(rows))):
                part = rows[number_of_part :: self.parts]
                weight = len(part) * self.parts / len(rows)
                yield BatchPlan(positions[part], parameters.select(part), weight)


class EvaluationPlans(Sampler[BatchPlan]):
    """All slices, in the order of the cache, never changed.

    Each of several processes takes every so-many-th; one that has a slice less repeats its last, so that all have the
    same number of batches.
    """

    def __init__(self, positions: NDArray[np.int64], *, batch_size: int, share: Share = Share()) -> None:
        mine = positions[share.rank :: share.world]
        missing = math.ceil(len(positions) / share.world) - len(mine)
        self._positions = np.concatenate([mine, mine[-1:].repeat(missing)])
        self._batch_size = batch_size

    def __len__(self) -> int:
        """Return the number of batches."""
        return math.ceil(len(self._positions) / self._batch_size)

    def __iter__(self) -> Iterator[BatchPlan]:
        """Yield the batches."""
        for start in range(0, len(self._positions), self._batch_size):
            yield BatchPlan(self._positions[start : start + self._batch_size], None)


class CachedBatches(Dataset[SliceBatch]):
    """Looks planned batches up in a cache; with the neighbours' FLAIR if asked for."""

    def __init__(self, cache: SliceCache, normalisation: NormalisationName, *, neighbours: bool = False) -> None:
        self._cache, self._neighbours = cache, neighbours
        self._volume, self._slice = _statistics(cache, normalisation, neighbours=neighbours)

    def __getitem__(self, plan: BatchPlan) -> SliceBatch:
        """Read one batch."""
        rows = plan.positions
        return SliceBatch(
            images=torch.from_numpy(read_slices(self._cache, rows, neighbours=self._neighbours)),
            masks=torch.from_numpy(read_rows(self._cache.masks, rows)),
            volume_statistics=torch.from_numpy(self._volume[rows]),
            slice_statistics=torch.from_numpy(self._slice[rows]),
            positions=torch.from_numpy(rows),
            parameters=plan.parameters,
            weight=plan.weight,
        )


class ResidentBatches(Dataset[SliceBatch]):
    """Looks planned batches up in a copy of a cache that lies, as uint8, in the memory of the training device.

    Parameters
    ----------
    cache
        What to copy; it is read in pieces, so that it does not pass through the host's memory as a whole.
    normalisation
        Decides the statistics.
    device
        Where to.
    neighbours
        Whether a slice comes with its neighbours' FLAIR.
    """

    def __init__(
        self, cache: SliceCache, normalisation: NormalisationName, device: torch.device, *, neighbours: bool = False
    ) -> None:
        self._device = device
        near = neighbour_rows(cache.patients) if neighbours else ()
        self._near = [torch.from_numpy(rows).to(device) for rows in near]
        self._images, self._masks = (_copied(array, device) for array in (cache.images, cache.masks))
        statistics = _statistics(cache, normalisation, neighbours=neighbours)
        self._volume, self._slice = (torch.from_numpy(each).to(device) for each in statistics)

    def __getitem__(self, plan: BatchPlan) -> SliceBatch:
        """Gather one batch on the device."""
        rows = torch.from_numpy(plan.positions).to(self._device, non_blocking=True)
        images, around = self._images[rows], [self._images[near[rows]][..., 1:2] for near in self._near]
        return SliceBatch(
            images=torch.cat([images, *around], dim=3) if around else images,
            masks=self._masks[rows],
            volume_statistics=self._volume[rows],
            slice_statistics=self._slice[rows],
            positions=rows,
            parameters=plan.parameters,
            weight=plan.weight,
        )


def _statistics(
    cache: SliceCache, normalisation: NormalisationName, *, neighbours: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (N, 2, C) means and deviations of every slice's volume and of every slice, in memory."""
    channels = SOURCES if neighbours else SOURCES[:3]
    if normalisation == "imagenet":
        fixed = np.broadcast_to(IMAGENET_STATISTICS[:, channels], (len(cache), 2, len(channels))).copy()
        return fixed, fixed
    volume, alone = (np.array(found) for found in (cache.volume_statistics, cache.slice_statistics))
    return (volume[..., channels], alone[..., channels]) if neighbours else (volume, alone)


def _copied(array: NDArray[np.uint8], device: torch.device) -> Tensor:
    copy = torch.empty(array.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(array), _PIECE):
        rows = np.arange(start, min(start + _PIECE, len(array)))
        copy[start : start + _PIECE] = torch.from_numpy(read_rows(array, rows))
    return copy


def batch_loader(
    batches: CachedBatches | ResidentBatches, plans: TrainingPlans | EvaluationPlans, *, pin_memory: bool = False
) -> DataLoader[SliceBatch]:
    """Return a loader of whole batches; reading a few rows of a file is too cheap to need worker processes.

    Parameters
    ----------
    batches
        Where they are looked up.
    plans
        Which ones.
    pin_memory
        Make batches in page-locked memory, from which they reach a GPU without being waited for.
    """
    return DataLoader(batches, sampler=plans, batch_size=None, num_workers=0, pin_memory=pin_memory)
