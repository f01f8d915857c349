"""What each measure for speed brings: gliomask's training step with one of them left out, or one more added.

python -m benchmarks.measures
python -m benchmarks.measures --networks unet --image-size 32 --batch-size 4 --rounds 1 --steps 1 --variants "as it is"

Each variant is a process of its own, since what the C library does with memory cannot be changed back; they take turns.
The default recipe is trained, so that the moving average and all of the augmentation are in the step. The step is that
of `benchmarks.gpu.Resident`: slices in memory, no Lightning.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.data import Case, add_options, cases
from benchmarks.gpu import Resident
from benchmarks.measure import Budget
from benchmarks.report import Table, finish, say
from gliomask.training import module
from gliomask.training.convolution import products_pay
from gliomask.training.machine import keep_freed_memory

_ROOT = Path(__file__).resolve().parent.parent

VARIANTS = {
    "as it is": "",
    "float32": "no bfloat16",
    "contiguous": "no channels last",
    "memory given back": "freed memory goes back to the system, as the C library does by itself",
    "memory filled": "fresh memory is filled, as PyTorch does under deterministic algorithms",
    "not deterministic": "PyTorch's own choice of algorithms",
    "library's gradients": "no gradients of weights by products (which there are with AVX2 alone)",
    "optimiser not fused": "AdamW tensor by tensor",
    "compiled": "torch.compile; its minute at the start is not counted",
}
"""What is measured, and what it means."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and write the JSON file; with --variant, measure one here and print a number."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, networks=("unet",))
    parser.set_defaults(recipe="default")
    parser.add_argument("--rounds", type=int, default=2, help="processes of each variant, in turns")
    parser.add_argument("--steps", type=int, default=3, help="steps that are measured in each")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), help="what to measure")
    parser.add_argument("--variant", choices=list(VARIANTS), help="measure this one, here")
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    if options.variant:
        (case,) = cases(options)
        say(json.dumps({"rate": rate(case, options.variant, options.steps)}))
        return 0
    options.precision = next(cases(options)).config.hardware.precision  # chosen once, for all processes
    found = [compare(network, options) for network in options.networks]
    finish("measures", out=options.out, settings=vars(options), results={"networks": found}, tables=[table(found)])
    return 0


def rate(case: Case, variant: str, steps: int) -> float:
    """Return the images a second of one variant, in this process."""
    if variant != "memory given back" and case.device == "cpu":
        keep_freed_memory()
    hardware = case.config.hardware
    if variant == "float32":
        hardware = replace(hardware, precision="float32")
    if variant == "compiled":
        hardware = replace(hardware, compile=True)
    changed = Case(case.index, replace(case.config, hardware=hardware))
    with _changed(variant):
        return Resident(changed).round(Budget(warmup=3, steps=steps, seconds=1e9)).rate


@contextmanager
def _changed(variant: str) -> Iterator[None]:
    """Leave out what the variant leaves out while PyTorch trains."""
    settings: Any = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled(), settings.fill_uninitialized_memory
    torch.use_deterministic_algorithms(variant != "not deterministic")
    settings.fill_uninitialized_memory = variant == "memory filled"
    optimiser = torch.optim.AdamW

    def unfused(*arguments: Any, **named: Any) -> torch.optim.AdamW:
        return optimiser(*arguments, **(named | {"fused": variant != "optimiser not fused"}))

    products = variant != "library's gradients" and products_pay()
    layout = torch.contiguous_format if variant == "contiguous" else torch.channels_last
    try:
        with (
            patch.object(torch.optim, "AdamW", unfused),
            patch.object(torch, "channels_last", layout),
            patch.object(module, "products_pay", lambda: products),
        ):
            yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        settings.fill_uninitialized_memory = before[1]


def compare(network: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure every variant of a network in turns."""
    rates: dict[str, list[float]] = {variant: [] for variant in options.variants}
    for number in range(options.rounds):
        for variant in options.variants:
            rates[variant].append(_measured(network, variant, options))
            say(f"{network}, round {number + 1} of {options.rounds}, {variant}: {rates[variant][-1]:.2f} images/s")
    return {"network": network, "batch_size": options.batch_size, "rates": rates}


def _measured(network: str, variant: str, options: argparse.Namespace) -> float:
    command = [sys.executable, "-m", "benchmarks.measures", "--variant", variant, "--networks", network,
               "--batch-size", str(options.batch_size), "--recipe", options.recipe, "--device", options.device,
               "--precision", options.precision, "--steps", str(options.steps)]  # fmt: skip
    for name in ("image_size", "data", "patients"):
        value = getattr(options, name)
        command += [f"--{name.replace('_', '-')}", str(value)] if value else []
    done = subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, text=True)  # noqa: S603 - our own module
    return float(json.loads(done.stdout.strip().splitlines()[-1])["rate"])


def table(found: Sequence[dict[str, Any]]) -> Table:
    """Tell images a second of every variant, and how fast training as it is is beside it."""
    rows = []
    for row in found:
        rates = row["rates"]
        base = rates.get("as it is")
        for variant, values in rates.items():
            ratios = [one / other for one, other in zip(base, values, strict=True)] if base else []
            told = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else "-"
            rows.append((row["network"], variant, VARIANTS[variant], f"{median(values):.2f}", told))
    rounds = len(next(iter(found[0]["rates"].values()))) if found else 0
    title = f"What each measure brings, medians of {rounds} rounds"
    return Table(title, ("network", "variant", "what it is", "images/s", "as it is, over the variant"), tuple(rows))


if __name__ == "__main__":
    raise SystemExit(main())
