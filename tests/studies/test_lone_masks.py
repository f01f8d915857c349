"""Images that are called like masks are told, and masks of images that are there are passed over without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from gliomask.studies.inputs import Inputs, find_inputs

BRATS = "BraTS-GLI-0000{0}-000/BraTS-GLI-0000{0}-000-{1}.nii.gz"
TCGA = "TCGA_CS_4941_19960909/TCGA_CS_4941_19960909_{}.tif"


def made(folder: Path, *names: str) -> list[Path]:
    """Make empty files; what they hold is not looked at by whoever looks for studies."""
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


def said(found: Inputs) -> list[str]:
    return [*map(str, found.errors), *(note for study in found.studies for note in study.notes)]


@pytest.mark.parametrize(
    ("images", "lone"),
    [
        ([], "seg_1.nii"),
        ([], "x_mask.nii.gz"),
        ([], "scan_seg.tif"),
        (["P1/flair.nii"], "P2/seg_1.nii"),
        (["bob/flair.nii"], "alice/x_mask.nii.gz"),
        (["P1/P1_1.tif", "P1/P1_1_mask.tif"], "P2/P2_label.nii"),
        (["P1.zip"], "P2_seg.nii"),
        ([BRATS.format(1, "t2f"), BRATS.format(1, "seg")], BRATS.format(3, "seg")),
    ],
)
def test_an_image_that_is_called_like_a_mask_is_told(tmp_path: Path, images: list[str], lone: str) -> None:
    paths = made(tmp_path, *images, lone)
    for given in ([tmp_path], paths):
        found = find_inputs(given)
        assert len(found.studies) <= 1
        error = next(error for error in found.errors if error.path == str(tmp_path / lone))
        assert "is a mask, by its name; expected an image, or a mask of one that is there; rename it" in str(error)


def test_of_many_in_a_folder_one_is_named(tmp_path: Path) -> None:
    made(tmp_path, "seg_2.nii", "seg_1.nii", "deeper/seg_3.nii")
    lines = list(map(str, find_inputs(tmp_path).errors))
    assert len(lines) == 2
    assert any("seg_1.nii: is a mask, by its name (one of 2 in its folder); " in line for line in lines)


@pytest.mark.parametrize(("image", "lone"), [("P1_flair.nii", "P9_seg.nii"), (TCGA.format(1), TCGA.format("2_mask"))])
def test_a_mask_of_somebody_else_is_a_note_of_the_study_beside_it(tmp_path: Path, image: str, lone: str) -> None:
    paths = made(tmp_path, image, lone)
    (study,) = find_inputs(tmp_path).studies
    (note,) = study.notes
    assert note == f"beside it lie 1 file(s) called like masks of other images ({paths[1].name}), which are not read"


@pytest.mark.parametrize(
    "names",
    [
        ["P1_flair.nii", "P1_seg.nii", "P1_flair_brain_mask.nii", "P1_rater2_seg_1.nii", "tumour_seg.nii"],
        ["flair.nii", "seg_1.nii"],
        ["images/P1_flair.nii", "drawn/P01_seg.nii"],
        ["mri/alice_flair.nii", "drawn/alice_seg.nii"],
        ["images/flair.nii", "masks/P9_seg.nii"],
        ["sub-1/anat/sub-1_FLAIR.nii", "sub-1/anat/sub-1_label-CSF_mask.nii", "derivatives/x/sub-3_mask.nii"],
        ["P1.nrrd", "P1_seg.nii"],
        ["P1.zip", "P1_seg.nii"],
        [TCGA.format(1), TCGA.format("1_mask"), TCGA.format("2"), TCGA.format("2_mask")],
        [BRATS.format(1, "t2f"), BRATS.format(1, "seg"), BRATS.format(2, "t2f"), BRATS.format(2, "seg")],
    ],
)
def test_masks_of_images_are_passed_over_without_a_word(tmp_path: Path, names: list[str]) -> None:
    made(tmp_path, *names)
    assert not [line for line in said(find_inputs(tmp_path)) if "mask" in line.replace(str(tmp_path), "")]


def test_a_patient_s_own_folder_may_be_what_is_given(tmp_path: Path) -> None:
    made(tmp_path, "P1/scan3/flair.nii", "P1/P1_seg.nii")
    assert said(find_inputs(tmp_path / "P1")) == []
