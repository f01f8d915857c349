"""Images a second in training: a plain PyTorch loop and gliomask, in turns, in one run.

python -m benchmarks.training
python -m benchmarks.training --networks unet --rounds 3 --seconds 5 --batch-size 8
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch

from benchmarks.data import SLICES, Case, add_options, cases
from benchmarks.measure import Budget, Stopwatch, summary
from benchmarks.plain import PlainTraining, SliceFiles
from benchmarks.report import Table, finish, say
from benchmarks.road import train_round
from gliomask.models.registry import build_model


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    add_rounds(parser)
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    found = [compare(case, options.rounds, budget_of(options)) for case in cases(options)]
    finish(
        "training",
        out=options.out,
        settings=vars(options),
        results={"networks": found},
        tables=[comparison_table(found)],
    )
    return 0


def add_rounds(parser: argparse.ArgumentParser, *, rounds: int = 5) -> None:
    """Add the options that bound how long is measured."""
    parser.add_argument("--rounds", type=int, default=rounds, help="rounds of each road, in turns")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="a round ends after so long, but not before 2 steps"
    )
    parser.add_argument("--steps", type=int, default=1000, help="most steps in a round")
    parser.add_argument("--warmup", type=int, default=1, help="steps at the start of each round that do not count")


def budget_of(options: argparse.Namespace) -> Budget:
    """Return when a round is over."""
    return Budget(warmup=options.warmup, steps=options.steps, seconds=options.seconds)


def compare(case: Case, rounds: int, budget: Budget) -> dict[str, Any]:
    """Let both roads train in turns; who begins changes from round to round, so that a drift favours neither."""
    rates: dict[str, list[float]] = {"plain": [], "gliomask": []}
    steps = {"plain": 0, "gliomask": 0}
    with PlainProcess(case) as plain:
        roads = {"plain": lambda: plain.round(budget), "gliomask": lambda: train_round(case, budget)}
        for number in range(rounds):
            for road in sorted(roads, reverse=number % 2 == 0):
                clock = roads[road]()
                rates[road].append(clock.rate)
                steps[road] += clock.steps
                say(f"{case.network}, round {number + 1} of {rounds}, {road}: {clock.rate:.2f} images/s")
    ratios = [fast / slow for fast, slow in zip(rates["gliomask"], rates["plain"], strict=True)]
    found = {road: {**summary(values), "steps": steps[road]} for road, values in rates.items()}
    return {
        "network": case.network,
        "image_size": case.config.image_size,
        "batch_size": case.batch_size,
        "precision": case.config.hardware.precision,
        **found,
        "ratio": {
            "of_medians": found["gliomask"]["median"] / found["plain"]["median"],
            "lowest": min(ratios),
            "highest": max(ratios),
        },
        "epochs_per_hour": {road: 3600 * values["median"] / SLICES for road, values in found.items()},
    }


class PlainProcess:
    """The plain loop in a process of its own: what gliomask asks of the C library would make it faster, too.

    Parameters
    ----------
    case
        Network, data and settings.
    """

    def __init__(self, case: Case) -> None:
        self._executor = ProcessPoolExecutor(1, get_context("spawn"), _begin, (case,))

    def __enter__(self) -> PlainProcess:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process and its workers."""
        self._executor.submit(_end).result()
        self._executor.shutdown()

    def round(self, budget: Budget) -> Stopwatch:
        """Train for one round there and return its clock."""
        return self._executor.submit(_round, budget).result()


_here: list[PlainTraining] = []
"""In the process of the plain loop: the loop."""


def _begin(case: Case) -> None:
    _here.append(plain_training(case))


def _round(budget: Budget) -> Stopwatch:
    return _here[0].round(budget)


def _end() -> None:
    _here.pop().close()


def plain_training(case: Case) -> PlainTraining:
    """Return the plain loop over the same network, slices, size and batch size."""
    with torch.random.fork_rng():
        torch.manual_seed(case.config.seed)
        net = build_model(case.network)
    data = SliceFiles(case.training_files(), case.config.image_size)
    return PlainTraining(net, data, case.batch_size, case.device)


def comparison_table(found: Sequence[dict[str, Any]]) -> Table:
    """Tell the rates, their ratio, and what they mean for an epoch."""
    columns = ("network", "size", "batch", "gliomask in", "plain images/s", "gliomask images/s", "ratio",
               "lowest to highest", "epochs/hour")  # fmt: skip
    rows = tuple(
        (
            row["network"],
            str(row["image_size"]),
            str(row["batch_size"]),
            row["precision"],
            _spread(row["plain"]),
            _spread(row["gliomask"]),
            f"{row['ratio']['of_medians']:.2f}",
            f"{row['ratio']['lowest']:.2f} to {row['ratio']['highest']:.2f}",
            f"{row['epochs_per_hour']['gliomask']:.2f}",
        )
        for row in found
    )
    rounds = len(found[0]["plain"]["rounds"]) if found else 0
    return Table(f"Training, medians of {rounds} rounds (lowest to highest)", columns, rows)


def _spread(values: dict[str, Any]) -> str:
    return f"{values['median']:.2f} ({values['lowest']:.2f} to {values['highest']:.2f})"


if __name__ == "__main__":
    raise SystemExit(main())
