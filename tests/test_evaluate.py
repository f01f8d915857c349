"""Evaluation of a known model: every count by hand, and who is scored."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from builders import SIDE, block, write_known_model, write_known_patient
from gliomask.config import SplitConfig, TrainConfig, save_config
from gliomask.data.index import DatasetIndex, PatientRecord, SliceRecord, build_index
from gliomask.data.split import BUDA10, Split, make_split, save_split
from gliomask.errors import DataError, SplitMismatchError, UnreadableImageError, UsageError
from gliomask.evaluation.evaluate import evaluate, write_evaluation
from gliomask.evaluation.subsets import choose_subset
from gliomask.inference.predictor import Prediction, Predictor
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
    assert summary["dice_slice_tumour"] == pytest.approx((0.5 + 0 + 1) / 3)
    assert summary["dice_slice_all"] == pytest.approx((1 + 0.5 + 0 + 0 + 1) / 5)
    assert summary["dice_slice_all_of_predicting_nothing"] == pytest.approx(2 / 5)
    assert summary["dice_pooled"] == pytest.approx(132 / (132 + 70 + 59))


def test_chosen_slices_are_scored_and_no_other(predictor: Predictor, index: DatasetIndex) -> None:
    evaluation = evaluate(predictor, index, positions(1, 4))
    counts = evaluation.counts
    assert list(zip(counts.tp, counts.fp, counts.fn, strict=True)) == [COUNTS[1], COUNTS[4]]
    assert [row["slices"] for row in evaluation.patient_rows()] == [1, 1]


def test_patients_without_chosen_slices_are_not_read(predictor: Predictor, index: DatasetIndex) -> None:
    (index.root / index.patients[0].slices[0].image).unlink()
    evaluation = evaluate(predictor, index, positions(3))
    assert evaluation.counts.patients.tolist() == [NAMES[1]]
    assert [patient.name for patient in evaluation.patients] == [NAMES[1]]


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
    evaluation = evaluate(predictor, index)
    write_evaluation(evaluation, tmp_path / "new" / "out", {"model": "known"})
    with (tmp_path / "new" / "out" / "patients.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["patient"] for row in table] == list(NAMES)
    assert table[0] == {
        "patient": NAMES[0], "dice": "0.454545", "tp": "50", "fp": "70", "fn": "50", "slices": "3",
        "institution": "CS", "missing": "",
    }  # fmt: skip
    kept = json.loads((tmp_path / "new" / "out" / "summary.json").read_text())
    assert list(kept) == ["model", "scores"]
    assert kept["scores"] == evaluation.summary()
    assert len(list((tmp_path / "new" / "out").iterdir())) == 2


def test_missing_sequences_are_in_the_rows(predictor: Predictor, tmp_path: Path) -> None:
    folder = write_known_patient(tmp_path, NAMES[0], np.stack(FOUND[NAMES[0]]), np.stack(TRUTH[NAMES[0]]))
    for path in folder.glob("*[0-9].tif"):
        write_image(path, read_image(path)[..., [1, 1, 1]])
    (row,) = evaluate(predictor, build_index(tmp_path)).patient_rows()
    assert row["missing"] == "pre+post"


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
    assert choose_subset(index, tmp_path / "model.onnx", "all").positions.tolist() == list(range(index.slice_count))


@pytest.mark.parametrize("subset", ["train", "validation", "test", "unseen"])
def test_part_needs_the_run_folder(tmp_path: Path, index: DatasetIndex, subset: Any) -> None:
    with pytest.raises(UsageError, match="expected --subset all or buda10"):
        choose_subset(index, tmp_path / "model.onnx", subset)


def test_ten_published_patients_need_no_run(tmp_path: Path) -> None:
    index = simulated(*BUDA10, *(f"TCGA_ZZ_{number:04}_20000101" for number in range(3)))
    rows = choose_subset(index, tmp_path / "model.onnx", "buda10").positions
    assert rows is not None
    assert rows.tolist() == list(range(20))


def test_unseen_are_those_of_whom_no_slice_was_trained_or_validated_on() -> None:
    names = [f"TCGA_CS_{letter * 4}_20000101" for letter in "ABCD"]
    parts = {"train": (names[0],), "validation": (names[1],), "test": (names[2],)}
    split = Split("patient", 0, "fingerprint of other data", parts)
    assert split.unseen_positions(simulated(*names)).tolist() == [4, 5, 6, 7]  # the test patient, and a new one


def test_other_scans_of_the_same_person_are_not_unseen() -> None:
    parts = {"train": ("TCGA_CS_AAAA_20000101",), "validation": ("TCGA_CS_BBBB_20000101",), "test": ()}
    split = Split("patient", 0, "", parts)
    index = simulated("TCGA_CS_AAAA_20050505", "TCGA_CS_BBBB_20050505", "TCGA_CS_CCCC_20000101")
    assert split.unseen_positions(index).tolist() == [4, 5]


def test_one_trained_slice_of_a_slice_split_makes_a_patient_seen() -> None:
    parts = {"train": ("TCGA_CS_AAAA_20000101/1",), "validation": (), "test": ("TCGA_CS_AAAA_20000101/2",)}
    split = Split("slice", 0, "", parts)
    index = simulated("TCGA_CS_AAAA_20000101", "TCGA_CS_CCCC_20000101")
    assert split.unseen_positions(index).tolist() == [2, 3]
    assert Split("slice", 0, "", parts | {"train": ()}).unseen_positions(index).tolist() == [0, 1, 2, 3]


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
