"""``gliomask train``: one training or all folds, from a recipe, a file of settings, or an interrupted run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from gliomask.cli.console import Flag, OutputOptions, Printer, parse
from gliomask.config import RECIPES, TAKEN, ModelConfig, TrainConfig, from_dict, load_config, load_settings, to_dict
from gliomask.errors import UsageError
from gliomask.share import ALL, Share
from gliomask.training.environment import is_main_process

if TYPE_CHECKING:
    from gliomask.data.index import DatasetIndex
    from gliomask.training.fit import FitOptions
    from gliomask.training.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class TrainOptions(OutputOptions):
    """Train a network and export it; --folds 5 trains five, each tested on a fifth of the patients.

    Options not given come from the recipe, or from --config FILE.
    """

    data: tyro.conf.Positional[Path]
    """Folder in the Kaggle layout (see `gliomask index --help`)."""
    name: str = "0"
    """Name of the run; its folder is RUNS/NAME. Folds are in RUNS/NAME/fold0 and so on."""
    runs: Path = Path("runs")
    """Folder of the runs."""
    from_: Annotated[str, tyro.conf.arg(name="from")] = "none"
    """Go on from a trained model: a bundled model's name (`gliomask models`), a run folder or a model.onnx; or, with
    --folds, each fold from the same fold of that folder. The network is that model's; image size, normalisation,
    threshold and smallest component, too, if not given. Whom it has seen, no new split makes unseen: evaluate says how
    many."""
    config: Path | None = None
    """Start from the settings in this JSON or YAML file (a run's config.json, say) instead of a recipe."""
    resume: Flag = False
    """Go on with the run (or the folds) of this name, with its own settings; only --epochs may be raised."""
    part: str = "1/1"
    """K/N, with --folds: every N-th fold, from the K-th on. The other parts may be trained on other machines at the
    same time, into the same --runs and --name."""
    fast_dev_run: Flag = False
    """One batch of training and of validation, then export: to see that everything works."""
    print_config: Flag = False
    """Print all settings as JSON and leave."""
    settings: TrainConfig = field(default_factory=TrainConfig)


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    known = first_look(arguments)
    folder = Path(known.runs) / known.name
    before = _settings_of(folder) if known.resume else None
    default = with_folds(resumed_point(before, known) if before else starting_point(known), known)
    options = parse(TrainOptions, "train", arguments, TrainOptions(data=tyro.MISSING, settings=default))
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
    return _train(options, printer, folder)


def _train(options: TrainOptions, printer: Printer, folder: Path) -> int:
    from gliomask.training.fit import FitOptions, fit, resumed_config
    from gliomask.training.run_folder import RunFolder

    config, part = options.settings, Share.read(options.part)
    all_folds = config.split.split == "fold" and config.split.fold == -1
    if part != ALL and not all_folds:
        raise UsageError(f"--part {part} is of the folds of a cross-validation; expected --folds, or no --part")
    printer.log_to_screen()
    index = printer.read_index(options.data)
    printer.line(f"{config.model.model}, recipe {config.recipe}, split by {config.split.split}, into {folder}")
    how = FitOptions(options.resume, options.fast_dev_run, progress=not (options.quiet or options.json))
    if all_folds:
        return _train_folds(options, printer, folder, index, how)
    run = RunFolder(folder)
    if options.resume and run.exists():
        config = resumed_config(run, config.optimisation.epochs)
    run = fit(index, config, run, how)
    printer.line(f"model: {run.model}; next: gliomask evaluate {options.data} --model {run.path}")
    printer.result(run_facts(run))
    return 0


def _train_folds(options: TrainOptions, printer: Printer, folder: Path, index: DatasetIndex, how: FitOptions) -> int:
    from gliomask.training.cross_validation import CrossValidation
    from gliomask.training.folds import fit_folds, resumed_folds

    series, config = CrossValidation(folder), options.settings
    if options.resume and series.exists():
        config = resumed_folds(series, config.optimisation.epochs)
    runs = fit_folds(index, config, series, how, Share.read(options.part))
    place, all_of_them = runs[0].path.parent, config.split.folds
    following = "next" if len(runs) == all_of_them else f"when all {all_of_them} are there"
    printer.line(f"{len(runs)} folds in {place}; {following}: gliomask evaluate {options.data} --model {place}")
    printer.result({"run": place, "folds": [run_facts(run) for run in runs]})
    return 0


def run_facts(run: RunFolder) -> dict[str, Any]:
    """Return where a complete run lies, its epochs and its highest validation Dice, None without validation."""
    rows = run.metrics()
    best = max((row["val_dice"] for row in rows if "val_dice" in row), default=None)
    return {"run": run.path, "model": run.model, "epochs": len(rows), "best": best}


def first_look(arguments: Sequence[str], name: str = "0") -> argparse.Namespace:
    """Find the few options that decide what the defaults of the others are."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--recipe", default=None)
    parser.add_argument("--config", default=None)
    parser.add_argument("--from", dest="source", default=None)
    parser.add_argument("--weights", default=None)
    parser.add_argument("--encoder-weights", "--encoder_weights", default=None)
    parser.add_argument("--name", default=name)
    parser.add_argument("--runs", default="runs")
    parser.add_argument("--resume", action="store_true")
    for option in ("--split", "--folds", "--fold"):
        parser.add_argument(option, default=None)
    try:
        return parser.parse_known_args(list(arguments))[0]
    except argparse.ArgumentError:
        return parser.parse_args([])  # the real parser will say what is wrong


def starting_point(known: argparse.Namespace) -> TrainConfig:
    """Return the settings of the file or the recipe that was named, and of the model to go on from.

    Raises
    ------
    UsageError
        If the file cannot be used, or starts from another recipe than the one that was named; or if other weights are
        asked for beside the model's, or there is no such model.
    ModelFileError
        If it is not exported, or damaged.
    """
    source = None if known.source == "none" else known.source
    for option, value in (("--weights", known.weights), ("--encoder-weights", known.encoder_weights)):
        if source is not None and value is not None:
            raise UsageError(f"{option} {value} and --from {source}; give one of them")
    model, taken = (None, {}) if source is None else _of_model(source)
    if known.config is None:
        config = from_dict(TrainConfig, taken, RECIPES.get(known.recipe, RECIPES["default"]))
    else:
        goes_on = {} if model is None else {"model": to_dict(model)}  # without which some settings make no sense
        config = load_config(Path(known.config), taken | goes_on)
        if known.recipe not in {None, config.recipe}:
            found = f"--recipe {known.recipe}, but {known.config} starts from {config.recipe}"
            raise UsageError(f"{found}; give one of them")
    return config if model is None else replace(config, model=model)


def resumed_point(before: TrainConfig, known: argparse.Namespace) -> TrainConfig:
    """Return the settings to go on with: the run's own, with what a file or --from that is named once more says.

    The number of epochs and a precision that was chosen by measurement stay what they are.

    Raises
    ------
    UsageError
        If the file cannot be used.
    """
    again = before if known.config is None else load_config(Path(known.config), to_dict(before))
    precision = again.hardware.precision if again.hardware.precision != "auto" else before.hardware.precision
    again = replace(again, hardware=replace(again.hardware, precision=precision))
    again = replace(again, optimisation=replace(again.optimisation, epochs=before.optimisation.epochs))
    return again if known.source is None else replace(again, model=replace(before.model, weights=known.source))


def _of_model(source: str) -> tuple[ModelConfig, dict[str, Any]]:
    """Return the network of a trained model, and the settings that its weights were made for."""
    from gliomask.models.trained import contract_of
    from gliomask.training.cross_validation import CrossValidation

    folds = CrossValidation(Path(source))
    contract = contract_of(folds.run(0).path if folds.exists() else source)
    model = from_dict(ModelConfig, {"model": contract.architecture, "weights": source})
    return model, {name: getattr(contract, name) for name in TAKEN}


def with_folds(config: TrainConfig, known: argparse.Namespace) -> TrainConfig:
    """Let --folds or --fold mean the fold split, and --folds without --fold mean all of them.

    Raises
    ------
    UsageError
        If they were given with another --split.
    """
    given = [f"--{name} {value}" for name in ("folds", "fold") if (value := getattr(known, name)) is not None]
    if given and known.split not in {None, "fold"}:
        raise UsageError(f"{given[0]} with --split {known.split}; expected --split fold, or neither option")
    if not given and known.split != "fold":
        return config
    goes_on = config.split.split == "fold" and known.folds is None
    return replace(config, split=replace(config.split, split="fold", fold=config.split.fold if goes_on else -1))


def require_same_settings(before: TrainConfig, now: TrainConfig) -> None:
    """Make sure that a run which goes on was given no settings but its own, and perhaps more epochs.

    Raises
    ------
    UsageError
        If another setting is new.
    """
    epochs = now.optimisation.epochs
    if replace(before, optimisation=replace(before.optimisation, epochs=epochs)) != now:
        raise UsageError("--resume goes on with the settings of the run; only --epochs may be given with it")


def _settings_of(folder: Path) -> TrainConfig | None:
    """Return the settings of what is to go on in a folder; None if nothing was started there."""
    from gliomask.training.cross_validation import CrossValidation

    if (folder / "config.json").is_file():
        return load_settings(folder / "config.json")
    folds = CrossValidation(folder)
    return folds.config() if folds.exists() else None
