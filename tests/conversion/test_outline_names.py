"""Which patient a volume is of, and which outline belongs to it, is told by names: never that of somebody else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from dicom_builders import write_series
from gliomask.conversion.convert import Conversion, convert_all
from gliomask.conversion.finder import OutlineFinder, patient_name
from gliomask.data.naming import person
from gliomask.studies.inputs import find_inputs
from gliomask.studies.volume import VolumeStudy
from volume_pairs import SIDE, axial, convert, rows, save, scan, stack, turned, write_pair


@pytest.mark.parametrize("name", ["sub-1_label-CSF_mask", "sub-1_desc-aparcaseg_dseg", "sub-1_label-GM_probseg"])
def test_masks_of_tissue_are_no_outlines(tmp_path: Path, name: str) -> None:
    save(tmp_path / "sub-1_FLAIR.nii", scan()[0])
    save(tmp_path / "masks" / f"{name}.nii", scan()[1])
    assert convert(tmp_path / "sub-1_FLAIR.nii", "--masks", tmp_path / "masks", "--out", tmp_path / "out") == 1


def test_outlines_of_other_sites_are_not_taken(tmp_path: Path) -> None:
    for seed, place in enumerate(("siteA/P1", "siteB/P2")):
        save(tmp_path / "in" / place / "flair.nii", scan(seed)[0])
    for place in ("siteB/P1", "siteB/P2"):
        save(tmp_path / "lab" / place / "seg.nii", scan()[1])
    assert convert(tmp_path / "in", "--masks", tmp_path / "lab", "--out", tmp_path / "out") == 1
    assert sorted(rows(tmp_path / "out")) == ["P2"]


@pytest.mark.parametrize(
    ("image", "outline", "more"),
    [
        ("siteA/P1/flair.nii", "siteB/P1/seg.nii", ""),
        ("siteA/P1_flair.nii", "siteB/P1_seg.nii", ""),
        ("center_01/P1/anat/flair.nii", "center_02/P1.nii", ""),
        ("graz/P1/flair.nii", "wien/P1/seg.nii", "graz/P2/seg.nii"),
        ("P1/P1_flair.nii", "P2/P1_seg.nii", ""),
    ],
)
def test_an_outline_of_a_site_whose_images_are_not_given_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], image: str, outline: str, more: str
) -> None:
    flair, drawn = save(tmp_path / "in" / image, scan()[0]), save(tmp_path / "lab" / outline, scan()[1])
    if more:
        save(tmp_path / "lab" / more, scan()[1])
    assert convert(tmp_path / "in", "--masks", tmp_path / "lab", "--out", tmp_path / "out") == 1
    line = capsys.readouterr().err
    site = tmp_path / "lab" / Path(outline).parts[0]
    assert f"{drawn}: an outline of P1, whose images lie elsewhere ({flair}); " in line
    assert f"expected one in a folder called like theirs; if it is theirs, give --masks {site}" in line
    assert convert(tmp_path / "in", "--masks", site, "--out", tmp_path / "out") == 0


@pytest.mark.parametrize(
    ("image", "outline", "others"),
    [
        ("in/siteA/P1/flair.nii", "lab/siteA/P1/seg.nii", ["lab/siteB/P1/seg.nii"]),
        ("in/graz/P1/flair.nii", "lab/graz/P1_seg.nii", ["lab/wien/P1_seg.nii", "lab/wien/P2_seg.nii"]),
        ("in/siteA/P1/flair.nii", "lab/final/P1/seg.nii", []),
        ("in/siteA/P1/flair.nii", "lab/reader1/siteA/P1/seg.nii", ["lab/P1/brain_mask.nii"]),
        ("lab/mri/P1/flair.nii", "lab/labels/P1/seg.nii", ["lab/mri/P2/case.nii"]),
        ("lab/images1/P1_flair.nii", "lab/labels1/P1_seg.nii", []),
        ("in/P1/flair.nii", "lab/final/P1_seg.nii", ["lab/P1/whole.nii"]),
    ],
)
def test_folders_that_tell_nothing_of_a_site_keep_no_outline_from_its_patient(
    tmp_path: Path, image: str, outline: str, others: list[str]
) -> None:
    save(tmp_path / image, scan()[0])
    drawn = save(tmp_path / outline, scan()[1])
    for other in others:
        save(tmp_path / other, scan(1)[1])
    (study,) = find_inputs(tmp_path / image).studies
    assert isinstance(study, VolumeStudy)
    assert OutlineFinder(tmp_path / "lab").of(study) == drawn


def test_a_tree_of_sites_has_its_outlines_in_another_like_it(tmp_path: Path) -> None:
    for seed, place in enumerate(("siteA/P1", "siteA/P2", "siteB/P1")):
        save(tmp_path / "in" / place / "flair.nii", scan(seed)[0])
        save(tmp_path / "lab" / place / "mask.nii", scan()[1] * (scan()[1] == (1 if seed else 4)))
    assert convert(tmp_path / "in", "--masks", tmp_path / "lab", "--out", tmp_path / "out") == 0
    masks = {path.name: stack(path)[1] for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert sorted(masks) == ["P2", "siteA_P1", "siteB_P1"] or sorted(masks) == ["siteA_P1", "siteA_P2", "siteB_P1"]
    assert np.array_equal(masks["siteA_P1"], axial(scan()[1]) == 4)
    assert np.array_equal(masks["siteB_P1"], axial(scan()[1]) == 1)


@pytest.mark.parametrize(
    ("places", "names", "persons"),
    [
        (("TCGA-CS-4941/1996", "TCGA-CS-4941/1998"), ("TCGA-CS-4941_1996", "TCGA-CS-4941_1998"), {"TCGA_CS_4941"}),
        (("sub-02/ses-8", "sub-02/ses-9"), ("sub-02_ses-8", "sub-02_ses-9"), {"sub-02"}),
        (("sub-ann/ses-a", "sub-ann/ses-b"), ("sub-ann_ses-a", "sub-ann_ses-b"), {"sub-ann"}),
        (("sub-ann/anat", "sub-bob/anat"), ("sub-ann", "sub-bob"), {"sub-ann", "sub-bob"}),
        (("sub-cohort/P1", "sub-cohort/P2"), ("P1", "P2"), {"P1", "P2"}),
        (("sub-2/P1", "sub-2/P2"), ("P1", "P2"), {"P1", "P2"}),
        (("sub-a/P1", "sub-b/P1"), ("sub-a_P1", "sub-b_P1"), {"sub-a_P1", "sub-b_P1"}),
        (("sub-cohort/sub-1/ses-1", "sub-cohort/sub-1/ses-2"), ("sub-1_ses-1", "sub-1_ses-2"), {"sub-1"}),
        (("P1/visit1", "P2/visit1"), ("P1_visit1", "P2_visit1"), {"P1_visit1", "P2_visit1"}),
        (("P1/20010102",), ("P1_20010102",), {"P1_20010102"}),
    ],
)
def test_who_it_is_stands_in_the_name_of_a_visit(
    tmp_path: Path, places: tuple[str, ...], names: tuple[str, ...], persons: set[str]
) -> None:
    for seed, place in enumerate(places):
        save(tmp_path / "in" / place / "flair.nii", scan(seed)[0])
        save(tmp_path / "in" / place / "mask.nii", scan()[1])
    assert convert(tmp_path / "in", "--out", tmp_path / "out") == 0
    assert tuple(sorted(rows(tmp_path / "out"))) == names
    assert {person(name) for name in names} == persons


@pytest.mark.parametrize(
    ("scans", "others"),
    [
        (("sub-01_P1", "sub-01_ses-2", "sub-01"), ("sub-011",)),
        (("sub-ann", "sub-ann_ses-2_acq-3d", "sub-ann_20010102", "sub-ann_FLAIR"), ("sub-anna", "sub-ann_P1")),
        (("sub-cohort_sub-1_ses-1", "sub-cohort_sub-1_ses-2"), ("sub-cohort_sub-2", "sub-cohort_P1", "sub-cohort_P2")),
        (("sub-cohort_TCGA-CS-4941", "TCGA_CS_4941_19960909"), ("sub-cohort_TCGA-CS-4942",)),
    ],
)
def test_a_name_like_a_subject_s_is_a_person_s_where_it_can_be(scans: tuple[str, ...], others: tuple[str, ...]) -> None:
    assert len({person(name) for name in scans}) == 1
    assert len({person(name) for name in (scans[0], *others)}) == 1 + len(others)


def test_one_flair_is_one_patient_whatever_lies_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pair(tmp_path / "a", "BraTS-GLI-00003-000")
    shutil.copy(tmp_path / "a" / "BraTS-GLI-00003-000-t2f.nii.gz", tmp_path / "patient7_flair.nii.gz")
    save(tmp_path / "patient7_t1.nii.gz", scan(5)[0])
    save(tmp_path / "patient7_seg.nii.gz", scan()[1])
    assert convert(tmp_path, "--out", tmp_path / "out") == 1
    assert "the same volume as that of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flairs", "outline", "owner"),
    [
        (("sub-01_run-1_FLAIR", "sub-01_run-2_FLAIR"), "sub-01_run-1_label-lesion_mask", "sub-01_run-1"),
        (("S1_flair", "S1_roi_flair"), "S1_seg", "S1"),
        (("PA_flair", "PAT2_flair"), "PAT2_seg", "PAT2"),
        (("Zoé_flair", "Zoë_flair"), "Zoë_mask", "Zoë"),
        (("P1_flair", "P10_flair"), "P10-label", "P10"),
    ],
)
def test_an_outline_of_somebody_with_a_name_nearly_alike_is_not_taken(
    tmp_path: Path, flairs: tuple[str, str], outline: str, owner: str
) -> None:
    for seed, name in enumerate(flairs):
        save(tmp_path / "images" / f"{name}.nii.gz", scan(seed)[0])
    save(tmp_path / "masks" / f"{outline}.nii.gz", scan()[1])
    shutil.copytree(tmp_path / "images", tmp_path / "together")
    shutil.copy(tmp_path / "masks" / f"{outline}.nii.gz", tmp_path / "together")
    for number, more in enumerate([(tmp_path / "images", "--masks", tmp_path / "masks"), (tmp_path / "together",)]):
        assert convert(*more, "--out", tmp_path / str(number)) == 1
        assert sorted(rows(tmp_path / str(number))) == [owner]


def test_a_lone_mask_of_somebody_else_is_not_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "P001_flair.nii", scan()[0])
    save(tmp_path / "P002_seg.nii", scan()[1])
    assert convert(tmp_path, "--out", tmp_path / "out") == 1
    assert "no outline of P001; expected P001_seg.nii.gz" in capsys.readouterr().err


def test_outlines_in_their_own_folder_may_be_called_exactly_as_flair(tmp_path: Path) -> None:
    save(tmp_path / "images" / "P1_flair.nii", scan()[0])
    save(tmp_path / "masks" / "P1_flair.nii", scan()[1])
    assert convert(tmp_path / "images", "--masks", tmp_path / "masks", "--out", tmp_path / "out") == 0
    assert np.array_equal(stack(tmp_path / "out" / "P1")[1], axial(scan()[1]) > 0)


@pytest.mark.parametrize("sites", [("",), ("siteA", "siteB")])
def test_a_patient_is_called_after_the_first_folder_that_is_somebodys(tmp_path: Path, sites: tuple[str, ...]) -> None:
    for seed, site in enumerate(sites):
        folder = tmp_path / "in" / site / "P1" / "anat"
        save(folder / "flair.nii", scan(seed)[0])
        save(folder / "mask.nii", scan(seed)[1])
    assert convert(tmp_path / "in", "--out", tmp_path / "out") == 0
    assert sorted(rows(tmp_path / "out")) == [f"{site}_P1".lstrip("_") for site in sites]


@pytest.mark.parametrize(
    ("flair", "outline", "patient"),
    [
        ("BraTS-GLI-00001-000-t2f.nii.gz", "BraTS-GLI-00001-000-seg.nii.gz", "BraTS-GLI-00001-000"),
        ("BraTS20_Training_001_flair.nii", "BraTS20_Training_001_seg.nii", "BraTS20_Training_001"),
        ("sub-01_ses-2_acq-3d_FLAIR.nii.gz", "sub-01_ses-2_label-lesion_mask.nii.gz", "sub-01_ses-2_acq-3d"),
        ("case.nii.gz", "case_label.nii.gz", "case"),
        ("P7/flair.nii.gz", "P7/tumour_seg.nii.gz", "P7"),
        ("P7/T2_FLAIR.nii.gz", "P7/mask.nii.gz", "P7"),
        ("brain_001_flair.nii.gz", "brain_001_seg.nii.gz", "brain_001"),
        ("Forehead-flair.nii", "Forehead-segmentation.nii", "Forehead"),
        ("UPENN-GBM-00001_11_FLAIR.nii.gz", "UPENN-GBM-00001_11_segm.nii.gz", "UPENN-GBM-00001_11"),
        ("P8/P8.flair.nii", "P8/P8.seg.nii", "P8"),
    ],
)
def test_the_outline_beside_flair_is_found(tmp_path: Path, flair: str, outline: str, patient: str) -> None:
    volume = save(tmp_path / flair, scan()[0])
    expected = save(tmp_path / outline, scan()[1])
    save(expected.with_name("brain_mask.nii.gz"), scan()[1])
    save(expected.with_name("flair_brain_mask.nii.gz"), scan()[1])
    save(expected.with_name("t1_seg_probabilities.nii.gz"), scan()[1])
    save(expected.with_name("._flair.nii.gz"), scan()[0])  # as macOS leaves them
    (study,) = find_inputs([volume.parent]).studies
    assert isinstance(study, VolumeStudy)
    assert patient_name(study) == patient
    assert OutlineFinder().of(study) == expected


def test_outlines_in_a_folder_of_their_own_go_by_the_name_of_the_patient(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also those that `predict` wrote and somebody corrected; P1 is not P10."""
    for number, name in enumerate(("P1", "P10", "P2", "P3")):
        save(tmp_path / "images" / f"{name}_flair.nii", scan(number)[0])
    save(tmp_path / "masks" / "P10.nii.gz", scan()[1])
    save(tmp_path / "masks" / "deeper" / "P1_flair" / "P1_flair_mask.nii.gz", scan()[1] * (scan()[1] == 1))
    save(tmp_path / "masks" / "P3.nii.gz", scan()[1])
    save(tmp_path / "masks" / "P3_pred.nii", scan()[1])
    assert convert(tmp_path / "images", "--masks", tmp_path / "masks", "--out", tmp_path / "out") == 1
    said = capsys.readouterr()
    assert "no outline of P2; expected P2_seg.nii.gz" in said.err
    assert "2 outlines of P3: P3.nii.gz, P3_pred.nii; expected one" in said.err
    assert np.array_equal(stack(tmp_path / "out" / "P1")[1], axial(scan()[1]) == 1)
    assert np.array_equal(stack(tmp_path / "out" / "P10")[1], axial(scan()[1]) > 0)
    assert convert(tmp_path / "images", "--masks", tmp_path / "nowhere", "--out", tmp_path / "out") == 1
    assert "nowhere: no such folder; expected a folder of outlines" in capsys.readouterr().err


@pytest.mark.parametrize("patients", [("P1",), ("P1", "P2")])
def test_outlines_in_a_tree_like_that_of_the_images_are_found(tmp_path: Path, patients: tuple[str, ...]) -> None:
    for seed, name in enumerate(patients):
        values, labels = scan(seed)
        save(tmp_path / "images" / name / "flair.nii", values)
        save(tmp_path / "masks" / name / ("flair_seg.nii" if seed else "tumour.nii"), labels * (labels == (4, 1)[seed]))
    save(tmp_path / "masks" / "P9" / "flair_seg.nii", scan()[1])
    assert convert(tmp_path / "images", "--masks", tmp_path / "masks", "--out", tmp_path / "out") == 0
    for seed, name in enumerate(patients):
        assert np.array_equal(stack(tmp_path / "out" / name)[1], axial(scan()[1]) == (4, 1)[seed])


def test_patients_of_one_name_in_two_folders_have_the_outlines_beside_them(tmp_path: Path) -> None:
    for seed, place in enumerate(("A/P1", "A/P2", "B/P1", "B/P2")):
        values, labels = scan(seed)
        save(tmp_path / "in" / f"{place}_flair.nii", values)
        save(tmp_path / "in" / f"{place}_seg.nii", labels * (labels == (1 if place.startswith("A") else 4)))
    assert convert(tmp_path / "in", "--out", tmp_path / "out") == 0
    for name, label in (("A_P1", 1), ("A_P2", 1), ("B_P1", 4), ("B_P2", 4)):
        assert np.array_equal(stack(tmp_path / "out" / name)[1], axial(scan()[1]) == label)


def test_an_outline_is_that_of_one_patient(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, name in enumerate(("P1", "P2")):
        save(tmp_path / "images" / name / "case.nii", scan(seed)[0])
    save(tmp_path / "masks" / "case_seg.nii", scan()[1])
    assert convert(tmp_path / "images", "--masks", tmp_path / "masks", "--out", tmp_path / "out") == 1
    assert capsys.readouterr().err.count("no outline of P") == 2
    for acquisition in ("2d", "3d"):
        save(tmp_path / "bids" / f"sub-1_acq-{acquisition}_FLAIR.nii", scan(len(acquisition))[0])
    path = save(tmp_path / "bids" / "sub-1_dseg.nii", scan()[1])
    assert convert(tmp_path / "bids", "--out", tmp_path / "out") == 1
    assert f"{path}: the outline of sub-1_acq-2d and sub-1_acq-3d; expected one for each" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_volume_is_one_patient_also_when_more_folders_give_it_another_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("P1", "P2"):
        save(tmp_path / name / "case.nii", scan(int(name[1]))[0])
        save(tmp_path / name / "case_seg.nii", scan()[1])
    assert convert(tmp_path / "P1", "--out", tmp_path / "out") == 0
    assert convert(tmp_path / "P1", tmp_path / "P2", "--out", tmp_path / "out") == 1
    assert "P1_case: the same volume as that of case; expected every patient once" in capsys.readouterr().err
    assert sorted(rows(tmp_path / "out")) == ["P2_case", "case"]


@pytest.mark.parametrize("name", [".hidden", "LICENSE", os.fsdecode(b"\xff1")])
def test_a_patient_without_a_name_stops_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    write_pair(tmp_path / "in")
    odd = save(tmp_path / "in" / name / "flair.nii", scan(2)[0])
    save(odd.with_name("mask.nii"), scan()[1])
    assert convert(tmp_path / "in" / "P1-t2f.nii.gz", odd, "--out", tmp_path / "out") == 1
    assert "expected a name in UTF-8 that is none of a README, and without a dot before it" in capsys.readouterr().err
    assert sorted(rows(tmp_path / "out")) == ["P1"]


def test_two_volumes_of_one_patient_are_both_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pair(tmp_path)
    save(tmp_path / "P1_flair.nii", scan(1)[0])
    assert convert(tmp_path, "--out", tmp_path / "out") == 1
    assert "P1-t2f and P1_flair: volumes of one patient, P1; expected one" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_dicom_takes_its_outline_by_name(tmp_path: Path) -> None:
    values, labels = scan()
    write_series(tmp_path / "P5", values, turned(values, (0, 1, 2), (1, 1, 1))[1], SeriesDescription="AX T2 FLAIR")
    save(tmp_path / "masks" / "P5_seg.nii.gz", *turned(labels, (2, 0, 1), (-1, 1, -1)))
    found = find_inputs(tmp_path / "P5")
    (result,) = convert_all(found, OutlineFinder(str(tmp_path / "masks")), str(tmp_path / "out"), Conversion(SIDE))
    assert isinstance(result, dict)
    assert (result["patient"], result["tumour_slices"]) == ("P5", 3)
    assert np.array_equal(stack(tmp_path / "out" / "P5")[1], axial(labels) > 0)


def test_a_dicom_patient_is_called_after_a_folder_that_is_somebodys(tmp_path: Path) -> None:
    values, labels = scan()
    write_series(tmp_path / "P6" / "DICOM", values, turned(values, (0, 1, 2), (1, 1, 1))[1])
    save(tmp_path / "masks" / "P6_seg.nii", labels)
    assert convert(tmp_path / "P6" / "DICOM", "--masks", tmp_path / "masks", "--out", tmp_path / "out") == 0
    assert sorted(rows(tmp_path / "out")) == ["P6"]
