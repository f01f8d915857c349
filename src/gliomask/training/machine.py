"""What PyTorch is told about the machine while a training runs on it; changes no number that is learned."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from gliomask.errors import TrainingError

_MALLOPT = {"M_TRIM_THRESHOLD": (-1, -1), "M_MMAP_MAX": (-4, 0)}
"""Parameters of glibc's mallopt(3), with their numbers in malloc.h and their values for "never"."""


def keep_freed_memory() -> bool:
    """Let this process reuse the memory that it frees instead of giving it back to the system.

    The activations of a step are tens of megabytes each, allocated and freed again in every step. By default glibc maps
    each of them anew, and the system clears it page by page: three million page faults in four steps of a U-Net, a
    quarter of the time. Here freed memory stays with the process until it ends.

    Returns
    -------
    bool
        Whether the C library is glibc and took it; elsewhere nothing is changed.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return all(libc.mallopt(number, value) == 1 for number, value in _MALLOPT.values())


@contextmanager
def memory_errors() -> Iterator[None]:
    """Say in one line that memory is short, and what helps.

    Raises
    ------
    TrainingError
        In place of PyTorch's error, which is a page long on a GPU and a plain RuntimeError on a CPU.
    """
    try:
        yield
    except RuntimeError as error:
        on_device = isinstance(error, torch.OutOfMemoryError)
        if not on_device and "can't allocate memory" not in str(error):
            raise
        raise TrainingError(
            f"a batch does not fit into the {'device' if on_device else 'machine'}'s memory; expected room for it; "
            "take it in parts with --micro-batch 4 (or 2, 1) in a run of another --name"
        ) from error


@contextmanager
def training_settings(accelerator: str) -> Iterator[None]:
    """Set PyTorch up for a training, and put back at the end what can be put back.

    Deterministic algorithms are Lightning's to turn on. Under them PyTorch also fills every fresh tensor with NaN, so
    that reading one too early shows; that costs a pass through memory for each layer, and is turned off here.

    Parameters
    ----------
    accelerator
        Lightning's name of the accelerator in use; on ``cpu`` freed memory is kept (`keep_freed_memory`).
    """
    if accelerator == "cpu":
        keep_freed_memory()
    deterministic = torch.are_deterministic_algorithms_enabled()
    settings: Any = torch.utils.deterministic  # whose annotations lack what the module has
    fill, settings.fill_uninitialized_memory = settings.fill_uninitialized_memory, False
    try:
        yield
    finally:
        settings.fill_uninitialized_memory = fill
        torch.use_deterministic_algorithms(deterministic)
