"""data.csv: found, read, and never believed where it cannot be right."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from builders import only, tiny_dataset
from gliomask.data.index import build_index, index_table


@pytest.mark.parametrize("name", ["Data.csv", "DATA.CSV"])
def test_table_is_found_however_its_name_is_written(tmp_path: Path, name: str) -> None:
    tiny_dataset(tmp_path, patients=2)
    (tmp_path / "data.csv").rename(tmp_path / name)
    assert build_index(tmp_path).patients[0].clinical != {}


def test_columns_of_the_table_replace_none_of_the_index(tmp_path: Path) -> None:
    names = tiny_dataset(tmp_path, patients=2)
    (tmp_path / "data.csv").write_text("Patient,height,institution,age\nTCGA_CS_1000,172,Elsewhere,67\n")
    table = index_table(build_index(tmp_path))
    assert list(table["height"]) == [16, 16]
    assert list(table["institution"]) == [name[5:7] for name in names]
    told = {"height (data.csv)": "172", "institution (data.csv)": "Elsewhere", "age": "67"}
    assert {name: table[name][0] for name in told} == told


def test_data_without_a_table_are_no_problem(tmp_path: Path) -> None:
    tiny_dataset(tmp_path, patients=2)
    (tmp_path / "data.csv").unlink()
    index = build_index(tmp_path)
    assert index.problems == ()
    assert index.patients[0].clinical == {}


def test_blanks_and_patients_without_row_have_no_keys(tmp_path: Path) -> None:
    tiny_dataset(tmp_path, patients=2)
    (tmp_path / "data.csv").write_text("Patient,grade,age\nTCGA_CS_1000, ,67\n")
    index = build_index(tmp_path)
    assert index.problems == ()
    assert [patient.clinical for patient in index.patients] == [{"age": "67"}, {}]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\xff\xfe\x00", "unreadable"),
        (b"", "columns []"),
        (b"Patient;grade\nTCGA_CS_1000;2\n", "columns"),
        (b"Patient,grade\nTCGA_CS_1000,2,3\n", "row 1 (TCGA_CS_1000)"),
        (b"Patient,grade\nTCGA_CS_1000\n", "row 1 (TCGA_CS_1000)"),
        (b"Patient,grade\nTCGA_CS_1000,2\nTCGA_CS_1000,3\n", "a second row"),
        (b"Patient,grade\n,2\n", "without a Patient"),
    ],
)
def test_unusable_table_is_a_problem(tmp_path: Path, content: bytes, found: str) -> None:
    tiny_dataset(tmp_path, patients=2)
    (tmp_path / "data.csv").write_bytes(content)
    index = build_index(tmp_path)
    assert only(index).path == "data.csv"
    assert found in only(index).found
    assert index.slice_count == 6


def test_tables_that_differ_are_a_problem(tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "a", patients=2)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / "data.csv").write_text("Patient,gender\nTCGA_CS_1000,1\n")
    assert only(build_index(tmp_path)).path == "b/data.csv"


def test_table_has_one_row_a_patient(tmp_path: Path) -> None:
    names = tiny_dataset(tmp_path, patients=3)
    table = index_table(build_index(tmp_path))
    assert list(table["patient"]) == list(names)
    assert list(table.columns[:8]) == [
        "patient", "institution", "slices", "tumour_slices", "tumour_pixels", "height", "width", "missing",
    ]  # fmt: skip
    assert list(table["tumour_pixels"]) == [2, 4, 6]
    assert list(table["RNASeqCluster"]) == ["1", "2", "3"]
