"""A segmentation refers to the frames its mask was computed from, and comes back exactly."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.config import disable_value_validation

from dicom_builders import item, uid, write_enhanced, write_series
from gliomask.errors import DataError, MissingExtraError
from gliomask.volumes.dicom import DicomSeries, find_series
from gliomask.volumes.dicom_seg import LABEL, read_dicom_seg, write_dicom_seg
from orientations import affine_of

SHAPE = (9, 8, 6)
AFFINE: Any = affine_of((0, 1, 2), (-1, -1, 1), (0.75, 0.5, 5.5))


def tumour() -> NDArray[np.bool_]:
    """Return a mask on slices 2 and 3 that no flip or exchange of axes leaves as it is."""
    mask = np.zeros(SHAPE, np.bool_)
    mask[1:4, 2:7, 2] = mask[1:3, 2:5, 3] = True
    return mask


EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator",
)  # fmt: skip


def changed(folder: Path, kind: str, change: Callable[[Dataset, int], None]) -> DicomSeries:
    """Return a series whose files were changed one by one after they were written."""
    series_of(folder, kind)
    for number, path in enumerate(sorted(folder.iterdir())):
        dataset = dcmread(path)
        change(dataset, number)
        dataset.save_as(path)
    return find_series(folder)[0]


def assert_valid(path: Path) -> None:
    command = shutil.which("dciodvfy")
    if command is None:
        pytest.skip("dciodvfy (of dicom3tools) is not installed")
    done = subprocess.run([command, str(path)], check=False, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert [line for line in said.splitlines() if line.startswith("Error")] == []
    assert "Segmentation" in said


def series_of(folder: Path, kind: str) -> DicomSeries:
    array = np.random.default_rng(0).integers(0, 1000, SHAPE).astype(np.int16)
    if kind == "single":
        write_series(folder, array, AFFINE)
    else:
        write_enhanced(folder / "a.dcm", array, AFFINE, order=np.array([3, 1, 5, 0, 2, 4]))
    (series,) = find_series(folder)
    return series


def write(path: Path, mask: NDArray[np.bool_], series: DicomSeries) -> Any:
    write_dicom_seg(path, mask, series, model="test", version="1")
    return dcmread(path)


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_mask_comes_back_exactly(tmp_path: Path, kind: str) -> None:
    series = series_of(tmp_path / "in", kind)
    write(tmp_path / "out" / "seg.dcm", tumour(), series)
    assert np.array_equal(read_dicom_seg(tmp_path / "out" / "seg.dcm", series), tumour())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["seg.dcm"]


def test_frames_lie_where_the_mask_lies(tmp_path: Path) -> None:
    """Read with pydicom alone: position of each frame, and the image it refers to."""
    dataset = write(tmp_path / "seg.dcm", tumour(), series_of(tmp_path / "in", "single"))
    assert dataset.Modality == "SEG"
    assert dataset.SegmentSequence[0].SegmentLabel == LABEL
    assert (dataset.PatientID, dataset.StudyInstanceUID, dataset.FrameOfReferenceUID) == (
        "PATIENT-4711", uid(0), uid(0, 99),
    )  # fmt: skip
    lps = np.diag([-1, -1, 1, 1]) @ AFFINE
    found = {}
    for number, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        found[source.ReferencedSOPInstanceUID] = dataset.pixel_array[number].T > 0, frame
    assert set(found) == {uid(0, 1, 2), uid(0, 1, 3)}
    for index in (2, 3):
        plane, frame = found[uid(0, 1, index)]
        position = [float(value) for value in frame.PlanePositionSequence[0].ImagePositionPatient]
        assert np.allclose(position, (lps @ [0, 0, index, 1])[:3])
        assert np.array_equal(plane, tumour()[:, :, index])


def test_frames_of_a_multi_frame_image_are_named(tmp_path: Path) -> None:
    dataset = write(tmp_path / "seg.dcm", tumour(), series_of(tmp_path / "in", "multi"))
    named = [
        frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        for frame in dataset.PerFrameFunctionalGroupsSequence
    ]
    assert sorted(named) == [1, 5]  # slices 3 and 2 are the first and the fifth frame of the file


def test_highdicom_finds_the_volume(tmp_path: Path) -> None:
    series = series_of(tmp_path / "in", "single")
    write(tmp_path / "seg.dcm", tumour(), series)
    volume = highdicom.seg.segread(str(tmp_path / "seg.dcm")).get_volume(combine_segments=True)
    where = np.argwhere(volume.array > 0)
    places = np.diag([-1, -1, 1, 1]) @ volume.affine @ np.vstack([where.T, np.ones(len(where))])
    expected = AFFINE @ np.vstack([np.argwhere(tumour()).T, np.ones(int(tumour().sum()))])
    assert np.allclose(sorted(places[:3].T.round(4).tolist()), sorted(expected[:3].T.round(4).tolist()))


def test_empty_mask_keeps_its_frames(tmp_path: Path) -> None:
    series = series_of(tmp_path / "in", "single")
    dataset = write(tmp_path / "seg.dcm", np.zeros(SHAPE, np.bool_), series)
    assert dataset.NumberOfFrames == SHAPE[2]
    assert not read_dicom_seg(tmp_path / "seg.dcm", series).any()


@pytest.mark.parametrize("kind", ["single", "multi"])
@pytest.mark.parametrize("mask", [tumour(), np.zeros(SHAPE, np.bool_)])
def test_dciodvfy_reports_no_error(tmp_path: Path, kind: str, mask: NDArray[np.bool_]) -> None:
    write(tmp_path / "seg.dcm", mask, series_of(tmp_path / "in", kind))
    assert_valid(tmp_path / "seg.dcm")


@pytest.mark.parametrize("kind", ["single", "multi"])
@pytest.mark.parametrize("value", [None, ""])
def test_what_may_be_empty_may_be_absent(tmp_path: Path, kind: str, value: str | None) -> None:
    def change(dataset: Dataset, _number: int) -> None:
        for name in EMPTY:
            if value is None:
                delattr(dataset, name)
            else:
                setattr(dataset, name, value)
        dataset.pop("SliceThickness", None)

    series = changed(tmp_path / "in", kind, change)
    dataset = write(tmp_path / "seg.dcm", tumour(), series)
    assert [str(dataset[name].value or "") for name in EMPTY] == [""] * len(EMPTY)
    measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert (measures.SliceThickness, measures.SpacingBetweenSlices) == (5.5, 5.5)
    assert np.array_equal(read_dicom_seg(tmp_path / "seg.dcm", series), tumour())
    assert_valid(tmp_path / "seg.dcm")


def test_values_that_mean_nothing_are_left_empty(tmp_path: Path) -> None:
    def change(dataset: Dataset, _number: int) -> None:
        with disable_value_validation():
            dataset.PatientSex, dataset.StudyDate, dataset.StudyTime = "X", "REMOVED", "REMOVED"

    dataset = write(tmp_path / "seg.dcm", tumour(), changed(tmp_path / "in", "single", change))
    assert [str(dataset[name].value or "") for name in ("PatientSex", "StudyDate", "StudyTime")] == [""] * 3
    assert dataset.PatientID == "PATIENT-4711"
    assert_valid(tmp_path / "seg.dcm")


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_frame_of_reference_without_name_gets_one(tmp_path: Path, kind: str) -> None:
    series = changed(tmp_path / "in", kind, lambda dataset, _number: delattr(dataset, "FrameOfReferenceUID"))
    first, second = (write(tmp_path / name, tumour(), series) for name in ("a.dcm", "b.dcm"))
    assert first.FrameOfReferenceUID == second.FrameOfReferenceUID
    assert first.FrameOfReferenceUID not in ("", uid(0, 99))
    assert np.array_equal(read_dicom_seg(tmp_path / "a.dcm", series), tumour())
    assert_valid(tmp_path / "a.dcm")


@pytest.mark.parametrize(
    ("characters", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO 2022 IR 6", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("ISO_IR 100", "Müller^Jörg"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        (None, "Miller^Joe"),
    ],
)
def test_names_in_any_characters_come_through(tmp_path: Path, characters: Any, name: str) -> None:
    def change(dataset: Dataset, _number: int) -> None:
        if characters is not None:
            dataset.SpecificCharacterSet = characters
        dataset.PatientName, dataset.StudyDescription = name, name.rsplit("=", maxsplit=1)[-1]

    dataset = write(tmp_path / "seg.dcm", tumour(), changed(tmp_path / "in", "single", change))
    assert (dataset.PatientName, dataset.StudyDescription) == (name, name.rsplit("=", maxsplit=1)[-1])
    assert_valid(tmp_path / "seg.dcm")


def test_stack_of_a_file_that_holds_another(tmp_path: Path) -> None:
    """Frames of the file are counted from its first, and orientation and spacing may be given frame by frame."""

    def change(dataset: Dataset, _number: int) -> None:
        shared = dataset.SharedFunctionalGroupsSequence[0]
        measures, axial = shared.PixelMeasuresSequence, shared.PlaneOrientationSequence
        del shared.PixelMeasuresSequence, shared.PlaneOrientationSequence
        other = item(ImageOrientationPatient=["0", "1", "0", "0", "0", "-1"])
        for number, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
            frame.PixelMeasuresSequence = measures
            frame.PlaneOrientationSequence = axial if number % 2 else other
            if number % 2 == 0:
                frame.PlanePositionSequence = item(ImagePositionPatient=[str(5.0 * number), "0", "0"])

    changed(tmp_path / "in", "multi", change)
    (series,) = (one for one in find_series(tmp_path / "in") if one.plane == "axial")
    assert [frame.index for frame in series.frames] == [3, 1, 5]  # slices 0, 1 and 4
    mask = tumour()[:, :, 1:4]
    dataset = write(tmp_path / "seg.dcm", mask, series)
    named = [
        frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        for frame in dataset.PerFrameFunctionalGroupsSequence
    ]
    assert sorted(named) == [2, 6]
    assert np.array_equal(read_dicom_seg(tmp_path / "seg.dcm", series), mask)
    assert_valid(tmp_path / "seg.dcm")


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_one_slice(tmp_path: Path, kind: str) -> None:
    array = np.ones((9, 8, 1), np.int16)
    if kind == "single":
        write_series(tmp_path / "in", array, AFFINE)
    else:
        write_enhanced(tmp_path / "in" / "a.dcm", array, AFFINE)
    (series,) = find_series(tmp_path / "in")
    write(tmp_path / "seg.dcm", tumour()[:, :, 2:3], series)
    assert np.array_equal(read_dicom_seg(tmp_path / "seg.dcm", series), tumour()[:, :, 2:3])


def test_mask_of_another_grid_is_refused(tmp_path: Path) -> None:
    series = series_of(tmp_path / "in", "single")
    for mask in (tumour().transpose(1, 0, 2), tumour().astype(np.uint8)):
        with pytest.raises(DataError, match="to write"):
            write(tmp_path / "seg.dcm", mask, series)  # type: ignore[arg-type]
    assert not (tmp_path / "seg.dcm").exists()


def test_segmentation_of_other_images_is_refused(tmp_path: Path) -> None:
    series = series_of(tmp_path / "in", "single")
    write(tmp_path / "seg.dcm", tumour(), series)
    write_series(tmp_path / "other", np.ones(SHAPE, np.int16), AFFINE, series=2)
    for path, of in ((tmp_path / "seg.dcm", find_series(tmp_path / "other")[0]), (series.frames[0].part.path, series)):
        with pytest.raises(DataError, match="no segmentation of these images"):
            read_dicom_seg(path, of)


def test_images_without_a_patient_are_refused(tmp_path: Path) -> None:
    series = series_of(tmp_path / "in", "single")
    for frame in series.frames:
        dataset = dcmread(frame.part.path)
        del dataset.StudyInstanceUID
        dataset.save_as(frame.part.path)
    with pytest.raises(DataError, match="images without StudyInstanceUID"):
        write(tmp_path / "seg.dcm", tumour(), series)


def test_place_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="File exists"):
        write(tmp_path / "file" / "seg.dcm", tumour(), series_of(tmp_path / "in", "single"))


def test_missing_highdicom_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(MissingExtraError, match=r"\.\[dicom\]"):
        write(tmp_path / "seg.dcm", tumour(), series_of(tmp_path / "in", "single"))


def test_all_segments_count_or_those_that_are_named(tmp_path: Path) -> None:
    """Other programs write several segments; where two overlap, either of them holds."""
    series = series_of(tmp_path / "in", "single")
    whole, core = tumour(), tumour()
    core[2:] = core[:, 5:] = False
    core[7, 7, 5] = True  # outside of the other
    kinds: Any = highdicom.seg
    code = highdicom.sr.CodedConcept("108369006", "SCT", "Neoplasm")
    segments = [
        kinds.SegmentDescription(number, label, code, code, kinds.SegmentAlgorithmTypeValues.MANUAL)
        for number, label in enumerate(("edema", "core"), start=1)
    ]
    kinds.Segmentation(
        [dcmread(frame.part.path) for frame in series.frames],
        np.stack([whole, core], axis=3).transpose(2, 1, 0, 3).astype(np.uint8),
        kinds.SegmentationTypeValues.BINARY, segments, uid(9), 9, uid(9, 9), 1, "maker", "model", "1", "0",
    ).save_as(tmp_path / "seg.dcm")  # fmt: skip
    for chosen, expected in (
        ((), whole | core),
        ((2,), core),
        ((1, 2), whole | core),
        ((1,), whole),
        ((3,), core & ~core),
    ):
        assert np.array_equal(read_dicom_seg(tmp_path / "seg.dcm", series, chosen), expected)
