"""Which part of a training step takes how long, heard from inside gliomask's own training. Changes nothing in it.

Lightning tells a profiler when each of its actions starts and stops; two hooks of the network divide the training step
into augmentation, forward pass and loss.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.profilers import Profiler

from benchmarks.measure import synchronise

PHASES = {
    "load": "slices from the cache, augmentation drawn",
    "transfer": "to the device",
    "augment": "one resampling, normalisation, intensities",
    "forward": "the network",
    "loss": "loss and counts",
    "backward": "",
    "optimiser": "step, gradients set to nothing",
    "average": "moving average of the weights",
    "rest": "Lightning: logging, hooks, learning rate",
}
"""The parts of a step, in order, and what is in them."""

_ACTIONS = {
    ".train_dataloader_next": "load",
    ".batch_to_device": "transfer",
    ".training_step": "training_step",
    ".backward": "backward",
    ".optimizer_zero_grad": "zero_grad",
    ".optimizer_step": "optimizer_step",
    "[LightningModule]SegmentationModule.on_train_batch_end": "average",
}


class PhaseClock(Callback):
    """Listens to a training and keeps the times of every step.

    Parameters
    ----------
    device
        Device that is waited for before the clock is read; makes a training on a GPU slower than it is.
    """

    def __init__(self, device: str) -> None:
        self._device, self._mark = device, 0.0
        self._now: dict[str, float] = {}
        self._starts: dict[str, float] = {}
        self._steps: list[dict[str, float]] = []

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Begin to listen."""
        trainer.profiler = _Listener(self)  # type: ignore[attr-defined]  # set in the constructor's helpers
        net: Any = pl_module.net
        net.register_forward_pre_hook(lambda *_: self.start("forward"))
        net.register_forward_hook(lambda *_: self.stop("forward"))

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Leave out what lies between epochs."""
        self._now, self._mark = {}, time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        """Close a step."""
        synchronise(self._device)
        now = time.perf_counter()
        self._steps.append({**self._now, "whole": now - self._mark})
        self._now, self._mark = {}, now

    def start(self, part: str) -> None:
        """Start the clock of a part."""
        synchronise(self._device)
        self._starts[part] = time.perf_counter()

    def stop(self, part: str) -> None:
        """Add to the time of a part."""
        synchronise(self._device)
        now = time.perf_counter()
        self._now[part] = self._now.get(part, 0.0) + now - self._starts[part]
        if part == "forward":
            self._now["before_forward"] = self._starts["forward"] - self._starts["training_step"]

    def steps(self, warmup: int) -> list[dict[str, float]]:
        """Return the seconds of every part and of the whole step, step by step, without the first steps."""
        return [_divide(step) for step in self._steps[warmup:]]

    def medians(self, warmup: int) -> dict[str, float]:
        """Return the median seconds of every part and of the whole step, without the first steps."""
        steps = self.steps(warmup)
        return {name: median(step[name] for step in steps) for name in (*PHASES, "whole")}


class _Listener(Profiler):
    """Passes on the actions that are parts of a step."""

    def __init__(self, clock: PhaseClock) -> None:
        super().__init__()
        self._clock = clock

    def start(self, action_name: str) -> None:
        """Start the clock of the part that the action is."""
        for ending, part in _ACTIONS.items():
            if action_name.endswith(ending):
                self._clock.start(part)

    def stop(self, action_name: str) -> None:
        """Stop the clock of the part that the action is."""
        for ending, part in _ACTIONS.items():
            if action_name.endswith(ending):
                self._clock.stop(part)


def _divide(step: dict[str, float]) -> dict[str, float]:
    """Turn nested times into times that add up to the whole."""
    heard = {name: step.get(name, 0.0) for name in ("load", "transfer", "backward", "average", "forward")}
    training = step["training_step"]
    heard["augment"] = step["before_forward"]
    heard["loss"] = training - heard["augment"] - heard["forward"]
    heard["optimiser"] = step["optimizer_step"] - training - heard["backward"]
    heard["rest"] = step["whole"] - sum(heard.values())
    return {**heard, "whole": step["whole"]}
