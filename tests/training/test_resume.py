"""A training that is killed and resumed ends bit by bit where one that was left alone ends."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gliomask.config import HardwareConfig, ModelConfig, TrainConfig, save_config
from gliomask.data.index import DatasetIndex
from gliomask.inference.predictor import Predictor
from gliomask.training import callbacks
from gliomask.training import module as module_part
from gliomask.training.fit import FitOptions, resumed_config
from gliomask.training.run_folder import RunFolder
from gliomask.training.state import SafetensorsCheckpointIO, load_state
from tiny_runs import (
    QUIET,
    RESUME,
    Killed,
    killed_at,
    metrics_but_time,
    same_run,
    same_tensors,
    tensors_of,
    tiny_config,
    tiny_index,
    train,
    use_tiny_net,
)

EPOCHS = 4


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetIndex:
    """Return tiny data, and let "unet" be the tiny network."""
    use_tiny_net(monkeypatch)
    return tiny_index(tmp_path / "data")


PLACES = {
    "first step": (module_part, "augment", 1),
    "first epoch": (module_part, "augment", 3),
    "middle of an epoch": (module_part, "augment", 5),
    "validation": (module_part, "prepare", 3),
    "before the best weights": (callbacks, "save_weights", 2),
    "before the metrics": (RunFolder, "write_metrics", 3),
    "before the first state": (SafetensorsCheckpointIO, "save_checkpoint", 1),
    "before a later state": (SafetensorsCheckpointIO, "save_checkpoint", 3),
}


SCORES = (0.1, 0.4, 0.2, 0.3)
"""Validation Dice of the epochs, so that it is known when there are best weights to save."""


def train_scored(index: DatasetIndex, config: TrainConfig, path: Path, options: FitOptions = QUIET) -> RunFolder:
    """Train with SCORES instead of what validation finds."""
    run = RunFolder(path)
    done = int(load_state(run.last)["epoch"]) + 1 if run.last.is_file() else 0
    scores = iter(SCORES[done:])

    def scored(counts: Any, _patients: Any) -> dict[str, float]:
        return {"val_dice": next(scores), "val_dice_pooled": float(counts.sum())}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module_part, "validation_scores", scored)
        return train(index, config, path, options)


def train_until_killed(start: Callable[[], RunFolder], place: str) -> None:
    """Start a training and let it die at a place."""
    owner, name, call = PLACES[place]
    with pytest.MonkeyPatch.context() as deadly:
        deadly.setattr(owner, name, killed_at(call, getattr(owner, name)))
        with pytest.raises(Killed):
            start()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Train with SCORES and without being killed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLIOMASK_CACHE", str(folder / "cache"))
        use_tiny_net(patch)
        return train_scored(tiny_index(folder / "data"), tiny_config(epochs=EPOCHS), folder / "run")


@pytest.mark.parametrize("place", PLACES)
def test_defect_no_resume(place: str, undisturbed: RunFolder, index: DatasetIndex, tmp_path: Path) -> None:
    """Wherever a training dies, resuming it ends where an undisturbed one does."""
    run = RunFolder(tmp_path / "killed")
    train_until_killed(lambda: train_scored(index, tiny_config(epochs=EPOCHS), run.path), place)
    assert len(run.metrics()) < EPOCHS
    train_scored(index, resumed_config(run), run.path, RESUME)
    assert same_run(undisturbed, run)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimiser": "adamax", "average": 0.0, "lr_scheduler": "warmup"},
        {"optimiser": "adamax", "average": 0.9, "lr_scheduler": "cosine", "early_stopping": 3},
        {"optimiser": "adamw", "average": 0.0, "lr_scheduler": "none", "epoch_slices": 9},
    ],
)
def test_every_manner_of_training_is_resumed(settings: dict[str, Any], index: DatasetIndex, tmp_path: Path) -> None:
    config = tiny_config(epochs=3, **settings)
    whole = train(index, config, tmp_path / "whole")
    train_until_killed(lambda: train(index, config, tmp_path / "killed"), "middle of an epoch")
    assert same_run(whole, train(index, config, tmp_path / "killed", RESUME))


def test_patience_of_early_stopping_is_resumed(index: DatasetIndex, tmp_path: Path) -> None:
    config = replace(tiny_config(epochs=9, early_stopping=2), threshold=0.999)  # finds nothing, so never gets better
    train_until_killed(lambda: train(index, config, tmp_path / "run"), "middle of an epoch")
    assert len(train(index, config, tmp_path / "run", RESUME).metrics()) == 3


def test_the_comparison_would_notice_a_lost_epoch(index: DatasetIndex, tmp_path: Path) -> None:
    run = train(index, tiny_config(epochs=3, lr_scheduler="none"), tmp_path / "run")
    other = train(index, tiny_config(epochs=2, lr_scheduler="none"), tmp_path / "other", QUIET)
    assert metrics_but_time(run)[:2] == metrics_but_time(other)
    assert not same_tensors(run.last, other.last)
    assert not same_run(run, other)


# --- the same with real processes, a real network and SIGKILL


@dataclass(frozen=True)
class CommandLine:
    """Runs `gliomask train` in a folder."""

    folder: Path

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        """Start the training, or go on with it."""
        command = [sys.executable, "-m", "gliomask", "train", str(self.folder / "data"), "--name", "killed"]
        command += ["--runs", str(self.folder / "runs"), "--quiet", *more]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=log, stderr=log)

    def said(self) -> str:
        """Return what the processes said."""
        return (self.folder / "log").read_text()


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait until something happened, or the process ended."""
    deadline = time.monotonic() + 200
    while not happened() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_killed_and_resumed_process_ends_like_an_undisturbed_training(tmp_path: Path) -> None:
    seed = int(os.environ.get("GLIOMASK_TEST_SEED", random.SystemRandom().randrange(2**32)))
    print(f"GLIOMASK_TEST_SEED={seed} repeats the moment of the kill")  # noqa: T201 - pytest shows it on failure
    undisturbed_index = tiny_index(tmp_path / "data", patients=5)
    command, run = CommandLine(tmp_path), RunFolder(tmp_path / "runs" / "killed")
    config = replace(TrainConfig(), image_size=32, model=ModelConfig("unet"))
    config = replace(config, optimisation=replace(config.optimisation, epochs=EPOCHS, batch_size=4))
    config = replace(config, hardware=HardwareConfig(accelerator="cpu", precision="float32"))
    save_config(config, tmp_path / "settings.yaml")

    epochs, fraction = divmod(random.Random(seed).uniform(1, EPOCHS), 1)  # noqa: S311 - no secret
    process = command.start("--config", str(tmp_path / "settings.yaml"))
    wait_for(lambda: run.last.is_file() and len(run.metrics()) >= epochs, process)
    assert process.poll() is None, command.said()
    time.sleep(fraction * run.metrics()[-1]["seconds"])
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=60) == -signal.SIGKILL, command.said()

    assert command.start("--resume").wait(timeout=200) == 0, command.said()
    undisturbed = train(undisturbed_index, config, tmp_path / "runs" / "undisturbed")
    assert len(tensors_of(run.last)) > 100
    assert same_run(undisturbed, run)
    assert run.config() == undisturbed.config() == config
    assert run.split() == undisturbed.split()
    assert Predictor.load(run.path).contract.training["epochs"] == EPOCHS
