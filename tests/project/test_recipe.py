"""A model is made again by the commands that its card tells, in one training or in several one after another."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from builders import write_known_model
from gliomask.cli.app import main
from gliomask.config import (
    AugmentationConfig,
    HardwareConfig,
    ModelConfig,
    OptimisationConfig,
    SplitConfig,
    TrainConfig,
    to_dict,
)
from gliomask.errors import UsageError
from gliomask.models.contract import read_contract
from gliomask.training.cross_validation import CrossValidation
from gliomask.training.run_folder import RunFolder
from tools.recipe import commands, recipe_options, require_same_recipe, stages

FOLDS = SplitConfig(split="fold", folds=3, fold=-1)
EVERYBODY = SplitConfig(split="all")
SHORT = TrainConfig(
    image_size=128,
    model=ModelConfig(model="resnet18", encoder_weights="imagenet"),
    optimisation=OptimisationConfig(epochs=5, empty_ratio=0.0),
)


def written_run(folder: Path, config: TrainConfig) -> RunFolder:
    """Write a run that has settings and nothing else."""
    run = RunFolder(folder)
    folder.mkdir()
    run.config_file.write_text(json.dumps(to_dict(replace(config, split=EVERYBODY))))
    return run


def written_folds(folder: Path, config: TrainConfig) -> CrossValidation:
    """Write a cross-validation that has settings and nothing else."""
    folds = CrossValidation(folder)
    folder.mkdir()
    folds.record_file.write_text(json.dumps({"settings": to_dict(replace(config, split=FOLDS))}))
    return folds


def going_on(source: Path) -> TrainConfig:
    return replace(
        SHORT,
        model=ModelConfig(model="resnet18", weights=str(source)),
        augmentation=AugmentationConfig(drop_channel=0.3),
        optimisation=replace(SHORT.optimisation, start_share=0.5),
    )


@pytest.fixture
def first(tmp_path: Path) -> tuple[RunFolder, CrossValidation]:
    return written_run(tmp_path / "first-all", SHORT), written_folds(tmp_path / "first", SHORT)


def test_scores_of_another_recipe_are_refused() -> None:
    folds, run = replace(SHORT, split=FOLDS), replace(SHORT, split=EVERYBODY)
    require_same_recipe(run, folds)
    longer = replace(run, optimisation=OptimisationConfig(epochs=30))
    for other in (longer, replace(run, split=SplitConfig()), replace(run, model=ModelConfig(model="resnet34"))):
        with pytest.raises(UsageError, match="its scores would not be theirs"):
            require_same_recipe(other, folds)


def test_what_the_machine_is_does_not_matter_and_what_changes_the_training_does() -> None:
    folds, run = replace(SHORT, split=FOLDS), replace(SHORT, split=EVERYBODY)
    require_same_recipe(replace(run, hardware=HardwareConfig(devices="2", precision="bfloat16")), folds)
    weights = replace(run, model=replace(run.model, encoder_weights="none"))
    for other in (weights, replace(run, hardware=HardwareConfig(micro_batch=2))):
        with pytest.raises(UsageError, match="its scores would not be theirs"):
            require_same_recipe(other, folds)
    there, here = (replace(run, model=replace(run.model, encoder_weights=f"{place}/r.pth")) for place in "ab")
    require_same_recipe(here, replace(there, split=FOLDS))


def test_recipe_options_make_the_settings_again() -> None:
    config = replace(SHORT, model=ModelConfig(model="resnet18"))
    assert recipe_options(config) == "--image-size 128 --model resnet18 --epochs 5 --empty-ratio 0.0"


def test_one_stage_is_trained_twice(first: tuple[RunFolder, CrossValidation]) -> None:
    run, folds = first
    made = stages(run, folds)
    assert [(stage.run.name, stage.folds.name) for stage in made] == [("first-all", "first")]
    options = "--image-size 128 --model resnet18 --encoder-weights imagenet --epochs 5 --empty-ratio 0.0"
    assert list(commands(made)) == [
        f"gliomask train data/kaggle_3m --name first {options} --folds 3",
        "gliomask evaluate data/kaggle_3m --model runs/first",
        "gliomask evaluate data/kaggle_3m --model runs/first --flair-alone",
        "gliomask evaluate data/kaggle_3m --model runs/first --one-by-one",
        f"gliomask train data/kaggle_3m --name first-all {options} --split all",
    ]
    told = list(commands(made, int8=True))
    exports = [f"gliomask export runs/first/fold{fold} --data data/kaggle_3m --int8" for fold in range(3)]
    assert told[1:4] == exports
    assert told[7] == "gliomask evaluate data/kaggle_3m --model runs/first --precision int8"
    assert told[9:] == ["gliomask export runs/first-all --data data/kaggle_3m --int8"]


def test_second_stage_names_the_first_and_only_what_is_new(
    first: tuple[RunFolder, CrossValidation], tmp_path: Path
) -> None:
    run = written_run(tmp_path / "all", going_on(first[0].path))
    folds = written_folds(tmp_path / "folds", going_on(first[1].path))
    told = list(commands(stages(run, folds)))
    options = "--drop-channel 0.3 --epochs 5 --start-share 0.5 --empty-ratio 0.0"
    assert told[1] == f"gliomask train data/kaggle_3m --name folds --from runs/first {options} --folds 3"
    assert told[2] == "gliomask evaluate data/kaggle_3m --model runs/folds"
    assert told[-1] == f"gliomask train data/kaggle_3m --name all --from runs/first-all {options} --split all"
    assert len(told) == 7


def test_a_stage_may_see_neighbours_and_train_on_validation_patients(
    first: tuple[RunFolder, CrossValidation], tmp_path: Path
) -> None:
    seeing = [going_on(each.path) for each in first]
    seeing = [replace(each, model=replace(each.model, model="resnet50-s16-2.5d")) for each in seeing]
    run, folds = written_run(tmp_path / "all", seeing[0]), written_folds(tmp_path / "folds", seeing[1])
    record = json.loads(folds.record_file.read_text())
    record["settings"]["split"]["validation"] = False
    folds.record_file.write_text(json.dumps(record))
    told = list(commands(stages(run, folds)))
    options = "--model resnet50-s16-2.5d --drop-channel 0.3 --epochs 5 --start-share 0.5 --empty-ratio 0.0"
    assert told[1].endswith(f"--name folds --from runs/first {options} --folds 3 --no-validation")
    assert told[-1].endswith(f"--name all --from runs/first-all {options} --split all")


def test_the_epoch_to_keep_is_told_where_somebody_chooses(tmp_path: Path) -> None:
    config = replace(SHORT, optimisation=replace(SHORT.optimisation, keep="best"))
    told = list(commands(stages(written_run(tmp_path / "all", config), written_folds(tmp_path / "folds", config))))
    assert "--keep best" in told[0]
    assert told[-1].endswith("--split all")
    assert "--keep" not in told[-1]


def test_stages_that_do_not_match_are_refused(first: tuple[RunFolder, CrossValidation], tmp_path: Path) -> None:
    run = written_run(tmp_path / "all", going_on(first[0].path))
    with pytest.raises(UsageError, match="expected a run and folds"):  # tested with weights that saw everybody
        stages(run, written_folds(tmp_path / "seen", going_on(first[0].path)))
    alone = replace(going_on(first[0].path), optimisation=SHORT.optimisation)
    run = written_run(tmp_path / "alone", alone)
    with pytest.raises(UsageError, match="expected a run and folds"):
        stages(run, written_folds(tmp_path / "none", replace(alone, model=ModelConfig("resnet18"))))


def test_folds_to_go_on_from_decide_network_and_size(
    first: tuple[RunFolder, CrossValidation], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, folds = first
    write_known_model(folds.run(0).path)
    assert main(["train", str(tmp_path), "--from", str(folds.path), "--folds", "3", "--print-config"]) == 0
    told = json.loads(capsys.readouterr().out)
    contract = read_contract(folds.run(0).contract)
    assert (told["model"]["model"], told["image_size"]) == (contract.architecture, contract.image_size)
    assert told["model"]["weights"] == str(folds.path)
