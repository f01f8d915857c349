"""Options of `train`: which settings a training starts with, and that they can be written down and read back."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders import tiny_dataset
from gliomask.cli import train
from gliomask.cli.app import main
from gliomask.cli.console import Printer
from gliomask.cli.train import TrainOptions
from gliomask.config import ORIGINAL, OptimisationConfig, SplitConfig, TrainConfig, save_config, to_dict
from gliomask.data.index import DatasetIndex, build_index
from gliomask.training.cross_validation import CrossValidation

DEFAULT = TrainConfig()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[TrainOptions, Path]]:
    """Record what would be trained, and where, instead of training."""
    seen: list[tuple[TrainOptions, Path]] = []

    def record(options: TrainOptions, printer: Printer, folder: Path) -> int:
        seen.append((options, folder))
        return 0

    monkeypatch.setattr(train, "_train", record)
    return seen


Started = list[tuple[TrainOptions, Path]]


@pytest.fixture
def index(tmp_path: Path) -> DatasetIndex:
    tiny_dataset(tmp_path / "data", patients=4)
    return build_index(tmp_path / "data", use_cache=False)


@pytest.fixture
def own_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what the command changes."""
    logger = logging.getLogger("gliomask")
    monkeypatch.setattr(logger, "handlers", logger.handlers)
    monkeypatch.setattr(logger, "level", logger.level)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["train", "data", "--print-config", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def leaves(config: Any) -> dict[str, Any]:
    """Return every setting of a config and the configs in it, by name."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        found |= leaves(value) if dataclasses.is_dataclass(value) else {field.name: value}
    return found


# --- recipes


def test_without_options_the_default_recipe_is_trained(started: Started) -> None:
    assert main(["train", "data"]) == 0
    ((options, folder),) = started
    assert options.settings == DEFAULT
    assert (options.data, folder) == (Path("data"), Path("runs/0"))
    assert not options.resume


@pytest.mark.parametrize("form", [["--recipe", "original"], ["--recipe=original"]])
def test_recipe_changes_the_defaults_of_all_options(started: Started, form: list[str]) -> None:
    assert main(["train", "data", *form]) == 0
    assert started[0][0].settings == ORIGINAL


def test_options_change_the_recipe_wherever_they_stand(started: Started) -> None:
    given = ["--epochs", "3", "--model", "original-resnext"]
    assert main(["train", *given, "--recipe", "original", "data"]) == 0
    assert main(["train", "data", "--recipe", "original", *given]) == 0
    expected = replace(
        ORIGINAL,
        model=replace(ORIGINAL.model, model="original-resnext"),
        optimisation=replace(ORIGINAL.optimisation, epochs=3),
    )
    assert [options.settings for options, _ in started] == [expected, expected]


def test_every_setting_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = capsys.readouterr().out
    names = [name.replace("_", "-") for name in leaves(DEFAULT)]
    assert len(names) > 30
    assert not [name for name in names if not re.search(rf"--{name}[ ,]", shown)]  # a comma before --no-...


def test_help_shows_the_defaults_of_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--recipe", "original", "--help"])
    assert "(default: adamax)" in capsys.readouterr().out


def test_name_and_folder_of_the_run(started: Started) -> None:
    assert main(["train", "data", "--runs", "elsewhere", "--name", "first"]) == 0
    assert started[0][1] == Path("elsewhere/first")


# --- files of settings


@pytest.mark.parametrize("recipe", [DEFAULT, ORIGINAL], ids=["default", "original"])
def test_printed_settings_are_all_settings(capsys: pytest.CaptureFixture[str], recipe: TrainConfig) -> None:
    assert printed(capsys, "--recipe", recipe.recipe) == to_dict(recipe)


@pytest.mark.parametrize("quiet", [[], ["--quiet"], ["--json"]])
def test_printed_settings_make_the_same_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], started: Started, quiet: list[str]
) -> None:
    options = ["--recipe", "original", "--epochs", "7", "--split", "fold", "--fold", "3", "--shift", "0.02",
               "--threshold", "0.4", "--precision", "float32", *quiet]  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(printed(capsys, *options)))
    assert main(["train", "data", *options]) == 0
    assert main(["train", "data", "--config", str(tmp_path / "config.json")]) == 0
    direct, from_file = (each.settings for each, _ in started)
    assert direct == from_file
    assert (direct.optimisation.epochs, direct.split.fold, direct.threshold) == (7, 3, 0.4)


def test_file_with_a_few_settings_and_options_on_top(tmp_path: Path, started: Started) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"seed": 5, "optimisation": {"epochs": 3}}))
    assert main(["train", "data", "--config", str(path), "--epochs", "4"]) == 0
    expected = TrainConfig(seed=5, optimisation=OptimisationConfig(epochs=4))
    assert started[0][0].settings == expected


def test_file_and_another_recipe_are_refused(
    tmp_path: Path, started: Started, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    save_config(DEFAULT, path)
    assert main(["train", "data", "--config", str(path), "--recipe", "original"]) == 2
    assert "give one of them" in capsys.readouterr().err
    assert main(["train", "data", "--config", str(path), "--recipe", "default"]) == 0
    assert len(started) == 1


@pytest.mark.parametrize("content", [None, "{", "[1]", '{"epoch": 3}', '{"seed": "one"}', '{"threshold": 2}'])
def test_unusable_file_is_wrong_usage_in_one_line(
    tmp_path: Path, started: Started, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    assert main(["train", "data", "--config", str(tmp_path / "config.json")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("gliomask train: ")
    assert told.count("\n") == 1
    assert not started


# --- folds


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--folds", "5"], ("fold", 5, -1)),
        (["--folds", "3", "--fold", "-1"], ("fold", 3, -1)),
        (["--fold", "2"], ("fold", 5, 2)),
        (["--folds", "4", "--fold", "2"], ("fold", 4, 2)),
        (["--split", "fold", "--folds", "4", "--fold", "0"], ("fold", 4, 0)),
        (["--split", "fold"], ("fold", 5, -1)),
        (["--split", "slice"], ("slice", 5, -1)),
    ],
)
def test_folds_mean_the_fold_split_and_all_of_them(
    capsys: pytest.CaptureFixture[str], options: list[str], expected: tuple[str, int, int]
) -> None:
    shown = printed(capsys, *options)["split"]
    assert (shown["split"], shown["folds"], shown["fold"]) == expected


@pytest.mark.parametrize("before", [SplitConfig(fold=0), SplitConfig(split="fold", fold=2), SplitConfig(split="slice")])
def test_folds_without_fold_are_all_also_from_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], before: SplitConfig
) -> None:
    save_config(TrainConfig(split=before), tmp_path / "config.json")
    from_file = ["--config", str(tmp_path / "config.json")]
    assert printed(capsys, *from_file)["split"] == dataclasses.asdict(before)
    assert printed(capsys, *from_file, "--folds", "4")["split"]["fold"] == -1
    assert printed(capsys, *from_file, "--fold", "1")["split"]["fold"] == 1


@pytest.mark.parametrize("kind", ["slice", "patient", "buda10"])
@pytest.mark.parametrize("option", [["--folds", "5"], ["--fold", "0"]])
def test_folds_with_another_split_are_refused(
    started: Started, capsys: pytest.CaptureFixture[str], kind: str, option: list[str]
) -> None:
    assert main(["train", "data", "--split", kind, *option]) == 2
    assert f"{' '.join(option)} with --split {kind}; expected --split fold" in capsys.readouterr().err
    assert not started


# --- wrong options


@pytest.mark.parametrize(
    "options",
    [
        ["--recipe", "buda"],
        ["--recipe"],
        ["--model", "unet2"],
        ["--epochs", "many"],
        ["--resume=True"],
        ["--rec", "original"],
        ["--config"],
        ["second-folder"],
    ],
)
def test_wrong_options_are_wrong_usage(started: Started, options: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["train", "data", *options])
    assert left.value.code == 2
    assert not started


@pytest.mark.parametrize(
    "options", [["--threshold", "1.5"], ["--epochs", "0"], ["--image-size", "33"], ["--split", "fold", "--fold", "5"]]
)
def test_impossible_values_are_wrong_usage(
    started: Started, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert main(["train", "data", *options]) == 2
    told = capsys.readouterr().err
    assert options[-2].removeprefix("--").replace("-", "_") in told
    assert told.count("\n") == 1
    assert not started


# --- resuming


@pytest.fixture
def interrupted(tmp_path: Path) -> list[str]:
    """Return the options that name a run which was started with settings of its own."""
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    config = replace(ORIGINAL, seed=9, split=SplitConfig(split="fold", fold=2))
    save_config(config, tmp_path / "runs" / "mine" / "config.json")
    return ["train", "data", "--runs", str(tmp_path / "runs"), "--name", "mine", "--resume"]


def test_resuming_takes_the_settings_of_the_run(interrupted: list[str], started: Started) -> None:
    assert main(interrupted) == 0
    settings = started[0][0].settings
    assert (settings.recipe, settings.seed, settings.split.fold) == ("original", 9, 2)
    assert settings.optimisation == ORIGINAL.optimisation


def test_settings_of_an_earlier_run_count_only_when_resuming(interrupted: list[str], started: Started) -> None:
    assert main([argument for argument in interrupted if argument != "--resume"]) == 0
    assert started[0][0].settings == DEFAULT


def test_resuming_with_more_epochs(interrupted: list[str], started: Started) -> None:
    assert main([*interrupted, "--epochs", "40"]) == 0
    assert started[0][0].settings.optimisation.epochs == 40


@pytest.mark.parametrize(
    "other", [["--seed", "1"], ["--learning-rate", "1"], ["--recipe", "default"], ["--fold", "3"], ["--model", "unet"]]
)
def test_resuming_with_another_setting_is_refused(
    interrupted: list[str], started: Started, capsys: pytest.CaptureFixture[str], other: list[str]
) -> None:
    assert main([*interrupted, *other]) == 2
    assert "only --epochs may be given with it" in capsys.readouterr().err
    assert not started


@pytest.mark.parametrize(
    ("other", "status"), [([], 0), (["--folds", "4"], 0), (["--folds", "5"], 2), (["--fold", "1"], 2)]
)
def test_resuming_folds_takes_their_settings(
    tmp_path: Path, started: Started, index: DatasetIndex, other: list[str], status: int
) -> None:
    config = replace(ORIGINAL, seed=9, split=SplitConfig(split="fold", folds=4))
    CrossValidation(tmp_path / "mine").begin(index, config)
    assert main(["train", "data", "--runs", str(tmp_path), "--name", "mine", "--resume", *other]) == status
    assert [options.settings for options, _ in started] == ([] if status else [config])


@pytest.mark.parametrize("other", [["--folds", "5"], ["--split", "fold"]])
def test_a_single_run_is_not_resumed_as_folds(
    tmp_path: Path, started: Started, capsys: pytest.CaptureFixture[str], other: list[str]
) -> None:
    save_config(TrainConfig(split=SplitConfig(fold=0)), tmp_path / "mine" / "config.json")
    assert main(["train", "data", "--runs", str(tmp_path), "--name", "mine", "--resume", *other]) == 2
    assert "only --epochs may be given with it" in capsys.readouterr().err
    assert not started


def test_resuming_what_was_never_started_starts_it(started: Started, tmp_path: Path) -> None:
    assert main(["train", "data", "--runs", str(tmp_path), "--recipe", "original", "--resume"]) == 0
    assert started[0][0].settings == ORIGINAL
    assert started[0][0].resume


# --- from options to training


@pytest.mark.usefixtures("own_logger")
def test_training_gets_the_options_and_its_result_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gliomask.training import fit as fitting

    seen: dict[str, Any] = {}

    def pretend(index: Any, config: Any, run: Any, options: Any) -> Any:
        seen.update(slices=index.slice_count, config=config, options=options)
        run.write_metrics([{"epoch": 0, "val_dice": 0.7}, {"epoch": 1, "val_dice": 0.6}])
        return run

    monkeypatch.setattr(fitting, "fit", pretend)
    tiny_dataset(tmp_path / "data", patients=3)
    command = ["train", str(tmp_path / "data"), "--runs", str(tmp_path), "--name", "r", "--fast-dev-run", "--json"]
    assert main([*command, "--seed", "4"]) == 0
    assert seen["slices"] == 9
    assert seen["config"] == replace(DEFAULT, seed=4)
    assert seen["options"] == fitting.FitOptions(resume=False, fast_dev_run=True, progress=False)
    assert json.loads(capsys.readouterr().out) == {
        "run": str(tmp_path / "r"), "model": str(tmp_path / "r" / "model.onnx"), "epochs": 2, "best": 0.7,
    }  # fmt: skip


@pytest.mark.usefixtures("own_logger")
def test_all_folds_are_trained_and_their_results_printed(
    index: DatasetIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gliomask.training import folds

    def pretend(_: Any, plan: Any, options: Any) -> Any:
        assert options.resume
        for run, config in plan:
            run.write_metrics([{"epoch": 0, "val_dice": 0.1 * (1 + config.split.fold)}])
        return [run for run, _ in plan]

    monkeypatch.setattr(folds, "fit_series", pretend)
    command = ["train", str(index.root), "--runs", str(tmp_path), "--name", "cv", "--resume", "--json", "--folds", "3"]
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["run"] == str(tmp_path / "cv")
    assert [(Path(fold["run"]).name, fold["epochs"]) for fold in told["folds"]] == [
        ("fold0", 1),
        ("fold1", 1),
        ("fold2", 1),
    ]
    assert [fold["best"] for fold in told["folds"]] == pytest.approx([0.1, 0.2, 0.3])
    assert json.loads((tmp_path / "cv" / "folds.json").read_text())["folds"] == 3
