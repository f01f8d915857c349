"""The original's front door: its options with their names, types and defaults, and what each becomes."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gliomask.cli import train
from gliomask.cli.console import Printer, parse
from gliomask.cli.evaluate import EvaluateOptions
from gliomask.cli.explore import ExploreOptions
from gliomask.cli.predict import PredictOptions
from gliomask.cli.train import TrainOptions
from gliomask.config import ORIGINAL, TrainConfig
from places import ROOT

OPTIONS: dict[str, tuple[type, Any]] = {
    "train": (bool, False),
    "test": (bool, True),
    "view_aug": (bool, False),
    "num_epochs": (int, 30),
    "gpus": (str, "0"),
    "root_dir": (str, None),  # the original's is a path of its author
    "run_name": (str, "0"),
    "batch_size": (int, 32),
    "lr_scheduler": (bool, False),
    "image_path": (str, None),
    "model": (str, "unet"),
}
NEW = {"encoder_weights", "resume"}


@pytest.fixture
def front_door() -> ModuleType:
    spec = importlib.util.spec_from_file_location("front_door", ROOT / "main.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def commands(front_door: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the commands that would be run, in an environment of their own."""
    seen: list[list[str]] = []

    def record(arguments: list[str]) -> int:
        seen.append(arguments)
        return 0

    monkeypatch.setattr(front_door, "gliomask", record)
    monkeypatch.setattr(os, "environ", dict(os.environ) | {"CUDA_VISIBLE_DEVICES": ""})
    return seen


def run(front_door: ModuleType, *arguments: str) -> int:
    return int(front_door.main(list(arguments)))


def training_settings(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[TrainConfig, Path]:
    """Let the real command read its options, and return what would be trained and where."""
    seen: list[tuple[TrainConfig, Path]] = []

    def record(options: TrainOptions, printer: Printer, folder: Path) -> int:
        seen.append((options.settings, folder))
        return 0

    monkeypatch.setattr(train, "_train", record)
    assert arguments[0] == "train"
    assert train.main(arguments[1:]) == 0
    return seen[0]


# --- options


def test_names_and_defaults_are_the_originals(front_door: ModuleType) -> None:
    values = vars(front_door.parse([]))
    assert set(values) == set(OPTIONS) | NEW
    for name, (_, default) in OPTIONS.items():
        assert name == "root_dir" or values[name] == default, name
    assert isinstance(values["root_dir"], str)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("form", ["--{}={}", "--{} {}"])
def test_types_are_the_originals(front_door: ModuleType, name: str, form: str) -> None:
    kind = OPTIONS[name][0]
    text = {bool: "True", int: "7", str: "resnext" if name == "model" else "7"}[kind]
    value = getattr(front_door.parse(form.format(name, text).split()), name)
    assert type(value) is kind
    assert value == {"True": True, "7": kind(7)}.get(text, text)


@pytest.mark.parametrize("name", [name for name, (kind, _) in OPTIONS.items() if kind is bool])
def test_false_is_false(front_door: ModuleType, name: str) -> None:
    """In the original, --train=False is true: every text that is not empty is."""
    for text in ("False", "false", "FALSE", "0", "no"):
        assert getattr(front_door.parse([f"--{name}={text}"]), name) is False
    for text in ("True", "true", "1", "yes"):
        assert getattr(front_door.parse([f"--{name}={text}"]), name) is True


@pytest.mark.parametrize(
    "argument",
    ["--train=maybe", "--test=", "--lr_scheduler=2", "--num_epochs=many", "--batch_size=1.5", "--model=unet2",
     "--no_such_option=1"],
)  # fmt: skip
def test_garbage_is_refused(front_door: ModuleType, argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        front_door.parse([argument])
    assert left.value.code == 2
    assert argument.split("=", maxsplit=1)[0] in capsys.readouterr().err


# --- what they become


def test_without_options_the_run_is_tested(front_door: ModuleType, commands: list[list[str]]) -> None:
    assert run(front_door) == 0
    assert [command[0] for command in commands] == ["evaluate"]


def test_everything_is_done_in_the_originals_order(front_door: ModuleType, commands: list[list[str]]) -> None:
    run(front_door, "--view_aug=True", "--train=True", "--image_path=slice.tif")
    assert [command[0] for command in commands] == ["explore", "train", "evaluate", "predict"]


def test_nothing_is_done_if_nothing_is_wanted(front_door: ModuleType, commands: list[list[str]]) -> None:
    assert run(front_door, "--train=False", "--test=False") == 0
    assert commands == []


def test_the_first_failure_ends_it(
    front_door: ModuleType, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []

    def fail(arguments: list[str]) -> int:
        called.append(arguments[0])
        return 2

    monkeypatch.setattr(front_door, "gliomask", fail)
    assert run(front_door, "--train=True") == 2
    assert called == ["train"]


def test_training_is_the_original_recipe(
    front_door: ModuleType, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(front_door, "--train=True", "--test=False")
    assert training_settings(commands[0], monkeypatch) == (ORIGINAL, Path("runs/0"))


def test_training_options_are_passed_on(
    front_door: ModuleType, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(front_door, "--train=True", "--test=False", "--model=resnext", "--num_epochs=4", "--batch_size=8",
        "--lr_scheduler=True", "--run_name=mine", "--root_dir=/some where/lgg", "--encoder_weights=none")  # fmt: skip
    settings, folder = training_settings(commands[0], monkeypatch)
    assert settings.model.model == "original-resnext"
    assert settings.model.encoder_weights == "none"
    assert (settings.optimisation.epochs, settings.optimisation.batch_size) == (4, 8)
    assert settings.optimisation.lr_scheduler == "warmup"
    assert settings.recipe == "original"
    assert folder == Path("runs/mine")
    assert commands[0][1] == "/some where/lgg"
    assert "--resume" not in commands[0]
    run(front_door, "--train=True", "--test=False", "--resume=True")
    assert "--resume" in commands[1]


def test_testing_scores_the_test_part_of_the_run(front_door: ModuleType, commands: list[list[str]]) -> None:
    run(front_door, "--run_name=mine", "--root_dir=lgg")
    options = parse(EvaluateOptions, "evaluate", commands[0][1:])
    assert (options.data, options.model) == (Path("lgg"), "runs/mine")
    assert options.subset is None  # of a run, that is its test part


def test_image_is_predicted_with_the_run(front_door: ModuleType, commands: list[list[str]]) -> None:
    run(front_door, "--test=False", "--run_name=mine", "--image_path=a slice.tif")
    options = parse(PredictOptions, "predict", commands[0][1:])
    assert (options.inputs, options.model) == ((Path("a slice.tif"),), "runs/mine")
    assert options.out == Path("runs/mine/predictions")
    assert options.overwrite
    assert not options.no_pictures


def test_augmentations_shown_are_the_originals(front_door: ModuleType, commands: list[list[str]]) -> None:
    run(front_door, "--test=False", "--view_aug=True", "--root_dir=lgg", "--run_name=mine")
    options = parse(ExploreOptions, "explore", commands[0][1:])
    assert (options.data, options.out, options.recipe) == (Path("lgg"), Path("runs/mine/explore"), "original")


def test_gpus_are_those_asked_for(
    front_door: ModuleType, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for given in ({}, {"CUDA_VISIBLE_DEVICES": "3"}):
        environment: dict[str, str] = dict(given)
        monkeypatch.setattr(os, "environ", environment)
        run(front_door, "--gpus=1,2")
        assert environment["CUDA_VISIBLE_DEVICES"] == "1,2"


def test_a_helper_process_only_trains(
    front_door: ModuleType, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    run(front_door, "--train=True", "--view_aug=True")
    assert [command[0] for command in commands] == ["train"]
