"""Distances beside the slices: what is converted is scored in mm; scans of one person stay together."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from builders import write_known_model, write_patient
from gliomask.config import SplitConfig
from gliomask.data.cache import read_patient
from gliomask.data.index import build_index
from gliomask.data.split import make_split
from gliomask.evaluation.evaluate import evaluate
from gliomask.inference.predictor import Predictor
from volume_pairs import SIDE, axial, convert, save, scan, write_pair


def test_what_is_written_is_indexed_and_scored_in_millimetres(tmp_path: Path) -> None:
    write_pair(tmp_path)
    values, labels = scan(3)
    thick = np.diag([5.0, 5.0, 12.0, 1.0])
    save(tmp_path / "P2_flair.nii", values, thick)
    save(tmp_path / "P2_seg.nii", labels, thick)
    assert convert(tmp_path, "--out", tmp_path / "out") == 0
    index = build_index(tmp_path / "out")
    assert not index.problems
    assert [patient.spacing for patient in index.patients] == [(6.0, 5.0, 5.0), (12.0, 5.0, 5.0)]
    assert build_index(tmp_path / "out").patients == index.patients  # from the cache
    predictor = Predictor.load(write_known_model(tmp_path / "model", cut=150.0))
    found = evaluate(predictor, index)
    assert found.unit == "mm"
    assert found.patients["spacing"].tolist() == ["6 x 5 x 5", "12 x 5 x 5"]
    images, truth = read_patient(index.root, index.patients[0])
    assert images.shape == (6, SIDE, SIDE, 3)
    assert np.array_equal(truth, axial(labels) > 0)
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    (tmp_path / "copy" / "volumes.csv").unlink()
    assert evaluate(predictor, build_index(tmp_path / "copy")).unit == "pixels"


@pytest.mark.parametrize(
    ("table", "found"),
    [
        ("patient,slices_mm,rows_mm\nP1,1,1\n", "a table without the column columns_mm"),
        ("patient,slices_mm,rows_mm,columns_mm\nP1,1,0,1\n", "distances ['1', '0', '1'] of P1"),
        ("patient,slices_mm,rows_mm,columns_mm\nP1,1,inf,1\n", "distances ['1', 'inf', '1'] of P1"),
        ("patient,slices_mm,rows_mm,columns_mm\nP1,1,1\n", "distances ['1', '1', None] of P1"),
        ("patient,slices_mm,rows_mm,columns_mm\nP1,1,1,1\nP1,1,1,2\n", "a patient with two rows"),
        ('patient,slices_mm,rows_mm,columns_mm\n"P1,1,1,1\n', "an unreadable table"),
    ],
)
def test_a_table_of_distances_with_a_fault_is_a_problem_and_counts_for_nothing(
    tmp_path: Path, table: str, found: str
) -> None:
    write_patient(tmp_path, "P1")
    (tmp_path / "volumes.csv").write_text(table)
    index = build_index(tmp_path)
    (problem,) = index.problems
    assert problem.path == "volumes.csv"
    assert found in problem.found
    assert index.patients[0].spacing is None


def test_tables_of_several_folders_are_one(tmp_path: Path) -> None:
    for name in ("P1", "P2"):
        write_patient(tmp_path / "in" / f"with {name}", name)
        table = f"patient,slices_mm,rows_mm,columns_mm\n{name},5,1,1\n"
        (tmp_path / "in" / f"with {name}" / "volumes.csv").write_text(table)
    index = build_index(tmp_path / "in")
    assert not index.problems
    assert [patient.spacing for patient in index.patients] == [(5.0, 1.0, 1.0)] * 2
    (tmp_path / "in" / "with P1" / "volumes.csv").write_text(table.replace("5,1", "4,1"))
    index = build_index(tmp_path / "in")
    assert "other distances of P2" in index.problems[0].found
    assert {patient.spacing for patient in index.patients} == {None}


def test_a_patient_without_a_row_is_told(tmp_path: Path) -> None:
    for name in ("P1", "P2"):
        write_patient(tmp_path, name)
    (tmp_path / "volumes.csv").write_text("patient,slices_mm,rows_mm,columns_mm\nP1,5,1,1\n")
    (problem,) = build_index(tmp_path).problems
    assert problem.found == "no row of P2: distances are in pixels for all"


def test_the_table_beside_the_folder_of_one_patient_counts(tmp_path: Path) -> None:
    write_patient(tmp_path, "P1")
    (tmp_path / "volumes.csv").write_text("patient,slices_mm,rows_mm,columns_mm,more\nP1,3,2,1,x\nP2,1,1,1,y\n")
    assert build_index(tmp_path / "P1").patients[0].spacing == (3.0, 2.0, 1.0)


@pytest.mark.parametrize(
    ("scans", "other"),
    [
        (("sub-01_ses-1", "sub-01_ses-2", "sub-01_acq-3d"), "sub-011"),
        (("dsA_sub-01_ses-1", "dsA_sub-01_ses-2_anat_sub-01_ses-2"), "dsB_sub-01_ses-1"),
        (("BraTS-GLI-00001-000", "BraTS-GLI-00001-101"), "BraTS-GLI-00002-000"),
    ],
)
def test_scans_of_one_person_are_never_parted(tmp_path: Path, scans: tuple[str, ...], other: str) -> None:
    for name in (*scans, other, *(f"X{number}" for number in range(9))):
        write_patient(tmp_path, name)
    index = build_index(tmp_path)
    for seed in range(8):
        split = make_split(index, SplitConfig(split_seed=seed))
        where = {part for part, names in split.parts.items() if set(names) & set(scans)}
        assert len(where) == 1
        assert set(scans) <= set(split.parts[where.pop()])
