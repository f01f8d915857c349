"""What a training tells PyTorch and the C library, and that it is put back."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
import torch

from gliomask.errors import TrainingError
from gliomask.training.machine import memory_errors, training_settings

FAULTS = """
import ctypes, resource, sys, torch
from gliomask.training.machine import keep_freed_memory

ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: no pages of 2 MB, whatever the system does elsewhere
if sys.argv[1] == "keep":
    assert keep_freed_memory()
before = 0
for number in range(10):
    if number == 6:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    layers = [torch.ones(8, 2**20) for _ in range(3)]
    del layers
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_used_again() -> None:
    """Four times 96 MB are 98,304 pages (of 4 KB), unless they are those of the time before."""
    faults = {
        how: int(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True, text=True).stdout)
        for how in ("keep", "give back")
    }
    assert faults["give back"] > 0.9 * 4 * 96 * 2**20 / os.sysconf("SC_PAGE_SIZE")
    assert faults["keep"] < faults["give back"] / 10


def test_exhausted_memory_is_said_with_its_cure() -> None:
    with pytest.raises(TrainingError, match=r"machine's memory.*--micro-batch"), memory_errors():
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(TrainingError, match=r"device's memory.*--micro-batch"), memory_errors():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    with pytest.raises(RuntimeError, match="size of tensor"), memory_errors():
        torch.ones(2) + torch.ones(3)


def test_settings_are_put_back() -> None:
    fill = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled(), fill.fill_uninitialized_memory  # type: ignore[attr-defined]
    with training_settings("cuda"):
        assert not fill.fill_uninitialized_memory  # type: ignore[attr-defined]
        torch.use_deterministic_algorithms(not before[0])
    after = torch.are_deterministic_algorithms_enabled(), fill.fill_uninitialized_memory  # type: ignore[attr-defined]
    assert after == before == (before[0], True)
