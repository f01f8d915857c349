"""The training and validation batches of a run, for Lightning: which slices, from where, and whose share.

Knows nothing of networks or of run folders.
"""

from __future__ import annotations

from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray

from gliomask.config import TrainConfig
from gliomask.data.batches import (
    CachedBatches,
    EvaluationPlans,
    ResidentBatches,
    Share,
    SliceBatch,
    TrainingPlans,
    batch_loader,
)
from gliomask.data.cache import SliceCache
from gliomask.data.index import DatasetIndex
from gliomask.data.split import Split
from gliomask.models.catalogue import sees_neighbours


class SliceData(lightning.LightningDataModule):
    """Training and validation batches of a cache; each process takes its share.

    Parameters
    ----------
    cache
        Slices at the size of the network.
    split
        Who is trained on, and who chooses the epoch.
    index
        The data set of both.
    config
        All settings.
    """

    def __init__(self, cache: SliceCache, split: Split, index: DatasetIndex, config: TrainConfig) -> None:
        super().__init__()
        self._cache, self._config = cache, config
        self._batches: CachedBatches | ResidentBatches | None = None
        self.training = split.positions(index, "train")
        self.validation = split.positions(index, "validation")

    def transfer_batch_to_device(self, batch: SliceBatch, device: torch.device, dataloader_idx: int) -> SliceBatch:
        """Send a batch to a GPU without waiting until it is there, as Lightning does with single tensors only."""
        return batch.to(device, non_blocking=device.type == "cuda")

    def teardown(self, stage: str) -> None:
        """Let go of slices on a device, where the next fold's belong."""
        self._batches = None

    def plans(self, share: Share) -> TrainingPlans:
        """Return the batches of a training epoch."""
        return TrainingPlans(
            self.training,
            self._cache.tumour_pixels[self.training] > 0,
            self._config,
            share,
        )

    def train_dataloader(self) -> Any:
        """Return the training batches."""
        return self._loader(self.plans(self._share()))

    def val_dataloader(self) -> Any:
        """Return the validation batches: every slice, in order, unchanged."""
        size = self._config.hardware.micro_batch or self._config.optimisation.batch_size
        return self._loader(EvaluationPlans(self.validation, batch_size=size, share=self._share()))

    def examples(self) -> SliceBatch:
        """Return a few validation slices with tumour."""
        positions = example_positions(self.validation.copy(), self._cache.tumour_pixels)
        (plan,) = EvaluationPlans(positions, batch_size=len(positions))
        neighbours = sees_neighbours(self._config.model.model)
        return CachedBatches(self._cache, self._config.normalisation, neighbours=neighbours)[plan]

    def _share(self) -> Share:
        return Share(self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else Share()

    def _loader(self, plans: TrainingPlans | EvaluationPlans) -> Any:
        device = self.trainer.strategy.root_device if self.trainer is not None else torch.device("cpu")
        if self._batches is None:
            self._batches = _batches(self._cache, self._config, device)
        pin_memory = device.type == "cuda" and isinstance(self._batches, CachedBatches)
        return batch_loader(self._batches, plans, pin_memory=pin_memory)


def _batches(cache: SliceCache, config: TrainConfig, device: torch.device) -> CachedBatches | ResidentBatches:
    """Return where batches are looked up: in the cache, or in a copy of it on the device."""
    wanted, neighbours = config.hardware.resident, sees_neighbours(config.model.model)
    if wanted == "on" or (wanted == "auto" and fits(cache, device)):
        return ResidentBatches(cache, config.normalisation, device, neighbours=neighbours)
    return CachedBatches(cache, config.normalisation, neighbours=neighbours)


def fits(cache: SliceCache, device: torch.device) -> bool:
    """Say whether all slices take less than half of the free memory of a GPU; on any other device, False."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return cache.images.nbytes + cache.masks.nbytes < free / 2


def example_positions(
    positions: NDArray[np.int64], tumour_pixels: NDArray[np.int64], count: int = 4
) -> NDArray[np.int64]:
    """Return the (at most ``count``) positions with most tumour, in order."""
    return np.sort(positions[tumour_pixels[positions].argsort()[::-1][:count]])
