"""Evaluation of a known model: every count by hand, and who is scored."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from builders import SIDE, write_known_model, write_known_patient
from gliomask.data.index import DatasetIndex, build_index
from gliomask.errors import DataError, UnreadableImageError
from gliomask.evaluation.evaluate import GivenMasks, evaluate
from gliomask.evaluation.masks import MaskFolder
from gliomask.evaluation.results import find_evaluation, read_evaluation, write_evaluation
from gliomask.evaluation.runs import data_facts
from gliomask.evaluation.subsets import Subset
from gliomask.inference.predictor import Prediction, Predictor
from gliomask.volumes.slices import read_image, write_image
from scored_patients import FOUND, NAMES, TRUTH, two_patients

PIXELS = SIDE * SIDE
COUNTS = [(0, 0, 0), (50, 50, 50), (0, 20, 0), (0, 0, 9), (16, 0, 0)]  # tp, fp, fn by hand


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor.load(write_known_model(tmp_path_factory.mktemp("known")))


@pytest.fixture
def index(tmp_path: Path) -> DatasetIndex:
    return two_patients(tmp_path / "data")


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
