"""Who is scored, and what a reader is told of whom the model has seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from builders import write_known_model
from gliomask.data.index import DatasetIndex
from gliomask.data.split import BUDA10, Split, save_split, unseen_positions
from gliomask.errors import DataError, SplitMismatchError, UsageError
from gliomask.evaluation.subsets import choose_subset
from gliomask.models.trained import DEFAULT, seen_by
from scored_patients import simulated, started_run, two_patients


@pytest.fixture
def index(tmp_path: Path) -> DatasetIndex:
    return two_patients(tmp_path / "data")


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
