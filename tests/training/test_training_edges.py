"""Where a training may go wrong: stopped early and resumed, diverged, tried out, no such hardware, two processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from builders import tiny_dataset
from gliomask.cli.app import main
from gliomask.config import (
    AugmentationConfig,
    HardwareConfig,
    ModelConfig,
    OptimisationConfig,
    TrainConfig,
    save_config,
)
from gliomask.data.augmentation import augment, draw
from gliomask.data.index import DatasetIndex, build_index
from gliomask.errors import DataError, TrainingError, UsageError
from gliomask.training import fit as fit_module
from gliomask.training import module as module_part
from gliomask.training.cross_validation import CrossValidation
from gliomask.training.fit import FitOptions
from gliomask.training.folds import fit_folds
from gliomask.training.run_folder import RunFolder
from tiny_runs import QUIET, RESUME, same_run, same_tensors, tensors_of, tiny_config, tiny_index, train, use_tiny_net


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetIndex:
    """Return tiny data, and let "unet" be the tiny network."""
    use_tiny_net(monkeypatch)
    return tiny_index(tmp_path / "data")


def test_augmentation_is_exact_under_bfloat16() -> None:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 256, (3, 64, 64, 3), dtype=np.uint8))
    masks = torch.from_numpy(rng.integers(0, 2, (3, 64, 64), dtype=np.uint8))
    statistics = torch.tensor([[90.0], [40.0]]).expand(3, 2, 3)
    parameters = draw(AugmentationConfig(), 3, rng)

    def result() -> tuple[torch.Tensor, torch.Tensor]:
        return augment(images, masks, volume_statistics=statistics, slice_statistics=statistics, parameters=parameters)

    expected = result()
    with torch.autocast("cpu", torch.bfloat16):
        for one, other in zip(result(), expected, strict=True):
            assert torch.equal(one, other)


def test_resuming_what_stopped_early_changes_nothing(index: DatasetIndex, tmp_path: Path) -> None:
    config = tiny_config(epochs=8, early_stopping=1, learning_rate=1e-9, average=0.0)
    once = train(index, config, tmp_path / "once")
    again = train(index, config, tmp_path / "again")
    assert 1 < len(once.metrics()) < 8
    train(index, config, again.path, RESUME)
    assert same_run(once, again)


def test_diverged_training_is_said(index: DatasetIndex, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="another --name, with a lower --learning-rate"):
        train(index, tiny_config(epochs=3, learning_rate=1e30, average=0.0), tmp_path / "run")


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked there")
def test_what_is_being_trained_is_not_removed(index: DatasetIndex, tmp_path: Path) -> None:
    """Neither by a trial, nor by the demo; nor are the settings of folds replaced."""
    trial, demo, folds = (RunFolder(tmp_path / name) for name in ("run/fast-dev-run/fold1", "demo/run", "folds"))
    config = replace(tiny_config(), split=replace(tiny_config().split, split="fold", folds=2, fold=-1))
    quick = replace(QUIET, fast_dev_run=True)
    with trial.held(), demo.held(), folds.held():
        with pytest.raises(UsageError, match="is being trained by another call"):
            train(index, tiny_config(), tmp_path / "run", quick)
        assert main(["demo", str(index.root), "--out", str(tmp_path / "demo"), "--overwrite", "--quiet"]) == 2
        with pytest.raises(UsageError, match="is being trained by another call"):
            fit_folds(index, config, CrossValidation(folds.path), QUIET)
        assert all((run.path / ".training").exists() for run in (trial, demo))
        assert [path.name for path in folds.path.iterdir()] == [".training"]
    train(index, tiny_config(), tmp_path / "run", quick)


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked there")
@pytest.mark.parametrize("options", [QUIET, RESUME])
def test_a_run_is_trained_by_one_at_a_time(index: DatasetIndex, tmp_path: Path, options: FitOptions) -> None:
    run, told = (
        RunFolder(tmp_path / "run"),
        r"run is being trained by another call; wait for it, or choose another folder",
    )
    with run.held(), pytest.raises(UsageError, match=told):
        train(index, tiny_config(), run.path, options)
    assert not run.path.exists()  # who was first made nothing, either
    train(index, tiny_config(epochs=1), run.path)
    before = run.last.read_bytes()
    with run.held(), pytest.raises(UsageError, match=told):
        train(index, tiny_config(epochs=2), run.path, RESUME)
    assert run.last.read_bytes() == before
    train(index, tiny_config(epochs=2), run.path, RESUME)
    assert not [path.name for path in run.path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("options", [QUIET, RESUME])
@pytest.mark.parametrize("epochs", [1, 2])
def test_what_lost_its_state_is_not_trained_over(
    index: DatasetIndex, tmp_path: Path, options: FitOptions, epochs: int
) -> None:
    run = train(index, tiny_config(epochs=epochs), tmp_path / "run")
    run.last.unlink()
    if epochs == 1:  # which alone might be what a kill left
        run.contract.write_text("of an exported model")
    before = {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    with pytest.raises(UsageError, match="another --name"):
        train(index, tiny_config(epochs=3), run.path, options)
    assert {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()} == before


def test_resuming_a_complete_run_leaves_its_export_alone(index: DatasetIndex, tmp_path: Path) -> None:
    run = train(index, tiny_config(epochs=1), tmp_path / "run", exported=True)
    run.int8.write_bytes(b"of gliomask export --int8")
    before = {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    train(index, tiny_config(epochs=1), run.path, RESUME, exported=True)
    assert {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()} == before
    train(index, tiny_config(epochs=2), run.path, RESUME)
    assert len(run.metrics()) == 2


def test_ctrl_c_ends_a_training_as_it_ends_everything_else(
    index: DatasetIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(module_part, "augment", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(index, tiny_config(), tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is handler


def test_trial_leaves_the_name_free(index: DatasetIndex, tmp_path: Path) -> None:
    trial = train(index, tiny_config(), tmp_path / "run", replace(QUIET, fast_dev_run=True))
    assert trial.path == tmp_path / "run" / "fast-dev-run"
    assert len(train(index, tiny_config(), tmp_path / "run").metrics()) == 2
    with pytest.raises(UsageError, match="not both"):
        train(index, tiny_config(), tmp_path / "run", replace(RESUME, fast_dev_run=True))


@pytest.mark.parametrize(
    "hardware", [HardwareConfig(strategy="dpp"), HardwareConfig(devices="two"), HardwareConfig(accelerator="abacus")]
)
def test_hardware_that_is_not_there_is_said(index: DatasetIndex, tmp_path: Path, hardware: HardwareConfig) -> None:
    config = replace(tiny_config(), hardware=replace(hardware, precision="float32"))
    with pytest.raises(UsageError, match="expected what this machine has"):
        train(index, config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("left", ["nothing", "the same settings", "other settings", "no settings"])
def test_processes_agree_on_the_precision_whatever_an_earlier_attempt_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    """The first process comes late: the other one has read by then what was left, or waits."""
    monkeypatch.setattr(fit_module, "choose_precision", lambda *_: "bfloat16")
    run, config = RunFolder(tmp_path / "run"), tiny_config()
    config = replace(config, hardware=replace(config.hardware, precision="auto"))
    earlier = config if left == "the same settings" else replace(config, seed=config.seed + 1)
    run.path.mkdir()
    if left == "no settings":
        run.config_file.write_text("{")
    elif left != "nothing":
        save_config(replace(earlier, hardware=replace(earlier.hardware, precision="float32")), run.config_file)

    def first_process(_: float = 0) -> TrainConfig:
        monkeypatch.setenv("RANK", "0")
        resolved = fit_module._resolved(config, run)
        save_config(resolved, run.config_file)
        monkeypatch.setenv("RANK", "1")
        return resolved

    monkeypatch.setattr(time, "sleep", first_process)
    monkeypatch.setenv("RANK", "1")
    other = fit_module._resolved(config, run)
    assert other == first_process()
    assert other.hardware.precision == ("float32" if left == "the same settings" else "bfloat16")


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_fast_dev_run_is_repeated_whichever_process_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: str
) -> None:
    """The first one empties the folder, perhaps after another has looked into it."""
    monkeypatch.setenv("RANK", rank)
    options = replace(QUIET, fast_dev_run=True)
    left = RunFolder(tmp_path / "fast-dev-run")
    left.path.mkdir()
    save_config(tiny_config(), left.config_file)
    left.last.touch()
    with pytest.raises(UsageError, match="holds a run already"):
        fit_module._require_place(left, QUIET)
    trial = RunFolder(fit_module.trial_folder(tmp_path, options))
    fit_module._require_place(trial, options)
    assert trial.path.exists() is (rank == "1")


def test_a_process_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", iter([0.0, 3601.0]).__next__)
    monkeypatch.setenv("RANK", "1")
    config = replace(tiny_config(), hardware=HardwareConfig(precision="auto"))
    with pytest.raises(DataError, match=r"config\.json: does not appear; .* look at that process's errors"):
        fit_module._resolved(config, RunFolder(tmp_path))


def test_better_weights_make_the_old_export_stale(index: DatasetIndex, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    for file in (run.model, run.contract):
        file.write_text("of earlier weights")
    train(index, tiny_config(), run.path)
    assert not run.model.exists()
    assert not run.contract.exists()


def started(launcher: list[str], data: Path, runs: Path) -> RunFolder:
    """Train as `paired_config` says, in two processes."""
    command = [
        *launcher, "-m", "gliomask", "train", str(data), "--runs", str(runs), "--name", "run", "--model", "unet",
        "--image-size", "32", "--epochs", "2", "--batch-size", "4", "--epoch-slices", "12", "--empty-ratio", "0",
        "--accelerator", "cpu", "--precision", "float32", "--devices", "2", "--json",
    ]  # fmt: skip
    threads = os.environ | {"OMP_NUM_THREADS": "1"}  # of both ways alike: how sums are split decides their last bits
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=threads)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["epochs"] == 2  # one of the two talks
    return RunFolder(runs / "run")


def paired_config(micro_batch: int) -> TrainConfig:
    """Return the settings of `started`, for one process."""
    return TrainConfig(
        image_size=32,
        model=ModelConfig(model="unet"),
        optimisation=OptimisationConfig(epochs=2, batch_size=4, epoch_slices=12, empty_ratio=0.0),
        hardware=HardwareConfig(accelerator="cpu", precision="float32", micro_batch=micro_batch),
    )


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    """Two processes with two slices each are one process that takes a batch of four in two parts.

    Batch norm and the Dice loss see two slices either way, so their losses agree to rounding; those of whole batches
    differ more. Five validation slices for two processes: one has a slice less to predict and must not be waited for.
    """
    data = tmp_path / "data"
    tiny_dataset(data, patients=5, slices=5, size=32)
    pair = started([sys.executable], data, tmp_path / "pair")
    run = started([sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"], data, tmp_path / "torchrun")
    index = build_index(data, use_cache=False)
    whole, parts = (train(index, paired_config(size), tmp_path / f"parts-of-{size}") for size in (0, 2))
    losses = [[row["train_loss"] for row in each.metrics()] for each in (pair, run, parts, whole)]
    assert losses[0] == losses[1]
    assert losses[0] == pytest.approx(losses[2], abs=1e-4)
    assert losses[0] == pytest.approx(losses[3], abs=0.1)
    assert same_tensors(pair.best, run.best)
    assert all(torch.isfinite(tensor.float()).all() for tensor in tensors_of(pair.best).values())
