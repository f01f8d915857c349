"""A cross-validation is complete, goes on where it was interrupted, and tests every patient once on unseen ground."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from builders import patient_name, write_known_model, write_patient
from gliomask.config import HardwareConfig, SplitConfig, TrainConfig
from gliomask.data import naming
from gliomask.data.augmentation import augment
from gliomask.data.index import DatasetIndex, build_index
from gliomask.errors import DataError, SplitMismatchError, UsageError
from gliomask.models.contract import ModelContract, read_contract, write_contract
from gliomask.models.registry import build_model
from gliomask.share import Share
from gliomask.training import beginning as beginning_module
from gliomask.training import fit as fit_module
from gliomask.training import module as module_part
from gliomask.training import precision
from gliomask.training.beginning import beginning_of
from gliomask.training.cross_validation import CrossValidation
from gliomask.training.fit import fit, is_complete
from gliomask.training.folds import fit_folds, resumed_folds
from gliomask.training.learned import Learned
from gliomask.training.run_folder import RunFolder
from tiny_runs import QUIET, RESUME, Killed, killed_at, same_run, tensors_of, tiny_config, tiny_index, use_tiny_net

FOLDS = 3
PATIENTS = 5


def pretend_export(run: RunFolder, _: Learned) -> ModelContract:
    """Leave the files of an export without the seconds that one takes."""
    write_known_model(run.path)
    split = run.split()
    training = {"cases": sorted(split.seen_cases()), "trained_cases": sorted(split.trained_cases())}
    contract = replace(read_contract(run.contract), scores={"validation_dice": 0.0}, training=training)
    write_contract(contract, run.contract)
    return contract


def folds_config(**optimisation: Any) -> TrainConfig:
    config = tiny_config(lr_scheduler="none", **optimisation)
    return replace(config, split=SplitConfig(split="fold", folds=FOLDS, split_seed=1))


def two_scans_of_one(root: Path) -> DatasetIndex:
    """Write tiny patients, one of them scanned again on another date."""
    tiny_index(root, patients=PATIENTS - 1)
    write_patient(root, patient_name(0).replace("2000", "2001"), slices=4, size=32)
    return build_index(root, use_cache=False)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Let "unet" be the tiny network, and exports be quick."""
    folder = tmp_path_factory.mktemp("folds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLIOMASK_CACHE", str(folder / "cache"))
        patch.setattr(fit_module, "export", pretend_export)
        use_tiny_net(patch)
        yield folder


@pytest.fixture(scope="module")
def index(environment: Path) -> DatasetIndex:
    return two_scans_of_one(environment / "data")


@pytest.fixture(scope="module")
def undisturbed(environment: Path, index: DatasetIndex) -> CrossValidation:
    """Train all folds without being killed."""
    folder = CrossValidation(environment / "undisturbed")
    fit_folds(index, folds_config(), folder, QUIET)
    return folder


@pytest.fixture
def copied(undisturbed: CrossValidation, tmp_path: Path) -> CrossValidation:
    return CrossValidation(shutil.copytree(undisturbed.path, tmp_path / "copied"))


def test_each_fold_is_an_ordinary_run_that_knows_its_number(undisturbed: CrossValidation) -> None:
    runs = undisturbed.runs()
    assert [run.path.name for run in runs] == ["fold0", "fold1", "fold2"]
    assert [run.config().split.fold for run in runs] == [0, 1, 2]
    assert [(run.split().kind, run.split().fold, run.split().folds) for run in runs] == [
        ("fold", n, 3) for n in (0, 1, 2)
    ]
    assert all(is_complete(run, folds_config()) for run in runs)
    assert undisturbed.config() == folds_config()


def test_record_tells_folds_seed_and_data(undisturbed: CrossValidation, index: DatasetIndex) -> None:
    record = json.loads(undisturbed.record_file.read_text())
    assert (record["folds"], record["seed"], record["data_fingerprint"]) == (FOLDS, 1, index.fingerprint)


def test_folds_test_everybody_once_and_no_person_is_on_both_sides(
    undisturbed: CrossValidation, index: DatasetIndex
) -> None:
    splits = [run.split() for run in undisturbed.runs()]
    tested = Counter(name for split in splits for name in split.patients(index, "test"))
    assert tested == Counter(patient.name for patient in index.patients)
    for split in splits:
        assert not split.seen_cases() & {naming.person(name) for name in split.patients(index, "test")}


def test_killed_and_resumed_folds_equal_undisturbed_ones(
    undisturbed: CrossValidation, index: DatasetIndex, tmp_path: Path
) -> None:
    folder = CrossValidation(tmp_path / "killed")
    steps = undisturbed.run(0).metrics()[-1]["step"] + undisturbed.run(1).metrics()[0]["step"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module_part, "augment", killed_at(int(steps) + 2, augment))  # in the second epoch of fold 1
        with pytest.raises(Killed):
            fit_folds(index, folds_config(), folder, QUIET)
    assert [is_complete(run, folds_config()) for run in folder.runs()] == [True, False, False]
    assert [len(run.metrics()) for run in folder.runs()] == [2, 1, 0]
    complete = folder.run(0)
    before = complete.last.stat().st_mtime_ns, complete.model.stat().st_mtime_ns
    fit_folds(index, resumed_folds(folder), folder, RESUME)
    assert all(same_run(one, other) for one, other in zip(undisturbed.runs(), folder.runs(), strict=True))
    assert before == (complete.last.stat().st_mtime_ns, complete.model.stat().st_mtime_ns)
    folder.check(index)


def test_a_fold_equals_the_same_fold_trained_alone(
    undisturbed: CrossValidation, index: DatasetIndex, tmp_path: Path
) -> None:
    config = folds_config()
    alone = fit(index, replace(config, split=replace(config.split, fold=2)), RunFolder(tmp_path / "alone"), QUIET)
    assert same_run(undisturbed.run(2), alone)
    assert alone.config() == undisturbed.run(2).config()


def test_a_fold_that_was_not_exported_is_exported(copied: CrossValidation, index: DatasetIndex) -> None:
    copied.run(1).model.unlink()
    with pytest.raises(DataError, match="fold1: no exported model"):
        copied.check(index)
    fit_folds(index, resumed_folds(copied), copied, RESUME)
    copied.check(index)


def test_every_fold_goes_on_from_the_same_fold(
    undisturbed: CrossValidation, index: DatasetIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources: list[str] = []

    def remembered(source: str, name: str) -> Any:
        sources.append(source)
        return build_model(name)

    monkeypatch.setattr(beginning_module, "load_trained", remembered)
    config = replace(folds_config(), model=replace(folds_config().model, weights=str(undisturbed.path)))
    second = CrossValidation(tmp_path / "second")
    fit_folds(index, config, second, QUIET)
    assert sources == [str(run.path) for run in undisturbed.runs()]
    assert [run.config().model.weights for run in second.runs()] == sources
    assert second.config() == config
    for before, after in zip(undisturbed.runs(), second.runs(), strict=True):
        assert not before.split().seen_cases() & {naming.person(name) for name in after.split().parts["test"]}


def test_begun_folds_ask_the_earlier_ones_no_more(
    undisturbed: CrossValidation, index: DatasetIndex, tmp_path: Path
) -> None:
    earlier = CrossValidation(shutil.copytree(undisturbed.path, tmp_path / "earlier"))
    config = replace(folds_config(), model=replace(folds_config().model, weights=str(earlier.path)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beginning_module, "load_trained", lambda _, name: build_model(name))
        second = CrossValidation(tmp_path / "second")
        fit_folds(index, config, second, QUIET)
    weights = [run.config().model.weights for run in second.runs()]
    shutil.rmtree(earlier.path)
    fit_folds(index, resumed_folds(second, 3), second, RESUME)
    assert [len(run.metrics()) for run in second.runs()] == [3] * FOLDS
    assert [run.config().model.weights for run in second.runs()] == weights
    validated = {naming.person(name) for name in second.run(0).split().parts["validation"]}
    assert not validated & set(beginning_of(second.run(0)).trained_cases)  # so the temperature is fitted on them again
    assert validated < set(beginning_of(second.run(0)).cases)


def test_folds_without_validation_go_on_from_folds_with_it(
    undisturbed: CrossValidation, index: DatasetIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning_module, "load_trained", lambda _, name: build_model(name))
    config = replace(folds_config(), model=replace(folds_config().model, weights=str(undisturbed.path)))
    config = replace(config, split=replace(config.split, validation=False))
    second = CrossValidation(tmp_path / "second")
    fit_folds(index, config, second, QUIET)
    for before, after in zip(undisturbed.runs(), second.runs(), strict=True):
        assert after.split().parts["test"] == before.split().parts["test"]
        assert after.split().trained_cases() == before.split().seen_cases()
        assert all("val_dice" not in row for row in after.metrics())
        last = tensors_of(after.last)
        kept = tensors_of(after.best)
        averages = {name.rpartition("average.net.")[2]: value for name, value in last.items() if "average.net." in name}
        assert all(torch.equal(averages[name], value) for name, value in kept.items())


def test_folds_of_another_split_are_not_gone_on_from(
    undisturbed: CrossValidation, index: DatasetIndex, tmp_path: Path
) -> None:
    config = replace(folds_config(), model=replace(folds_config().model, weights=str(undisturbed.path)))
    for split, cure in (
        (SplitConfig(split="fold", folds=2, split_seed=1), "--folds 3"),
        (SplitConfig(split="fold", folds=3), "--split-seed 1"),
    ):
        with pytest.raises(UsageError, match=cure):
            fit_folds(index, replace(config, split=split), CrossValidation(tmp_path / "other"), QUIET)
    assert not (tmp_path / "other").exists()


def test_folds_of_an_earlier_version_kept_their_best_epoch(copied: CrossValidation) -> None:
    for path in (copied.record_file, copied.run(0).config_file):
        values = json.loads(path.read_text())
        del values.get("settings", values)["optimisation"]["keep"]
        path.write_text(json.dumps(values))
    assert copied.config().optimisation.keep == "best"
    assert copied.run(0).config().optimisation.keep == "best"


def test_folds_can_be_extended_but_not_shortened(copied: CrossValidation, index: DatasetIndex) -> None:
    with pytest.raises(UsageError, match="has 2 epochs already"):
        resumed_folds(copied, 1)
    fit_folds(index, resumed_folds(copied, 3), copied, RESUME)
    assert [len(run.metrics()) for run in copied.runs()] == [3, 3, 3]
    assert copied.config().optimisation.epochs == 3


def test_folds_are_not_overwritten(undisturbed: CrossValidation, index: DatasetIndex) -> None:
    with pytest.raises(UsageError, match="holds folds already; use --resume"):
        fit_folds(index, folds_config(), undisturbed, QUIET)
    with pytest.raises(UsageError, match="holds a cross-validation"):
        fit(index, tiny_config(), RunFolder(undisturbed.path), QUIET)


def test_a_single_run_is_not_overwritten_by_folds(undisturbed: CrossValidation, index: DatasetIndex) -> None:
    with pytest.raises(UsageError, match="holds a single run"):
        fit_folds(index, folds_config(), CrossValidation(undisturbed.run(0).path), RESUME)


def test_folds_are_not_resumed_on_other_data(copied: CrossValidation, tmp_path: Path) -> None:
    other = tiny_index(tmp_path / "other", patients=6)
    for use in (lambda: copied.check(other), lambda: fit_folds(other, folds_config(), copied, RESUME)):
        with pytest.raises(SplitMismatchError, match="which the folds were made for"):
            use()


@pytest.mark.parametrize("split", [SplitConfig(), SplitConfig(split="fold", fold=1), SplitConfig(split="slice")])
def test_only_all_folds_are_folds(index: DatasetIndex, tmp_path: Path, split: SplitConfig) -> None:
    with pytest.raises(UsageError, match="expected split fold, fold -1"):
        fit_folds(index, replace(tiny_config(), split=split), CrossValidation(tmp_path / "run"))


def test_too_many_folds_begin_nothing(index: DatasetIndex, tmp_path: Path) -> None:
    config = replace(folds_config(), split=SplitConfig(split="fold", folds=9))
    with pytest.raises(DataError, match="expected at least 9"):
        fit_folds(index, config, CrossValidation(tmp_path / "run"), QUIET)
    assert not (tmp_path / "run").exists()


def test_fast_dev_run_tries_every_fold_in_a_folder_of_its_own(index: DatasetIndex, tmp_path: Path) -> None:
    folder = CrossValidation(tmp_path / "run")
    runs = fit_folds(index, folds_config(epochs=9), folder, replace(QUIET, fast_dev_run=True))
    assert [run.path for run in runs] == [tmp_path / "run" / "fast-dev-run" / f"fold{n}" for n in range(FOLDS)]
    assert [len(run.metrics()) for run in runs] == [1, 1, 1]
    assert not folder.exists()
    with pytest.raises(UsageError, match="not both"):
        fit_folds(index, folds_config(), folder, replace(RESUME, fast_dev_run=True))


def test_precision_is_measured_once_for_all_folds(
    index: DatasetIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter((2.0, 1.0, 1.0, 2.0, 1.0, 2.0))  # bfloat16 is faster the first time, slower the next
    monkeypatch.setattr(precision, "_seconds", lambda _: next(seconds))
    config = replace(folds_config(epochs=1), hardware=HardwareConfig(accelerator="cpu", precision="auto"))
    runs = fit_folds(index, config, CrossValidation(tmp_path / "run"), QUIET)
    assert len({run.config().hardware.precision for run in runs}) == 1


def test_parts_on_several_machines_make_the_same_folds(
    undisturbed: CrossValidation, index: DatasetIndex, tmp_path: Path
) -> None:
    folder = CrossValidation(tmp_path / "parts")
    made = [fit_folds(index, folds_config(), folder, QUIET, Share(number, 2)) for number in (2, 1)]
    assert [[run.path.name for run in runs] for runs in made] == [["fold1"], ["fold0", "fold2"]]
    assert all(same_run(one, other) for one, other in zip(undisturbed.runs(), folder.runs(), strict=True))
    folder.check(index)
    with pytest.raises(UsageError, match="holds folds already; use --resume"):
        fit_folds(index, folds_config(), folder, QUIET, Share(2, 2))


def test_a_part_goes_on_with_its_own_folds(copied: CrossValidation, index: DatasetIndex) -> None:
    runs = fit_folds(index, resumed_folds(copied, 3), copied, RESUME, Share(2, 3))
    assert [run.path.name for run in runs] == ["fold1"]
    assert [len(run.metrics()) for run in copied.runs()] == [2, 3, 2]


def test_parts_with_other_settings_or_data_are_refused(
    undisturbed: CrossValidation, index: DatasetIndex, tmp_path: Path
) -> None:
    folder = CrossValidation(tmp_path / "parts")
    folder.begin(index, folds_config())
    before = folder.record_file.read_bytes()
    with pytest.raises(UsageError, match="started with other settings; expected the same for all parts"):
        fit_folds(index, folds_config(epochs=9), folder, QUIET, Share(1, 3))
    with pytest.raises(SplitMismatchError, match="which the folds were made for"):
        fit_folds(tiny_index(tmp_path / "other", patients=6), folds_config(), folder, QUIET, Share(1, 3))
    with pytest.raises(UsageError, match="part 1/4 of 3 folds"):
        fit_folds(index, folds_config(), folder, QUIET, Share(1, 4))
    assert not folder.run(0).path.exists()
    other_machine = replace(folds_config(), hardware=replace(folds_config().hardware, micro_batch=1))
    assert other_machine.hardware != folds_config().hardware
    fit_folds(index, other_machine, folder, QUIET, Share(1, 3))
    assert folder.record_file.read_bytes() == before


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"settings": {"epochs": 3}}', '{"settings": {}}'])
def test_damaged_record_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "folds.json").write_text(content)
    with pytest.raises(DataError, match=r"folds\.json: damaged"):
        CrossValidation(tmp_path).config()


def test_a_folder_without_folds_is_said(tmp_path: Path) -> None:
    assert not CrossValidation(tmp_path).exists()
    with pytest.raises(DataError, match=r"no folds\.json"):
        CrossValidation(tmp_path).runs()


@pytest.mark.parametrize("change", [{"fold": 0}, {"folds": 4}, {"kind": "patient", "fold": None, "folds": None}])
def test_a_fold_of_another_split_is_noticed(
    copied: CrossValidation, index: DatasetIndex, change: dict[str, Any]
) -> None:
    file = copied.run(1).split_file
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(DataError, match="expected fold 1 of 3"):
        copied.check(index)


def test_folds_that_overlap_are_noticed(copied: CrossValidation, index: DatasetIndex) -> None:
    file = copied.run(1).split_file
    other = json.loads(copied.run(0).split_file.read_text())
    file.write_text(json.dumps(other | {"fold": 1}))
    with pytest.raises(DataError, match="every patient exactly once"):
        copied.check(index)
