"""Masks of any program are found by patient, and what could be mistaken is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from builders import make_mask, make_slice, tiny_dataset, write_patient
from gliomask.data.index import build_index
from gliomask.data.naming import SliceName, parse_slice_name
from gliomask.data.records import PatientRecord, SliceRecord
from gliomask.errors import DataError
from gliomask.evaluation.counts import count_slices
from gliomask.evaluation.masks import MaskFolder, write_masks
from gliomask.evaluation.scores import dice
from gliomask.volumes.nifti import write_mask_volume
from gliomask.volumes.slices import read_mask, write_image, write_mask

NAME = "TCGA_CS_1000_20000101"
OTHER = "TCGA_DU_1001_20000101"
HEIGHT, WIDTH = 12, 16
NUMBERS = (1, 2, 10)


def record(name: str = NAME, numbers: tuple[int, ...] = NUMBERS) -> PatientRecord:
    slices = tuple(SliceRecord(number, "image", "mask", HEIGHT, WIDTH, 0) for number in numbers)
    return PatientRecord(name, name[5:7], slices, (), {})


def masks(count: int = len(NUMBERS), seed: int = 0) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random((count, HEIGHT, WIDTH)) < 0.3


def write(folder: Path, *, ending: str = "_mask.png", name: str = NAME, seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, mask in zip(NUMBERS, masks(seed=seed), strict=True):
        write_mask(folder / f"{name}_{number}{ending}", mask)
    return folder


def refusal(root: Path, patient: PatientRecord | None = None) -> DataError:
    with pytest.raises(DataError) as caught:
        MaskFolder(root).read(patient or record())
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("rows", [[0, 1, 2], [0, 2], [1], []])
def test_written_masks_have_the_names_of_their_slices(tmp_path: Path, rows: list[int]) -> None:
    write_masks(tmp_path, record(), np.array(rows, np.int64), masks()[rows])
    files = sorted(tmp_path.rglob("*.png"))
    assert {parse_slice_name(file.name) for file in files} == {SliceName(NAME, NUMBERS[row], True) for row in rows}
    assert {file.parent for file in files} <= {tmp_path / NAME}
    for row in rows:
        assert np.array_equal(read_mask(tmp_path / NAME / f"{NAME}_{NUMBERS[row]}_mask.png"), masks()[row])


def test_round_trip_of_several_patients(tmp_path: Path) -> None:
    patients = [record(), record(OTHER, (3, 4))]
    for seed, patient in enumerate(patients):
        rows = np.arange(len(patient.slices))
        write_masks(tmp_path, patient, rows, masks(len(rows), seed))
    folder = MaskFolder(tmp_path)
    for seed, patient in enumerate(patients):
        found = folder.read(patient)
        assert found.dtype == np.bool_
        assert np.array_equal(found, masks(len(patient.slices), seed))
        assert folder.spacing(patient) is None


@pytest.mark.parametrize("mask", [masks(2), masks().transpose(0, 2, 1), masks()[0]])
def test_masks_of_another_shape_are_not_written(tmp_path: Path, mask: NDArray[np.bool_]) -> None:
    with pytest.raises(ValueError, match="a mask of shape"):
        write_masks(tmp_path, record(), np.arange(3), mask)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["_mask.png", "_mask.tif", "_mask.TIFF", ".png", ".tif"])
@pytest.mark.parametrize("place", [".", "deep/deeper/and/deeper/still/yet"])
def test_slices_are_found_anywhere_in_rising_number(tmp_path: Path, ending: str, place: str) -> None:
    write(tmp_path / place, ending=ending)
    assert np.array_equal(MaskFolder(tmp_path).read(record()), masks())


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", "_mask.nii.gz", "_seg.nii", "_pred.NII.GZ"])
def test_volume_is_found_with_its_spacing(tmp_path: Path, ending: str) -> None:
    write_mask_volume(tmp_path / "a" / f"{NAME}{ending}", masks(), (5.0, 0.9, 0.7))
    folder = MaskFolder(tmp_path)
    assert np.array_equal(folder.read(record()), masks())
    assert folder.spacing(record()) == (5.0, 0.9, 0.7)


def test_data_scored_against_themselves_are_perfect(tmp_path: Path) -> None:
    tiny_dataset(tmp_path, patients=3)
    index, folder = build_index(tmp_path, use_cache=False), MaskFolder(tmp_path)
    for patient in index.patients:
        truth = np.stack([read_mask(tmp_path / each.mask) for each in patient.slices])
        assert truth.any()
        counts = count_slices(folder.read(patient), truth, patient.name)
        assert dice(counts.per_patient()).tolist() == [1.0]


def test_linked_folders_are_searched_and_circles_end(tmp_path: Path) -> None:
    real = write(tmp_path / "elsewhere" / NAME)
    root = tmp_path / "masks"
    root.mkdir()
    (root / NAME).symlink_to(real, target_is_directory=True)
    (root / "circle").symlink_to(root, target_is_directory=True)
    assert np.array_equal(MaskFolder(root).read(record()), masks())


def test_tree_is_searched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    write(tmp_path, name=OTHER, seed=1)
    folder = MaskFolder(tmp_path)
    folder.read(record())
    monkeypatch.setattr("os.walk", None)
    assert np.array_equal(folder.read(record(OTHER)), masks(seed=1))


def test_other_files_and_other_slices_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, name=OTHER, seed=1)
    write(tmp_path / ".hidden", seed=2)
    names = (f".{NAME}_1_mask.png", f"{NAME}_1_overlay.png", f"{NAME}_3_mask.png", f"{NAME}.json", "patients.csv")
    for name in (*names, f"{NAME}_t1.nii.gz", f"x{NAME}.nii"):
        (tmp_path / name).write_text("no mask")
    assert np.array_equal(MaskFolder(tmp_path).read(record()), masks())


def test_missing_patients_are_listed_in_order(tmp_path: Path) -> None:
    write(tmp_path)
    write_patient(tmp_path, OTHER, size=16)
    for mask in (tmp_path / OTHER).glob("*_mask.tif"):
        mask.unlink()  # images alone are no masks
    third = "TCGA_HT_1002_20000101"
    assert MaskFolder(tmp_path).missing([record(third), record(), record(OTHER)]) == [third, OTHER]


@pytest.mark.parametrize("images", [True, False])
def test_patient_without_mask_is_refused(tmp_path: Path, images: bool) -> None:
    if images:
        write_image(tmp_path / f"{NAME}_1.tif", make_slice(1))
    error = refusal(tmp_path)
    assert NAME in error.found
    assert "forgotten" in error.cure


def test_missing_slice_is_named(tmp_path: Path) -> None:
    (write(tmp_path) / f"{NAME}_10_mask.png").unlink()
    assert refusal(tmp_path).found == f"no mask for 1 slice(s) of {NAME}: 10"


def test_image_takes_no_part_beside_its_mask(tmp_path: Path) -> None:
    write(tmp_path)
    for number in NUMBERS:
        write_image(tmp_path / f"{NAME}_{number}.tif", make_slice(number))
    write_image(tmp_path / f"{NAME}_1.tif", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert np.array_equal(MaskFolder(tmp_path).read(record()), masks())


def test_image_takes_no_part_beside_a_volume(tmp_path: Path) -> None:
    write_image(tmp_path / f"{NAME}_1.tif", make_slice(1))
    write_mask_volume(tmp_path / f"{NAME}.nii", masks())
    assert np.array_equal(MaskFolder(tmp_path).read(record()), masks())


@pytest.mark.parametrize(("levels", "channels"), [([0, 255], 1), ([0, 1, 2], 1), ([0, 255], 3)])
def test_mask_without_the_word_is_no_image(tmp_path: Path, levels: list[int], channels: int) -> None:
    pixels = np.resize(np.array(levels, np.uint8), (HEIGHT, WIDTH))
    shown = pixels if channels == 1 else np.stack([pixels] * channels, axis=-1)
    Image.fromarray(shown).save(write(tmp_path) / f"{NAME}_2.png")
    error = refusal(tmp_path)
    assert f"slice 2 of {NAME}" in error.found
    assert f"{NAME}_2.png" in error.found


@pytest.mark.parametrize("other", ["b/{}_2_mask.png", "{}_02_mask.png", "{}_2_mask.tif"])
def test_two_files_for_a_slice_are_refused(tmp_path: Path, other: str) -> None:
    path = write(tmp_path) / other.format(NAME)
    path.parent.mkdir(exist_ok=True)
    write_mask(path, masks()[1])
    error = refusal(tmp_path)
    assert {error.path, error.found.split("with ")[1]} == {str(path), str(tmp_path / f"{NAME}_2_mask.png")}


@pytest.mark.parametrize("other", ["b/{}.nii.gz", "{}.nii", "{}_seg.nii.gz"])
def test_two_volumes_are_refused(tmp_path: Path, other: str) -> None:
    for name in ("{}.nii.gz", other):
        write_mask_volume(tmp_path / name.format(NAME), masks())
    assert f"2 candidates for the mask of patient {NAME}" in refusal(tmp_path).found


@pytest.mark.parametrize("ending", [".png", "_mask.png"])
def test_volume_and_slices_are_refused(tmp_path: Path, ending: str) -> None:
    write(tmp_path / "slices", ending=ending)
    write_mask_volume(tmp_path / f"{NAME}.nii.gz", masks())
    assert f"{NAME}_1{ending}" in refusal(tmp_path).found


def test_slice_of_another_size_is_named(tmp_path: Path) -> None:
    write_mask(write(tmp_path) / f"{NAME}_2_mask.png", make_mask(3))
    error = refusal(tmp_path)
    assert (error.path, error.found) == (str(tmp_path / f"{NAME}_2_mask.png"), "a mask of 16 x 16 pixels")


@pytest.mark.parametrize("shape", [(4, HEIGHT, WIDTH), (3, WIDTH, HEIGHT), (1, HEIGHT, WIDTH)])
def test_volume_of_another_size_is_named(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    write_mask_volume(tmp_path / f"{NAME}.nii", np.zeros(shape, np.bool_))
    error = refusal(tmp_path)
    assert error.found == f"a volume of {shape[0]} slices of {shape[1]} x {shape[2]} pixels"
    assert error.expected.startswith("3 of 12 x 16")


@pytest.mark.parametrize("ending", [".png", "_mask.png"])
def test_wrong_values_are_named(tmp_path: Path, ending: str) -> None:
    pixels = np.resize(np.array([0, 1, 2], np.uint8), (HEIGHT, WIDTH))
    Image.fromarray(pixels).save(write(tmp_path, ending=ending) / f"{NAME}_2{ending}")
    assert "3 value(s): 0, 1, 2" in refusal(tmp_path).found


def test_masks_saved_as_rgb_are_refused(tmp_path: Path) -> None:
    for number, mask in zip(NUMBERS, masks(), strict=True):
        write_image(tmp_path / f"{NAME}_{number}.png", np.stack([mask.astype(np.uint8) * 255] * 3, axis=-1))
    assert "RGB" in refusal(tmp_path).found


def test_root_must_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, found in (("nowhere", "no such folder"), ("file", "a file")):
        with pytest.raises(DataError, match=found):
            MaskFolder(tmp_path / name)


@pytest.mark.slices
def test_real_truth_scores_itself_as_volume_and_as_slices(lgg_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    folder = next(iter(sorted(lgg_folder.glob("TCGA_*"))))
    shutil.copytree(folder, tmp_path / "one" / folder.name)
    (patient,) = build_index(tmp_path / "one", use_cache=False).patients
    truth = MaskFolder(tmp_path / "one").read(patient)
    assert int(truth.sum()) == patient.tumour_pixels
    write_mask_volume(tmp_path / "volumes" / f"{patient.name}.nii.gz", truth)
    assert np.array_equal(MaskFolder(tmp_path / "volumes").read(patient), truth)
