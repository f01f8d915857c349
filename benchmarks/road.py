"""gliomask's own training, as `gliomask train` runs it, for as many steps as are to be measured.

Nothing of it is repeated here: `gliomask.training.fit.fit` is called, a clock listens as a Lightning callback, and
leaves when the round is over.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import lightning
from lightning.pytorch.callbacks import Callback

from benchmarks.data import Case
from benchmarks.measure import Budget, Stopwatch
from gliomask.training.fit import FitOptions, fit
from gliomask.training.run_folder import RunFolder


class RoundOverError(Exception):
    """Raised out of the training when its round is over."""


class Clock(Callback):
    """Ticks at the end of every step."""

    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Leave out what lies between epochs."""
        self._stopwatch.begin()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End a step, and the training with the last."""
        if self._stopwatch.tick(len(batch.positions)):
            raise RoundOverError


def train_round(case: Case, budget: Budget, listeners: Sequence[Callback] = ()) -> Stopwatch:
    """Train for one round and return its clock.

    Parameters
    ----------
    case
        Network, data and settings.
    budget
        When the round is over.
    listeners
        Further callbacks, which are told of each step before the clock is.
    """
    stopwatch = Stopwatch(budget, case.device)
    with tempfile.TemporaryDirectory() as folder, _listened_to([*listeners, Clock(stopwatch)]):
        try:
            fit(case.index, case.config, RunFolder(Path(folder) / "run"), FitOptions(progress=False))
        except RoundOverError:
            return stopwatch
    raise RuntimeError(f"the training ended after {stopwatch.steps} steps; expected it to go on")


@contextmanager
def _listened_to(listeners: Sequence[Callback]) -> Iterator[None]:
    """Add callbacks to whichever trainer is started."""
    start = lightning.Trainer.fit

    def started(trainer: lightning.Trainer, *arguments: Any, **named: Any) -> None:
        trainer.callbacks.extend(listeners)  # type: ignore[attr-defined]  # set in the constructor's helpers
        start(trainer, *arguments, **named)

    with patch.object(lightning.Trainer, "fit", started):
        yield
