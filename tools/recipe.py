"""How a model was made: the trainings that led to it, one after another, and the commands that repeat them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gliomask.config import RECIPES, TAKEN, ModelConfig, SplitConfig, TrainConfig, to_dict
from gliomask.errors import UsageError
from gliomask.training.cross_validation import CrossValidation
from gliomask.training.run_folder import RunFolder

_DATA = "data/kaggle_3m"


@dataclass(frozen=True)
class Stage:
    """A training on everybody, and the cross-validation with the same settings that tells what it is worth."""

    run: RunFolder
    folds: CrossValidation


def stages(run: RunFolder, folds: CrossValidation) -> list[Stage]:
    """Return the stage of a run and those that it goes on from, the first one first.

    Raises
    ------
    UsageError
        If the settings of run and folds differ in any stage, or one does not go on from where the other does.
    """
    require_same_recipe(run.config(), folds.config())
    before, folds_before = run.config().model.weights, folds.config().model.weights
    if before == folds_before == "none":
        return [Stage(run, folds)]
    earlier = RunFolder(Path(before)), CrossValidation(Path(folds_before))
    if not all(each.exists() for each in earlier):
        raise UsageError(f"{run.path} goes on from {before}, its folds from {folds_before}; expected a run and folds")
    return [*stages(*earlier), Stage(run, folds)]


def require_same_recipe(run: TrainConfig, folds: TrainConfig) -> None:
    """Make sure that the folds tell something about the run.

    Only the split and the machine may differ, and the model to go on from, which `stages` looks at by itself.

    Raises
    ------
    UsageError
        If anything else differs.
    """
    alike = [
        replace(
            each,
            split=SplitConfig(),
            hardware=replace(folds.hardware, micro_batch=each.hardware.micro_batch),  # which batch norm depends on
            model=replace(each.model, weights="any", encoder_weights=Path(each.model.encoder_weights).name),
        )
        for each in (run, folds)
    ]
    if alike[0] != alike[1] or run.split.split != "all":
        raise UsageError("the run is no --split all with the settings of the folds; its scores would not be theirs")


def commands(made: Sequence[Stage], *, int8: bool = False) -> Iterator[str]:
    """Yield the command lines that repeat stages: the folds and their evaluations, then everybody."""
    run, folds = made[-1].run, made[-1].folds
    yield from _trainings([stage.folds for stage in made])
    if int8:
        yield from (_export_int8(f"{folds.name}/{fold.name}") for fold in folds.runs())
    for option in ("", " --flair-alone", " --one-by-one", *([" --precision int8"] if int8 else [])):
        yield f"gliomask evaluate {_DATA} --model runs/{folds.name}{option}"
    yield from _trainings([stage.run for stage in made])
    if int8:
        yield _export_int8(run.name)


def _export_int8(run: str) -> str:
    return f"gliomask export runs/{run} --data {_DATA} --int8"


def _trainings(runs: Sequence[RunFolder | CrossValidation]) -> Iterator[str]:
    for number, run in enumerate(runs):
        config, earlier = run.config(), runs[number - 1] if number else None
        if config.split.split == "all":  # where nobody chooses, the last epoch is kept whatever the setting
            config = replace(config, optimisation=replace(config.optimisation, keep="auto"))
        split = f"--folds {config.split.folds}" if config.split.split == "fold" else f"--split {config.split.split}"
        split += "" if config.split.validation else " --no-validation"
        split += f" --split-seed {config.split.split_seed}" if config.split.split_seed else ""
        split += f" --micro-batch {config.hardware.micro_batch}" if config.hardware.micro_batch else ""
        source = "" if earlier is None else f"--from runs/{earlier.name} "
        options = recipe_options(config, None if earlier is None else earlier.config())
        yield f"gliomask train {_DATA} --name {run.name} {source}{options} {split}"


def recipe_options(config: TrainConfig, earlier: TrainConfig | None = None) -> str:
    """Return the command-line options that make these settings out of their recipe; split and hardware are left out.

    What a training takes from the one that it goes on from needs no option.
    """
    base = RECIPES[config.recipe]
    if earlier is not None:
        base = replace(
            base,
            **{name: getattr(earlier, name) for name in TAKEN},
            model=ModelConfig(model=earlier.model.model, weights=config.model.weights),
        )
    before, after = (_settings(each) for each in (base, config))
    changed = {name: value for name, value in after.items() if before[name] != value}
    return shlex.join(text for name, value in changed.items() for text in (f"--{name.replace('_', '-')}", str(value)))


def _settings(config: TrainConfig) -> dict[str, Any]:
    """Return all settings but split and hardware, by name."""
    values = {name: value for name, value in to_dict(config).items() if name not in {"split", "hardware"}}
    inner = [values.pop(name) for name in list(values) if isinstance(values[name], dict)]
    return values | {name: value for part in inner for name, value in part.items()}
