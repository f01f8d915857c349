"""The Lightning module: what happens in a training step, a validation step and at the end of an epoch.

Knows nothing of folders, files or the command line.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from gliomask.config import OptimisationConfig, TrainConfig
from gliomask.data.augmentation import augment, prepare
from gliomask.data.batches import SliceBatch
from gliomask.data.cache import SliceCache
from gliomask.errors import TrainingError
from gliomask.models.losses import LOSSES
from gliomask.training.convolution import ProductGradients, products_pay

WARMUP_STEPS = 100
"""Length of the original project's warm-up."""


def learning_rate_factor(step: int, config: OptimisationConfig, steps_per_epoch: int) -> float:
    """Return the learning rate of a step as a fraction of the highest.

    ``warmup`` is the original project's: a linear rise over 100 steps (or an epoch less one, if that is shorter) that
    starts anew in every epoch. ``one-cycle`` rises over the first 10 % of the training from a 25th and falls along
    half a cosine to a 1000th; ``cosine`` only falls.
    """
    total = max(config.epochs * steps_per_epoch, 1)
    if config.lr_scheduler == "warmup":
        length = min(WARMUP_STEPS, steps_per_epoch - 1)
        place = step % steps_per_epoch
        return 1.0 if place >= length else 1 / WARMUP_STEPS * (1 - place / length) + place / length
    if config.lr_scheduler == "none":
        return 1.0
    rise = 0.1 * total if config.lr_scheduler == "one-cycle" else 0.0
    if step < rise:
        return 1 / 25 + (1 - 1 / 25) * step / rise
    fraction = min((step - rise) / max(total - rise, 1), 1.0)
    return 1e-3 + (1 - 1e-3) * 0.5 * (1 + math.cos(math.pi * fraction))


class MovingAverage(nn.Module):
    """Exponential moving average of a network's weights and running statistics.

    Parameters
    ----------
    net
        Network to follow; it is copied.
    decay
        Weight of the past; less at the beginning, ``(1 + n) / (10 + n)`` after n updates.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        super().__init__()
        self.net = _frozen(net)
        self.decay = decay
        self.updates = 0  # a number of the host's, so that no step waits for the device to tell it

    def get_extra_state(self) -> int:
        """Return the number of updates, for the state dict."""
        return self.updates

    def set_extra_state(self, state: int) -> None:
        """Go on from a number of updates."""
        self.updates = state

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Move towards the weights of ``net``."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        numbers: tuple[list[Tensor], list[Tensor]] = ([], [])
        for mine, theirs in zip(_tensors(self.net), _tensors(net), strict=True):
            if mine.is_floating_point():
                numbers[0].append(mine)
                numbers[1].append(theirs)
            else:
                mine.copy_(theirs)
        get_ema_multi_avg_fn(decay)(*numbers, self.updates)  # type: ignore[no-untyped-call]  # PyTorch's annotations

    def train(self, mode: bool = True) -> MovingAverage:
        """Stay in evaluation mode."""
        return self


def mixed(net: nn.Module, start: nn.Module, share: float) -> nn.Module:
    """Return a network whose weights and running statistics lie between those of two alike.

    Parameters
    ----------
    net, start
        Networks of one architecture; neither is changed.
    share
        0 returns the weights of ``net``, 1 those of ``start``.
    """
    between = _frozen(net)
    for mine, theirs in zip(_tensors(between), _tensors(start), strict=True):
        if mine.is_floating_point():
            mine.lerp_(theirs, share)
    return between


def _frozen(net: nn.Module) -> nn.Module:
    return copy.deepcopy(net).requires_grad_(requires_grad=False).eval()


def _tensors(net: nn.Module) -> Iterator[Tensor]:
    """Yield weights and running statistics."""
    yield from net.parameters()
    yield from net.buffers()


class SegmentationModule(lightning.LightningModule):
    """One network in training.

    Parameters
    ----------
    net
        Returns logits (B, 1, H, W) for (B, C, H, W).
    config
        All settings.
    cache
        Where the slices come from; tells which patient a validation slice belongs to.
    steps_per_epoch
        Optimiser steps in an epoch, for the learning-rate schedule.

    Notes
    -----
    A training step leaves everything on the device and waits for nothing: scores are added up there and read at the end
    of the epoch.
    """

    def __init__(self, net: nn.Module, config: TrainConfig, cache: SliceCache, steps_per_epoch: int) -> None:
        super().__init__()
        # PyTorch's annotations lack this overload of Module.to
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config = config
        average = config.optimisation.average
        self.average = MovingAverage(self.net, average) if average else None
        self._loss = LOSSES[config.optimisation.loss]
        self.epoch_metrics: dict[str, float] = {}
        self._start = _frozen(self.net) if config.optimisation.start_share else None
        self._validated: nn.Module | None = None
        if config.hardware.compile:
            self.net.compile()  # after the average has copied it
        self._by_products = products_pay() and not config.hardware.compile
        self._cache_patients, self._steps_per_epoch = cache.patients, steps_per_epoch
        self._training_sums = self._validation_sums = torch.zeros(0)

    @property
    def averaged_net(self) -> nn.Module:
        """The network to validate and keep: the moving average if there is one, mixed with the start if asked for.

        The mean of the weights before and after fine-tuning: Wortsman et al., Robust fine-tuning of zero-shot models
        (CVPR 2022).
        """
        trained = self.average.net if self.average is not None else self.net
        return trained if self._start is None else mixed(trained, self._start, self.config.optimisation.start_share)

    def configure_optimizers(self) -> Any:
        """Make the optimiser and the learning-rate schedule, which moves every step."""
        config = self.config.optimisation
        optimiser: torch.optim.Optimizer
        groups = parameter_groups(self.net, config)
        if config.optimiser == "adamax":
            optimiser = torch.optim.Adamax(groups, config.learning_rate)
        else:
            optimiser = torch.optim.AdamW(groups, config.learning_rate, weight_decay=config.weight_decay, fused=True)
        optimiser.register_load_state_dict_post_hook(_as_the_weights_lie)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: learning_rate_factor(step, config, self._steps_per_epoch)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        """Begin counting anew."""
        self.epoch_metrics = {}
        self._training_sums = torch.zeros(5, device=self.device)

    def training_step(self, batch: SliceBatch, _: int) -> Tensor:
        """Return the loss of a batch."""
        if batch.parameters is None:
            raise ValueError("a training batch needs augmentation parameters")
        inputs, targets = augment(
            batch.images,
            batch.masks,
            volume_statistics=batch.volume_statistics,
            slice_statistics=batch.slice_statistics,
            parameters=batch.parameters,
        )
        with ProductGradients() if self._by_products and self.device.type == "cpu" else nullcontext():
            logits = self.net(inputs.contiguous(memory_format=torch.channels_last))
        loss = self._loss(logits, targets)
        counts = _count(logits.detach(), targets, self.config.threshold).sum(dim=0)
        self._training_sums[:3] += counts
        self._training_sums[3] += loss.detach() * len(targets)
        self._training_sums[4] += len(targets)
        return loss * batch.weight

    def on_train_batch_end(self, outputs: Any, batch: SliceBatch, batch_idx: int) -> None:
        """Let the moving average follow each step of the optimiser."""
        stepped = (batch_idx + 1) % self.trainer.accumulate_grad_batches == 0 or self.trainer.is_last_batch
        if self.average is not None and stepped:
            self.average.update(self.net)

    def on_validation_epoch_start(self) -> None:
        """Begin counting anew: one row of tp, fp, fn, summed loss and a mark for each slice of the cache."""
        self._validated = self.averaged_net
        self._validation_sums = torch.zeros(len(self._cache_patients), 5, device=self.device)

    def validation_step(self, batch: SliceBatch, _: int) -> None:
        """Count a batch of unchanged slices."""
        inputs, targets = prepare(batch.images, batch.masks, statistics=batch.volume_statistics)
        net = self._validated if self._validated is not None else self.averaged_net
        logits = net(inputs.contiguous(memory_format=torch.channels_last))
        loss = self._loss(logits, targets)
        counts = _count(logits, targets, self.config.threshold)
        rest = torch.stack([loss, torch.ones_like(loss)]).expand(len(targets), 2)
        self._validation_sums[batch.positions] = torch.cat([counts, rest], dim=1)

    def on_validation_epoch_end(self) -> None:
        """Work out the validation scores."""
        self._validated = None
        sums = self.trainer.strategy.reduce(self._validation_sums, reduce_op="sum").cpu().numpy()
        seen = sums[:, 4] > 0
        scores = validation_scores(sums[seen, :3], self._cache_patients[seen])
        self.epoch_metrics |= {"val_loss": float(sums[seen, 3].mean()), **scores}
        for name in ("val_loss", "val_dice", "val_dice_pooled"):
            self.log(name, self.epoch_metrics[name], prog_bar=name == "val_dice", rank_zero_only=False)

    def on_train_epoch_end(self) -> None:
        """Work out the training loss and Dice."""
        sums = self.trainer.strategy.reduce(self._training_sums, reduce_op="sum").cpu().numpy()
        tp, fp, fn, loss, slices = map(float, sums)
        if not math.isfinite(loss):
            raise TrainingError(
                f"the training loss is {loss}; expected a number; train anew under another --name, with a lower "
                "--learning-rate"
            )
        # a list only where there are several optimisers
        rate = float(self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]
        self.epoch_metrics |= {
            "train_loss": loss / max(slices, 1),
            "train_dice_pooled": _dice(tp, fp, fn),
            "learning_rate": rate,
        }
        for name in ("train_loss", "train_dice_pooled", "learning_rate"):
            self.log(name, self.epoch_metrics[name], prog_bar=name == "train_loss")


def parameter_groups(net: nn.Module, config: OptimisationConfig) -> list[dict[str, Any]]:
    """Return the weights with their highest learning rates: those of an encoder apart if theirs is another.

    Parameters
    ----------
    net
        A network, which may have a submodule ``encoder``.
    config
        Learning rate, and the encoder's as a fraction of it.
    """
    encoder = [weight for name, weight in net.named_parameters() if name.startswith("encoder.")]
    if config.encoder_rate == 1 or not encoder:
        return [{"params": list(net.parameters()), "lr": config.learning_rate}]
    rest = [weight for name, weight in net.named_parameters() if not name.startswith("encoder.")]
    return [
        {"params": rest, "lr": config.learning_rate},
        {"params": encoder, "lr": config.learning_rate * config.encoder_rate},
    ]


def _as_the_weights_lie(optimiser: torch.optim.Optimizer) -> None:
    """Bring averages that were read from a file to the memory layout of their weights.

    A fused optimiser takes weights and averages in the order of memory. A file holds contiguous tensors, convolutions
    lie channels last: after resuming, it would pair each weight with the average of another.
    """
    for weight, state in optimiser.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                state[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


def validation_scores(counts: np.ndarray[Any, Any], patients: np.ndarray[Any, Any]) -> dict[str, float]:
    """Return Dice of slices at the network's size, to choose a model by (reported scores come from `evaluate`).

    Parameters
    ----------
    counts
        (N, 3): tp, fp, fn of each slice.
    patients
        (N,): the patient of each slice.

    Returns
    -------
    dict
        ``val_dice``: mean over patients of the Dice over all of a patient's slices; ``val_dice_pooled``: Dice over
        all slices together. Empty against empty is 1.
    """
    per_patient = [_dice(*counts[patients == patient].sum(axis=0)) for patient in np.unique(patients)]
    return {"val_dice": float(np.mean(per_patient)), "val_dice_pooled": _dice(*counts.sum(axis=0))}


def _dice(tp: float, fp: float, fn: float) -> float:
    total = 2 * tp + fp + fn
    return float(2 * tp / total) if total else 1.0


def _count(logits: Tensor, targets: Tensor, threshold: float) -> Tensor:
    """Return (B, 3) float32 tp, fp, fn of (B, 1, H, W) logits against targets, without leaving the device."""
    predicted = logits >= math.log(threshold / (1 - threshold))
    truth = targets > 0.5
    pairs = (predicted & truth, predicted & ~truth, ~predicted & truth)
    return torch.stack([pair.sum(dim=(1, 2, 3)) for pair in pairs], dim=1).float()
