"""The two splits differ in the leak alone, and what is said of them follows the numbers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from builders import tiny_dataset, write_known_model
from gliomask.cli.app import main
from gliomask.config import SplitConfig, save_config
from gliomask.data import leak, naming
from gliomask.data.records import DatasetIndex, PatientRecord, SliceRecord
from gliomask.data.split import Split, leak_splits, load_split, make_split, save_split
from gliomask.errors import DataError, SplitMismatchError, UsageError
from gliomask.evaluation.counts import SliceCounts
from gliomask.evaluation.results import Evaluation, PatientResult, collect
from gliomask.models.contract import ModelContract, read_contract
from gliomask.reporting.leak import LeakResult, leak_figure, leak_numbers, leak_paragraph, read_leak, verdict
from gliomask.training import fit as fit_module
from gliomask.training.folds import fit_leak
from gliomask.training.learned import Learned
from gliomask.training.run_folder import RunFolder
from tiny_runs import QUIET, RESUME, same_run, tiny_config, tiny_index, use_tiny_net


def simulated(people: int = 30, tumour_slices: int = 4) -> DatasetIndex:
    """Return patients with tumour in some of their slices; every seventh person was scanned twice."""
    patients = []
    for number in range(people):
        dates = ("20000101", "20010101") if number % 7 == 0 else ("20000101",)
        tumours = tumour_slices + number % 4
        sizes = [0] * (6 + number % 5) + [10 + number] * tumours
        records = tuple(SliceRecord(n, f"{n}.tif", f"{n}_mask.tif", 8, 8, size) for n, size in enumerate(sizes, 1))
        names = [f"TCGA_DU_{1000 + number}_{date}" for date in dates]
        patients += [PatientRecord(name, "DU", records, (), {}) for name in names]
    return DatasetIndex(Path("simulated"), tuple(patients), (), "f" * 64)


def tumours(index: DatasetIndex, split: Split, part: str) -> Counter[bool]:
    """Count the slices of a part with and without tumour."""
    has_tumour = [record.tumour_pixels > 0 for patient in index.patients for record in patient.slices]
    return Counter(has_tumour[row] for row in split.positions(index, part))


def people(index: DatasetIndex, split: Split, *parts: str) -> set[str]:
    return {naming.person(name) for part in parts for name in split.patients(index, part)}


# --- the splits


@pytest.mark.parametrize("seed", range(4))
def test_both_splits_score_and_validate_on_the_same_slices(seed: int) -> None:
    by_patient, by_slice = leak_splits(simulated(), seed)
    assert (by_patient.kind, by_slice.kind) == ("leak-by-patient", "leak-by-slice")
    assert by_patient.parts["test"] == by_slice.parts["test"]
    assert by_patient.parts["validation"] == by_slice.parts["validation"]
    assert by_patient.parts["train"] != by_slice.parts["train"]


@pytest.mark.parametrize("seed", range(4))
def test_both_train_on_as_many_slices_with_and_without_tumour(seed: int) -> None:
    index = simulated()
    by_patient, by_slice = (tumours(index, split, "train") for split in leak_splits(index, seed))
    assert by_patient == by_slice
    assert min(by_patient.values()) > 50


def test_by_patient_nothing_of_the_scored_people_is_seen() -> None:
    index = simulated()
    by_patient, _ = leak_splits(index, 0)
    scored = people(index, by_patient, "test")
    assert not scored & by_patient.seen_cases()
    assert len(scored) == round(30 * leak.SHARE)


def test_by_slice_exactly_the_other_slices_of_the_scored_are_trained_on() -> None:
    index = simulated()
    _, by_slice = leak_splits(index, 0)
    scored = set(by_slice.patients(index, "test"))
    entries = {f"{name}/{record.number}" for name in scored for record in index.patient(name).slices}
    trained = {entry for entry in by_slice.parts["train"] if entry.partition("/")[0] in scored}
    assert trained == entries - set(by_slice.parts["test"])
    assert people(index, by_slice, "test") <= by_slice.seen_cases()


def test_what_makes_room_is_of_the_others() -> None:
    index = simulated()
    by_patient, by_slice = leak_splits(index, 0)
    scored = by_patient.patients(index, "test")
    others = {entry for entry in by_slice.parts["train"] if entry.partition("/")[0] not in scored}
    assert others < set(by_patient.parts["train"])


def test_half_of_each_scored_patients_slices_with_and_without_tumour_are_scored() -> None:
    index = simulated()
    split, _ = leak_splits(index, 0)
    for name in split.patients(index, "test"):
        scored = {int(entry.partition("/")[2]) for entry in split.parts["test"] if entry.startswith(f"{name}/")}
        patient = index.patient(name)
        for tumour in (True, False):
            kind = [record.number in scored for record in patient.slices if (record.tumour_pixels > 0) == tumour]
            assert sum(kind) == (len(kind) + 1) // 2


def test_validation_is_of_whole_people_who_are_neither_scored_nor_trained_on() -> None:
    index = simulated()
    for split in leak_splits(index, 0):
        validated = people(index, split, "validation")
        assert len(validated) == 3
        assert not validated & people(index, split, "train", "test")
        whole = [p for p in index.patients if naming.person(p.name) in validated]
        assert len(split.parts["validation"]) == sum(len(patient.slices) for patient in whole)


def test_seed_decides_who_is_scored_and_which_slices() -> None:
    index = simulated()
    assert leak_splits(index, 1) == leak_splits(index, 1)
    assert leak_splits(index, 1)[0].parts["test"] != leak_splits(index, 2)[0].parts["test"]
    numbers = {tuple(entry.rpartition("/")[2] for entry in leak_splits(index, s)[0].parts["test"]) for s in range(9)}
    assert len(numbers) == 9


def test_settings_make_the_same_splits() -> None:
    index = simulated()
    made = make_split(index, SplitConfig(split="leak-by-slice", split_seed=3))
    assert made == leak_splits(index, 3)[1]


def test_splits_survive_their_file_and_are_for_their_data(tmp_path: Path) -> None:
    index = simulated()
    for split in leak_splits(index, 0):
        save_split(split, tmp_path / "split.json")
        assert load_split(tmp_path / "split.json") == split
        with pytest.raises(SplitMismatchError):
            split.check(replace(index, fingerprint="0" * 64))


def test_too_few_people_are_refused() -> None:
    with pytest.raises(DataError, match="2 usable patients; expected at least 3"):
        leak_splits(simulated(2), 0)


def test_too_few_slices_to_make_room_are_refused() -> None:
    index = simulated(3)
    tested = [patient.name for patient in index.patients[2:]]
    with pytest.raises(DataError, match="slices with tumour in patients who are not scored"):
        leak.leak_parts(index, tested=tested, validated=[index.patients[0].name], generator=np.random.default_rng(0))


# --- what is said


def evaluation(tp: Sequence[int], fn: int = 100, empty: bool = False) -> Evaluation:
    """Return patients of a single slice of `fn` tumour pixels, `tp` of them found and nothing else."""
    found = np.array(tp, np.int64)
    names = np.array([f"p{number}" for number in range(len(tp))])
    nothing = np.zeros_like(found)
    counts = SliceCounts(found, nothing, nothing + (0 if empty else fn) - found, nothing + 900, names)
    records = [PatientRecord(name, "DU", (), (), {}) for name in names.tolist()]
    return collect(counts, [PatientResult(record, (1,), None, None, None, None) for record in records])


def numbers_of(before: Sequence[int], after: Sequence[int]) -> dict[str, Any]:
    return leak_numbers(LeakResult(evaluation(before), evaluation(after), 200, 80, "gliomask leak data  --name x"))


BEFORE = (50, 60, 70, 80, 90)
CASES = {
    "higher": ((70, 75, 85, 90, 95), "By slice is higher by 0.0"),
    "lower": ((30, 40, 60, 75, 80), "By slice is lower by 0."),
    "no difference shown": ((40, 70, 70, 85, 85), "No difference could be shown: by slice less by patient is "),
}


@pytest.mark.parametrize("expected", CASES)
def test_words_follow_the_numbers(expected: str) -> None:
    after, words = CASES[expected]
    numbers = numbers_of(BEFORE, after)
    text = leak_paragraph(numbers)
    assert numbers["verdict"] == expected
    assert words in text
    assert [other for _, other in CASES.values() if other[:18] in text] == [words]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.01, 0.2, "higher"),
        (-0.2, -0.01, "lower"),
        (-0.1, 0.1, "no difference shown"),
        (0.0, 0.1, "no difference shown"),
        (-0.1, 0.0, "no difference shown"),
        (float("nan"), float("nan"), "no difference shown"),
    ],
)
def test_an_interval_that_includes_zero_shows_no_difference(low: float, high: float, expected: str) -> None:
    assert verdict(low, high) == expected


def test_numbers_are_those_of_the_evaluations() -> None:
    numbers = numbers_of((50, 100), (100, 100))
    assert numbers["by_patient"]["dice_patient"]["mean"] == pytest.approx((2 / 3 + 1) / 2)
    assert numbers["by_slice"]["dice_slice_tumour"]["mean"] == 1
    assert numbers["difference"]["mean"] == pytest.approx(1 / 6)
    assert numbers["scored"] == {"patients": 2, "slices": 2, "tumour_slices": 2}
    assert [row["patient"] for row in numbers["patients"]] == ["p0", "p1"]


def test_paragraph_tells_both_scores_their_intervals_and_the_command() -> None:
    numbers = numbers_of(BEFORE, CASES["higher"][0])
    text = leak_paragraph(numbers)
    for name in ("by_patient", "by_slice"):
        for score in ("dice_patient", "dice_slice_tumour"):
            found = numbers[name][score]
            assert f"{found['mean']:.3f} ({found['low']:.3f} to {found['high']:.3f})" in text
    assert "200, of them 80 with tumour" in text
    assert "5 slices of 5 patients" in text
    assert text.endswith("Made by `gliomask leak data  --name x`.")


def test_one_patient_has_no_interval_and_shows_nothing() -> None:
    numbers = numbers_of((50,), (100,))
    assert json.loads(json.dumps(numbers, allow_nan=False))["difference"]["low"] is None
    assert "No difference could be shown" in leak_paragraph(numbers)
    leak_figure(numbers)


def test_slices_without_tumour_have_no_dice_of_tumour_slices() -> None:
    nothing = evaluation((0, 0), empty=True)
    text = leak_paragraph(leak_numbers(LeakResult(nothing, nothing, 9, 0, "c")))
    assert "not known (no slice with tumour)" in text


def test_other_slices_cannot_be_compared() -> None:
    with pytest.raises(UsageError, match="cannot be compared"):
        leak_numbers(LeakResult(evaluation((50, 60)), evaluation((50, 60), fn=90), 9, 3, "c"))


def test_figure_joins_the_patients_and_shows_the_means() -> None:
    numbers = numbers_of(BEFORE, CASES["higher"][0])
    (axes,) = leak_figure(numbers).axes
    drawn = {tuple(np.round(np.asarray(line.get_ydata(), float), 6)) for line in axes.lines}
    for row in numbers["patients"]:
        assert (round(row["by_patient"], 6), round(row["by_slice"], 6)) in drawn
    for name in ("by_patient", "by_slice"):
        assert (round(numbers[name]["dice_patient"]["mean"], 6),) in drawn
    assert "5 patients" in axes.get_title()
    assert "0 to 1" in axes.get_ylabel()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"verdict": "higher"}'])
def test_damaged_numbers_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "leak.json").write_text(text)
    with pytest.raises(DataError, match="not usable"):
        read_leak(tmp_path)
    (tmp_path / "leak.json").unlink()
    with pytest.raises(DataError, match="no such file"):
        read_leak(tmp_path)


# --- the trainings


def pretend_export(run: RunFolder, _: Learned) -> ModelContract:
    """Export a model that is known, in no time; by slice a better one."""
    write_known_model(run.path, cut=100 if run.name == "by-slice" else 140)
    return replace(read_contract(run.contract), scores={"validation_dice": 0.0})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "export", pretend_export)
    use_tiny_net(monkeypatch)


@pytest.mark.usefixtures("quick")
def test_both_trainings_differ_in_their_split_alone_and_are_resumed(tmp_path: Path) -> None:
    index, config = tiny_index(tmp_path / "data"), tiny_config(epochs=1)
    both = fit_leak(index, config, tmp_path / "both", QUIET)
    settings = [run.config() for run in both]
    assert [each.split.split for each in settings] == [run.split().kind for run in both]
    assert replace(settings[0], split=config.split) == replace(settings[1], split=config.split) == config
    with pytest.raises(UsageError, match="use --resume"):
        fit_leak(index, config, tmp_path / "both", QUIET)
    before = both[0].last.stat().st_mtime_ns
    for part in (both[1].last, both[1].model, both[1].contract):  # as after a kill in the first epoch
        part.unlink()
    again = fit_leak(index, config, tmp_path / "both", RESUME)
    assert before == again[0].last.stat().st_mtime_ns
    assert same_run(again[1], fit_leak(index, config, tmp_path / "other", QUIET)[1])


def test_folders_of_other_runs_are_left_alone(tmp_path: Path) -> None:
    save_config(tiny_config(), tmp_path / "config.json")
    with pytest.raises(UsageError, match="holds a run or folds"):
        fit_leak(simulated(), tiny_config(), tmp_path)


def test_a_trained_model_shows_no_leak(tmp_path: Path) -> None:
    """It may have been trained on the scored patients, in both runs."""
    config = replace(tiny_config(), model=replace(tiny_config().model, weights="lgg-resnet50-s16"))
    with pytest.raises(UsageError, match="weights lgg-resnet50-s16: a model that may have seen the scored patients"):
        fit_leak(simulated(), config, tmp_path / "l")
    assert not (tmp_path / "l").exists()


# --- the command


def command(folder: Path, *more: str) -> list[str]:
    return ["leak", str(folder / "data"), "--runs", str(folder / "runs"), "--name", "l", *more]


TINY = ["--epochs", "1", "--batch-size", "4", "--image-size", "32", "--accelerator", "cpu", "--precision", "float32"]


@pytest.mark.usefixtures("quick")
def test_command_trains_scores_and_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_dataset(tmp_path / "data", patients=9, slices=4, size=32)
    assert main(command(tmp_path, *TINY, "--json")) == 0
    told, folder = json.loads(capsys.readouterr().out), tmp_path / "runs" / "l"
    kept = json.loads((folder / "leak.json").read_text())
    assert told == {**told, **kept}
    assert kept["scored"]["patients"] == 2
    assert (folder / "leak.md").read_text().endswith("--json`.\n")
    with Image.open(folder / "leak.png") as picture:
        assert picture.width > 600
    for name, seen in (("by-patient", 0), ("by-slice", 2)):
        summary = json.loads((folder / name / "test" / "summary.json").read_text())
        assert summary["patients_seen_in_training"] == seen
        assert summary["scores"]["dice_patient"] == kept[name.replace("-", "_")]["dice_patient"]
    (folder / "leak.json").unlink()
    assert main(command(tmp_path, "--resume", "--quiet")) == 0
    again = json.loads((folder / "leak.json").read_text())
    assert again["command"].endswith(f"--config {folder}/by-patient/config.json")
    assert {**again, "command": kept["command"]} == kept


@pytest.mark.usefixtures("quick")
def test_fast_dev_run_leaves_the_name_free(tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "data", patients=5, slices=4, size=32)
    assert main(command(tmp_path, *TINY, "--fast-dev-run", "--quiet")) == 0
    folder = tmp_path / "runs" / "l"
    assert [path.name for path in folder.iterdir()] == ["fast-dev-run"]
    assert (folder / "fast-dev-run" / "leak.md").is_file()


@pytest.mark.parametrize("option", ["--from", "--weights"])
def test_a_trained_model_is_refused_at_once(option: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(command(tmp_path, option, "lgg-resnet50-s16")) == 2
    assert f"{option} lgg-resnet50-s16: a trained model may have seen anybody" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--split", "slice"], ["--folds", "5"], ["--fold", "1"]])
def test_splits_are_not_to_be_chosen(option: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(command(tmp_path, *option)) == 2
    assert f"{option[0]} {option[1]}: the splits are part of this command" in capsys.readouterr().err


def test_settings_are_those_of_train_and_of_the_run_to_resume(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tmp_path, "--recipe", "original", "--seed", "3", "--print-config")) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["recipe"], shown["seed"], shown["split"]["split"]) == ("original", 3, "leak-by-patient")
    (tmp_path / "runs" / "l" / "by-patient").mkdir(parents=True)
    (tmp_path / "runs" / "l" / "by-patient" / "config.json").write_text(json.dumps(shown))
    assert main(command(tmp_path, "--resume", "--seed", "4")) == 2
    assert "only --epochs may be given with it" in capsys.readouterr().err
