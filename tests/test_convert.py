"""`gliomask convert`: what is written is what was drawn, where it was drawn, and nobody's files are lost."""

from __future__ import annotations

import csv
import json
import os
import shutil
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from builders import write_known_model, write_patient
from dicom_builders import write_series
from gliomask.cli.app import main
from gliomask.config import SplitConfig
from gliomask.conversion.convert import Conversion, convert_all
from gliomask.conversion.finder import OutlineFinder, patient_name
from gliomask.data.cache import read_patient
from gliomask.data.index import build_index
from gliomask.data.naming import person
from gliomask.data.split import make_split
from gliomask.errors import Failure
from gliomask.evaluation.evaluate import evaluate
from gliomask.inference.inputs import Inputs, find_inputs
from gliomask.inference.predictor import Predictor
from gliomask.inference.volume_study import VolumeStudy
from gliomask.volumes.dicom import DicomImage
from gliomask.volumes.dicom_seg import write_dicom_seg
from gliomask.volumes.slices import read_image, read_mask

SIDE = 32
HEAD, TUMOUR = 60, 250
STEPS = (5.0, 5.0, 6.0)


def scan(seed: int = 0) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return (32, 32, 6) values with axes R, A, S, and labels 1 and 4; nothing of it is symmetrical."""
    values, labels = np.zeros((SIDE, SIDE, 6), np.int16), np.zeros((SIDE, SIDE, 6), np.uint8)
    values[2:30, 3:29, :] = HEAD + np.random.default_rng(seed).integers(0, 9, (28, 26, 6))
    labels[5:14, 8:25, 1:4] = 1
    labels[14:20, 8:12, 2:4] = 4
    values[labels > 0] = TUMOUR
    return values, labels


def axial(array: NDArray[Any]) -> NDArray[Any]:
    """Bring R, A, S to slices upwards, rows from front to back, columns from the patient's right to the left."""
    return array.transpose(2, 1, 0)[:, ::-1, ::-1]


def turned(array: NDArray[Any], axes: tuple[int, ...], signs: tuple[int, ...]) -> Any:
    """Return an array of R, A, S with its axes in another order and direction, and the affine that says so."""
    affine, moved = np.diag([0.0, 0.0, 0.0, 1.0]), array.transpose(axes)
    for place, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[axis, place] = sign * STEPS[axis]
        affine[axis, 3] = -80.0 if sign > 0 else -80.0 + STEPS[axis] * (moved.shape[place] - 1)
        moved = moved if sign > 0 else np.flip(moved, place)
    return np.ascontiguousarray(moved), affine


def save(path: Path, array: NDArray[Any], affine: Any = None, *, placed: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = turned(array, (0, 1, 2), (1, 1, 1))[1] if affine is None else affine
    image: Any = nibabel.Nifti1Image(array, affine)  # type: ignore[no-untyped-call]
    if not placed:
        image.set_qform(None, 0)
        image.set_sform(None, 0)
    nibabel.save(image, path)
    return path


def write_pair(folder: Path, name: str = "P1", seed: int = 0) -> Path:
    """Write FLAIR and an outline of a patient as BraTS calls them; return FLAIR."""
    values, labels = scan(seed)
    save(folder / f"{name}_seg.nii.gz", labels)
    return save(folder / f"{name}-t2f.nii.gz", values)


def convert(*arguments: str | Path | int) -> int:
    return main(["convert", *map(str, arguments), "--size", str(SIDE)])


def stack(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read a patient's images and masks by rising number."""
    count = len(list(folder.glob("*_mask.tif")))
    names = [folder / f"{folder.name}_{number}" for number in range(1, count + 1)]
    return (
        np.stack([read_image(Path(f"{name}.tif")) for name in names]),
        np.stack([read_mask(Path(f"{name}_mask.tif")) for name in names]),
    )


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "volumes.csv").open(newline="") as file:
        return {row["patient"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize(("axes", "signs"), [*product(permutations(range(3)), product((1, -1), repeat=3))])
def test_a_mask_lies_on_its_slices_whatever_the_orientation_of_either(
    tmp_path: Path, axes: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    """All 48 orientations of FLAIR, of the outline with it, and of the outline in its own way."""
    labels = scan()[1]
    values = {"P1": scan(1)[0], "P2": scan(2)[0]}
    save(tmp_path / "P1_seg.nii", *turned(labels, axes, signs))
    save(tmp_path / "P2_seg.nii", labels)
    for name, array in values.items():
        save(tmp_path / f"{name}_flair.nii", *turned(array, axes, signs))
    assert convert(tmp_path, "--out", tmp_path / "out") == 0
    for name in ("P1", "P2"):
        images, masks = stack(tmp_path / "out" / name)
        assert np.array_equal(masks, axial(labels) > 0)
        assert np.array_equal(images[..., 1] > 100, axial(labels) > 0)
        assert np.array_equal(images[..., 1] > 20, axial(values[name]) > 0)
        assert {float(rows(tmp_path / "out")[name][step]) for step in ("rows_mm", "columns_mm")} == {5.0}
        assert rows(tmp_path / "out")[name]["slices_mm"] == "6"


def test_only_the_labels_that_are_named_are_tumour(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scans = write_pair(tmp_path / "scans").parent
    assert convert(scans, "--out", tmp_path / "out", "--labels", 4, 2) == 0
    assert np.array_equal(stack(tmp_path / "out" / "P1")[1], axial(scan()[1]) == 4)
    assert convert(scans, "--out", tmp_path / "none", "--labels", 7) == 0
    assert "no tumour in the outline" in capsys.readouterr().out
    assert not stack(tmp_path / "none" / "P1")[1].any()


def test_slices_are_filled_up_to_a_square_in_space_and_say_their_distances(tmp_path: Path) -> None:
    values, labels = scan()
    wide = np.diag([10.0, 5.0, 3.0, 1.0])  # 320 mm wide, 160 mm high
    save(tmp_path / "P1_flair.nii", values, wide)
    save(tmp_path / "P1_seg.nii", labels, wide)
    assert main(["convert", str(tmp_path), "--out", str(tmp_path / "out"), "--size", "64", "--quiet"]) == 0
    _, masks = stack(tmp_path / "out" / "P1")
    square = np.zeros((6, 64, 32), bool)
    square[:, 16:48] = axial(labels) > 0
    assert np.array_equal(masks, square.repeat(2, axis=2))
    row = rows(tmp_path / "out")["P1"]
    assert [row[name] for name in ("slices_mm", "rows_mm", "columns_mm")] == ["3", "5", "5"]


def test_a_small_head_is_cut_out_as_the_predictor_does_it(tmp_path: Path) -> None:
    """What a network is trained on is what it gets to see: the logits of the slices are those of the volume."""
    size = 64
    values, labels = np.zeros((size, size, 6), np.int16), np.zeros((size, size, 6), np.uint8)
    values[12:44, 20:50, :] = HEAD
    labels[20:30, 30:40, 1:4] = 1
    values[labels > 0] = TUMOUR
    flair = save(tmp_path / "P1_flair.nii", values)
    save(tmp_path / "P1_seg.nii", labels)
    assert convert(flair, "--out", tmp_path / "out", "--masks", tmp_path) == 0
    images, masks = stack(tmp_path / "out" / "P1")
    predictor = Predictor.load(write_known_model(tmp_path / "model"))
    (study,) = find_inputs([flair]).studies
    assert isinstance(study, VolumeStudy)
    seen: list[NDArray[np.float32]] = []
    logits = predictor.engine.logits
    predictor.engine.logits = lambda slices: (seen.append(slices), logits(slices))[1]  # type: ignore[func-returns-value,method-assign]
    predictor.predict(study.read().images, pixel=(5.0, 5.0))
    predictor.predict(images)
    assert seen[0].shape == seen[1].shape
    assert np.array_equal(seen[0], seen[1])
    assert masks.any(axis=(1, 2)).tolist() == [False, True, True, True, False, False]
    assert images[..., 1][masks].min() > 100  # what is called tumour is bright
    assert "the head is small in the image: only the part around it is kept" in rows(tmp_path / "out")["P1"]["warnings"]


def test_an_outline_on_another_grid_is_brought_to_flair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values, labels = scan()
    fine = labels.repeat(2, axis=0).repeat(2, axis=1).repeat(3, axis=2)
    affine = turned(labels, (0, 1, 2), (1, 1, 1))[1] @ np.diag([1 / 2, 1 / 2, 1 / 3, 1])
    affine[:3, 3] -= np.array(STEPS) / 2 - np.array(STEPS) / [4, 4, 6]
    save(tmp_path / "P1_flair.nii", values)
    affine[:3, 3] += affine[:3, :3] @ [4, 4, 0]
    save(tmp_path / "P1_seg.nii", fine[4:60, 4:60], affine)
    assert convert(tmp_path, "--out", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "lies on another grid than FLAIR and was brought to it" in said
    assert " ml it has become" not in said
    assert np.array_equal(stack(tmp_path / "out" / "P1")[1], axial(labels) > 0)


def test_the_mask_of_a_brain_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values, labels = scan()
    save(tmp_path / "P1_flair.nii", values)
    save(tmp_path / "P1_mask.nii", (values > 0).astype(np.uint8))
    save(tmp_path / "P2_flair.nii", scan(2)[0])
    save(tmp_path / "P2_mask.nii", labels)
    assert convert(tmp_path, "--out", tmp_path / "out") == 0
    assert capsys.readouterr().out.count("the outline covers 100% of what is not black") == 1


@pytest.mark.parametrize("other", [np.eye(4), np.diag([2.0, 2.0, 2.0, 1.0]), None])
@pytest.mark.parametrize("which", ["outline", "flair"])
def test_where_a_header_tells_no_place_both_lie_on_one_grid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], which: str, other: Any
) -> None:
    """No code, or an affine that people give for want of another: voxels correspond if there are as many."""
    values, labels = scan()
    arrays: dict[str, NDArray[Any]] = {"flair": values, "outline": labels}
    for name, array in arrays.items():
        turning = turned(array, (0, 1, 2), (-1, -1, 1))
        odd = turning[1] if other is None else other
        save(tmp_path / f"P1_{name.replace('outline', 'seg')}.nii", turning[0], odd if name == which else turning[1],
             placed=name != which or other is not None)  # fmt: skip
    assert convert(tmp_path, "--out", tmp_path / "out") == 0
    assert "a header says nothing of its place" in capsys.readouterr().out
    images, masks = stack(tmp_path / "out" / "P1")
    assert masks.sum() == (labels > 0).sum()
    assert images[..., 1][masks].min() > 100 > images[..., 1][~masks].max()
    path = save(tmp_path / "P1_seg.nii", labels[2:], other, placed=other is not None)
    assert convert(tmp_path, "--out", tmp_path / "other") == 1
    said = f"{path}: an outline and FLAIR of 30 x 32 x 6 and 32 x 32 x 6 voxels, of which one does not tell its place"
    assert said in capsys.readouterr().err


def test_a_header_that_only_mirrors_tells_no_place(tmp_path: Path) -> None:
    """As SimpleITK writes an array to which nobody gave the place of its image."""
    values, labels = scan()
    save(tmp_path / "P1_flair.nii", values)
    save(tmp_path / "P1_seg.nii", labels, np.diag([-1.0, -1.0, 1.0, 1.0]))
    assert convert(tmp_path, "--out", tmp_path / "out") == 0
    assert np.array_equal(stack(tmp_path / "out" / "P1")[1], axial(labels) > 0)


def test_as_many_voxels_in_another_place_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "P1_flair.nii", scan()[0])
    save(tmp_path / "P1_seg.nii", scan()[1], moved(10.0))
    assert convert(tmp_path, "--out", tmp_path / "out") == 0
    assert "it has as many voxels as FLAIR: check that its header is right" in capsys.readouterr().out


def test_what_is_lost_in_small_slices_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Eight of ten lesions of a pixel are no half of a pixel that is twice as wide."""
    values, labels = np.full((64, 64, 5), HEAD, np.int16), np.zeros((64, 64, 5), np.uint8)
    values[::2] = TUMOUR
    labels[8:48:4, 8, 2] = 1
    labels[8:10, 8:10, 2] = labels[20:22, 8:10, 2] = 1
    save(tmp_path / "P1_flair.nii", values)
    save(tmp_path / "P1_seg.nii", labels)
    assert convert(tmp_path, "--out", tmp_path / "out") == 0
    assert "of 2.40 ml of tumour 1.20 ml are left in slices of 32 pixels" in capsys.readouterr().out


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


def test_one_flair_is_one_patient_whatever_lies_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pair(tmp_path / "a", "BraTS-GLI-00003-000")
    shutil.copy(tmp_path / "a" / "BraTS-GLI-00003-000-t2f.nii.gz", tmp_path / "patient7_flair.nii.gz")
    save(tmp_path / "patient7_t1.nii.gz", scan(5)[0])
    save(tmp_path / "patient7_seg.nii.gz", scan()[1])
    assert convert(tmp_path, "--out", tmp_path / "out") == 1
    assert "the same volume as that of" in capsys.readouterr().err


def test_what_is_lost_on_the_way_to_flair_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a slice five times as thick as those of the outline at least half has to be tumour."""
    values, _ = scan()
    fine = np.zeros((SIDE, SIDE, 30), np.uint8)
    fine[5:14, 8:25, 5:12] = fine[5:14, 8:25, 14] = 1  # the second slice, and three of five parts of the third
    fine[20:24, 8:25, 11:13] = 1  # two of five parts, the one in the middle among them
    affine = turned(values, (0, 1, 2), (1, 1, 1))[1] @ np.diag([1, 1, 1 / 5, 1])
    affine[2, 3] -= 0.5 * STEPS[2] * 4 / 5
    save(tmp_path / "P1_flair.nii", values)
    save(tmp_path / "P1_seg.nii", fine, affine)
    assert convert(tmp_path, "--out", tmp_path / "out") == 0
    expected = np.zeros((SIDE, SIDE, 6), bool)
    expected[5:14, 8:25, 1:3] = True
    assert np.array_equal(stack(tmp_path / "out" / "P1")[1], axial(expected))
    voxel = 5 * 5 * 6 / 1000
    before = (9 * 17 * 8 + 4 * 17 * 2) / 5 * voxel
    assert f"of {before:.2f} ml it has become {9 * 17 * 2 * voxel:.2f} ml" in capsys.readouterr().out


def test_half_of_a_voxel_is_enough(tmp_path: Path) -> None:
    values, _ = scan()
    fine = np.zeros((SIDE, SIDE, 12), np.uint8)
    fine[5:14, 8:25, 3:6] = 1
    affine = turned(values, (0, 1, 2), (1, 1, 1))[1] @ np.diag([1, 1, 1 / 2, 1])
    affine[2, 3] -= 0.5 * STEPS[2] / 2
    save(tmp_path / "P1_flair.nii", values)
    save(tmp_path / "P1_seg.nii", fine, affine)
    assert convert(tmp_path, "--out", tmp_path / "out") == 0
    assert stack(tmp_path / "out" / "P1")[1].any(axis=(1, 2)).tolist() == [False, True, True, False, False, False]


def test_numbers_that_were_not_asked_for_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pair(tmp_path)
    assert convert(tmp_path, "--labels", 1, 2, 3, "--out", tmp_path / "out") == 0
    count = int((scan()[1] == 4).sum())
    assert f"numbers in the outline that were not asked for: 4 ({count} voxels)" in capsys.readouterr().out


def test_whole_numbers_may_be_scaled_by_the_header(tmp_path: Path) -> None:
    values, labels = scan()
    save(tmp_path / "P1_flair.nii", values)
    image: Any = nibabel.Nifti1Image(labels * np.uint8(50), turned(labels, (0, 1, 2), (1, 1, 1))[1])  # type: ignore[no-untyped-call]
    image.header.set_slope_inter(1 / 50, 0)
    (tmp_path / "P1_seg.nii").write_bytes(image.to_bytes())
    assert convert(tmp_path, "--labels", 4, "--out", tmp_path / "out") == 0
    assert np.array_equal(stack(tmp_path / "out" / "P1")[1], axial(labels) == 4)


def test_what_is_odd_about_the_header_of_an_outline_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pair(tmp_path)
    image: Any = nibabel.Nifti1Image(scan()[1], turned(scan()[1], (0, 1, 2), (1, 1, 1))[1])  # type: ignore[no-untyped-call]
    image.set_qform(np.diag([-5.0, 5.0, 6.0, 1.0]), 1)
    nibabel.save(image, tmp_path / "P1_seg.nii.gz")
    assert convert(tmp_path, "--out", tmp_path / "out") == 0
    assert "NOTE: the outline: the header's two descriptions of the place in space" in capsys.readouterr().out


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


def test_a_damaged_patient_is_made_anew_if_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pair(tmp_path / "in")
    assert convert(tmp_path / "in", "--out", tmp_path / "out") == 0
    lost = tmp_path / "out" / "P1" / "P1_3_mask.tif"
    lost.unlink()
    assert convert(tmp_path / "in", "--out", tmp_path / "out") == 1
    assert "P1: was made of other files or otherwise, or changed" in capsys.readouterr().err
    assert convert(tmp_path / "in", "--out", tmp_path / "out", "--overwrite") == 0
    assert lost.is_file()


def test_all_patients_of_a_folder_have_slices_of_one_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pair(tmp_path / "in")
    assert convert(tmp_path / "in", "--out", tmp_path / "in" / "small") == 0
    call = ["convert", str(tmp_path / "in"), "--size", "64", "--out"]
    assert main([*call, str(tmp_path / "in" / "small")]) == 2
    assert "holds slices of 32 pixels; expected --size 32" in capsys.readouterr().err
    assert main([*call, str(tmp_path / "large")]) == 0  # slices that an earlier call made are no input
    assert main([*call, str(tmp_path / "in" / "small"), "--overwrite"]) == 0
    write_pair(tmp_path / "more", "P2", seed=3)
    other = ["convert", str(tmp_path / "more"), "--size", "32", "--out", str(tmp_path / "in" / "small"), "--overwrite"]
    assert main(other) == 2  # P1 would stay as it is


def test_a_blank_volume_is_refused_and_a_link_to_nowhere_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "P1_flair.nii", np.zeros_like(scan()[0]))
    save(tmp_path / "P1_seg.nii", scan()[1])
    save(tmp_path / "P2_flair.nii", scan()[0])
    (tmp_path / "P2_seg.nii").symlink_to(tmp_path / "nowhere.nii")
    assert convert(tmp_path, "--out", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "P1_flair.nii: a volume in which nothing is to be seen" in said
    assert "P2_seg.nii: cannot be read (No such file or directory); expected an outline" in said


def moved(millimetres: float) -> NDArray[np.float64]:
    affine: NDArray[np.float64] = turned(scan()[1], (0, 1, 2), (1, 1, 1))[1]
    affine[0, 3] += millimetres
    return affine


@pytest.mark.parametrize(
    ("outline", "affine", "said"),
    [
        (scan()[1] * np.float32(0.5), None, "values 0, 0.5, 2; expected an outline of whole numbers"),
        (-scan()[1].astype(np.int16), None, "values -4, -1, 0; expected an outline of whole numbers"),
        (np.ones_like(scan()[1]), None, "an outline around everything"),
        (scan()[0] * np.arange(6, dtype=np.int16), None, "different numbers; expected an outline of whole numbers"),
        (scan()[1], moved(160.0), "an outline of which 0% lies in FLAIR"),
        (scan()[1], moved(-65.0), "an outline of which 20% lies in FLAIR"),
    ],
)
def test_what_is_no_outline_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], outline: NDArray[Any], affine: Any, said: str
) -> None:
    write_pair(tmp_path, "P2", seed=2)
    save(tmp_path / "P1_flair.nii", scan()[0])
    path = save(tmp_path / "P1_seg.nii", outline, affine)
    assert convert(tmp_path, "--out", tmp_path / "out") == 1
    line = capsys.readouterr().err
    assert line.startswith(f"{path}: ")
    assert said in line
    assert [folder.name for folder in sorted((tmp_path / "out").iterdir())] == ["P2", "volumes.csv"]


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


@pytest.mark.parametrize("labels", [(), (1,), (3,)])
def test_a_segmentation_in_dicom_lies_on_its_images(tmp_path: Path, labels: tuple[int, ...]) -> None:
    values, drawn = scan()
    write_series(tmp_path / "P5", values, turned(values, (0, 1, 2), (1, 1, 1))[1], SeriesDescription="AX T2 FLAIR")
    (study,) = find_inputs([tmp_path / "P5"]).studies
    assert isinstance(study, VolumeStudy)
    found = study.read()
    assert isinstance(found.flair, DicomImage)
    mask = found.grid.back(axial(drawn) > 0)
    write_dicom_seg(tmp_path / "masks" / "P5_seg.dcm", mask, found.flair.series, model="known", version="0")
    list(convert_all(Inputs((study,)), OutlineFinder(tmp_path / "masks"), tmp_path / "out", Conversion(SIDE, labels)))
    truth = axial(drawn) > 0
    assert np.array_equal(stack(tmp_path / "out" / "P5")[1], truth if labels != (3,) else np.zeros_like(truth))

    save(tmp_path / "other" / "P5_flair.nii", values)
    nifti = find_inputs(tmp_path / "other")
    (failed,) = convert_all(nifti, OutlineFinder(tmp_path / "masks"), tmp_path / "none", Conversion(SIDE))
    assert isinstance(failed, Failure)
    assert "a DICOM segmentation of a NIfTI volume" in failed.reason


def test_blank_slices_at_both_ends_are_left_out_and_none_between(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values, labels = scan()
    values[:, :, (0, 3, 5)] = 0
    labels[:, :, 3] = 0
    save(tmp_path / "P1_flair.nii", values)
    save(tmp_path / "P1_seg.nii", labels)
    assert convert(tmp_path, "--out", tmp_path / "out") == 0
    assert "4 slices (FLAIR alone), 2 with tumour, 2 blank left out" in capsys.readouterr().out
    images, masks = stack(tmp_path / "out" / "P1")
    assert np.array_equal(masks, axial(labels)[1:5] > 0)
    assert images[..., 1][masks].min() > 100


def test_a_second_call_goes_on_and_replaces_nothing_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "scans" / "out"  # below the images: its slices are no input
    write_pair(tmp_path / "scans", "P1")
    assert convert(tmp_path / "scans", "--out", out) == 0
    stamp = (out / "P1" / "P1_1.tif").stat().st_mtime_ns
    write_pair(tmp_path / "scans", "P2", seed=2)
    assert convert(tmp_path / "scans", "--out", out) == 0
    said = capsys.readouterr().out
    assert "P1 (done already)" in said
    assert said.count("NOTE: slices cover 36 mm") == 3  # of the first call, and of both in the second
    assert (out / "P1" / "P1_1.tif").stat().st_mtime_ns == stamp
    assert sorted(rows(out)) == ["P1", "P2"]

    assert convert(tmp_path / "scans" / "P1-t2f.nii.gz", "--out", out, "--labels", 4) == 1
    assert "P1: was made of other files or otherwise, or changed" in capsys.readouterr().err
    assert np.array_equal(stack(out / "P1")[1], axial(scan()[1]) > 0)
    assert convert(tmp_path / "scans" / "P1-t2f.nii.gz", "--out", out, "--labels", 4, "--overwrite") == 0
    assert np.array_equal(stack(out / "P1")[1], axial(scan()[1]) == 4)
    assert rows(out)["P1"]["tumour_slices"] == "2"


def test_a_folder_of_somebody_else_is_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pair(tmp_path)
    kept = tmp_path / "out" / "P1" / "notes.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    assert convert(tmp_path, "--out", tmp_path / "out", "--overwrite") == 1
    assert "P1: exists already and is none of ours; expected a new folder" in capsys.readouterr().err
    assert kept.read_text() == "mine"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "volumes.csv").write_text("a,b\n1,2\n")
    assert convert(tmp_path, "--out", tmp_path / "other") == 1
    assert "volumes.csv: is no table of volumes" in capsys.readouterr().err
    assert (tmp_path / "other" / "volumes.csv").read_text() == "a,b\n1,2\n"


def test_an_interrupted_call_leaves_nothing_half_and_the_next_one_mends_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pair(tmp_path)
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr("gliomask.conversion.convert.write_mask", interrupted)
        assert convert(tmp_path, "--out", out) == 130
    assert not [path for path in out.rglob("*") if path.is_file()]
    assert convert(tmp_path, "--out", out) == 0
    (out / "volumes.csv").unlink()  # as if it had been stopped just before the table
    assert convert(tmp_path, "--out", out) == 0
    assert sorted(rows(out)) == ["P1"]


def test_several_calls_into_one_folder_lose_no_row(tmp_path: Path) -> None:
    """While one call converts a patient, another converts a second and ends."""
    for seed, name in enumerate(("P1", "P2")):
        write_pair(tmp_path / name, name, seed)
    out = tmp_path / "out"
    slow = convert_all(find_inputs(tmp_path / "P1"), OutlineFinder(), out, Conversion(SIDE))
    assert isinstance(next(slow), dict)
    assert convert(tmp_path / "P2", "--out", out) == 0
    slow.close()
    assert sorted(rows(out)) == ["P1", "P2"]
    shutil.rmtree(out / "P1")
    assert convert(tmp_path / "P2", "--out", out) == 0
    assert sorted(rows(out)) == ["P2"]


def test_rows_that_somebody_wrote_stay(tmp_path: Path) -> None:
    """With the mark that spreadsheets put before a table."""
    write_patient(tmp_path / "out", "Mine")
    table = "\ufeffpatient,slices_mm,rows_mm,columns_mm,scanner\nMine,5,1,1,A\nGone,5,1,1,B\n"
    (tmp_path / "out" / "volumes.csv").write_text(table, encoding="utf-8")
    write_pair(tmp_path / "in")
    assert convert(tmp_path / "in", "--out", tmp_path / "out") == 0
    assert sorted(rows(tmp_path / "out")) == ["Mine", "P1"]
    assert (rows(tmp_path / "out")["Mine"]["scanner"], rows(tmp_path / "out")["P1"]["scanner"]) == ("A", "")


def interrupted(*_: Any) -> None:
    raise KeyboardInterrupt


def test_slices_are_no_volume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_patient(tmp_path / "slices", "P1")
    assert convert(tmp_path / "slices", "--out", tmp_path / "out") == 1
    assert "slices already; expected a volume, NIfTI or DICOM" in capsys.readouterr().err
    assert main(["convert", str(tmp_path), "--out", str(tmp_path / "out"), "--size", "16"]) == 2
    assert "slices of 16 pixels; expected 32 to 1024" in capsys.readouterr().err
    assert convert(tmp_path, "--out", tmp_path / "out", "--labels", 1, 0) == 2
    assert "label 0; expected numbers from 1" in capsys.readouterr().err
    assert convert("--out", tmp_path / "out") == 2
    assert "nothing to convert" in capsys.readouterr().err


def test_machines_get_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pair(tmp_path)
    save(tmp_path / "P2_flair.nii", scan(2)[0])
    assert convert(tmp_path, "--out", tmp_path / "out", "--json") == 1
    said = json.loads(capsys.readouterr().out)
    assert said["failed"] == len(said["errors"]) == 1
    (patient,) = said["patients"]
    assert patient["spacing_mm"] == [6.0, 5.0, 5.0]
    assert (patient["slices"], patient["tumour_slices"], patient["sequences"]) == (6, 3, ["flair"])


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
