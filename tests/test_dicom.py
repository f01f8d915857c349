"""DICOM series are found, sorted and read with their place; what is odd about them is said or refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from dicom_builders import SECRETS, save, uid, write_enhanced, write_series
from gliomask.errors import DataError
from gliomask.volumes import dicom_headers
from gliomask.volumes.archive import Part
from gliomask.volumes.dicom import DicomImage, choose_flair, choose_t1, find_series
from gliomask.volumes.dicom_headers import DicomFrame, read_frames
from gliomask.volumes.volume import Volume, to_axial
from test_volume import ORIENTATIONS, affine_of, rotation

SHAPE = (9, 8, 6)
SPACING = (0.75, 0.5, 5.5)
AFFINE: Any = affine_of((0, 1, 2), (-1, -1, 1), SPACING)  # as scanners store axial slices


def values(dtype: str = "<i2", shape: tuple[int, ...] = SHAPE) -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, 1000, shape).astype(dtype)


def read(path: Path) -> DicomImage:
    (series,) = find_series(path)
    return series.read()


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        choose_flair(find_series(path)).read()
    message = str(caught.value)
    assert "\n" not in message
    assert not [secret for secret in SECRETS if secret in message]
    return message


def assert_same_place(found: Volume, array: NDArray[Any], affine: Any, tolerance: float = 1e-6) -> None:
    """Compare in the axial display, so that the order in which voxels are kept does not count."""
    (one, first), (two, second) = to_axial(found), to_axial(Volume(array, affine, "RAS"))
    assert np.array_equal(one, two)
    for corner in np.ndindex(2, 2, 2):
        at = np.multiply(corner, np.subtract(one.shape, 1))
        places = [
            volume.affine @ [*np.argwhere(grid.back(marker(one.shape, at)))[0], 1]
            for volume, grid in ((found, first), (Volume(array, affine, "RAS"), second))
        ]
        assert np.allclose(places[0], places[1], atol=tolerance)


def marker(shape: tuple[int, ...], at: NDArray[Any]) -> NDArray[np.bool_]:
    array = np.zeros(shape, np.bool_)
    array[tuple(at)] = True
    return array


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_every_orientation_is_read_in_its_place(tmp_path: Path, axes: Any, signs: Any) -> None:
    affine: Any = rotation(12, 1) @ affine_of(axes, signs, SPACING)
    write_series(tmp_path, values(shape=(5, 4, 3)), affine)
    image = read(tmp_path)
    assert_same_place(image.volume, values(shape=(5, 4, 3)), affine)
    assert image.volume.array.dtype == np.int16
    assert image.warnings == ()


def test_axial_series_keeps_its_order_and_its_affine(tmp_path: Path) -> None:
    write_series(tmp_path, values("<u2"), AFFINE)
    volume = read(tmp_path).volume
    assert np.array_equal(volume.array, values("<u2"))
    assert volume.array.dtype == np.uint16
    assert np.allclose(volume.affine, AFFINE, atol=1e-9)
    assert volume.frame_of_reference == uid(0, 99)


def test_folder_zip_and_multi_frame_give_the_same(tmp_path: Path) -> None:
    write_series(tmp_path / "one" / "deep" / "deeper", values(), AFFINE)
    (tmp_path / "one" / "notes.txt").write_text("DICM")
    (tmp_path / "one" / ".hidden.dcm").write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "one" / "empty").touch()
    with zipfile.ZipFile(tmp_path / "two.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((tmp_path / "one").rglob("*")):
            archive.write(file, file.relative_to(tmp_path))
    write_enhanced(tmp_path / "three.dcm", values(), AFFINE, order=np.random.default_rng(1).permutation(SHAPE[2]))
    images = [read(tmp_path / name) for name in ("one", "two.zip", "three.dcm")]
    for image in images:
        assert np.array_equal(image.volume.array, values())
        assert np.allclose(image.volume.affine, AFFINE, atol=1e-9)
        assert image.warnings == ()
        assert image.series.is_flair()


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("meta", [False, True])
def test_files_without_preamble_are_read(tmp_path: Path, meta: bool, implicit: bool) -> None:
    """As old archives keep them: the data set alone, or after its meta information, and a name that says nothing."""
    for number, path in enumerate(write_series(tmp_path, values(), AFFINE)):
        dataset = dcmread(path)
        path.unlink()
        if meta:
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
            dataset.save_as(path, enforce_file_format=True)
            (tmp_path / f"im{number}").write_bytes(path.read_bytes()[128 + 4 :])
            path.unlink()
        else:
            plain = Dataset()
            plain.update(dataset)
            plain.save_as(tmp_path / f"im{number}", implicit_vr=implicit, little_endian=True)
    (tmp_path / "foreign").write_bytes(b"\x08\0" + bytes(range(256)) * 9)
    assert (tmp_path / "im0").read_bytes()[:2] == (b"\x02\0" if meta else b"\x08\0")
    image = read(tmp_path)
    assert np.array_equal(image.volume.array, values())
    assert image.warnings == ()


def test_headers_are_read_without_the_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exam has a dozen series, of which one is used: of the others only the beginnings of the files are read."""
    write_series(tmp_path, values(shape=(512, 512, 2)), AFFINE)
    sizes = []

    def counting(part: Part, content: bytes) -> tuple[DicomFrame, ...]:
        sizes.append(len(content))
        return read_frames(part, content)

    monkeypatch.setattr(dicom_headers, "read_frames", counting)
    (series,) = find_series(tmp_path)
    assert len(series.frames) == len(sizes) == 2
    assert max(sizes) == 2**17 < (tmp_path / series.frames[0].part.path.name).stat().st_size


def test_headers_longer_than_any_usual_one_are_read_to_their_end(tmp_path: Path) -> None:
    for path in write_series(tmp_path, values(), AFFINE):
        dataset = dcmread(path)
        dataset.add_new(0x00091001, "OB", bytes(300_000))  # a private element before all that counts
        dataset.save_as(path)
    assert np.array_equal(read(tmp_path).volume.array, values())


@pytest.mark.parametrize("spacing", [(0.02, 0.5, 5.5), (0.5, 0.5, 80.0)])
def test_voxels_of_a_size_that_no_head_has_are_refused(tmp_path: Path, spacing: tuple[float, ...]) -> None:
    write_series(tmp_path, values(), affine_of((0, 1, 2), (-1, -1, 1), spacing))
    assert "; expected lengths of 0.05 to 50.0 mm" in refusal(tmp_path)


def test_slope_and_intercept_count(tmp_path: Path) -> None:
    write_series(tmp_path / "one", values(), AFFINE, RescaleSlope="2.5", RescaleIntercept="-100")
    write_enhanced(tmp_path / "two" / "a.dcm", values(), AFFINE, slopes=(2.5, -100))
    for folder in ("one", "two"):
        array = read(tmp_path / folder).volume.array
        assert array.dtype == np.float32
        assert np.array_equal(array, (values() * 2.5 - 100).astype(np.float32))


@pytest.mark.parametrize(
    ("dtype", "pads", "changes"),
    [
        ("<i2", (-2000, -2000), {"PixelPaddingValue": -2000}),
        ("<i2", (-32768, -32000), {"PixelPaddingValue": -32768, "PixelPaddingRangeLimit": -32000}),
        ("<i2", (-32000, -32768), {"PixelPaddingValue": -32000, "PixelPaddingRangeLimit": -32768}),
        ("<u2", (65535, 65535), {"PixelPaddingValue": 65535}),
        ("<u2", (63536, 63536), {"PixelPaddingValue": -2000}),
    ],
)
@pytest.mark.parametrize("slope", [1, 2])
def test_padding_is_the_smallest_value_of_the_rest(
    tmp_path: Path, dtype: str, pads: tuple[int, int], changes: dict[str, int], slope: int
) -> None:
    array = values() + 7
    padded = np.zeros(SHAPE, np.bool_)
    padded[:2], padded[:, -1, 2] = True, True
    stored = array.astype(dtype)
    stored[padded] = np.resize(pads, int(padded.sum()))
    for path in write_series(tmp_path, stored, AFFINE, RescaleSlope=slope, RescaleIntercept=0):
        dataset = dcmread(path)
        for name, value in changes.items():
            dataset.add_new(name, "SS" if value < 0 else "US", value)
        dataset.save_as(path)
    expected = np.where(padded, array[~padded].min(), array) * slope
    assert np.array_equal(read(tmp_path).volume.array, expected)


def test_image_of_padding_alone_is_left(tmp_path: Path) -> None:
    write_series(tmp_path, np.full(SHAPE, 5, np.int16), AFFINE, PixelPaddingValue=5)
    assert (read(tmp_path).volume.array == 5).all()


@pytest.mark.parametrize("dtype", ["<i2", "<u2"])
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("frames", ["many", "one"])
def test_compressed_images_are_read(tmp_path: Path, syntax: str, dtype: str, frames: str) -> None:
    array = values(dtype, (72, 64, 3))
    if frames == "many":
        write_series(tmp_path, array, AFFINE, syntax=syntax)
    else:
        write_enhanced(tmp_path / "a.dcm", array, AFFINE, syntax=syntax)
    assert np.array_equal(read(tmp_path).volume.array, array)


def test_jpeg_lossless_is_read(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("gdcmconv")
    if not command.is_file():
        pytest.skip("gdcmconv (of python-gdcm) is not installed")
    for path in write_series(tmp_path / "plain", values("<u2"), AFFINE):
        target = tmp_path / "packed" / path.name
        target.parent.mkdir(exist_ok=True)
        subprocess.run([command, "--jpeg", str(path), str(target)], check=True, capture_output=True)
        assert dcmread(target).file_meta.TransferSyntaxUID.name.startswith("JPEG Lossless")
    assert np.array_equal(read(tmp_path / "packed").volume.array, values("<u2"))


def test_other_objects_and_localisers_are_passed_over(tmp_path: Path) -> None:
    write_series(tmp_path, values(), AFFINE)
    write_series(tmp_path / "scout", values(), AFFINE, series=2, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    for path in write_series(tmp_path / "other", values(), AFFINE, series=3):
        save(path, dcmread(path), "1.2.840.10008.5.1.4.1.1.7")
    assert len(find_series(tmp_path)) == 1
    shutil.rmtree(tmp_path / "other")
    for path in tmp_path.glob("*.dcm"):
        path.unlink()
    assert "no MR image (6 other DICOM objects or localisers)" in refusal(tmp_path)


def test_orientations_of_a_series_are_told_apart(tmp_path: Path) -> None:
    write_series(tmp_path / "a", values(), AFFINE)
    turned = affine_of((1, 2, 0), (1, -1, 1), SPACING)
    write_series(tmp_path / "b", values(), turned, series=2, SeriesInstanceUID=uid(0, 1))
    assert sorted((one.plane, len(one.frames)) for one in find_series(tmp_path)) == [("axial", 6), ("sagittal", 6)]


@pytest.mark.parametrize(
    ("description", "flair"),
    [
        ("Ax T2 FLAIR", True), ("t2_tirm_tra_dark-fluid", True), ("DarkFluid", True), ("eT2W_FLAIR SENSE", True),
        ("AX FLAIR +C", True), ("Ax T1 FLAIR", False), ("T1_FLAIR", False), ("AX T2", False), ("t1_mprage", False),
        ("", False),
    ],
)  # fmt: skip
def test_flair_is_known_by_its_description(tmp_path: Path, description: str, flair: bool) -> None:
    write_series(tmp_path, values(), AFFINE, SeriesDescription=description)
    (series,) = find_series(tmp_path)
    assert series.is_flair() == flair


def test_flair_may_be_named_by_the_protocol(tmp_path: Path) -> None:
    write_series(tmp_path, values(), AFFINE, SeriesDescription="", ProtocolName="FLAIR_longTR")
    assert choose_flair(find_series(tmp_path)).description == "FLAIR_longTR"


def test_protocol_of_the_whole_examination_makes_no_flair(tmp_path: Path) -> None:
    for number, words in enumerate(("Ax DWI", "Ax T2 FLAIR", "Ax T2 FSE", ""), start=1):
        write_series(
            tmp_path / str(number), values(), AFFINE, series=number, SeriesDescription=words,
            ProtocolName="BRAIN TUMOR FLAIR DTI",
        )  # fmt: skip
    assert [one.is_flair() for one in find_series(tmp_path)] == [False, True, False, True]
    assert choose_flair(find_series(tmp_path)).description == "Ax T2 FLAIR"
    shutil.rmtree(tmp_path / "2")
    shutil.rmtree(tmp_path / "4")
    said = refusal(tmp_path)
    assert "no FLAIR series among" in said
    assert said.endswith("a part of its description (--series)")  # a folder of its own would not help


@pytest.mark.parametrize("wanted", [None, "1", "flair"])
def test_axial_stack_of_a_series_in_several_planes_is_taken(tmp_path: Path, wanted: str | None) -> None:
    planes = ((0, 1, 2), (1, 2, 0), (0, 2, 1))
    for number, axes in enumerate(planes):
        for path in write_series(tmp_path / str(number), values(), affine_of(axes, (-1, -1, 1), SPACING)):
            dataset = dcmread(path)
            dataset.SOPInstanceUID = uid(0, 1, 10 * number + dataset.InstanceNumber)
            dataset.InstanceNumber += 6 * number
            dataset.save_as(path)
    image = choose_flair(find_series(tmp_path), wanted).read()
    assert np.array_equal(image.volume.array, values())
    assert image.warnings == ("only the axial one of the series' 3 stacks of slices is taken",)
    shutil.rmtree(tmp_path / "0")
    with pytest.raises(DataError, match="2 "):
        choose_flair(find_series(tmp_path), wanted)


@pytest.mark.parametrize(
    ("description", "agent", "kind"),
    [
        ("Ax T1", "", "before"), ("AX T1 PRE GD", "", "before"), ("T1 without contrast", "Gadovist", "before"),
        ("T1 w/o", "", "before"), ("t1_se_tra_nativ", "", "before"), ("sT1W_3D_TFE", "NONE", "before"),
        ("Ax T1 FLAIR", "", "before"), ("T1 non contrast", "Gd", "before"),
        ("Ax T1 POST", "", "after"), ("T1 AXIAL+GD", "", "after"), ("AX T1 C+", "", "after"),
        ("t1_tra_KM", "", "after"), ("T1 W/GADO", "", "after"), ("t1_mprage_sag_p2_iso", "DOTAREM", "after"),
        ("Ax FSPGR BRAVO T1 +C", "", "after"), ("AX T1 FLAIR POST", "", "after"),
        ("T1 AX FAT SAT +GAD", "", "after"), ("T1 CONTRAST-", "Gd", "before"),
        ("Ax T2", "", None), ("AX FLAIR POST", "", None), ("T1 MAP", "", None), ("T1 sub", "", None),
        ("T1 dynamic perf", "", None), ("ax t1rho", "", None), ("", "Gd", None), ("T1 non fs post", "", None),
        ("AX T1 POST W/O FS", "Gd", None), ("T1 GADO SANS FS", "", None), ("T1 MPRAGE PRE-OP GD", "", None),
        ("AX T1 CM", "", None), ("T1 C", "", None), ("POST OP AX T1", "", None), ("AX T1 POSTERIOR FOSSA", "", None),
        ("AX T1+FS", "", None), ("BRAIN W/WO CONTRAST AX T1", "", None), ("AX T1 MAPPING", "", None),
        ("AX T1 POST-PRE", "", None), ("FLAIR_reg_to_T1", "", None), ("T1 SUB1", "", None), ("mp2rage INV1", "", None),
        ("AX T2 FLAIR POST T1", "", None), ("FAT: Ax T1 IDEAL", "", None), ("T1_Images", "", None),
        ("MPR AX", "", None),
    ],
)  # fmt: skip
def test_t1_is_known_by_its_description_and_contrast_by_words_before_the_agent(
    tmp_path: Path, description: str, agent: str, kind: str | None
) -> None:
    named: dict[str, Any] = {"ContrastBolusAgent": agent} if agent else {}
    write_series(tmp_path, values(), AFFINE, SeriesDescription=description, ProtocolName="BRAIN T1 POST", **named)
    (series,) = find_series(tmp_path)
    assert series.t1() == kind


def test_t1_of_a_study_is_the_only_one_of_its_kind(tmp_path: Path) -> None:
    """In FLAIR's plane if there is one, and in its frame of reference."""
    sagittal = affine_of((1, 2, 0), (-1, -1, 1), SPACING)
    cases: list[tuple[str, Any, dict[str, Any]]] = [
        ("Ax FLAIR", AFFINE, {}), ("Ax T1", AFFINE, {}), ("Sag T1", sagittal, {}), ("Sag T1 post", sagittal, {}),
        ("Ax T1 +C", AFFINE, {"FrameOfReferenceUID": uid(8)}),
    ]  # fmt: skip
    for number, (words, affine, changes) in enumerate(cases, start=1):
        folder = tmp_path / str(number)
        write_series(folder, values(), affine, series=number, SeriesDescription=words, **changes)
    found = find_series(tmp_path)
    flair = choose_flair(found)
    before, after, said = choose_t1(found, flair)
    assert before is not None
    assert after is not None
    assert (before.description, after.description) == ("Ax T1", "Sag T1 post")
    assert said == ("T1 after contrast that does not share FLAIR's frame of reference is left out",)
    write_series(tmp_path / "6", values(), AFFINE, series=6, SeriesDescription="Ax T1 SE")
    before, after, said = choose_t1(find_series(tmp_path), flair)
    assert before is None
    assert after is not None
    assert len(said) == 2
    assert said[0].startswith("2 T1 series before contrast, of which none is used: series 2 (Ax T1; ")


def test_an_agent_that_all_series_name_tells_nothing(tmp_path: Path) -> None:
    for number, words in enumerate(("Ax FLAIR", "Ax T1", "Sag T1 MPRAGE POST"), start=1):
        write_series(
            tmp_path / str(number), values(), AFFINE, series=number, SeriesDescription=words, ContrastBolusAgent="Gd"
        )
    found = find_series(tmp_path)
    before, after, _ = choose_t1(found, choose_flair(found))
    assert before is None
    assert after is not None
    assert after.description == "Sag T1 MPRAGE POST"


def test_the_series_that_is_flair_is_no_t1(tmp_path: Path) -> None:
    write_series(tmp_path, values(), AFFINE, SeriesDescription="AX T1 PRE")
    found = find_series(tmp_path)
    assert choose_t1(found, found[0]) == (None, None, ())


def test_choice_among_series(tmp_path: Path) -> None:
    for number, words in enumerate(("Ax T2", "Ax FLAIR", "Sag FLAIR", "Ax T1 FLAIR"), start=1):
        write_series(tmp_path / str(number), values(), AFFINE, series=number, SeriesDescription=words)
    series = find_series(tmp_path)
    with pytest.raises(DataError) as caught:
        choose_flair(series)
    assert "2 FLAIR series among series 2 (Ax FLAIR; 6 slices, axial), series 3 (Sag" in str(caught.value)
    assert choose_flair(series, "3").description == "Sag FLAIR"
    assert choose_flair(series, "ax flair").description == "Ax FLAIR"
    with pytest.raises(DataError, match="no series like '9' among series 1"):
        choose_flair(series, "9")


def test_several_patients_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "a", values(), AFFINE)
    write_series(tmp_path / "b", values(), AFFINE, patient=1)
    assert "images of several patients" in refusal(tmp_path)
    (tmp_path / "b").rename(tmp_path.parent / f"{tmp_path.name}-away")
    write_series(tmp_path / "c", values(), AFFINE, series=2, PatientID="other", SeriesInstanceUID=uid(0, 1))
    assert "a series with images of several patients" in refusal(tmp_path)


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


@pytest.fixture(scope="module")
def head() -> NDArray[np.int16]:
    """Return FLAIR of a phantom, (X, Y, Z)."""
    from gliomask.volumes.phantom import simulate_patient

    flair = simulate_patient(1, seed=0, size=64, slices=12).image[..., 1]
    return flair.transpose(2, 1, 0).astype(np.int16) * 4


@pytest.mark.parametrize("number", range(48))
def test_dcm2niix_agrees(tmp_path: Path, head: NDArray[np.int16], number: int) -> None:
    """In every orientation, of which three quarters are oblique."""
    command = shutil.which("dcm2niix") or shutil.which("dcm2niix", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("dcm2niix is not installed")
    (axes, signs), (angle, axis) = ORIENTATIONS[number], [(0, 0), (12, 0), (-8, 1), (12, 2)][number % 4]
    affine: Any = rotation(angle, axis) @ affine_of(axes, signs, (3.5, 3.5, 6.0))
    source, target = tmp_path / "in", tmp_path / "out"
    target.mkdir()
    write_series(source, head, affine)
    subprocess.run([command, "-o", str(target), "-f", "a", "-b", "n", str(source)], check=True, capture_output=True)
    independent: Any = nib.load(target / "a.nii")
    ours = read(source).volume
    assert_same_place(ours, np.asanyarray(independent.dataobj), independent.affine, 1e-3)
    assert_same_place(ours, head, affine)
