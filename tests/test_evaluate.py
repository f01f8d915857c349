"""Evaluation of a known model: every count by hand, and who is scored."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from builders import SIDE, block, write_known_model, write_known_patient
from gliomask.cli.app import main
from gliomask.config import SplitConfig, TrainConfig, save_config
from gliomask.data.cache import read_patient
from gliomask.data.index import DatasetIndex, PatientRecord, SliceRecord, build_index
from gliomask.data.split import BUDA10, Split, make_split, save_split, unseen_positions
from gliomask.errors import DataError, SplitMismatchError, UnreadableImageError, UsageError
from gliomask.evaluation.evaluate import GivenMasks, evaluate
from gliomask.evaluation.masks import MaskFolder
from gliomask.evaluation.results import find_evaluation, read_evaluation, write_evaluation
from gliomask.evaluation.runs import data_facts
from gliomask.evaluation.subsets import Subset, choose_subset
from gliomask.inference.predictor import Prediction, Predictor
from gliomask.models.contract import read_contract, write_contract
from gliomask.models.trained import DEFAULT, seen_by
from gliomask.training.cross_validation import CrossValidation
from gliomask.volumes.slices import read_image, write_image

NAMES = ("TCGA_CS_0001_20000101", "TCGA_DU_0002_20000101")
PIXELS = SIDE * SIDE
NOTHING = block(slice(0, 0), slice(0, 0))
FOUND = {
    NAMES[0]: [NOTHING, block(slice(0, 10), slice(0, 10)), block(slice(0, 4), slice(0, 5))],
    NAMES[1]: [NOTHING, block(slice(8, 12), slice(8, 12))],
}
TRUTH = {
    NAMES[0]: [NOTHING, block(slice(5, 15), slice(0, 10)), NOTHING],
    NAMES[1]: [block(slice(0, 3), slice(0, 3)), block(slice(8, 12), slice(8, 12))],
}
COUNTS = [(0, 0, 0), (50, 50, 50), (0, 20, 0), (0, 0, 9), (16, 0, 0)]  # tp, fp, fn by hand


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor.load(write_known_model(tmp_path_factory.mktemp("known")))


@pytest.fixture
def index(tmp_path: Path) -> DatasetIndex:
    for name in NAMES:
        write_known_patient(tmp_path / "data", name, np.stack(FOUND[name]), np.stack(TRUTH[name]))
    return build_index(tmp_path / "data")


def simulated(*names: str, slices: int = 2) -> DatasetIndex:
    """Return an index without files."""
    records = tuple(SliceRecord(number, "", "", 8, 8, 4) for number in range(1, slices + 1))
    patients = tuple(PatientRecord(name, name[5:7], records, (), {}) for name in names)
    return DatasetIndex(Path("simulated"), patients, (), "other")


def positions(*rows: int) -> NDArray[np.int64]:
    return np.array(rows, np.int64)


def test_every_count_by_hand(predictor: Predictor, index: DatasetIndex) -> None:
    counts = evaluate(predictor, index).counts
    assert list(zip(counts.tp, counts.fp, counts.fn, strict=True)) == COUNTS
    assert (counts.tp + counts.fp + counts.fn + counts.tn).tolist() == [PIXELS] * 5
    assert counts.patients.tolist() == [NAMES[0]] * 3 + [NAMES[1]] * 2


def test_summary_by_hand(predictor: Predictor, index: DatasetIndex) -> None:
    summary = evaluate(predictor, index).summary()
    patients = (100 / (100 + 70 + 50), 32 / (32 + 9))
    assert summary["dice_patient"]["mean"] == pytest.approx(np.mean(patients))
    assert summary["dice_slice_tumour"]["mean"] == pytest.approx((0.5 + 0 + 1) / 3)
    assert summary["dice_slice_all"]["mean"] == pytest.approx((1 + 0.5 + 0 + 0 + 1) / 5)
    assert summary["dice_slice_all"]["predicting_nothing"] == pytest.approx(2 / 5)
    assert summary["dice_pooled"]["mean"] == pytest.approx(132 / (132 + 70 + 59))


def test_chosen_slices_are_scored_and_no_other(predictor: Predictor, index: DatasetIndex) -> None:
    evaluation = evaluate(predictor, index, positions(1, 4))
    counts = evaluation.counts
    assert list(zip(counts.tp, counts.fp, counts.fn, strict=True)) == [COUNTS[1], COUNTS[4]]
    assert evaluation.patients["slices"].tolist() == [1, 1]
    assert evaluation.numbers.tolist() == [2, 2]
    assert evaluation.patients[["hd95", "nsd_1", "lesions"]].isna().all(axis=None)  # not of whole volumes
    assert evaluation.summary()["hd95_patient"] is None


def test_patients_without_chosen_slices_are_not_read(predictor: Predictor, index: DatasetIndex) -> None:
    (index.root / index.patients[0].slices[0].image).unlink()
    evaluation = evaluate(predictor, index, positions(3))
    assert evaluation.counts.patients.tolist() == [NAMES[1]]
    assert evaluation.patients["patient"].tolist() == [NAMES[1]]


def test_volume_is_predicted_whole_where_one_slice_is_scored(
    predictor: Predictor, index: DatasetIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, ...]] = []

    def predict(images: NDArray[np.uint8]) -> Prediction:
        shapes.append(images.shape)
        return Predictor.predict(predictor, images)

    monkeypatch.setattr(predictor, "predict", predict)
    evaluate(predictor, index, positions(2))
    assert shapes == [(3, SIDE, SIDE, 3)]


def test_progress_counts_patients(predictor: Predictor, index: DatasetIndex) -> None:
    seen: list[tuple[int, int]] = []
    evaluate(predictor, index, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


def test_nothing_to_score_is_an_error(predictor: Predictor, index: DatasetIndex) -> None:
    with pytest.raises(DataError, match="no slice to score"):
        evaluate(predictor, index, positions())


def test_file_that_vanished_since_indexing_is_named(predictor: Predictor, index: DatasetIndex) -> None:
    path = index.root / index.patients[1].slices[1].mask
    path.unlink()
    with pytest.raises(UnreadableImageError, match="no such file") as caught:
        evaluate(predictor, index)
    assert caught.value.path == str(path)


def test_files_hold_the_rows_and_the_scores(predictor: Predictor, index: DatasetIndex, tmp_path: Path) -> None:
    evaluation, out = evaluate(predictor, index), tmp_path / "new" / "out"
    write_evaluation(evaluation, out, {"model": "known"})
    with (out / "patients.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["patient"] for row in table] == list(NAMES)
    known = {"dice": "0.454545", "tp": "50", "fp": "70", "fn": "50", "slices": "3", "tumour_slices": "1",
             "institution": "CS", "missing": "", "volume_error": "0.2", "volume_error_ml": "",
             "size": "", "missed": "False", "spacing": ""}  # fmt: skip
    assert {name: table[0][name] for name in known} == known
    with (out / "slices.csv").open(newline="") as file:
        slices = list(csv.DictReader(file))
    assert [tuple(int(row[name]) for name in ("tp", "fp", "fn")) for row in slices] == COUNTS
    assert [int(row["slice"]) for row in slices] == [1, 2, 3, 1, 2]
    kept = json.loads((out / "summary.json").read_text())
    assert list(kept) == ["model", "unit", "scores", "groups", "calibration"]
    assert kept["scores"] == evaluation.summary()
    assert len(list(out.iterdir())) == 3


def test_what_was_written_reads_back_the_same(predictor: Predictor, index: DatasetIndex, tmp_path: Path) -> None:
    evaluation = evaluate(predictor, index)
    write_evaluation(evaluation, tmp_path / "out", {"model": "known"})
    again, facts = read_evaluation(tmp_path / "out")
    assert (facts["model"], again.unit) == ("known", "pixels")
    assert again.patients["missing"].tolist() == ["", ""]
    write_evaluation(again, tmp_path / "again", {"model": "known"})
    for name in ("patients.csv", "slices.csv"):
        assert (tmp_path / "out" / name).read_text() == (tmp_path / "again" / name).read_text()
    assert again.calibration == evaluation.calibration
    assert again.summary()["dice_patient"] == pytest.approx(evaluation.summary()["dice_patient"], abs=1e-6)


@pytest.mark.parametrize("name", ["summary.json", "patients.csv", "slices.csv"])
def test_damaged_evaluation_is_refused(predictor: Predictor, index: DatasetIndex, tmp_path: Path, name: str) -> None:
    write_evaluation(evaluate(predictor, index), tmp_path, {})
    (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match="not a usable evaluation"):
        read_evaluation(tmp_path)


def test_folder_without_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no summary\.json"):
        read_evaluation(tmp_path)


def test_missing_sequences_are_in_the_rows(predictor: Predictor, tmp_path: Path) -> None:
    folder = write_known_patient(tmp_path, NAMES[0], np.stack(FOUND[NAMES[0]]), np.stack(TRUTH[NAMES[0]]))
    for path in folder.glob("*[0-9].tif"):
        write_image(path, read_image(path)[..., [1, 1, 1]])
    evaluation = evaluate(predictor, build_index(tmp_path))
    assert evaluation.patients["missing"].tolist() == ["pre+post"]
    assert list(evaluation.groups()["missing"]) == ["pre+post"]


def test_known_spacing_gives_millimetres_and_millilitres(predictor: Predictor, index: DatasetIndex) -> None:
    pixels, known = evaluate(predictor, index), evaluate(predictor, index, spacing=(5.0, 2.0, 2.0))
    assert (pixels.unit, known.unit) == ("pixels", "mm")
    assert pixels.patients["volume_error_ml"].isna().all()
    assert known.patients["volume_error_ml"].tolist() == pytest.approx([20 * 20 / 1000, -9 * 20 / 1000])
    assert (known.patients["hd95"] >= 2 * pixels.patients["hd95"]).all()


def test_masks_of_a_prediction_score_like_the_prediction(
    predictor: Predictor, index: DatasetIndex, tmp_path: Path
) -> None:
    predicted = evaluate(predictor, index, masks_to=tmp_path / "masks")
    given = evaluate(GivenMasks(MaskFolder(tmp_path / "masks")), index)
    assert given.summary() == predicted.summary()
    assert predicted.calibration is not None
    assert given.calibration is None


# --- who is scored


def started_run(folder: Path, index: DatasetIndex, kind: Any) -> Split:
    """Write the part of a run folder that evaluation reads, and return its split."""
    folder.mkdir()
    config = SplitConfig(split=kind)
    save_config(TrainConfig(split=config), folder / "config.json")
    split = make_split(index, config)
    save_split(split, folder / "split.json")
    return split


@pytest.mark.parametrize("part", ["train", "validation", "test"])
@pytest.mark.parametrize("kind", ["patient", "slice"])
def test_part_of_the_runs_split_is_scored(tmp_path: Path, kind: Any, part: Any) -> None:
    index = simulated(*(f"TCGA_CS_{number:04}_20000101" for number in range(10)))
    split = started_run(tmp_path / "run", index, kind)
    rows = choose_subset(index, tmp_path / "run", part).positions
    assert rows is not None
    entries = [(patient.name, record.number) for patient in index.patients for record in patient.slices]
    expected = {f"{name}/{number}" if kind == "slice" else name for name, number in (entries[row] for row in rows)}
    assert expected == set(split.parts[part])


def test_part_of_other_data_is_refused(tmp_path: Path, index: DatasetIndex) -> None:
    started_run(tmp_path / "run", simulated(*(f"TCGA_CS_{number:04}_20000101" for number in range(4))), "patient")
    with pytest.raises(SplitMismatchError, match="fingerprint"):
        choose_subset(index, tmp_path / "run", "test")


def test_everybody_needs_no_split(tmp_path: Path, index: DatasetIndex) -> None:
    assert choose_subset(index, write_known_model(tmp_path), "all").positions.tolist() == list(range(index.slice_count))


@pytest.mark.parametrize("subset", ["train", "validation", "test", "unseen"])
def test_part_needs_the_run_folder(tmp_path: Path, index: DatasetIndex, subset: Any) -> None:
    with pytest.raises(UsageError, match="expected --subset all or buda10"):
        choose_subset(index, write_known_model(tmp_path), subset)


def test_ten_published_patients_need_no_run(tmp_path: Path) -> None:
    index = simulated(*BUDA10, *(f"TCGA_ZZ_{number:04}_20000101" for number in range(3)))
    rows = choose_subset(index, write_known_model(tmp_path), "buda10").positions
    assert rows is not None
    assert rows.tolist() == list(range(20))


def test_ten_published_patients_are_scored_with_nobody_beside_them(tmp_path: Path) -> None:
    model = write_known_model(tmp_path)
    assert choose_subset(simulated(*BUDA10), model, "buda10").positions.tolist() == list(range(20))
    with pytest.raises(DataError, match="1 of the ten patients of buda10 are absent"):
        choose_subset(simulated(*BUDA10[1:]), model, "buda10")


@pytest.mark.parametrize(
    "name", ["TCGA-CS-4941", "tcga_cs_4941_19960909", "TCGA_CS_4941_FLAIR", "site1_TCGA_CS_4941_19960909"]
)
def test_somebody_seen_is_seen_under_any_name_of_the_archives(name: str) -> None:
    index = simulated(name, "TCGA-CS-49412", "P001")
    assert unseen_positions(index, frozenset({"TCGA_CS_4941"})).tolist() == [2, 3, 4, 5]
    subset = choose_subset(simulated("TCGA-DU-5852"), None, "all")
    assert subset.seen_patients is None
    known = next(iter(seen_by(DEFAULT)))  # of the model that comes with the package
    told = choose_subset(simulated(known.lower().replace("_", "-"), "P001"), DEFAULT, "all")
    assert told.seen_patients == 1


def test_scans_are_counted_where_a_reader_is_told_of_patients(tmp_path: Path) -> None:
    first, second = "TCGA_CS_AAAA_20000101", "TCGA_CS_AAAA_20050505"
    parts = {"train": (first,), "validation": (), "test": ()}
    save_split(Split("patient", 0, "other", parts), tmp_path / "split.json")
    assert choose_subset(simulated(first, second, "P001"), tmp_path, "all").seen_patients == 2


def test_unseen_are_those_of_whom_no_slice_was_trained_or_validated_on() -> None:
    names = [f"TCGA_CS_{letter * 4}_20000101" for letter in "ABCD"]
    parts = {"train": (names[0],), "validation": (names[1],), "test": (names[2],)}
    split = Split("patient", 0, "fingerprint of other data", parts)
    assert unseen_positions(simulated(*names), split.seen_cases()).tolist() == [
        4,
        5,
        6,
        7,
    ]  # test, and new


def test_other_scans_of_the_same_person_are_not_unseen() -> None:
    parts = {"train": ("TCGA_CS_AAAA_20000101",), "validation": ("TCGA_CS_BBBB_20000101",), "test": ()}
    split = Split("patient", 0, "", parts)
    index = simulated("TCGA_CS_AAAA_20050505", "TCGA_CS_BBBB_20050505", "TCGA_CS_CCCC_20000101")
    assert unseen_positions(index, split.seen_cases()).tolist() == [4, 5]


def test_one_trained_slice_of_a_slice_split_makes_a_patient_seen() -> None:
    parts = {"train": ("TCGA_CS_AAAA_20000101/1",), "validation": (), "test": ("TCGA_CS_AAAA_20000101/2",)}
    split = Split("slice", 0, "", parts)
    index = simulated("TCGA_CS_AAAA_20000101", "TCGA_CS_CCCC_20000101")
    assert unseen_positions(index, split.seen_cases()).tolist() == [2, 3]
    assert unseen_positions(index, Split("slice", 0, "", parts | {"train": ()}).seen_cases()).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("kind", "part", "seen", "whole"),
    [
        ("patient", "test", 0, True),
        ("patient", "train", 8, True),
        ("patient", "all", 9, True),
        ("slice", "test", None, False),
    ],
)
def test_reader_is_told_what_the_model_has_seen(
    tmp_path: Path, kind: Any, part: Any, seen: int | None, whole: bool
) -> None:
    index = simulated(*(f"TCGA_CS_{number:04}_20000101" for number in range(10)))
    started_run(tmp_path / "run", index, kind)
    subset = choose_subset(index, tmp_path / "run", part)
    assert subset.whole_patients is whole
    assert subset.seen_patients if seen is None else subset.seen_patients == seen
    said = " ".join(subset.caveats())
    assert ("has seen" in said) is bool(subset.seen_patients)
    assert ("whole volumes" in said) is not whole


# --- cross-validation


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


@pytest.fixture
def six(tmp_path: Path) -> DatasetIndex:
    for number in range(6):
        name = f"TCGA_CS_{number:04}_20000101"
        write_known_patient(tmp_path / "six", name, np.stack(FOUND[NAMES[0]]), np.stack(TRUTH[NAMES[0]]))
    return build_index(tmp_path / "six")


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


# --- masks of another program


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


@pytest.mark.parametrize("name", ["NA", "nan", "null"])
def test_patients_may_be_called_like_nothing(predictor: Predictor, tmp_path: Path, name: str) -> None:
    write_known_patient(tmp_path / "data", name, np.stack(FOUND[NAMES[0]]), np.stack(TRUTH[NAMES[0]]))
    index = build_index(tmp_path / "data")
    subset = Subset(np.arange(index.slice_count), None, whole_patients=True)
    write_evaluation(evaluate(predictor, index), tmp_path / "out", {"subset": "all"} | data_facts(index, subset))
    assert read_evaluation(tmp_path / "out")[0].patients["patient"].tolist() == [name]


def test_a_summary_of_another_command_is_no_evaluation(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("[]")  # of `gliomask predict`
    with pytest.raises(DataError, match="no evaluation"):
        find_evaluation(tmp_path)
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "summary.json").write_text('{"scores": {}}')
    assert find_evaluation(tmp_path) == tmp_path / "test"


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


def test_distances_need_slices_without_gaps(predictor: Predictor, tmp_path: Path) -> None:
    for name in NAMES:
        write_known_patient(tmp_path, name, np.stack(FOUND[NAMES[0]]), np.stack(TRUTH[NAMES[0]]))
    for path in tmp_path.glob(f"{NAMES[0]}/{NAMES[0]}_2*"):
        path.unlink()
    index = build_index(tmp_path)
    evaluation = evaluate(predictor, index)
    assert evaluation.patients["hd95"].isna().tolist() == [True, False]
    assert evaluation.summary()["hd95_patient"] is None
    assert any(
        "patients who lack slices in between: 1;" in said
        for said in data_facts(index, Subset(positions(0), 0, True))["caveats"]
    )


def test_masks_that_are_to_be_scored_are_not_removed(
    tmp_path: Path, six: DatasetIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    out, known = tmp_path / "out", str(write_known_model(tmp_path / "known"))
    command = ["evaluate", str(six.root), "--out", str(out), "--quiet"]
    assert main([*command, "--model", known, "--subset", "all"]) == 0
    assert main([*command, "--masks", str(out / "masks")]) == 2
    assert "choose another --out" in capsys.readouterr().err
    assert len(list((out / "masks").rglob("*_mask.png"))) == 18
