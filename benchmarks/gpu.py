"""Training on a GPU: images/s, share of the bf16 peak, peak memory, the time of the full recipe; or what to expect.

python -m benchmarks.gpu
python -m benchmarks.gpu --device cpu --image-size 32 --batch-size 4 --rounds 1 --seconds 1
python -m benchmarks.gpu --expect --tflops 800 --tbs 3.35

Three roads in turns: the plain loop, gliomask's training, and its training step alone on uint8 slices that lie on the
device (no Lightning, no loader), which is what the second can reach at most.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch

from benchmarks.data import NETWORKS, SLICES, Case, add_options, cases
from benchmarks.machine import matmul_peak
from benchmarks.measure import Budget, Stopwatch, summary
from benchmarks.report import Table, finish, gigabytes, percent, say
from benchmarks.road import train_round
from benchmarks.training import add_rounds, budget_of, plain_training
from benchmarks.work import bytes_per_image, flops_per_image
from gliomask.data.batches import ResidentBatches, Share, SliceBatch
from gliomask.data.cache import open_cache
from gliomask.data.split import make_split
from gliomask.models.registry import build_model
from gliomask.training.loading import SliceData
from gliomask.training.machine import training_settings
from gliomask.training.module import SegmentationModule

_EPOCHS = 30
_PASSES = 7
"""Of the size of all parameters in an optimiser's step: weight, gradient and two averages read, all but one written."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure (or count), print the table and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, networks=("unet", "original-unet"))
    add_rounds(parser)
    parser.set_defaults(device="cuda", batch_size=64)
    parser.add_argument("--expect", action="store_true", help="only count operations and bytes")
    parser.add_argument("--tflops", type=float, default=800.0, help="bf16 peak to reckon with, in TFLOP/s")
    parser.add_argument("--tbs", type=float, default=3.35, help="memory bandwidth to reckon with, in TB/s")
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    name = "gpu-expected" if options.expect else "gpu"
    if options.expect:
        found, table = _expected(options)
    else:
        found, table = _measured(options)
    finish(name, out=options.out, settings=vars(options), results=found, tables=[table])
    return 0


class Resident:
    """The training step of gliomask on slices that lie on the device, without loader and Lightning.

    Parameters
    ----------
    case
        Network, data and settings.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        cache = open_cache(case.index, case.config.image_size)
        data = SliceData(cache, make_split(case.index, case.config.split), case.index, case.config)
        self._plans = data.plans(Share())
        self._slices = ResidentBatches(cache, case.config.normalisation, torch.device(case.device))
        self._module = SegmentationModule(build_model(case.network), case.config, cache, steps_per_epoch=1000)
        self._module.to(case.device).on_train_epoch_start()
        self._optimiser = self._module.configure_optimizers()["optimizer"]

    def round(self, budget: Budget) -> Stopwatch:
        """Train for one round and return its clock."""
        case, clock = self._case, Stopwatch(budget, self._case.device)
        low = case.config.hardware.precision == "bfloat16"
        for batch in self._batches(clock):
            with torch.autocast(case.device, torch.bfloat16, enabled=low):
                loss = self._module.training_step(batch, 0)
            self._optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimiser.step()
            if self._module.average is not None:
                self._module.average.update(self._module.net)
            if clock.tick(len(batch.positions)):
                break
        return clock

    def _batches(self, clock: Stopwatch) -> Iterator[SliceBatch]:
        for epoch in range(10**6):
            self._plans.set_epoch(epoch)
            clock.begin()
            for plan in self._plans:
                yield self._slices[plan]


def _measured(options: argparse.Namespace) -> tuple[dict[str, Any], Table]:
    peak = matmul_peak(torch.bfloat16, options.device)
    found = [_measure(case, options, peak) for case in cases(options)]
    rows = tuple(
        (
            f"{row['network']} {row['image_size']}, {road}",
            f"{values['median']:.1f}",
            percent(values["share_of_peak"]),
            gigabytes(values["peak_memory"]) if values["peak_memory"] else "-",
            f"{values['recipe_seconds']:.0f}",
        )
        for row in found
        for road, values in row["roads"].items()
    )
    columns = ("road", "images/s", "share of the bf16 peak", "device memory", f"s for {_EPOCHS} x {SLICES:,} slices")
    title = f"Training on {options.device}, bf16 peak {peak / 1e12:.2f} TFLOP/s"
    return {"networks": found, "matmul_peak": peak}, Table(title, columns, rows)


def _measure(case: Case, options: argparse.Namespace, peak: float) -> dict[str, Any]:
    budget, flops = budget_of(options), flops_per_image(build_model(case.network), case.config.image_size)
    roads: dict[str, Callable[[Case, Budget], Stopwatch]] = {
        "plain": _plain_round, "gliomask": train_round, "resident": _resident_round,
    }  # fmt: skip
    rates: dict[str, list[float]] = {road: [] for road in roads}
    memory = dict.fromkeys(roads, 0)
    for number in range(options.rounds):
        for road in sorted(roads, reverse=number % 2 == 1):
            rates[road].append(_with_memory(partial(roads[road], case, budget), road, memory))
            say(f"{case.network}, round {number + 1}, {road}: {rates[road][-1]:.1f} images/s")
    return {
        "network": case.network,
        "image_size": case.config.image_size,
        "batch_size": case.batch_size,
        "precision": case.config.hardware.precision,
        "flops_per_image": flops,
        "roads": {
            road: {
                **summary(values),
                "share_of_peak": summary(values)["median"] * flops / peak,
                "peak_memory": memory[road],
                "recipe_seconds": _EPOCHS * SLICES / summary(values)["median"],
            }
            for road, values in rates.items()
        },
    }


def _plain_round(case: Case, budget: Budget) -> Stopwatch:
    training = plain_training(case)
    try:
        return training.round(budget)
    finally:
        training.close()


def _resident_round(case: Case, budget: Budget) -> Stopwatch:
    """Train under the settings that the whole training has."""
    with training_settings(case.device):
        torch.use_deterministic_algorithms(mode=True)
        return Resident(case).round(budget)


def _with_memory(train: Callable[[], Stopwatch], road: str, memory: dict[str, int]) -> float:
    """Train for a round, with nothing of other roads on the device; keep its highest memory, and return the rate."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    rate = float(train().rate)
    if torch.cuda.is_available():
        memory[road] = max(memory[road], torch.cuda.max_memory_allocated())
    return rate


def _expected(options: argparse.Namespace) -> tuple[dict[str, Any], Table]:
    found = [_count(network, options) for network in options.networks]
    columns = ("network", "GFLOP/image", "GB/image", "images/s by operations", "images/s by bytes", "images/s by both",
               f"s for {_EPOCHS} x {SLICES:,} slices")  # fmt: skip
    rows = tuple(
        (
            f"{row['network']} {row['image_size']}",
            f"{row['flops_per_image'] / 1e9:.1f}",
            f"{row['bytes_per_image'] / 1e9:.3f}",
            f"{row['by_operations']:.0f}",
            f"{row['by_bytes']:.0f}",
            f"{row['by_both']:.0f}",
            f"{row['recipe_seconds']:.0f}",
        )
        for row in found
    )
    title = f"Counted, not measured: at {options.tflops:g} TFLOP/s and {options.tbs:g} TB/s"
    return {"networks": found}, Table(title, columns, rows)


def _count(network: str, options: argparse.Namespace) -> dict[str, Any]:
    """Count one network's operations and bytes; at worst, nothing is fused and the two take turns."""
    size, batch = options.image_size or NETWORKS.get(network, 256), options.batch_size
    parameters = sum(parameter.numel() for parameter in build_model(network).parameters())
    flops = flops_per_image(build_model(network), size)
    moved = bytes_per_image(build_model(network), size, batch) + _PASSES * 4 * parameters / batch
    operations, traffic = flops / (1e12 * options.tflops), moved / (1e12 * options.tbs)
    return {
        "network": network,
        "image_size": size,
        "batch_size": batch,
        "parameters": parameters,
        "flops_per_image": flops,
        "bytes_per_image": moved,
        "flops_per_epoch": flops * SLICES,
        "bytes_per_epoch": moved * SLICES,
        "by_operations": 1 / operations,
        "by_bytes": 1 / traffic,
        "by_both": 1 / (operations + traffic),
        "recipe_seconds": _EPOCHS * SLICES * (operations + traffic),
    }


if __name__ == "__main__":
    raise SystemExit(main())
