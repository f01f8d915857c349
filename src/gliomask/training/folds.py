"""Train several runs one after another, and go on where they were interrupted: folds, or the pair that shows the leak.

Knows which runs there are and which are complete, and nothing of how one is trained.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from gliomask.config import SplitKind, TrainConfig
from gliomask.data.index import DatasetIndex
from gliomask.data.split import make_split
from gliomask.errors import UsageError
from gliomask.share import ALL, Share
from gliomask.training.cross_validation import CrossValidation
from gliomask.training.environment import is_main_process
from gliomask.training.fit import FitOptions, fit_in, is_complete, resumed_config, trial_folder
from gliomask.training.run_folder import RunFolder

_log = logging.getLogger(__name__)
_AFRESH = FitOptions()
LEAK_RUNS: dict[str, SplitKind] = {"by-patient": "leak-by-patient", "by-slice": "leak-by-slice"}
"""Folders of the pair that shows the leak, and their splits."""


def fit_folds(
    index: DatasetIndex, config: TrainConfig, folder: CrossValidation, options: FitOptions = _AFRESH, part: Share = ALL
) -> list[RunFolder]:
    """Train the folds of a cross-validation by patient, one after another; all of them, or one part.

    Parameters
    ----------
    index
        The data.
    config
        Settings of every fold (its fold is -1); when resuming, the ones it was started with (`resumed_folds`). If its
        weights are an earlier cross-validation with the same split, each fold goes on from the same fold of that one,
        so that nobody is tested with weights that saw him.
    folder
        Where to write.
    options
        How to start; resuming passes over the folds that are complete.
    part
        Which folds to train; calls with the other parts, on other machines, may write to the same folder at the same
        time. A precision that is to be measured is measured by each of them.

    Returns
    -------
    list of RunFolder
        The run of each of these folds, complete; of a fast dev run, those in the folder ``fast-dev-run``.

    Raises
    ------
    UsageError
        If the split is not by fold, the folder holds a run or a cross-validation that is not to be resumed, or one
        with other settings, or the weights are a cross-validation with another split; or there is no fold in the part.
    SplitMismatchError
        If the cross-validation to resume, or to go on from, was started on other data.
    DataError
        If there are too few patients for so many folds, or a fold to go on from is not complete.
    GliomaskError
        As `gliomask.training.fit.fit`.
    """
    if config.split.split != "fold" or config.split.fold != -1:
        found = f"split {config.split.split}, fold {config.split.fold}"
        raise UsageError(f"{found}; expected split fold, fold -1 (all folds); use fit for a single run")
    if part.of > config.split.folds:
        raise UsageError(f"part {part} of {config.split.folds} folds; expected at most a part for each fold")
    if options.fast_dev_run:
        folder = CrossValidation(trial_folder(folder.path, options))
    alone = part == ALL and is_main_process()
    with RunFolder(folder.path).held() if alone else nullcontext():  # calls with other parts share the folder
        return _fit_folds(index, config, folder, options, part)


def _fit_folds(
    index: DatasetIndex, config: TrainConfig, folder: CrossValidation, options: FitOptions, part: Share
) -> list[RunFolder]:
    runs = [folder.run(fold) for fold in range(config.split.folds)]
    begun = [options.resume and run.exists() for run in runs]  # these ask no earlier fold again
    plan = [
        (run, _of_fold(config, fold, run.config().model.weights if begun[fold] else None))
        for fold, run in enumerate(runs)
    ]
    if is_main_process():  # another process may find what this one has written
        _require_place(index, folder, options, part.mine(runs))
        if not all(begun):
            _require_beginning(index, config)
        make_split(index, plan[0][1].split)  # nothing is begun that must fail
        _begin(index, config, folder, options, part)
    return fit_series(index, part.mine(plan), options)


def fit_leak(
    index: DatasetIndex, config: TrainConfig, folder: Path, options: FitOptions = _AFRESH
) -> tuple[RunFolder, RunFolder]:
    """Train the same network on the two splits of `gliomask.data.leak`, one after the other.

    Parameters
    ----------
    index
        The data.
    config
        Settings of both, but for the kind of split.
    folder
        Where to write: ``by-patient`` and ``by-slice``, each an ordinary run.
    options
        How to start; resuming passes over what is complete.

    Returns
    -------
    tuple of RunFolder
        Both runs, complete, by patient first; of a fast dev run, those in the folder ``fast-dev-run``.

    Raises
    ------
    UsageError
        If the folder holds another kind of run, or runs that are not to be resumed, or that have more epochs; or if
        the training is to start from a trained model.
    SplitMismatchError
        If a run to resume was started on other data.
    DataError
        If there are too few patients or slices.
    GliomaskError
        As `gliomask.training.fit.fit`.
    """
    if RunFolder(folder).exists() or CrossValidation(folder).exists():
        raise UsageError(f"{folder} holds a run or folds; choose another --name for showing the leak")
    if config.model.weights != "none":
        raise UsageError(
            f"weights {config.model.weights}: a model that may have seen the scored patients shows no leak; expected "
            "none, or --encoder-weights"
        )
    if options.fast_dev_run:
        folder = trial_folder(folder, options)
    plan = [
        (RunFolder(folder / name), replace(config, split=replace(config.split, split=kind)))
        for name, kind in LEAK_RUNS.items()
    ]
    for run, _ in plan:
        if options.resume and run.exists():
            resumed_config(run, config.optimisation.epochs)
            run.split().check(index)
    by_patient, by_slice = fit_series(index, plan, options)
    return by_patient, by_slice


def fit_series(
    index: DatasetIndex, plan: Sequence[tuple[RunFolder, TrainConfig]], options: FitOptions
) -> list[RunFolder]:
    """Train runs one after another, in the precision of the first one if it is to be measured.

    Parameters
    ----------
    index
        The data.
    plan
        Folder and settings of each run, at least one.
    options
        How to start; resuming passes over the runs that are complete. A fast dev run writes to the very folders.

    Returns
    -------
    list of RunFolder
        The runs, complete.

    Raises
    ------
    GliomaskError
        As `gliomask.training.fit.fit`.
    """
    first, _ = plan[0]
    for number, (run, settings) in enumerate(plan, start=1):
        config = settings
        if options.resume and is_complete(run, config):
            _log.info("%s (%d of %d) is complete", run.path, number, len(plan))
            continue
        _log.info("%s (%d of %d)", run.path, number, len(plan))
        if first.exists() and (number > 1 or options.resume):
            config = replace(config, hardware=replace(config.hardware, precision=first.config().hardware.precision))
        fit_in(index, config, run, options)
    return [run for run, _ in plan]


def resumed_folds(folder: CrossValidation, epochs: int | None = None) -> TrainConfig:
    """Return the settings of a cross-validation that is to go on, with more epochs if asked for.

    Raises
    ------
    DataError
        If there is no such cross-validation.
    UsageError
        If ``epochs`` is less than a fold already has.
    """
    config = folder.config()
    epochs = config.optimisation.epochs if epochs is None else epochs
    for run in folder.runs():
        done = len(run.metrics())
        if epochs < done:
            raise UsageError(f"{run.path} has {done} epochs already; expected --epochs of at least that many")
    return replace(config, optimisation=replace(config.optimisation, epochs=epochs))


def _earlier(config: TrainConfig) -> CrossValidation | None:
    """Return the cross-validation that the weights of a training are, None if they are a single model or none."""
    earlier = CrossValidation(Path(config.model.weights))
    return earlier if config.model.weights != "none" and earlier.exists() else None


def _of_fold(config: TrainConfig, fold: int, weights: str | None) -> TrainConfig:
    """Return the settings of a fold, which goes on from these weights, or from those that the settings name."""
    earlier = _earlier(config)
    if weights is None:
        weights = config.model.weights if earlier is None else str(earlier.run(fold).path)
    model, split = replace(config.model, weights=weights), replace(config.split, fold=fold)
    return replace(config, model=model, split=split)


def _require_beginning(index: DatasetIndex, config: TrainConfig) -> None:
    earlier = _earlier(config)
    if earlier is None:
        return
    earlier.check(index)
    found = earlier.config().split
    if replace(found, validation=config.split.validation) != config.split:  # the same patients are tested
        expected = f"--folds {found.folds} --split-seed {found.split_seed}, as they have"
        raise UsageError(f"{earlier.path} holds folds of another split; expected {expected}")


def _begin(index: DatasetIndex, config: TrainConfig, folder: CrossValidation, options: FitOptions, part: Share) -> None:
    """Write what all folds have in common, unless the call with another part has done so."""
    if part == ALL or options.resume or not folder.exists():
        folder.begin(index, config)
        return
    folder.check_data(index)
    if replace(folder.config(), hardware=config.hardware) != config:
        said = f"{folder.path} was started with other settings; expected the same for all parts (those in folds.json)"
        raise UsageError(f"{said}; give them, or choose another --name")


def _require_place(
    index: DatasetIndex, folder: CrossValidation, options: FitOptions, mine: Sequence[RunFolder]
) -> None:
    if RunFolder(folder.path).exists():
        raise UsageError(f"{folder.path} holds a single run; choose another --name for the folds")
    if not folder.exists():
        return
    if not options.resume and any(run.holds_work for run in mine):
        raise UsageError(f"{folder.path} holds folds already; use --resume to go on with them, or another --name")
    if options.resume:
        folder.check_data(index)
