"""``gliomask leak``: what a split by slice adds to a score, trained and measured."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from gliomask.cli.console import Flag, Printer, parse
from gliomask.cli.train import TrainOptions, first_look, require_same_settings, resumed_point, run_facts, starting_point
from gliomask.config import TrainConfig, load_settings, to_dict
from gliomask.errors import UsageError
from gliomask.training.environment import is_main_process

if TYPE_CHECKING:
    from gliomask.data.index import DatasetIndex
    from gliomask.evaluation.results import Evaluation
    from gliomask.training.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class LeakOptions(TrainOptions):
    """Train twice and score the same slices: with and without other slices of the scored patients in the training set.

    A quarter of the patients is scored, on half of their slices. Both trainings have the same settings, validation
    patients and numbers of slices. The difference is what a split by slice adds to a score. --split, --folds and --fold
    are refused: the splits are part of the command; and --from and --weights: a trained model may have seen anybody.
    """

    name: str = "leak"
    """Name of the comparison; RUNS/NAME gets the runs by-patient and by-slice, leak.json, leak.md and leak.png."""
    resume: Flag = False
    """Go on with the comparison of this name, with its own settings; only --epochs may be raised."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    known = first_look(arguments, LeakOptions.name)
    _check(known)
    folder = Path(known.runs) / known.name
    started = folder / "by-patient" / "config.json"
    before = load_settings(started) if known.resume and started.is_file() else None
    default = _by_patient(resumed_point(before, known) if before else starting_point(known))
    options = parse(LeakOptions, "leak", arguments, LeakOptions(data=tyro.MISSING, settings=default))
    if not is_main_process():  # one of them talks
        options = replace(options, quiet=True, json=False)
    printer = Printer(options)
    if options.print_config:
        Printer(replace(options, json=True)).result(to_dict(options.settings))
        return 0
    if before is not None:
        require_same_settings(before, options.settings)
    elif options.resume:
        printer.line(f"{folder} holds nothing to go on with: it is started")
    repeat = [argument for argument in arguments if argument != "--resume"]
    if before is not None:
        repeat += ["--config", str(started)]
    return _leak(options, printer, folder, shlex.join(["gliomask", "leak", *repeat]))


def _check(known: argparse.Namespace) -> None:
    for name in ("split", "folds", "fold"):
        if getattr(known, name) is not None:
            raise UsageError(f"--{name} {getattr(known, name)}: the splits are part of this command; leave it out")
    for name, value in (("from", known.source), ("weights", known.weights)):
        if value not in {None, "none"}:
            raise UsageError(f"--{name} {value}: a trained model may have seen anybody; leave it out")


def _by_patient(config: TrainConfig) -> TrainConfig:
    return replace(config, split=replace(config.split, split="leak-by-patient"))


def _leak(options: LeakOptions, printer: Printer, folder: Path, command: str) -> int:
    from gliomask.training.fit import FitOptions
    from gliomask.training.folds import fit_leak

    printer.log_to_screen()
    index = printer.read_index(options.data)
    config = options.settings
    printer.line(f"{config.model.model}, recipe {config.recipe}, twice, into {folder}")
    how = FitOptions(options.resume, options.fast_dev_run, progress=not (options.quiet or options.json))
    runs = fit_leak(index, config, folder, how)
    if not is_main_process():
        return 0
    numbers = _measure(index, runs, printer, command)
    place = runs[0].path.parent
    printer.line((place / "leak.md").read_text(encoding="utf-8"))
    printer.line(f"written: {place / 'leak.md'}, {place / 'leak.json'}, {place / 'leak.png'}")
    printer.result({"run": place, "runs": [run_facts(run) for run in runs], **numbers})
    return 0


def _measure(index: DatasetIndex, runs: tuple[RunFolder, RunFolder], printer: Printer, command: str) -> dict[str, Any]:
    """Score both runs on their test part and write what came out."""
    from gliomask.reporting.leak import LeakResult, write_leak

    by_patient, by_slice = (_evaluate(index, run, printer) for run in runs)
    tumour = [record.tumour_pixels > 0 for patient in index.patients for record in patient.slices]
    trained = runs[0].split().positions(index, "train")
    result = LeakResult(by_patient, by_slice, len(trained), sum(tumour[row] for row in trained), command)
    return write_leak(result, runs[0].path.parent)


def _evaluate(index: DatasetIndex, run: RunFolder, printer: Printer) -> Evaluation:
    from gliomask.evaluation.runs import evaluate_test_part

    with printer.progress(f"evaluating {run.name}") as progress:
        return evaluate_test_part(index, run.path, run.path / "test", progress=progress)
