"""Every study has a name of its own, which changes little when others come, and no result falls among images."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from builders import make_slice, write_known_model
from dicom_builders import SECRETS, uid, write_series
from gliomask.cli.app import main
from gliomask.studies.inputs import find_inputs
from gliomask.studies.names import LONGEST_NAME
from gliomask.studies.volume import named_study
from gliomask.volumes.dicom import DicomImage
from gliomask.volumes.slices import write_image
from small_volumes import AFFINE, axial, nifti, values, volumes


def test_names_that_are_the_same_get_their_folders(tmp_path: Path) -> None:
    for folder in ("p1/one", "p2/one", "p2/two"):
        nifti(tmp_path / folder / "flair.nii.gz")
    assert sorted(study.name for study in volumes(tmp_path)) == ["p1_one_flair", "p2_one_flair", "p2_two_flair"]
    assert [study.name for study in volumes(tmp_path / "p1")] == ["flair"]


def test_stacks_and_volumes_of_one_name_get_their_folders(tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        for number in (1, 2):
            write_image(tmp_path / folder / f"img_{number}.png", make_slice(number))
    nifti(tmp_path / "c" / "img.nii")
    found = find_inputs([tmp_path])
    assert (sorted(study.name for study in found.studies), found.errors) == (["a_img", "b_img", "c_img"], ())
    assert [study.name for study in find_inputs([tmp_path / "a"]).studies] == ["img"]


def test_names_are_not_longer_than_disks_take(tmp_path: Path) -> None:
    """What differs in its last letters alone stays apart; letters of several bytes are not cut in two."""
    longest, alike, foreign = "a" * LONGEST_NAME, "b" * 240, "\N{GREEK SMALL LETTER ALPHA}" * 120
    for name in (longest, f"{alike}1", f"{alike}2", foreign):
        nifti(tmp_path / "in" / f"{name}.nii")
    whole = {study.name for study in find_inputs([tmp_path / "in"]).studies}
    assert whole == {longest, f"{alike}1", f"{alike}2", foreign}  # by which outlines are found
    names = [study.name for study in find_inputs([tmp_path / "in"], results=tmp_path / "out").studies]
    assert len(set(names)) == 4
    assert longest in names
    assert max(len(name.encode()) for name in names) <= LONGEST_NAME
    assert {(name[:40], name[-1]) for name in names} == {(n[:40], n[-1]) for n in whole}
    model = write_known_model(tmp_path / "known")
    call = ["predict", str(tmp_path / "in"), "--model", str(model), "--out", str(tmp_path / "out"), "--quiet"]
    assert main([*call, "--probabilities"]) == 0
    assert len(list(tmp_path.glob("out/*/*_mask.nii.gz"))) == 4


def test_what_lies_beside_its_namesake_gets_its_ending(tmp_path: Path) -> None:
    for name in ("scan.nii", "scan.nii.gz", "other.nii"):
        nifti(tmp_path / name)
    for name in ("lone.tif", "lone.png"):
        write_image(tmp_path / name, make_slice(1))
    names = sorted(study.name for study in find_inputs([tmp_path]).studies)
    assert names == ["lone_png", "lone_tif", "other", "scan_nii", "scan_nii_gz"]


def test_what_is_given_twice_is_one_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = nifti(tmp_path / "in" / "scan.nii")
    monkeypatch.chdir(tmp_path)
    given = [path, path, Path("in/scan.nii"), Path("in"), tmp_path / "in" / ".." / "in"]
    assert [study.name for study in volumes(*given)] == ["scan"]


def test_studies_that_cannot_be_told_apart_stop_no_other(tmp_path: Path) -> None:
    for name in ("case.tif", "case_0.tif", "case_1.tif", "other.tif"):
        write_image(tmp_path / name, make_slice(1))
    found = find_inputs([tmp_path])
    assert [study.name for study in found.studies] == ["other"]
    assert ["is the name of several studies" in str(error) for error in found.errors] == [True, True]


def test_a_name_with_folders_that_another_has_gets_more_of_them(tmp_path: Path) -> None:
    for name in ("p_flair", "p/flair", "q/flair"):
        nifti(tmp_path / "in" / f"{name}.nii")
    assert sorted(study.name for study in volumes(tmp_path)) == ["in_p_flair", "in_q_flair", "p_flair"]


def test_dicom_studies_are_named_by_their_folders_and_zips(tmp_path: Path) -> None:
    for patient in (0, 1):
        write_series(tmp_path / f"p{patient}" / "s1", values(), AFFINE, patient=patient)
        write_series(
            tmp_path / f"p{patient}" / "s2", values(), AFFINE, patient=patient, series=2, SeriesDescription="T1"
        )
    with zipfile.ZipFile(tmp_path / "p3.zip", "w") as archive:
        for file in sorted((tmp_path / "p0").rglob("*.dcm")):
            archive.write(file, file.relative_to(tmp_path))
    studies = volumes(tmp_path)
    assert sorted(study.name for study in studies) == ["p0", "p1", "p3"]
    for study in studies:
        assert np.array_equal(study.read().images[..., 1], axial(0))
    (named,) = volumes(tmp_path / "p1", series="T1")
    flair = named.read().flair
    assert isinstance(flair, DicomImage)
    assert flair.series.description == "T1"


def test_a_folder_given_by_dots_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path / "p1", values(), AFFINE)
    (tmp_path / "p1" / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "p1" / "deep")
    for given in ("..", "../deep/.."):
        assert [study.name for study in volumes(Path(given))] == ["p1"]
        assert named_study(Path(given)).name == "p1"
    monkeypatch.chdir(tmp_path / "p1")
    assert [study.name for study in volumes(Path())] == ["p1"]
    assert named_study(Path()).name == "p1"


def test_studies_of_a_patient_in_a_folder_keep_their_names(tmp_path: Path) -> None:
    """Whatever is added later: results of one study must not pass for those of another."""
    named: list[set[str]] = []
    for number in (5, 8, 1, 3):
        for path in write_series(tmp_path / "more", values(), AFFINE)[:2]:
            dataset = dcmread(path)
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid(0, number), uid(0, number, 1)
            dataset.SOPInstanceUID = uid(0, number, 1, int(dataset.InstanceNumber))
            (tmp_path / "in").mkdir(exist_ok=True)
            dataset.save_as(tmp_path / "in" / f"{number}{path.name}")
        named.append({study.name for study in volumes(tmp_path / "in")})
    assert named[0] == {"in"}
    assert [len(names) for names in named] == [1, 2, 3, 4]
    assert named[1] < named[2] < named[3]
    assert not [secret for secret in SECRETS if secret in str(named)]


def test_a_damaged_study_does_not_change_the_name_of_another(tmp_path: Path) -> None:
    write_series(tmp_path / "a", values(), AFFINE)
    for path in write_series(tmp_path / "b", values(), AFFINE, patient=1):
        path.write_bytes(b"")
    found = find_inputs([tmp_path])
    assert ([study.name for study in found.studies], len(found.errors)) == (["a"], 1)
