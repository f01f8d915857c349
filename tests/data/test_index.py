"""The index counts what is there once, lists everything that is wrong, and keeps what can be used."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from builders import FIRST, make_mask, make_slice, only, patient_name, tiny_dataset, write_patient
from gliomask.config import SplitConfig
from gliomask.data import naming
from gliomask.data.index import DatasetIndex, build_index, index_table
from gliomask.data.split import make_split
from gliomask.errors import DataError
from gliomask.volumes.slices import read_image, write_image, write_mask
from places import PACKED

Damage = Callable[[Path], object]


def damaged(tmp_path: Path, damage: Damage) -> DatasetIndex:
    """Return the index of a tiny data set of 3 patients with 3 slices, after something was done to the first one."""
    tiny_dataset(tmp_path / "kaggle_3m", patients=3)
    damage(tmp_path / "kaggle_3m" / FIRST)
    return build_index(tmp_path / "kaggle_3m")


def test_good_data_have_no_problems(tmp_path: Path) -> None:
    names = tiny_dataset(tmp_path, patients=4, slices=3)
    index = build_index(tmp_path)
    assert index.problems == ()
    assert tuple(patient.name for patient in index.patients) == names
    assert (index.slice_count, index.tumour_slice_count) == (12, 8)
    first = index.patient(FIRST)
    assert (first.institution, first.tumour_pixels, first.missing) == ("CS", 2, ())
    assert first.slices[2].image == f"{FIRST}/{FIRST}_3.tif"
    assert (index.root / first.slices[2].mask).is_file()


def test_slices_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    write_patient(tmp_path, FIRST, slices=12)
    assert [record.number for record in build_index(tmp_path).patients[0].slices] == list(range(1, 13))


def test_every_place_in_the_archive_gives_the_same_index(tmp_path: Path) -> None:
    copy = tmp_path / "lgg-mri-segmentation" / "kaggle_3m"
    names = tiny_dataset(tmp_path / "kaggle_3m", patients=3)
    shutil.copytree(tmp_path / "kaggle_3m", copy)
    whole, inner, above = (build_index(root) for root in (tmp_path, copy, copy.parent))
    assert whole.problems == inner.problems == above.problems == ()
    assert whole.fingerprint == inner.fingerprint == above.fingerprint
    assert tuple(patient.name for patient in whole.patients) == names
    assert whole.slice_count == 9
    assert whole.patients[0].clinical == {"RNASeqCluster": "1"}


def test_copies_that_differ_are_duplicates(tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "a", patients=2)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    write_image(tmp_path / "b" / FIRST / f"{FIRST}_2.tif", make_slice(99))
    index = build_index(tmp_path)
    assert only(index).path == f"b/{FIRST}/{FIRST}_2.tif"
    assert "other content" in only(index).found
    assert [record.number for record in index.patient(FIRST).slices] == [1, 3]


def test_folder_of_one_patient(tmp_path: Path) -> None:
    tiny_dataset(tmp_path, patients=2)
    index = build_index(tmp_path / FIRST)
    assert [patient.name for patient in index.patients] == [FIRST]
    assert index.patients[0].slices[0].image == f"{FIRST}_1.tif"
    assert index.patients[0].clinical == {"RNASeqCluster": "1"}
    assert index.problems == ()


def test_linked_patient_folders_are_followed(tmp_path: Path) -> None:
    write_patient(tmp_path / "elsewhere", FIRST)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / FIRST).symlink_to(tmp_path / "elsewhere" / FIRST, target_is_directory=True)
    assert build_index(tmp_path / "links").slice_count == 3


def test_png_is_indexed_like_tiff(tmp_path: Path) -> None:
    write_patient(tmp_path / "tif", FIRST, suffix=".tif")
    write_patient(tmp_path / "png", FIRST, suffix=".png")
    assert build_index(tmp_path / "tif").fingerprint == build_index(tmp_path / "png").fingerprint


def test_files_that_belong_beside_slices_are_no_problem(tmp_path: Path) -> None:
    tiny_dataset(tmp_path, patients=2)
    for name in ("README.md", "README_2.md", "LICENSE", "LICENSE.txt", ".DS_Store", f".{FIRST}_1.tif.part"):
        (tmp_path / FIRST / name).write_text("text")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "what.tif").write_text("text")
    assert build_index(tmp_path).problems == ()


@pytest.mark.parametrize(
    ("damage", "path", "found", "kept"),
    [
        pytest.param(lambda f: (f / f"{FIRST}_2_mask.tif").unlink(), "_2.tif", "without mask", [1, 3], id="no mask"),
        pytest.param(lambda f: (f / f"{FIRST}_2.tif").unlink(), "_2_mask.tif", "without image", [1, 3], id="no image"),
        pytest.param(lambda f: (f / f"{FIRST}_2.tif").write_bytes(b""), "_2.tif", "0 bytes", [1, 3], id="empty"),
        pytest.param(lambda f: (f / f"{FIRST}_2_mask.tif").write_text("x"), "_2_mask.tif", "damaged", [1, 3], id="txt"),
        pytest.param(lambda f: os.truncate(f / f"{FIRST}_2.tif", 500), "_2.tif", "cut-off", [1, 3], id="cut off"),
        pytest.param(
            lambda f: write_mask(f / f"{FIRST}_2_mask.tif", make_mask(3, 8)), "_2_mask.tif", "mask of 8 x 8", [1, 3],
            id="size of mask",
        ),
        pytest.param(
            lambda f: Image.new("L", (16, 16), 100).save(f / f"{FIRST}_2_mask.tif"), "_2_mask.tif", "100", [1, 3],
            id="values of mask",
        ),
        pytest.param(
            lambda f: Image.new("L", (16, 16)).save(f / f"{FIRST}_2.tif"), "_2.tif", "1 channel", [1, 3], id="channels"
        ),
        pytest.param(
            lambda f: Image.new("I;16", (16, 16)).save(f / f"{FIRST}_2_mask.tif"), "_2_mask.tif", "16 bits", [1, 3],
            id="depth",
        ),
        pytest.param(
            lambda f: shutil.copy(f / f"{FIRST}_2.tif", f / f"{FIRST}_02.tif"), "_2.tif", "duplicate slice, the same",
            [1, 2, 3], id="equal duplicate",
        ),
        pytest.param(
            lambda f: write_image(f / f"{FIRST}_2.png", make_slice(9)), "_2.tif", "duplicate slice, with other", [1, 3],
            id="other duplicate",
        ),
        pytest.param(lambda f: (f / "notes.txt").write_text("x"), "notes.txt", "not named like", [1, 2, 3], id="name"),
        pytest.param(lambda f: (f / f"{FIRST}_x.tif").write_text("x"), "_x.tif", "not named", [1, 2, 3], id="number"),
    ],
)  # fmt: skip
def test_problem_is_listed_and_the_rest_kept(
    tmp_path: Path, damage: Damage, path: str, found: str, kept: list[int]
) -> None:
    index = damaged(tmp_path, damage)
    problem = only(index)
    assert problem.path.startswith(FIRST)
    assert problem.path.endswith(path)
    assert found in problem.found
    assert problem.expected
    assert problem.cure
    assert [record.number for record in index.patient(FIRST).slices] == kept
    assert len(index.patients) == 3


def test_slice_of_another_size_than_most(tmp_path: Path) -> None:
    def enlarge(folder: Path) -> None:
        write_image(folder / f"{FIRST}_3.tif", make_slice(1, 32))
        write_mask(folder / f"{FIRST}_3_mask.tif", make_mask(1, 32))

    index = damaged(tmp_path, enlarge)
    assert only(index).found == "a slice of 32 x 32 pixels"
    assert only(index).expected.startswith("16 x 16")
    assert index.slice_count == 8


def test_gap_in_the_numbers_is_reported_and_the_slices_kept(tmp_path: Path) -> None:
    folder = write_patient(tmp_path, FIRST, slices=8)
    for number in (3, 5, 6):
        (folder / f"{FIRST}_{number}.tif").unlink()
        (folder / f"{FIRST}_{number}_mask.tif").unlink()
    index = build_index(tmp_path)
    assert only(index).path == FIRST
    assert "without number 3, 5 to 6" in only(index).found
    assert [record.number for record in index.patients[0].slices] == [1, 2, 4, 7, 8]


def test_numbers_that_do_not_start_at_1(tmp_path: Path) -> None:
    def behead(folder: Path) -> None:
        (folder / f"{FIRST}_1.tif").unlink()
        (folder / f"{FIRST}_1_mask.tif").unlink()

    index = damaged(tmp_path, behead)
    assert "numbered from 2" in only(index).found
    assert [record.number for record in index.patient(FIRST).slices] == [2, 3]


def test_slice_in_the_folder_of_another_patient_is_left_out(tmp_path: Path) -> None:
    stranger = "TCGA_DU_9999_20000101_1.tif"
    index = damaged(tmp_path, lambda folder: write_image(folder / stranger, make_slice(1)))
    assert only(index).path == f"{FIRST}/{stranger}"
    assert "another patient" in only(index).found
    assert "move it" in only(index).cure
    assert len(index.patients) == 3


def test_a_patient_under_two_names_is_a_problem(tmp_path: Path) -> None:
    """Slices that show nothing are the same in everybody; one that does show something is enough to tell."""
    root = tmp_path / "data"
    other, third, black = patient_name(1), patient_name(2), np.zeros((16, 16, 3), np.uint8)
    tiny_dataset(root, patients=4)
    for name in (FIRST, other, third):
        write_image(root / name / f"{name}_1.tif", black)
    assert build_index(root).problems == ()
    write_image(root / third / f"{third}_3.tif", read_image(root / FIRST / f"{FIRST}_2.tif"))
    index = build_index(root)
    assert (only(index).path, only(index).found) == (third, f"1 slice with the very image of {FIRST}")
    assert index.slice_count == 12
    again = root / FIRST.replace("2000", "2001")  # another scan of the same person, whom no split by patient parts
    shutil.copytree(root / FIRST, again)
    for path in again.iterdir():
        path.rename(path.with_name(path.name.replace(FIRST, again.name)))
    assert only(build_index(root)).path == third
    shutil.copytree(root / other, root / "P7")
    for path in (root / "P7").iterdir():
        path.rename(path.with_name(path.name.replace(other, "P7")))
    found = {problem.path: problem.found for problem in build_index(root).problems}
    shared = {"P7": other, other: "P7"}  # the earlier by name is the first
    assert {path: told for path, told in found.items() if path != third} in [
        {path: f"2 slices with the very image of {shared[path]}"} for path in shared
    ]


def test_empty_patient_folder(tmp_path: Path) -> None:
    name = "TCGA_DU_9999_20000101"
    index = damaged(tmp_path, lambda folder: (folder.parent / name).mkdir())
    assert (only(index).path, len(index.patients)) == (name, 3)
    assert "without slices" in only(index).found


def test_link_to_nowhere_is_a_problem(tmp_path: Path) -> None:
    def lose(folder: Path) -> None:
        (folder / f"{FIRST}_2.tif").unlink()
        (folder / f"{FIRST}_2.tif").symlink_to(folder / "nowhere.tif")

    assert only(damaged(tmp_path, lose)).found == "no such file"


def test_patient_whose_slices_are_all_bad_is_left_out(tmp_path: Path) -> None:
    def spoil(folder: Path) -> None:
        for mask in folder.glob("*_mask.tif"):
            mask.unlink()

    index = damaged(tmp_path, spoil)
    assert (len(index.problems), len(index.patients)) == (3, 2)
    with pytest.raises(DataError, match=FIRST):
        index.patient(FIRST)


def test_missing_root_file_as_root_and_empty_root_are_errors(tmp_path: Path) -> None:
    (tmp_path / "file.tif").write_text("x")
    (tmp_path / "empty").mkdir()
    for name, found in (("nowhere", "no such folder"), ("file.tif", "a file"), ("empty", "an empty folder")):
        with pytest.raises(DataError, match=found) as caught:
            build_index(tmp_path / name)
        assert caught.value.path == str(tmp_path / name)
        assert "kaggle_3m" in caught.value.cure


def test_missing_sequences_are_those_equal_to_flair_in_all_slices(tmp_path: Path) -> None:
    folder = write_patient(tmp_path, FIRST, slices=3)
    for number in (1, 2, 3):
        image = read_image(folder / f"{FIRST}_{number}.tif")
        image[..., 0] = image[..., 1]
        if number != 2:
            image[..., 2] = image[..., 1]
        write_image(folder / f"{FIRST}_{number}.tif", image)
    assert build_index(tmp_path).patients[0].missing == ("pre",)


def test_a_name_that_is_no_text_is_a_problem_and_not_a_crash(tmp_path: Path) -> None:
    """A Latin-1 name out of an old archive: no table, page or picture could show it."""
    odd = os.fsdecode(b"M\xfcller")
    root = tmp_path / odd  # above the patients it does no harm
    tiny_dataset(root, patients=2)
    (root / FIRST).rename(root / odd)
    for path in (root / odd).iterdir():
        path.rename(path.with_name(path.name.replace(FIRST, odd)))
    index = build_index(root)
    assert only(index).path.startswith("M")
    assert "no text" in only(index).found
    assert "rename" in only(index).cure
    assert [len(patient.slices) for patient in index.patients] == [3]
    index_table(index).to_csv(tmp_path / "table.csv")
    shutil.rmtree(root / odd)
    assert build_index(root).problems == build_index(root).problems == ()  # the second is from the cache


def test_progress_counts_to_the_end(tmp_path: Path) -> None:
    tiny_dataset(tmp_path, patients=2)
    calls: list[tuple[int, int]] = []
    build_index(tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("TCGA_HT_A5RC_19990831_7.tif", ("TCGA_HT_A5RC_19990831", 7, False)),
        ("TCGA_CS_4941_19960909_012_mask.PNG", ("TCGA_CS_4941_19960909", 12, True)),
        ("TCGA_CS_4941_19960909_1.tiff", ("TCGA_CS_4941_19960909", 1, False)),
    ],
)
def test_names_are_parsed(name: str, parsed: tuple[str, int, bool]) -> None:
    result = naming.parse_slice_name(name)
    assert result is not None
    assert (result.patient, result.number, result.is_mask) == parsed


@pytest.mark.parametrize(
    "name", ["TCGA_CS_4941_19960909_1.jpg", "TCGA_CS_4941_1996_1.tif", "xTCGA_CS_4941_19960909_1.tif", "1.tif"]
)
def test_other_names_are_not(name: str) -> None:
    assert naming.parse_slice_name(name, "folder") is None


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("P001_7.tif", ("P001", 7, False)),
        ("ward 3_2024_P1_012_mask.png", ("ward 3_2024_P1", 12, True)),
        ("7_7.tif", ("7", 7, False)),
        ("Müller-Å_1.tif", ("Müller-Å", 1, False)),
        ("TCGA_CS_49_1996_1.tif", ("TCGA_CS_49_1996", 1, False)),
    ],
)
def test_patients_of_any_name_are_those_of_their_folder(name: str, parsed: tuple[str, int, bool]) -> None:
    result = naming.parse_slice_name(name, parsed[0])
    assert result is not None
    assert (result.patient, result.number, result.is_mask) == parsed
    assert naming.parse_slice_name(name, "other") is None
    assert (naming.person(parsed[0]), naming.institution(parsed[0])) == (parsed[0], "unknown")


def own_data(root: Path) -> None:
    """Write three patients with names of a hospital's own, and a table with two of them."""
    for name in ("P001", "P002", "x_3"):
        write_patient(root, name, slices=4, size=32)
    (root / "data.csv").write_text("Patient,institution,grade\nP001,north,2\nP002,south,3\n")


def test_own_patients_are_found(tmp_path: Path) -> None:
    own_data(tmp_path)
    index = build_index(tmp_path)
    assert index.problems == ()
    found = [(patient.name, patient.institution, len(patient.slices), patient.clinical) for patient in index.patients]
    assert found == [
        ("P001", "north", 4, {"institution": "north", "grade": "2"}),
        ("P002", "south", 4, {"institution": "south", "grade": "3"}),
        ("x_3", "unknown", 4, {}),
    ]
    alone = build_index(tmp_path / "P002")
    assert [(patient.name, patient.institution) for patient in alone.patients] == [("P002", "south")]
    parts = make_split(index, SplitConfig()).parts
    assert sorted(name for names in parts.values() for name in names) == ["P001", "P002", "x_3"]


@pytest.mark.parametrize(
    ("spoil", "path", "found"),
    [
        (lambda root: (root / "P004").mkdir(), "P004", "without slices"),
        (lambda root: write_image(root / "P001" / "P002_9.png", make_slice(32)), "P001/P002_9.png", "not named like"),
        (lambda root: write_image(root / "sketch_1.png", make_slice(32)), "sketch_1.png", "not named like"),
        (lambda root: (root / "x_3" / "x_3_2.tif").unlink(), "x_3/x_3_2_mask.tif", "without image"),
    ],
)
def test_faults_of_own_patients_are_listed(tmp_path: Path, spoil: Callable[[Path], Any], path: str, found: str) -> None:
    own_data(tmp_path)
    spoil(tmp_path)
    (problem,) = build_index(tmp_path).problems
    assert problem.path == path
    assert found in problem.found


@pytest.mark.slices
def test_real_slices_agree_with_their_manifest(lgg_folder: Path) -> None:
    manifest_file = PACKED / "manifest.json"
    if not manifest_file.is_file():
        pytest.skip("manifest of the real LGG slices not found beside the project")
    manifest = json.loads(manifest_file.read_text())
    index = build_index(lgg_folder)
    assert index.problems == ()
    assert [patient.name for patient in index.patients] == sorted(manifest)[:6]
    for patient in index.patients:
        expected = manifest[patient.name]
        assert (len(patient.slices), patient.tumour_slices) == (expected["slices"], expected["positive"])
        assert patient.clinical["tumor_tissue_site"] == "1"
    assert np.all(index_table(index)[["height", "width"]] == 256)
