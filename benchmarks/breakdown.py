"""Where the time of a gliomask training step goes, the data road alone, memory, first step, share of the peak.

python -m benchmarks.breakdown
python -m benchmarks.breakdown --recipe default --networks unet
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.cold import measure_cold
from benchmarks.data import SLICES, Case, add_options, cases
from benchmarks.machine import matmul_peak
from benchmarks.measure import Budget, Stopwatch, synchronise
from benchmarks.phases import PHASES, PhaseClock
from benchmarks.report import Table, finish, gigabytes, milliseconds, percent, say
from benchmarks.road import train_round
from benchmarks.work import flops_per_image
from gliomask.data.augmentation import augment
from gliomask.data.cache import open_cache
from gliomask.data.split import make_split
from gliomask.models.registry import build_model
from gliomask.training.loading import SliceData

_FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--seconds", type=float, default=30.0, help="time for the steps of a network, about")
    parser.add_argument("--steps", type=int, default=200, help="most steps of a network")
    parser.add_argument("--no-cold", action="store_true", help="leave out first step and memory of cold processes")
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    budget = Budget(warmup=2, steps=options.steps, seconds=options.seconds, fewest=3)
    peaks = {name: matmul_peak(dtype, options.device) for name, dtype in _FORMATS.items()}
    found = []
    for case in cases(options):
        row = {**take_apart(case, budget), "cold": {}}
        if not options.no_cold:
            row["cold"] = {road: measure_cold(road, _cold_options(case, options)) for road in ("plain", "gliomask")}
        row["share_of_peak"] = {name: row["flops"] / peak for name, peak in peaks.items()}
        found.append(row)
        say(f"{case.network}: {milliseconds(row['phases']['whole'])} ms a step")
    tables = [phase_table(found), facts_table(found, peaks)]
    results = {"networks": found, "matmul_peak": peaks}
    finish("breakdown", out=options.out, settings=vars(options), results=results, tables=tables)
    return 0


def take_apart(case: Case, budget: Budget) -> dict[str, Any]:
    """Measure the parts of a step of one network, and its data road alone."""
    phases = PhaseClock(case.device)
    clock = train_round(case, budget, [phases])
    parts = phases.medians(budget.warmup)
    road = data_road(case, budget)
    flops = flops_per_image(build_model(case.network), case.config.image_size)
    return {
        "network": case.network,
        "image_size": case.config.image_size,
        "batch_size": case.batch_size,
        "precision": case.config.hardware.precision,
        "steps": clock.steps,
        "phases": parts,
        "images_per_second": clock.rate,
        "epochs_per_hour": 3600 * clock.rate / SLICES,
        "road": {"slices_per_second": road, "share_of_step": clock.rate / road},
        "flops_per_image": flops,
        "flops": flops * clock.rate,
    }


def data_road(case: Case, budget: Budget) -> float:
    """Return the slices a second from the cache to augmented, normalised batches, without a network."""
    cache = open_cache(case.index, case.config.image_size)
    data = SliceData(cache, make_split(case.index, case.config.split), case.index, case.config)
    clock = Stopwatch(Budget(warmup=2, steps=200, seconds=budget.seconds / 4), case.device)
    over = False
    while not over:
        clock.begin()
        for batch in data.train_dataloader():
            moved = batch.to(case.device)
            images, _ = augment(
                moved.images,
                moved.masks,
                volume_statistics=moved.volume_statistics,
                slice_statistics=moved.slice_statistics,
                parameters=moved.parameters,
            )
            images.contiguous(memory_format=torch.channels_last)
            synchronise(case.device)
            over = clock.tick(len(images))
            if over:
                break
    return clock.rate


def phase_table(found: Sequence[dict[str, Any]]) -> Table:
    """Tell the milliseconds of each part and its share of the step."""
    names = [f"{row['network']} {row['image_size']}" for row in found]
    rows = [
        (
            f"{part} ({told})" if told else part,
            *(f"{milliseconds(row['phases'][part])} ({percent(row['phases'][part] / row['phases']['whole'])})"
              for row in found),
        )
        for part, told in PHASES.items()
    ]  # fmt: skip
    sums = ("sum of the parts", *(milliseconds(sum(row["phases"][part] for part in PHASES)) for row in found))
    whole = ("whole step", *(milliseconds(row["phases"]["whole"]) for row in found))
    title = "A training step of gliomask, medians in ms (share)"
    return Table(title, ("part", *names), (*rows, sums, whole))


def facts_table(found: Sequence[dict[str, Any]], peaks: dict[str, float]) -> Table:
    """Tell everything else, one column a network."""

    def line(name: str, values: list[str]) -> tuple[str, ...]:
        return name, *values

    rows = [
        line("images/s", [f"{row['images_per_second']:.2f}" for row in found]),
        line(f"epochs of {SLICES:,} slices in an hour", [f"{row['epochs_per_hour']:.2f}" for row in found]),
        line("data road alone, slices/s", [f"{row['road']['slices_per_second']:.0f}" for row in found]),
        line("data road, share of a step", [percent(row["road"]["share_of_step"]) for row in found]),
        line("GFLOP for an image, forward and backward", [f"{row['flops_per_image'] / 1e9:.1f}" for row in found]),
        line("TFLOP/s reached", [f"{row['flops'] / 1e12:.3g}" for row in found]),
        *(
            line(f"share of the {name} peak, {peak / 1e12:.3g} TFLOP/s",
                 [percent(row["share_of_peak"][name]) for row in found])
            for name, peak in peaks.items()
        ),
    ]  # fmt: skip
    for road in ("plain", "gliomask"):
        cold = [row["cold"].get(road) for row in found]
        if all(cold):
            rows.append(line(f"{road}: seconds to the first step", [f"{c['seconds_to_first_step']:.1f}" for c in cold]))
            rows.append(line(f"{road}: peak memory", [gigabytes(c["peak_memory"]) for c in cold]))
    return Table("What a step reaches", ("", *(f"{row['network']} {row['image_size']}" for row in found)), tuple(rows))


def _cold_options(case: Case, options: argparse.Namespace) -> list[str]:
    return [
        *("--networks", case.network),
        *("--image-size", str(case.config.image_size)),
        *("--batch-size", str(case.batch_size)),
        *("--recipe", options.recipe),
        *("--data", str(case.index.root)),
        *("--device", options.device),
        *("--precision", case.config.hardware.precision),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
