"""A training from a cold process: how long until the first step is done, and how much memory it takes at most.

`measure_cold` starts this module as a program; it prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import say

_ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a few steps on one road and print what it took."""
    from benchmarks.data import add_options, cases  # noqa: PLC0415 - importing is part of what is measured
    from benchmarks.measure import Budget  # noqa: PLC0415
    from benchmarks.resident import peak_memory  # noqa: PLC0415
    from benchmarks.road import train_round  # noqa: PLC0415
    from benchmarks.training import plain_training  # noqa: PLC0415

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("road", choices=["plain", "gliomask"])
    add_options(parser)
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    budget = Budget(warmup=0, steps=3, seconds=1e9)
    (case,) = cases(options)
    if options.road == "plain":
        plain = plain_training(case)
        clock = plain.round(budget)
        plain.close()
    else:
        clock = train_round(case, budget)
    say(json.dumps({"first_step": clock.first_step, "peak_memory": peak_memory()}))
    return 0


def measure_cold(road: str, options: Sequence[str]) -> dict[str, Any]:
    """Start a process and return its seconds to the end of the first step, and its peak memory in bytes.

    Parameters
    ----------
    road
        plain or gliomask.
    options
        Options of `benchmarks.data.add_options`; the slices are in the cache already.
    """
    command = [sys.executable, "-m", "benchmarks.cold", road, *options]
    start = time.time()
    done = subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, text=True)  # noqa: S603 - our own module
    told = json.loads(done.stdout.strip().splitlines()[-1])
    return {"seconds_to_first_step": told["first_step"] - start, "peak_memory": told["peak_memory"]}


if __name__ == "__main__":
    raise SystemExit(main())
