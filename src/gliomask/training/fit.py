"""Train one model: from an index and a config to a complete run folder.

Joins data, network, module and callbacks; knows nothing of the command line.
"""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EarlyStopping, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger

from gliomask.config import TrainConfig, save_config
from gliomask.data import naming
from gliomask.data.batches import Share
from gliomask.data.cache import open_cache
from gliomask.data.index import DatasetIndex
from gliomask.data.split import Split, make_split, save_split
from gliomask.errors import DataError, GliomaskError, UsageError
from gliomask.training.beginning import Beginning, first_network, network_of, save_beginning
from gliomask.training.callbacks import OverlayWriter, RunWriter
from gliomask.training.cross_validation import CrossValidation
from gliomask.training.environment import describe_environment, is_main_process
from gliomask.training.export import export
from gliomask.training.learned import learn
from gliomask.training.loading import SliceData
from gliomask.training.machine import memory_errors, training_settings
from gliomask.training.manners import interruptible, quiet_lightning
from gliomask.training.module import SegmentationModule
from gliomask.training.precision import Precision, choose_precision
from gliomask.training.run_folder import RunFolder, remove_trained
from gliomask.training.state import SafetensorsCheckpointIO, load_state

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitOptions:
    """How a training is started; nothing here changes what is learned.

    Parameters
    ----------
    resume
        Go on from the last complete epoch of the run; start from the beginning if there is none.
    fast_dev_run
        One batch of training, one of validation, then export, in a folder of its own: to see that everything works.
    progress
        Show a progress bar.
    """

    resume: bool = False
    fast_dev_run: bool = False
    progress: bool = True


def fit(index: DatasetIndex, config: TrainConfig, run: RunFolder, options: FitOptions = FitOptions()) -> RunFolder:
    """Train one model and export it.

    Parameters
    ----------
    index
        The data.
    config
        All settings; when resuming, the ones the run was started with (`resumed_config`).
    run
        Where to write; see `RunFolder` for the files.
    options
        How to start.

    Returns
    -------
    RunFolder
        The same folder, complete; of a fast dev run, the folder ``fast-dev-run`` in it.

    Raises
    ------
    UsageError
        If a run of this name exists already and is not to be resumed, is being trained by another process, or has lost
        the state to resume from; or the machine lacks the hardware asked for; or there is no such model to start from.
    TrainingError
        If the loss is no longer a number, or a batch does not fit into memory.
    SplitMismatchError
        If the run to resume was started on other data.
    DataError, WeightsError, ModelFileError
        If the data cannot be split or cached, or the weights to start from cannot be had.
    """
    trial = RunFolder(trial_folder(run.path, options)) if options.fast_dev_run else None
    if trial is None and CrossValidation(run.path).exists():
        raise UsageError(f"{run.path} holds a cross-validation; choose another --name")
    return fit_in(index, config, trial or run, options)


def fit_in(index: DatasetIndex, config: TrainConfig, run: RunFolder, options: FitOptions) -> RunFolder:
    """Train and export as `fit` does, but a fast dev run in the very folder, too.

    Raises
    ------
    GliomaskError
        As `fit`.
    """
    if options.resume and is_complete(run, config):
        run.split().check(index)
        _log.info("%s is complete: nothing is trained", run.path)
        return run
    with run.held() if is_main_process() else nullcontext():  # the first of several processes keeps others out for all
        return _trained(index, config, run, options)


def _trained(index: DatasetIndex, config: TrainConfig, run: RunFolder, options: FitOptions) -> RunFolder:
    _require_place(run, options)
    config = _resolved(config, run)
    resuming = options.resume and run.last.is_file()
    split = run.split() if options.resume and run.split_file.is_file() else make_split(index, config.split)
    split.check(index)
    cache = open_cache(index, config.image_size)
    data = SliceData(cache, split, index, config)
    # nothing is drawn on a device; without a list of them PyTorch warns of each
    with torch.random.fork_rng(devices=[]), training_settings(_accelerator_name(config)), quiet_lightning():
        torch.manual_seed(config.seed)
        trainer = _trainer(config, run, data, options, first_epoch=_next_epoch(run) if resuming else 0)
        net, beginning = (network_of(run), None) if resuming else first_network(config.model)
        plans = data.plans(Share(0, trainer.world_size))
        trainer.accumulate_grad_batches = plans.parts
        module = SegmentationModule(net, config, cache, steps_per_epoch=plans.steps)
        if is_main_process():
            _write_beginning(run, config, split, beginning)
            _tell_of_known(index, split, beginning)
        if stopped_early(run, config):
            _log.info("%s was stopped early, after %d epochs: nothing is trained", run.path, len(run.metrics()))
        else:
            with memory_errors(), interruptible():
                trainer.fit(module, datamodule=data, ckpt_path=run.last if resuming else None)
    if trainer.is_global_zero:
        contract = export(run, learn(run, cache, index))
        score = contract.scores["validation_dice"]
        told = "" if score is None else f", validation Dice {score:.4f}, temperature {contract.temperature:.2f}"
        _log.info("exported %s%s", run.model, told)
    return run


def _require_place(run: RunFolder, options: FitOptions) -> None:
    """Make sure that nothing which was trained is lost.

    The first process empties the folder of a fast dev run; others may look at it before, and find an earlier one's.
    """
    if (options.fast_dev_run and not is_main_process()) or not run.holds_work:
        return
    if not options.resume:
        raise UsageError(f"{run.path} holds a run already; use --resume to go on with it, or another --name")
    if not run.last.is_file():
        raise UsageError(f"{run.path} lacks last.safetensors, from which it would go on; choose another --name")


def _tell_of_known(index: DatasetIndex, split: Split, beginning: Beginning | None) -> None:
    """Say how many of those who are validated on helped to make the weights that the training starts from."""
    if beginning is None:
        return
    validated = split.patients(index, "validation")
    known = sum(not naming.known_as(name).isdisjoint(beginning.trained_cases) for name in validated)
    if known:
        _log.warning(
            "%d of %d validation patients were trained on by the model that this starts from: the validation Dice is "
            "too good, and no epoch should be chosen by it",
            known,
            len(validated),
        )


def trial_folder(folder: Path, options: FitOptions) -> Path:
    """Return the empty folder inside a run's (or a series of runs') where a fast dev run writes.

    Raises
    ------
    UsageError
        If a fast dev run is to be resumed, or another is going on there.
    """
    if options.resume:
        raise UsageError("a fast dev run starts anew; expected --fast-dev-run or --resume, not both")
    trial = folder / "fast-dev-run"
    if is_main_process():
        remove_trained(trial)
    return trial


def _resolved(config: TrainConfig, run: RunFolder) -> TrainConfig:
    """Replace what is to be measured by what was measured; only the first of several processes measures."""
    if config.hardware.precision != "auto":
        return config
    found = _begun_with(run, config)
    if found is not None:
        _log.info("%s was begun before with these settings: its precision is kept, %s", run.path, found)
    elif is_main_process():
        found = choose_precision("auto", _accelerator_name(config))
    else:
        found = _wait_for_precision(run, config)
    return replace(config, hardware=replace(config.hardware, precision=found))


def _begun_with(run: RunFolder, config: TrainConfig) -> Precision | None:
    """Return the precision in config.json if it was chosen for the same settings.

    An earlier attempt may have left the file, and other processes may have read it by now. So the first one keeps to
    what it says of these settings, and the others wait where it says something of other ones.
    """
    try:
        begun = run.config()
    except GliomaskError:  # absent, or of another version
        return None
    found = begun.hardware.precision
    same = replace(begun, hardware=replace(begun.hardware, precision="auto")) == config
    return found if same and found != "auto" else None


def _wait_for_precision(run: RunFolder, config: TrainConfig, seconds: float = 3600.0) -> Precision:
    """Wait until the first process has written its choice; it may have to decode all slices first.

    Raises
    ------
    DataError
        If it does not appear in time.
    """
    end = time.monotonic() + seconds
    while (found := _begun_with(run, config)) is None:
        if time.monotonic() > end:
            expected = "the first process to write it with the same settings"
            raise DataError(run.config_file, "does not appear", expected, "look at that process's errors")
        time.sleep(0.2)
    return found


def stopped_early(run: RunFolder, config: TrainConfig) -> bool:
    """Say whether early stopping has ended this run before, so that resuming it must change nothing."""
    if not config.optimisation.early_stopping:
        return False
    scores = [row["val_dice"] for row in run.metrics()]
    return bool(scores) and len(scores) - 1 - scores.index(max(scores)) >= config.optimisation.early_stopping


def is_complete(run: RunFolder, config: TrainConfig) -> bool:
    """Say whether a run has all epochs that its settings ask for, or was stopped early, and is exported."""
    if not (run.model.is_file() and run.contract.is_file()):
        return False
    return len(run.metrics()) >= config.optimisation.epochs or stopped_early(run, config)


def resumed_config(run: RunFolder, epochs: int | None = None) -> TrainConfig:
    """Return the settings of a run that is to go on, with more epochs if asked for.

    Raises
    ------
    DataError
        If there is no such run.
    UsageError
        If ``epochs`` is less than the run already has.
    """
    config = run.config()
    if epochs is None or epochs == config.optimisation.epochs:
        return config
    done = len(run.metrics())
    if epochs < done:
        raise UsageError(f"{run.path} has {done} epochs already; expected --epochs of at least that many")
    return replace(config, optimisation=replace(config.optimisation, epochs=epochs))


def _write_beginning(run: RunFolder, config: TrainConfig, split: Split, beginning: Beginning | None) -> None:
    """Write what is known before the first step; config.json comes last, it marks that a run was started."""
    run.path.mkdir(parents=True, exist_ok=True)
    for leftover in run.path.glob(".*.part"):  # of a training that was killed while it wrote
        leftover.unlink(missing_ok=True)
    save_split(split, run.split_file)
    if beginning is not None:
        save_beginning(beginning, run)
    run.write_json(run.environment_file, describe_environment())
    save_config(config, run.config_file)


def _next_epoch(run: RunFolder) -> int:
    return int(load_state(run.last)["epoch"]) + 1


def _accelerator_name(config: TrainConfig) -> str:
    if config.hardware.accelerator in {"auto", "gpu"} and torch.cuda.is_available():
        return "cuda"
    return "cpu" if config.hardware.accelerator == "auto" else config.hardware.accelerator


def _trainer(
    config: TrainConfig, run: RunFolder, data: SliceData, options: FitOptions, *, first_epoch: int
) -> lightning.Trainer:
    hardware, optimisation, validated = config.hardware, config.optimisation, len(data.validation) > 0
    callbacks: list[Callback] = [
        RunWriter(run, config.model.model, first_epoch, keeps_last=optimisation.keeps_last),
    ]
    if validated:
        callbacks.append(OverlayWriter(data.examples()))
    if optimisation.early_stopping:
        callbacks.append(EarlyStopping("val_dice", mode="max", patience=optimisation.early_stopping))
    if options.progress:
        callbacks.append(RichProgressBar())
    one_batch = 1 if options.fast_dev_run else None
    try:
        return lightning.Trainer(
            accelerator=hardware.accelerator,
            devices=int(hardware.devices) if hardware.devices.isdigit() else hardware.devices,
            num_nodes=hardware.nodes,
            strategy=hardware.strategy,
            precision="bf16-mixed" if hardware.precision == "bfloat16" else "32-true",
            max_epochs=1 if options.fast_dev_run else optimisation.epochs,
            limit_train_batches=one_batch,
            limit_val_batches=one_batch if validated else 0,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            deterministic=True,
            logger=TensorBoardLogger(run.path, name="tensorboard", version=""),
            callbacks=callbacks,
            plugins=[SafetensorsCheckpointIO()],
            enable_progress_bar=options.progress,
            enable_model_summary=False,
            log_every_n_steps=1,
            default_root_dir=run.path,
        )
    except (MisconfigurationException, TypeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(
            f"accelerator {hardware.accelerator}, devices {hardware.devices}, strategy {hardware.strategy}: {reason}; "
            "expected what this machine has"
        ) from error
