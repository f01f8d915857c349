"""`gliomask evaluate`: folds, masks of another program, and what is never written over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image

from builders import write_known_model
from gliomask.cli.app import main
from gliomask.config import SplitConfig, TrainConfig, save_config
from gliomask.data.cache import read_patient
from gliomask.data.index import DatasetIndex
from gliomask.data.split import make_split, save_split
from gliomask.evaluation.results import read_evaluation
from gliomask.models.contract import read_contract, write_contract
from gliomask.training.cross_validation import CrossValidation
from scored_patients import six_patients, started_run, two_patients


@pytest.fixture
def index(tmp_path: Path) -> DatasetIndex:
    return two_patients(tmp_path / "data")


@pytest.fixture
def six(tmp_path: Path) -> DatasetIndex:
    return six_patients(tmp_path / "six")


def cross_validated(folder: Path, index: DatasetIndex, thresholds: tuple[float, ...]) -> CrossValidation:
    """Write what two trained folds leave, with a known model each that differ in their threshold."""
    folds = CrossValidation(folder)
    config = SplitConfig(split="fold", folds=len(thresholds))
    folds.begin(index, TrainConfig(split=config))
    for number, threshold in enumerate(thresholds):
        run = folds.run(number)
        write_known_model(run.path, threshold=threshold)
        save_config(TrainConfig(split=replace(config, fold=number)), run.config_file)
        save_split(make_split(index, replace(config, fold=number)), run.split_file)
    return folds


def test_every_patient_is_predicted_by_the_fold_that_has_not_seen_it(tmp_path: Path, six: DatasetIndex) -> None:
    folds = cross_validated(tmp_path / "cv", six, (0.5, 1 - 1e-9))  # the second finds nothing
    assert main(["evaluate", str(six.root), "--model", str(folds.path), "--quiet"]) == 0
    evaluation, facts = read_evaluation(tmp_path / "cv" / "out-of-fold")
    blind = set(folds.run(1).split().patients(six, "test"))
    assert len(blind) == 3
    for name, predicted in zip(evaluation.patients["patient"], evaluation.patients["predicted_pixels"], strict=True):
        assert (predicted == 0) == (name in blind), name
    assert (facts["subset"], facts["patients_seen_in_training"], facts["caveats"]) == ("out-of-fold", 0, [])
    assert (facts["model"], facts["threshold"], len(facts["model_sha256"])) == ("cv", None, 2)
    assert len(list((tmp_path / "cv" / "out-of-fold" / "masks").rglob("*_mask.png"))) == 18


def test_folds_test_everybody_once_so_there_is_no_subset(
    tmp_path: Path, six: DatasetIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    folds = cross_validated(tmp_path / "cv", six, (0.5, 0.5))
    assert main(["evaluate", str(six.root), "--model", str(folds.path), "--subset", "all"]) == 2
    assert "test every patient once" in capsys.readouterr().err


def test_given_masks_are_scored_by_the_command(tmp_path: Path, six: DatasetIndex) -> None:
    out = tmp_path / "out"
    evaluate_command = ["evaluate", str(six.root), "--out", str(out), "--quiet"]
    assert main([*evaluate_command, "--model", str(write_known_model(tmp_path / "known")), "--subset", "all"]) == 0
    predicted, facts = read_evaluation(out)
    assert facts["masks"] == "masks"
    masks = (out / "masks").rename(tmp_path / "given")
    assert main([*evaluate_command, "--masks", str(masks)]) == 0
    given, facts = read_evaluation(out)
    assert given.summary() == predicted.summary()
    assert (facts["threshold"], facts["calibration"], facts["masks"]) == (None, None, str(masks))
    assert facts["caveats"] == ["it is not known whether the model has seen these patients"]


def test_volumes_are_turned_as_their_headers_say_and_that_is_told(tmp_path: Path, six: DatasetIndex) -> None:
    for patient in six.patients:
        mask = read_patient(six.root, patient)[1]  # slices upwards, rows backwards, columns to the left
        affine = np.diag([0.9, 0.9, 5.0, 1.0])  # of a file that grows to the right, forwards and upwards
        affine[:3, 3] = -20.0
        volume = Nifti1Image(mask.transpose(2, 1, 0)[::-1, ::-1].astype(np.uint8), affine)  # type: ignore[no-untyped-call]
        (tmp_path / "given").mkdir(exist_ok=True)
        (tmp_path / "given" / f"{patient.name}.nii").write_bytes(volume.to_bytes())
    out = tmp_path / "out"
    assert main(["evaluate", str(six.root), "--masks", str(tmp_path / "given"), "--out", str(out), "--quiet"]) == 0
    evaluation, facts = read_evaluation(out)
    assert evaluation.patients["dice"].tolist() == [1] * 6
    assert "volumes that were turned to axial slices, as their headers say: 6" in facts["caveats"]


def test_an_evaluation_of_another_folder_is_not_replaced(
    tmp_path: Path, six: DatasetIndex, index: DatasetIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(write_known_model(tmp_path / "known"))
    command = ["--model", model, "--subset", "all", "--quiet"]
    for _ in range(2):  # the same folder's own is
        assert main(["evaluate", str(six.root), *command]) == 0
    before = (tmp_path / "known" / "all" / "summary.json").read_bytes()
    assert main(["evaluate", str(index.root), *command]) == 2
    assert f"holds an evaluation of {six.root}" in capsys.readouterr().err
    assert (tmp_path / "known" / "all" / "summary.json").read_bytes() == before


def test_an_empty_subset_costs_no_earlier_evaluation(tmp_path: Path, six: DatasetIndex) -> None:
    model, out = str(write_known_model(tmp_path / "known")), str(tmp_path / "out")
    assert main(["evaluate", str(six.root), "--model", model, "--subset", "all", "--out", out, "--quiet"]) == 0
    contract = read_contract(Path(model).with_suffix(".json"))
    cases = [patient.name[:12] for patient in six.patients]
    write_contract(replace(contract, training=contract.training | {"cases": cases}), Path(model).with_suffix(".json"))
    assert main(["evaluate", str(six.root), "--model", model, "--subset", "unseen", "--out", out, "--quiet"]) == 1
    assert len(read_evaluation(Path(out))[0].patients) == 6


def test_the_truth_given_as_masks_is_noticed(tmp_path: Path, six: DatasetIndex) -> None:
    command = ["evaluate", str(six.root), "--masks", str(six.root), "--out", str(tmp_path / "out"), "--quiet"]
    assert main(command) == 0
    evaluation, facts = read_evaluation(tmp_path / "out")
    assert evaluation.patients["dice"].tolist() == [1] * 6
    assert any("was the truth itself given" in caveat for caveat in facts["caveats"])
    assert not (tmp_path / "out" / "masks").exists()


def test_masks_to_be_scored_are_never_removed(
    tmp_path: Path, six: DatasetIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["evaluate", str(six.root), "--quiet"]
    known = str(write_known_model(tmp_path / "known"))
    assert main([*command, "--model", known, "--subset", "all", "--out", str(out)]) == 0
    for masks in (out, out / "masks", out / "masks" / six.patients[0].name):
        assert main([*command, "--masks", str(masks), "--out", str(out)]) in {
            1,
            2,
        }  # of one patient: others lack theirs
        assert len(list((out / "masks").rglob("*_mask.png"))) == six.slice_count
    assert main([*command, "--masks", str(out), "--out", str(out)]) == 2
    assert "is where the masks that are to be scored were kept" in capsys.readouterr().err
    assert main([*command, "--masks", str(out)]) == 0  # into out/scores, which holds no masks
    assert main([*command, "--masks", str(out)]) == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--subset", "test"], "--subset test of --masks; expected the run that has the split: --split-of RUN"),
        (["--split-of", "{nowhere}"], "no run; expected its folder (of a cross-validation: a fold's)"),
        (["--no-masks", "--batch-size", "4"], "--no-masks, --batch-size: for models"),
    ],
)
def test_options_that_do_not_go_with_masks_are_refused(
    tmp_path: Path, six: DatasetIndex, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    chosen = [option.format(nowhere=tmp_path) for option in options]
    assert main(["evaluate", str(six.root), "--masks", str(six.root), *chosen]) == 2
    assert told in capsys.readouterr().err


def test_given_masks_of_a_runs_test_part(tmp_path: Path, six: DatasetIndex) -> None:
    split = started_run(tmp_path / "run", six, "patient")
    command = ["evaluate", str(six.root), "--masks", str(six.root), "--split-of", str(tmp_path / "run")]
    assert main([*command, "--out", str(tmp_path / "out"), "--quiet"]) == 0
    evaluation, facts = read_evaluation(tmp_path / "out")
    assert tuple(evaluation.patients["patient"]) == split.parts["test"]
    assert facts["patients_seen_in_training"] is None  # nobody knows what that program was trained on


def test_patients_without_a_mask_are_named(
    tmp_path: Path, six: DatasetIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "masks").mkdir()
    assert main(["evaluate", str(six.root), "--masks", str(tmp_path / "masks"), "--quiet"]) == 1
    said = capsys.readouterr().err
    assert "no mask of 6 patients (TCGA_CS_0000_20000101, " in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--masks", "a", "--model", "b"], "expected either --model or --masks"),
        (["--model", "a", "--split-of", "b"], "expected no --split-of with a model"),
        (["--masks", "a", "--subset", "unseen"], "expected the run that has the split: --split-of RUN"),
        (["--model", "a", "--spacing", "0", "1", "1"], "expected three distances above 0"),
        (["--model", "a", "--spacing", "nan", "1", "1"], "expected three distances above 0"),
    ],
)
def test_options_that_do_not_fit(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "data", *options]) == 2
    assert said in capsys.readouterr().err


def test_masks_of_an_earlier_evaluation_are_replaced_and_those_of_others_never(
    tmp_path: Path, six: DatasetIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["evaluate", str(six.root), "--model", str(write_known_model(tmp_path / "known")), "--subset", "all",
               "--out", str(out), "--quiet"]  # fmt: skip
    assert main(command) == 0
    (out / "masks" / "left").mkdir()
    assert main(command) == 0
    assert not (out / "masks" / "left").exists()
    assert main([*command, "--no-masks"]) == 0
    assert not (out / "masks").exists()
    (out / "masks").mkdir()
    (out / "masks" / "mine.png").write_text("precious")
    assert main(command) == 1
    assert "a folder that gliomask did not make" in capsys.readouterr().err
    assert (out / "masks" / "mine.png").read_text() == "precious"


def test_results_of_another_command_are_not_written_over(
    tmp_path: Path, six: DatasetIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "summary.json").write_text('[{"study": "of gliomask predict"}]')
    known = str(write_known_model(tmp_path / "known"))
    command = ["evaluate", str(six.root), "--model", known, "--subset", "all", "--out", str(tmp_path), "--quiet"]
    before = sorted(tmp_path.iterdir())
    assert main(command) == 2
    assert "summary.json is not of an evaluation and would be replaced" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_models_side_by_side_are_scored_side_by_side(tmp_path: Path, six: DatasetIndex) -> None:
    model = write_known_model(tmp_path)
    for ending in (".onnx", ".json"):
        model.with_suffix(ending).rename(tmp_path / f"other{ending}")
    write_known_model(tmp_path)
    for name in ("model", "other"):
        given = ["--model", str(tmp_path / f"{name}.onnx"), "--subset", "all", "--no-masks", "--quiet"]
        assert main(["evaluate", str(six.root), *given]) == 0
    assert (tmp_path / "all" / "summary.json").is_file()
    assert (tmp_path / "other" / "all" / "summary.json").is_file()


def test_masks_that_are_to_be_scored_are_not_removed(
    tmp_path: Path, six: DatasetIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    out, known = tmp_path / "out", str(write_known_model(tmp_path / "known"))
    command = ["evaluate", str(six.root), "--out", str(out), "--quiet"]
    assert main([*command, "--model", known, "--subset", "all"]) == 0
    assert main([*command, "--masks", str(out / "masks")]) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert len(list((out / "masks").rglob("*_mask.png"))) == 18
