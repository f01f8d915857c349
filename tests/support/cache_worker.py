"""What other processes do in the tests of the slice cache. Knows nothing of what the tests prove."""

from __future__ import annotations

import time
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

import numpy as np

from gliomask.data.cache import open_cache
from gliomask.data.index import build_index


def build_together(root: Path, size: int, barrier: Barrier, answers: Any) -> None:
    """Open a cache so that all processes are in the middle of building it at once; answer with what it holds."""
    met = False

    def meet(_done: int, _total: int) -> None:
        nonlocal met
        if not met:
            barrier.wait(timeout=30)
            met = True

    cache = open_cache(build_index(root, use_cache=False), size, progress=meet)
    answers.put((met, np.array(cache.images), np.array(cache.masks), np.array(cache.tumour_pixels)))


def build_and_stall(root: Path, size: int, half_done: Event) -> None:
    """Begin to build a cache, say so, and never finish."""

    def stall(done: int, total: int) -> None:
        if 2 * done >= total:
            half_done.set()
            time.sleep(600)

    open_cache(build_index(root, use_cache=False), size, progress=stall)
