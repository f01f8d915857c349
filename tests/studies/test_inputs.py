"""What people have is found, named and brought to what a predictor takes; one that cannot be used stops no other."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from pydicom import dcmread

from builders import make_mask, make_slice
from dicom_builders import SECRETS, uid, write_enhanced, write_series
from gliomask.data.greyscale import to_uint8
from gliomask.errors import DataError
from gliomask.studies.inputs import find_inputs
from gliomask.studies.nifti import other_sequence
from gliomask.studies.slices import Study
from gliomask.studies.volume import named_study
from gliomask.volumes.dicom import DicomImage
from gliomask.volumes.nifti_image import NiftiImage
from gliomask.volumes.slices import write_image, write_mask
from orientations import affine_of
from small_volumes import AFFINE, axial, nifti, values, volumes


def test_progress_tells_of_every_file_that_may_be_dicom(tmp_path: Path) -> None:
    """Six files of a series, a text, one without a header; four in a zip that is known later; no slices, no NIfTI."""
    write_series(tmp_path / "a" / "series", values(), AFFINE)
    write_series(tmp_path / "zipped", values(1)[..., :4], AFFINE, series=2)
    (tmp_path / "a" / "readme.txt").write_text("nothing")
    (tmp_path / "a" / "broken.dcm").touch()
    nifti(tmp_path / "a" / "patient.nii.gz")
    write_image(tmp_path / "a" / "case_1.png", make_slice(1))
    with zipfile.ZipFile(tmp_path / "a" / "more.zip", "w") as archive:
        for path in sorted((tmp_path / "zipped").iterdir()):
            archive.write(path, path.name)
    told: list[tuple[int, int]] = []
    found = find_inputs([tmp_path / "a"], progress=lambda *files: told.append(files))
    assert told == [(number, 8) for number in range(1, 9)] + [(number, 12) for number in range(9, 13)]
    silent = find_inputs([tmp_path / "a"])
    assert [study.name for study in found.studies] == [study.name for study in silent.studies]
    assert len(found.studies) == 4
    assert list(map(str, found.errors)) == list(map(str, silent.errors))


def test_one_place_may_be_named_alone_and_as_text(tmp_path: Path) -> None:
    nifti(tmp_path / "a_flair.nii")
    found = find_inputs([tmp_path])
    assert len(found.studies) == 1
    assert find_inputs(tmp_path) == find_inputs(str(tmp_path)) == find_inputs([str(tmp_path)]) == found


def test_progress_goes_on_over_all_that_is_named(tmp_path: Path) -> None:
    loose = write_series(tmp_path / "loose", values(), AFFINE)
    write_series(tmp_path / "folder", values(1), AFFINE, series=2)
    told: list[tuple[int, int]] = []
    find_inputs([*loose, tmp_path / "folder"], progress=lambda *files: told.append(files))
    assert told == [(number, 6 if number <= 6 else 12) for number in range(1, 13)]


def test_every_kind_is_found_in_one_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for number in (1, 2):
        write_image(tmp_path / "a" / f"case_{number}.png", make_slice(number))
    nifti(tmp_path / "b" / "patient.nii.gz")
    write_series(tmp_path / "c" / "series", values(), AFFINE)
    (tmp_path / "readme.txt").write_text("nothing")
    found = find_inputs([tmp_path])
    assert found.errors == ()
    assert sorted((type(study).__name__, study.name) for study in found.studies) == [
        ("Study", "case"), ("VolumeStudy", "patient"), ("VolumeStudy", tmp_path.name),
    ]  # fmt: skip


def test_nifti_and_dicom_of_a_volume_are_the_same_input(tmp_path: Path) -> None:
    nifti(tmp_path / "n.nii.gz", 1)
    write_series(tmp_path / "d", values(1), AFFINE)
    write_enhanced(tmp_path / "e.dcm", values(1), AFFINE)
    studies = volumes(*(tmp_path / name for name in ("n.nii.gz", "d", "e.dcm")))
    assert [study.name for study in studies] == ["n", "d", "e"]
    read = [study.read() for study in studies]
    assert [type(one.flair) for one in read] == [NiftiImage, DicomImage, DicomImage]
    for one in read:
        assert np.array_equal(one.images, np.stack([axial(1)] * 3, axis=-1))
        assert one.grid.spacing == pytest.approx((5.5, 0.5, 0.75))
        assert np.array_equal(one.grid.back(one.images[..., 1]), to_uint8(values(1)))
        assert [sentence.split(" ")[1] for sentence in one.warnings] == ["field", "cover"]  # the phantom is tiny


def test_t1_of_a_dicom_study_is_taken_as_from_nifti(tmp_path: Path) -> None:
    for number, words in enumerate(("Ax T1", "Ax FLAIR", "Ax T1 +C", "Ax T2"), start=1):
        write_series(tmp_path / "d" / words, values(number), AFFINE, series=number, SeriesDescription=words)
    for number, name in enumerate(("t1n", "t2f", "t1c"), start=1):
        nifti(tmp_path / "n" / f"P-{name}.nii", number)
    dicom, same = (volumes(tmp_path / name)[0] for name in ("d", "n"))
    found = dicom.read()
    assert found.sequences == ("pre", "flair", "post")
    assert np.array_equal(found.images, same.read().images)
    assert not [warning for warning in found.warnings if "T1" in warning]
    alone = volumes(tmp_path / "d" / "Ax FLAIR")[0]
    assert alone.fingerprint() != dicom.fingerprint()
    assert alone.read().sequences == ("flair",)
    assert named_study(tmp_path / "d").read().sequences == ("flair",)  # what is named is what is taken


def test_t1_of_a_dicom_study_that_cannot_be_used_is_left_out_and_told(tmp_path: Path) -> None:
    write_series(tmp_path / "flair", values(), AFFINE, series=1, SeriesDescription="Ax FLAIR")
    gap = write_series(tmp_path / "t1", values(1), AFFINE, series=2, SeriesDescription="Ax T1")
    next(path for path in gap if dcmread(path).InstanceNumber == 3).unlink()
    far = affine_of((0, 1, 2), (-1, -1, 1), (0.75, 0.5, 5.5))
    far[:3, 3] += 500
    write_series(tmp_path / "post", values(2), far, series=3, SeriesDescription="Ax T1 POST")
    found = volumes(tmp_path)[0].read()
    assert found.sequences == ("flair",)
    told = [warning for warning in found.warnings if "is left out" in warning]
    assert len(told) == 2
    assert told[0].startswith("T1 before contrast is left out: slices missing")
    assert told[1].startswith("T1 after contrast is left out: a volume that covers 0% of FLAIR")


def test_bids_partners_are_found(tmp_path: Path) -> None:
    for subject in ("01", "02"):
        base = tmp_path / f"sub-{subject}" / "ses-a" / "anat" / f"sub-{subject}_ses-a"
        for seed, suffix in enumerate(("_FLAIR", "_T1w", "_ce-gadolinium_T1w", "_T2w"), start=1):
            nifti(Path(f"{base}{suffix}.nii.gz"), seed)
    nifti(tmp_path / "derivatives" / "x" / "sub-01_ses-a_space-T1w_FLAIR.nii.gz")
    first, second = volumes(tmp_path)
    assert (first.name, second.name) == ("sub-01_ses-a", "sub-02_ses-a")
    assert np.array_equal(first.read().images, np.stack([axial(seed) for seed in (2, 1, 3)], axis=-1))


def test_several_t1_volumes_are_said_and_not_used(tmp_path: Path) -> None:
    for name in ("sub-1_FLAIR", "sub-1_run-1_T1w", "sub-1_run-2_T1w", "sub-1_ce-gadolinium_T1w"):
        nifti(tmp_path / f"{name}.nii.gz")
    (study,) = volumes(tmp_path)
    assert study.pre is None
    assert study.post is not None
    assert "2 T1 volumes before contrast" in study.notes[0]


def test_named_volumes_are_brought_together(tmp_path: Path) -> None:
    turned = AFFINE @ np.diag([-1.0, 1, 1, 1])
    turned[:3, 3] += AFFINE[:3, 0] * 8
    write_series(tmp_path / "flair", values(1), AFFINE, SeriesDescription="unnamed")
    path = tmp_path / "post.nii"
    Nifti1Image(values(2)[::-1], turned).to_filename(path)  # type: ignore[no-untyped-call]
    study = named_study(tmp_path / "flair", post=path)
    assert study.name == "flair"
    assert np.array_equal(study.read().images, np.stack([axial(1), axial(1), axial(2)], axis=-1))


def test_frames_of_reference_that_differ_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "flair", values(), AFFINE)
    write_series(tmp_path / "pre", values(), AFFINE, series=2, FrameOfReferenceUID=uid(5))
    with pytest.raises(DataError, match="another frame of reference") as caught:
        named_study(tmp_path / "flair", pre=tmp_path / "pre").read()
    assert not [secret for secret in SECRETS if secret in str(caught.value)]


def test_files_called_flair_go_before_others(tmp_path: Path) -> None:
    for name in ("p1_flair", "p1_t1", "p1_t1ce", "p1_seg", "p1_flair_mask"):
        nifti(tmp_path / "a" / f"{name}.nii.gz")
    for name in ("x", "y", "x_mask", "y_probabilities"):
        nifti(tmp_path / "b" / f"{name}.nii")
    assert [study.name for study in volumes(tmp_path)] == ["p1_flair", "x", "y"]


def test_what_is_flair_is_told_by_the_last_word(tmp_path: Path) -> None:
    for name in ("p1_space-FLAIR_T2", "p1_T2_FLAIR", "p1_FLAIR_brain", "p1_FLAIR_brainmask"):
        nifti(tmp_path / "a" / f"{name}.nii.gz")
    for name in ("sub-01_space-FLAIR_T1w", "sub-01_FLAIR", "sub-01_FLAIR_brainmask", "sub-01_FLAIR_roi"):
        nifti(tmp_path / "b" / f"{name}.nii.gz")
    for name in ("ax_t2_flair_5", "ax_t1_3", "x_probability"):  # as converters number the series
        nifti(tmp_path / "c" / f"{name}.nii.gz")
    assert [study.name for study in volumes(tmp_path)] == ["p1_T2_FLAIR", "sub-01", "ax_t2_flair_5"]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Ax_T2_FLAIR", None), ("eT2W_FLAIR_SENSE", None), ("AX FLAIR +C", None), ("flair", None),
        ("AX_T1_FLAIR", "T1 before contrast"), ("T1_FLAIR", "T1 before contrast"), ("T1FLAIR", "T1 before contrast"),
        ("scan_AX_T1_FLAIR_5", "T1 before contrast"), ("Ax T1 FLAIR +GD", "T1 after contrast"),
        ("FLAIR_in_T1_space", None), ("t1ce_flair", "T1 after contrast"),
        ("AX_T2", "another sequence"), ("t1_mprage", "T1 before contrast"),
    ],
)  # fmt: skip
def test_t1_flair_is_no_flair(tmp_path: Path, name: str, other: str | None) -> None:
    """As in DICOM."""
    path = nifti(tmp_path / "in" / f"{name}.nii")
    assert other_sequence(path) == other
    found = find_inputs([tmp_path / "in"])
    assert ([study.name for study in found.studies], len(found.errors)) == (([name], 0) if other is None else ([], 1))
    nifti(tmp_path / "in" / "ax_t2_flair.nii")
    assert other is None or [study.name for study in volumes(tmp_path / "in")] == ["ax_t2_flair"]


def test_t1_flair_takes_the_place_of_no_t1(tmp_path: Path) -> None:
    assert "of ax_t1_flair; expected" in str(find_inputs([nifti(tmp_path / "a" / "ax_t1_flair.nii").parent]).errors[0])
    for name in ("p_flair", "p_t1", "p_t1_flair"):
        nifti(tmp_path / "b" / f"{name}.nii")
    (study,) = volumes(tmp_path / "b")
    assert (study.name, study.pre, study.notes) == ("p_flair", tmp_path / "b" / "p_t1.nii", ())


@pytest.mark.parametrize(
    ("names", "separator"), [(("t2f", "t1n", "t1c", "t2w"), "-"), (("flair", "t1", "t1ce", "t2"), "_")]
)
def test_brats_partners_are_found(tmp_path: Path, names: tuple[str, ...], separator: str) -> None:
    for patient in ("BraTS-GLI-00001-000", "BraTS-GLI-00002-000"):
        for seed, name in enumerate((*names, "seg"), start=1):
            nifti(tmp_path / f"{patient}{separator}{name}.nii.gz", seed + 10 * patient.count("2"))
    first, second = volumes(tmp_path)
    assert first.name == f"BraTS-GLI-00001-000{separator}{names[0]}"
    assert np.array_equal(first.read().images, np.stack([axial(seed) for seed in (2, 1, 3)], axis=-1))
    assert np.array_equal(second.read().images, np.stack([axial(seed) for seed in (12, 11, 13)], axis=-1))


def test_subjects_without_flair_get_a_line_each(tmp_path: Path) -> None:
    for name in ("sub-1/anat/sub-1_FLAIR", "sub-1/func/sub-1_bold", "sub-2/anat/sub-2_T1w", "sub-2/anat/sub-2_T2w"):
        nifti(tmp_path / "bids" / f"{name}.nii")
    for patient, first in (("B1", "t2f"), ("B2", "t2w"), ("B3", "t2f")):
        for name in (first, "t1n", "t1c"):
            nifti(tmp_path / "brats" / patient / f"{patient}-{name}.nii")
    for name in ("ax_flair", "sag_t1", "sag_t2"):  # of one patient
        nifti(tmp_path / "other" / f"{name}.nii")
    found = find_inputs([tmp_path])
    assert sorted(study.name for study in found.studies) == ["B1-t2f", "B3-t2f", "ax_flair", "sub-1"]
    assert sorted(str(error).partition(";")[0].rpartition("/")[2] for error in found.errors) == [
        "B2: no FLAIR among 3 NIfTI file(s) of B2", "anat: no FLAIR among 2 NIfTI file(s) of sub-2",
    ]  # fmt: skip
    (error,) = find_inputs([tmp_path / "bids" / "sub-2"]).errors
    assert str(error).endswith("give it with --flair FILE")


def test_files_of_other_kinds_are_said(tmp_path: Path) -> None:
    nifti(tmp_path / "a" / "flair.nii")
    write_image(tmp_path / "b_1.png", make_slice(1))
    for name in ("a/t1.nrrd", "a/t2.mha", "b.mgz", "c/d/flair.img", "c/d/flair.hdr"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"image")
    write_series(tmp_path / "e", values(), AFFINE)[0].rename(tmp_path / "e" / "a.img")  # DICOM by any name
    found = find_inputs([tmp_path])
    (error,) = found.errors
    assert str(error).startswith(f"{tmp_path}/c/d: 2 file(s) in Analyze, or NIfTI in two files; expected NIfTI")
    notes = {study.name: study.notes for study in found.studies}
    assert notes["flair"] == ("beside it lie 2 file(s) in MetaImage and NRRD, which are not read",)
    assert notes["b"] == ("beside it lie 1 file(s) in MGH, which are not read",)
    assert notes[tmp_path.name] == ()


def test_links_are_followed_once(tmp_path: Path) -> None:
    nifti(tmp_path / "store" / "p1" / "flair.nii")
    nifti(tmp_path / "in" / "p2" / "t2f.nii")
    nifti(tmp_path / "file.nii")
    for name, target in (
        ("a", "../store/p1"), ("again", "../store/p1"), ("here", "."), ("up", ".."), ("same", "p2"),
        ("flair.nii", "../file.nii"),
    ):  # fmt: skip
        (tmp_path / "in" / name).symlink_to(target)
    assert [study.name for study in volumes(tmp_path / "in")] == ["in_flair", "t2f", "a_flair"]


def test_mixed_patients_of_a_folder_are_refused_and_others_go_on(tmp_path: Path) -> None:
    write_series(tmp_path / "good", values(), AFFINE, patient=2)
    for number, path in enumerate(write_series(tmp_path / "mixed", values(), AFFINE)):
        path.rename(path.with_name(f"first{number}"))
    write_series(tmp_path / "mixed", values(), AFFINE, patient=1)
    found = find_inputs([tmp_path])
    assert [study.name for study in found.studies] == ["good"]
    (error,) = found.errors
    assert "mixed: images of several patients" in str(error)
    assert not [secret for secret in SECRETS if secret in str(error)]


def test_damaged_file_spoils_its_folder_alone(tmp_path: Path) -> None:
    write_series(tmp_path / "a", values(), AFFINE)
    write_series(tmp_path / "b", values(), AFFINE, patient=1)[2].write_bytes(b"\0" * 128 + b"DICM" + b"\1" * 40)
    found = find_inputs([tmp_path, tmp_path / "nowhere"])
    assert len(found.studies) == 1
    assert np.array_equal(found.studies[0].read().images[..., 1], axial(0))  # type: ignore[union-attr]
    assert ["damaged" in str(error) or "does not exist" in str(error) for error in found.errors] == [True, True]
    assert str(found.errors[0]).endswith("; 5 other image(s) of its folder are left out with it")


@pytest.mark.parametrize("left", [7, 8])
def test_a_slice_or_two_of_another_plane_are_no_volume(tmp_path: Path, left: int) -> None:
    array = np.random.default_rng(0).integers(0, 1000, (32, 32, left)).astype(np.int16)
    sagittal: Any = affine_of((1, 2, 0), (1, 1, 1), (5.5, 0.5, 0.75))  # the last axis runs from left to right
    Nifti1Image(array, sagittal).to_filename(tmp_path / "few.nii")  # type: ignore[no-untyped-call]
    (study,) = volumes(tmp_path / "few.nii")
    if left == 8:
        assert study.read().images.shape == (32, 32, 8, 3)
        return
    with pytest.raises(DataError, match=r"few.nii: axial slices of 7 x 32 voxels; expected at least 8 x 8; give the"):
        study.read()


@pytest.mark.parametrize("out", [".", "..", "../..", "out", "elsewhere/out"])
def test_results_may_lie_anywhere_but_on_the_images(tmp_path: Path, out: str) -> None:
    top = tmp_path / "a" / "b"
    nifti(top / "p1" / "flair.nii")
    (top / "s").mkdir()
    write_image(top / "s" / "case_1.png", make_slice(1))
    results = top / out
    names = ["case", "flair"]
    for _ in range(2):
        found = find_inputs([top], results=results)
        assert (sorted(study.name for study in found.studies), found.errors) == (names, ())
        for mark, name in ((".unfinished", "case"), ("summary.json", "flair")):
            (results / name / "deep").mkdir(parents=True, exist_ok=True)
            (results / name / mark).write_text('{"study": "flair", "masks": [], "model_sha256": "0"}')
            nifti(results / name / "deep" / "again.nii")
            write_image(results / name / "prediction.png", make_slice(2))
    (results / "case" / ".unfinished").unlink()  # now the folder may be anybody's
    again = "again" in [study.name for study in find_inputs([top], results=results).studies]
    assert again == (out in {".", "out", "elsewhere/out"})  # elsewhere it is no input


def test_results_never_go_where_the_images_lie(tmp_path: Path) -> None:
    write_series(tmp_path / "p1" / "series", values(), AFFINE)
    nifti(tmp_path / "p2" / "p2.nii")
    nifti(tmp_path / "p3" / "flair.nii")
    for given in ([tmp_path / "p1"], [tmp_path / "p2"], [tmp_path / "p2" / "p2.nii"]):
        found = find_inputs([*given, tmp_path / "p3"], results=tmp_path)
        assert [study.name for study in found.studies] == ["flair"]
        assert "holds the images themselves" in str(found.errors[0])


def test_results_and_foreign_files_are_no_input(tmp_path: Path) -> None:
    nifti(tmp_path / "a.nii")
    nifti(tmp_path / "out" / "a" / "again.nii")
    (tmp_path / "out" / "a" / ".unfinished").touch()
    (tmp_path / "b.json").write_text("{}")
    assert [study.name for study in volumes(tmp_path)] == ["a"]
    found = find_inputs([tmp_path / "b.json", tmp_path / "out" / "none.nii"])
    assert found.studies == ()
    assert ["none of these" in str(error) or "does not exist" in str(error) for error in found.errors] == [True, True]


def test_results_above_where_the_user_stands_hide_no_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nifti(tmp_path / "data" / "scan.nii")
    here = tmp_path / "data" / "out" / "scan"
    here.mkdir(parents=True)
    (here / ".unfinished").touch()
    monkeypatch.chdir(here)
    for given in ("../..", "../../../data"):
        assert [study.name for study in volumes(Path(given))] == ["scan"]


def test_files_named_one_by_one_make_one_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a shell expands folder/*."""
    paths = write_series(tmp_path / "in", values(), AFFINE)
    monkeypatch.chdir(tmp_path)
    for given in (paths, [paths[0], *(path.relative_to(tmp_path) for path in paths[1:])]):
        (study,) = volumes(*sorted(given))
        assert study.name == "in"
        assert np.array_equal(study.read().images[..., 1], axial(0))
    (tmp_path / "in" / "notes.txt").write_text("nothing")
    found = find_inputs(sorted((tmp_path / "in").iterdir()))
    assert len(found.studies) == 1
    assert "notes.txt: none of these" in str(found.errors[0])


def test_masks_among_slices_are_passed_over(tmp_path: Path) -> None:
    slice_path, mask = tmp_path / "case_1.tif", tmp_path / "case_1_mask.tif"
    write_image(slice_path, make_slice(1))
    write_mask(mask, make_mask(3))
    found = find_inputs([slice_path, mask])
    assert ([study.name for study in found.studies], found.errors) == (["case_1"], ())
    assert "is a mask" in str(find_inputs([mask]).errors[0])


def test_slices_are_found_as_before(tmp_path: Path) -> None:
    write_image(tmp_path / "case_1.tif", make_slice(1))
    for path in (tmp_path, tmp_path / "case_1.tif"):
        (study,) = find_inputs([path]).studies
        assert isinstance(study, Study)
    empty = tmp_path / "empty"
    empty.mkdir()
    (error,) = find_inputs([empty]).errors
    assert "no slices (TIFF, PNG), NIfTI or DICOM in it" in str(error)


def test_what_is_called_zip_and_is_none_is_told(tmp_path: Path) -> None:
    write_image(tmp_path / "case.png", make_slice(0))
    (tmp_path / "lost.zip").write_bytes(bytes(1000))
    found = find_inputs(tmp_path)
    assert [study.name for study in found.studies] == ["case"]
    assert [str(error) for error in found.errors] == [
        f"{tmp_path}/lost.zip: no zip, whatever its name says; expected a zip of MR images in DICOM; copy it again"
    ]
