"""Resident memory of training on an index of 100,000 slices.

python -m benchmarks.memory
python -m benchmarks.memory --slices 2000 --read 1000 --patients 4 --image-size 64

The cache is made by repetition (`benchmarks.data.repeated`). First a training on the small index says what PyTorch,
Lightning and the network take; then the same steps on the large one, then the batches of an epoch are read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.data import Case, add_options, cases, repeated
from benchmarks.measure import Budget
from benchmarks.report import Table, finish, gigabytes, say
from benchmarks.resident import peak_memory, resident_memory
from benchmarks.road import train_round
from gliomask.data.cache import open_cache
from gliomask.data.split import make_split
from gliomask.training.loading import SliceData

LIMIT = 3e9
"""What the resident memory of the whole process may be, in bytes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and write the JSON file; the status is 1 if it takes too much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, networks=("resnet18",))
    parser.add_argument("--slices", type=int, default=100_000, help="slices of the large index")
    parser.add_argument("--read", type=int, default=20_000, help="slices to read from it; at most an epoch")
    parser.add_argument("--steps", type=int, default=5, help="training steps")
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    seen: dict[str, dict[str, int]] = {"imported": resident_memory()}
    budget = Budget(warmup=0, steps=options.steps, seconds=1e9)
    for case in cases(options):
        train_round(case, budget)
        seen[f"{case.network}, trained on {case.index.slice_count} slices"] = resident_memory()
        index, _ = repeated(case.index, case.config.image_size, options.slices)
        large = replace(case, index=index)
        train_round(large, budget)
        seen[f"{case.network}, trained on {index.slice_count} slices"] = resident_memory()
        done, memory = read(large, options.read)
        seen[f"{case.network}, {done} slices read"] = memory
    peak = peak_memory()
    rows = tuple((name, *(gigabytes(value) for value in memory.values())) for name, memory in seen.items())
    table = Table(
        f"Resident memory, {options.slices:,} slices; highest {gigabytes(peak)}, limit {gigabytes(LIMIT)}",
        ("after", "all", "own", "mapped files"),
        rows,
    )
    results = {"memory": seen, "peak": peak, "limit": LIMIT}
    finish("memory", out=options.out, settings=vars(options), results=results, tables=[table])
    return int(peak >= LIMIT)


def read(case: Case, slices: int) -> tuple[int, dict[str, int]]:
    """Read the batches of an epoch until so many slices are seen; return how many were, and the memory then."""
    cache = open_cache(case.index, case.config.image_size)
    data = SliceData(cache, make_split(case.index, case.config.split), case.index, case.config)
    done = 0
    for batch in data.train_dataloader():
        done += len(batch.positions)
        if done >= slices:
            break
    say(f"{done} of {case.index.slice_count} slices read")
    return done, resident_memory()  # while the files are still open


if __name__ == "__main__":
    raise SystemExit(main())
