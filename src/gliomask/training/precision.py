"""Which number format trains faster here, found by measuring a convolution, not by the processor's name."""

from __future__ import annotations

import time
from typing import Literal

import torch
from torch import nn

Precision = Literal["float32", "bfloat16"]
_WORTHWHILE = 1.3
"""bfloat16 must be this much faster to be worth its rounding."""


def choose_precision(setting: Literal["auto", "float32", "bfloat16"], accelerator: str) -> Precision:
    """Return the precision to train in.

    Parameters
    ----------
    setting
        The user's choice; auto measures on a CPU and asks CUDA on a GPU.
    accelerator
        Lightning's name of the accelerator in use ("cpu", "cuda", "mps").
    """
    if setting != "auto":
        return setting
    if accelerator == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if accelerator != "cpu":
        return "float32"
    ratio = _seconds(torch.float32) / _seconds(torch.bfloat16)
    return "bfloat16" if ratio > _WORTHWHILE else "float32"


def _seconds(dtype: torch.dtype) -> float:
    """Shortest time of three for a 3x3 convolution of 64 channels, forward and backward."""
    with torch.random.fork_rng(devices=[]):
        convolution = nn.Conv2d(64, 64, 3, padding=1).to(dtype)
        images = torch.randn(2, 64, 48, 48).to(dtype=dtype, memory_format=torch.channels_last)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        convolution(images).sum().backward()
        times.append(time.perf_counter() - start)
    return min(times[1:])
