"""What this process has in memory. Knows no PyTorch, which would be most of it."""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_memory() -> int:
    """Return the highest resident memory of this process so far, in bytes.

    Linux hands ``ru_maxrss`` down to a started program: it may be that of whoever started it. Its own is in ``/proc``.
    """
    status = _status()
    if "VmHWM" in status:
        return status["VmHWM"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_memory() -> dict[str, int]:
    """Return what this process has in memory now, in bytes: all of it, its own, and mapped from files.

    Where the system does not tell them apart, the highest so far stands for all of it.
    """
    status = _status()
    if not status:
        return {"all": peak_memory(), "own": 0, "files": 0}
    keys = {"all": "VmRSS", "own": "RssAnon", "files": "RssFile"}
    return {name: status.get(key, 0) for name, key in keys.items()}


def _status() -> dict[str, int]:
    """Return what Linux tells of this process's memory, in bytes; nothing on other systems."""
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.is_file() else []
    return {
        name: 1024 * int(value.split()[0])
        for name, _, value in (line.partition(":") for line in lines)
        if value.endswith(" kB")
    }
