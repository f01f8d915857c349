"""``gliomask train``: one training, from a recipe, a file of settings, or an interrupted run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import tyro

from gliomask.cli.console import Flag, OutputOptions, Printer, parse
from gliomask.config import RECIPES, TrainConfig, load_config, to_dict
from gliomask.errors import UsageError
from gliomask.training.environment import is_main_process


@dataclass(frozen=True, kw_only=True)
class TrainOptions(OutputOptions):
    """Train a network and export it. Options not given come from the recipe, or from --config FILE."""

    data: tyro.conf.Positional[Path]
    """Folder in the Kaggle layout."""
    name: str = "0"
    """Name of the run; its folder is RUNS/NAME."""
    runs: Path = Path("runs")
    """Folder of the runs."""
    config: Path | None = None
    """Start from the settings in this JSON or YAML file (a run's config.json, say) instead of a recipe."""
    resume: Flag = False
    """Go on with the run of this name, with its own settings; only --epochs may be raised."""
    fast_dev_run: Flag = False
    """One batch of training and of validation, then export: to see that everything works."""
    print_config: Flag = False
    """Print all settings as JSON and leave."""
    settings: TrainConfig = field(default_factory=TrainConfig)


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    known = _first_look(arguments)
    folder = Path(known.runs) / known.name
    starting_point = _starting_point(known, folder)
    default = TrainOptions(data=tyro.MISSING, settings=starting_point)
    options = parse(TrainOptions, "train", arguments, default)
    if not is_main_process():  # one of them talks
        options = replace(options, quiet=True, json=False)
    printer = Printer(options)
    if options.print_config:
        Printer(replace(options, json=True)).result(to_dict(options.settings))
        return 0
    if options.resume and (folder / "config.json").is_file():
        _require_same_settings(starting_point, options.settings)
    return _train(options, printer, folder)


def _train(options: TrainOptions, printer: Printer, folder: Path) -> int:
    from gliomask.training.fit import FitOptions, fit, resumed_config
    from gliomask.training.run_folder import RunFolder

    printer.log_to_screen()
    index = printer.read_index(options.data)
    run = RunFolder(folder)
    config = options.settings
    if options.resume and run.exists():
        config = resumed_config(run, config.optimisation.epochs)
    printer.line(f"{config.model.model}, recipe {config.recipe}, split by {config.split.split}, into {folder}")
    quiet = options.quiet or options.json
    run = fit(index, config, run, FitOptions(options.resume, options.fast_dev_run, progress=not quiet))
    rows = run.metrics()
    printer.line(f"model: {run.model}; next: gliomask evaluate {options.data} --model {run.path}")
    printer.result({"run": run.path, "model": run.model, "epochs": len(rows), "best": max(r["val_dice"] for r in rows)})
    return 0


def _first_look(arguments: Sequence[str]) -> argparse.Namespace:
    """Find the few options that decide what the defaults of the others are."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--recipe", default=None)
    parser.add_argument("--config", default=None)
    parser.add_argument("--name", default="0")
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--resume", action="store_true")
    try:
        return parser.parse_known_args(list(arguments))[0]
    except argparse.ArgumentError:
        return parser.parse_args([])  # the real parser will say what is wrong


def _starting_point(known: argparse.Namespace, folder: Path) -> TrainConfig:
    if known.resume and (folder / "config.json").is_file():
        return load_config(folder / "config.json")
    if known.config is None:
        return RECIPES.get(known.recipe, RECIPES["default"])
    config = load_config(Path(known.config))
    if known.recipe not in {None, config.recipe}:
        raise UsageError(f"--recipe {known.recipe}, but {known.config} starts from {config.recipe}; give one of them")
    return config


def _require_same_settings(before: TrainConfig, now: TrainConfig) -> None:
    epochs = now.optimisation.epochs
    if replace(before, optimisation=replace(before.optimisation, epochs=epochs)) != now:
        raise UsageError("--resume goes on with the settings of the run; only --epochs may be given with it")
