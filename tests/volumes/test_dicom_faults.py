"""What is missing or odd about a DICOM series is said, or the series refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from dicom_builders import uid, write_series
from dicom_series import AFFINE, SPACING, read, refusal, values
from gliomask.volumes.dicom import find_series


def test_copies_are_left_out_and_said(tmp_path: Path) -> None:
    write_series(tmp_path / "a", values(), AFFINE)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    image = read(tmp_path)
    assert np.array_equal(image.volume.array, values())
    assert "6 image(s) that are there twice" in image.warnings[0]


def test_images_that_share_an_identifier_are_no_copies(tmp_path: Path) -> None:
    write_series(tmp_path, values(), AFFINE, SOPInstanceUID=uid(5))
    assert [len(one.frames) for one in find_series(tmp_path)] == [6]
    assert "several images that share one SOPInstanceUID; expected" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["SOPInstanceUID", "SeriesInstanceUID"])
def test_an_identifier_that_is_absent_is_named(tmp_path: Path, name: str) -> None:
    for path in write_series(tmp_path, values(), AFFINE):
        dataset = dcmread(path)
        delattr(dataset, name)
        dataset.save_as(path)
    assert f"an image without {name}; expected" in refusal(tmp_path)


def move(path: Path, by: float, axis: int = 2) -> None:
    dataset = dcmread(path)
    dataset.ImagePositionPatient[axis] += by
    dataset.save_as(path)


def test_missing_doubled_and_uneven_slices_are_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "gap", values(), AFFINE)
    paths[2].unlink()
    assert "slices missing: a gap of 11 mm where slices are 5.5 mm apart" in refusal(tmp_path / "gap")
    move(write_series(tmp_path / "twice", values(), AFFINE)[2], 5.5)
    assert "1 slice(s) at the place of another" in refusal(tmp_path / "twice")
    move(write_series(tmp_path / "uneven", values(), AFFINE)[2], 1)
    assert "unevenly spaced slices, 4.5 to 6.5 mm apart" in refusal(tmp_path / "uneven")
    move(write_series(tmp_path / "line", values(), AFFINE)[2], 3, axis=0)
    assert "do not lie on a line" in refusal(tmp_path / "line")


def warnings_without(folder: Path, *missing: int, **changes: Any) -> tuple[str, ...]:
    for path in np.array(write_series(folder, values(shape=(9, 8, 12)), AFFINE, **changes))[list(missing)]:
        path.unlink()
    return read(folder).warnings


def test_slices_further_apart_than_their_header_says_are_said(tmp_path: Path) -> None:
    (said,) = warnings_without(tmp_path / "a", *range(1, 12, 2))
    assert said == "slices are 11 mm apart where the header says 5.5 mm; some may be missing"
    assert "38.5 mm apart" in warnings_without(tmp_path / "b", *range(1, 7), *range(8, 12))[-1]
    assert "11 mm apart" in warnings_without(tmp_path / "c", *range(1, 12, 2), SpacingBetweenSlices=None)[0]
    assert warnings_without(tmp_path / "d", *range(1, 12, 2), SpacingBetweenSlices=None, SliceThickness=None) == ()
    assert warnings_without(tmp_path / "e", SpacingBetweenSlices="3.7") == ()


def test_images_missing_by_their_own_count_are_said(tmp_path: Path) -> None:
    words = "{} images of a series that should have {} by its own numbers; some are missing"
    assert warnings_without(tmp_path / "a", 0, 1) == (words.format(10, 12),)
    assert warnings_without(tmp_path / "b", *range(5, 12), ImagesInAcquisition=12) == (words.format(5, 12),)
    assert warnings_without(tmp_path / "c", ImagesInAcquisition=13, InstanceNumber=None) == (words.format(12, 13),)


def test_ordinary_series_are_not_called_incomplete(tmp_path: Path) -> None:
    assert warnings_without(tmp_path / "a", ImagesInAcquisition=12) == ()
    assert warnings_without(tmp_path / "b", ImagesInAcquisition=24) == ()  # two echoes in two series
    assert warnings_without(tmp_path / "c", ImagesInAcquisition=6) == ()  # two packages
    assert warnings_without(tmp_path / "d", InstanceNumber=7) == ()
    for name, step, start in (("e", 2, 2), ("f", 1, 13), ("g", 1, 101), ("h", -1, 12)):
        for index, path in enumerate(write_series(tmp_path / name, values(shape=(9, 8, 12)), AFFINE)):
            dataset = dcmread(path)
            dataset.InstanceNumber = start + step * index
            dataset.save_as(path)
        assert read(tmp_path / name).warnings == ()


def test_several_frames_where_one_is_allowed_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path, values(), AFFINE, NumberOfFrames=6)
    assert "6 frames in an MR object of the kind that holds one image" in refusal(tmp_path)


def test_slightly_uneven_slices_are_said(tmp_path: Path) -> None:
    move(write_series(tmp_path, values(), AFFINE)[2], 0.2)
    image = read(tmp_path)
    assert "unevenly spaced by up to 4%" in image.warnings[0]
    assert image.volume.spacing == pytest.approx(SPACING)


def test_tilted_series_has_a_sheared_affine(tmp_path: Path) -> None:
    tilted = AFFINE.copy()
    tilted[1, 2] = 1.0
    for index, path in enumerate(write_series(tmp_path, values(), AFFINE)):
        move(path, -float(index), axis=1)
    volume = read(tmp_path).volume
    assert np.allclose(volume.affine, tilted)
    assert volume.shear == pytest.approx(np.degrees(np.arctan(1 / 5.5)))


def test_one_slice_has_its_thickness(tmp_path: Path) -> None:
    write_series(tmp_path / "a", values(shape=(9, 8, 1)), AFFINE)
    assert read(tmp_path / "a").volume.spacing == pytest.approx(SPACING)
    write_series(tmp_path / "b", values(shape=(9, 8, 1)), AFFINE, SpacingBetweenSlices=None, SliceThickness=None)
    assert "taken as 1 mm" in read(tmp_path / "b").warnings[0]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"ImagePositionPatient": None}, "without its place in space"),
        ({"ImageOrientationPatient": ["1", "0", "0"]}, "without its place in space"),
        ({"ImageOrientationPatient": ["0"] * 6}, "without a sensible position or direction"),
        ({"PixelSpacing": ["0", "1"]}, "cannot be inverted"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "inverted grey values"),
        ({"SamplesPerPixel": 3}, "colour"),
        ({"SOPInstanceUID": None}, "an image without SOPInstanceUID"),
        ({"SeriesInstanceUID": None}, None),
    ],
)
def test_images_that_cannot_be_used_are_refused(tmp_path: Path, changes: dict[str, Any], found: str | None) -> None:
    for path in write_series(tmp_path, values(), AFFINE):
        dataset = dcmread(path)
        for name, value in changes.items():
            setattr(dataset, name, value)
        dataset.save_as(path)
    if found is None:
        assert len(find_series(tmp_path)) == 1
    else:
        assert found in refusal(tmp_path)
