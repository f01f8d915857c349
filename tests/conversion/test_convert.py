"""`gliomask convert`: what is written is what was drawn, where it was drawn, and nothing is lost."""

from __future__ import annotations

import json
import shutil
import sys
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
from gliomask.conversion.convert import Conversion, convert_all
from gliomask.conversion.finder import OutlineFinder
from gliomask.errors import Failure
from gliomask.inference.predictor import Predictor
from gliomask.studies.inputs import Inputs, find_inputs
from gliomask.studies.volume import VolumeStudy
from gliomask.volumes.dicom import DicomImage
from gliomask.volumes.dicom_seg import write_dicom_seg
from volume_pairs import HEAD, SIDE, STEPS, TUMOUR, axial, convert, moved, rows, save, scan, stack, turned, write_pair


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


@pytest.mark.skipif(sys.platform == "win32", reason="whether a folder is being written is not known there")
def test_what_a_killed_call_left_is_removed_by_the_next(tmp_path: Path) -> None:
    scans, out = write_pair(tmp_path / "scans").parent, tmp_path / "out"
    left = out / f".{'0123' * 8}.part"
    left.mkdir(parents=True)
    (left / "P1_1.tif").touch()
    (out / ".mine.part").mkdir()
    assert convert(scans, "--out", out) == 0
    assert sorted(path.name for path in out.iterdir()) == [".mine.part", "P1", "volumes.csv"]
