"""Clocks and meters that every benchmark shares. Knows nothing of networks, data or of what is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch


@dataclass(frozen=True)
class Budget:
    """When a round of training steps is over.

    Parameters
    ----------
    warmup
        Steps before the clock starts.
    steps
        Most steps that are measured.
    seconds
        After this time no further step is begun, once ``fewest`` are measured.
    fewest
        Steps that are measured however long they take.
    """

    warmup: int = 1
    steps: int = 1000
    seconds: float = 20.0
    fewest: int = 2


class Stopwatch:
    """Times the steps of one round; the same for every road, so that a step means the same.

    A step lasts from the end of one to the end of the next: loading, everything between steps and all logging are in
    it. What happens between two epochs is not.

    Parameters
    ----------
    budget
        When the round is over.
    device
        Device that is waited for before the clock is read at the beginning and at the end.
    """

    def __init__(self, budget: Budget, device: str = "cpu") -> None:
        self._budget, self._device = budget, device
        self._ticks, self._mark = 0, time.perf_counter()
        self.steps, self.images, self.seconds = 0, 0, 0.0
        self.first_step: float | None = None
        """Time of day (seconds since the epoch) at which the very first step ended, warm-up or not."""

    def begin(self) -> None:
        """Start the clock of the next step; called when an epoch begins."""
        self._mark = time.perf_counter()

    def tick(self, images: int) -> bool:
        """End a step of so many images; return whether the round is over."""
        self._ticks += 1
        if self._ticks == 1:
            synchronise(self._device)
            self.first_step = time.time()
        if self._ticks <= self._budget.warmup:
            synchronise(self._device)
            self.begin()
            return False
        self._add()
        self.steps += 1
        self.images += images
        late = self.seconds >= self._budget.seconds and self.steps >= self._budget.fewest
        over = late or self.steps >= self._budget.steps
        if over:
            synchronise(self._device)
            self._add()
        return over

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds

    def _add(self) -> None:
        now = time.perf_counter()
        self.seconds += now - self._mark
        self._mark = now


def synchronise(device: str) -> None:
    """Wait until a device has done what it was given; a CPU always has."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Return median, lowest and highest of the rounds, and the rounds."""
    return {"median": median(values), "lowest": min(values), "highest": max(values), "rounds": list(values)}


def seconds_of(work: Callable[[], object], *, budget: float = 0.5, fewest: int = 3, device: str = "cpu") -> float:
    """Return the median time of a call in seconds, after one that does not count.

    Parameters
    ----------
    work
        What to call.
    budget
        Seconds to spend on it, about.
    fewest
        Calls that are measured however long they take.
    """
    work()
    times: list[float] = []
    while len(times) < fewest or sum(times) < budget:
        synchronise(device)
        start = time.perf_counter()
        work()
        synchronise(device)
        times.append(time.perf_counter() - start)
    return median(times)
