"""What the machine is and what it could do: its processor, and its measured matrix-multiplication peak."""

from __future__ import annotations

import time
from typing import Any

import torch

from benchmarks.measure import synchronise
from gliomask.training.environment import describe_environment

_LONG_ENOUGH = 0.2
_SIZES = (256, 512, 1024, 2048, 4096, 8192, 16384)


def describe_machine() -> dict[str, Any]:
    """Return versions, processor, its vector instructions, threads, and the GPU if there is one."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        **describe_environment(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
    }


def matmul_peak(dtype: torch.dtype, device: str = "cpu", *, seconds: float = _LONG_ENOUGH) -> float:
    """Return the highest rate of square matrix multiplications, in FLOP/s (a multiply-add is two).

    Sides are doubled until one multiplication takes ``seconds`` (a hundredth of it on a GPU); the best of all counts.
    """
    best, limit = 0.0, seconds if device == "cpu" else seconds / 100
    for side in _SIZES:
        rate = _rate(side, dtype, device)
        best = max(best, rate)
        if 2 * side**3 / rate > limit:
            break
    return best


def _rate(side: int, dtype: torch.dtype, device: str) -> float:
    """Return the FLOP/s of the fastest of five multiplications of a side."""
    generator = torch.Generator(device).manual_seed(0)
    one, other = (torch.randn(side, side, generator=generator, device=device).to(dtype) for _ in range(2))
    result = one @ other
    times = []
    for _ in range(5):
        synchronise(device)
        start = time.perf_counter()
        torch.mm(one, other, out=result)
        synchronise(device)
        times.append(time.perf_counter() - start)
        if sum(times) > 4 * _LONG_ENOUGH:  # a processor without this format
            break
    return 2 * side**3 / min(times)
