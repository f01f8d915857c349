"""DICOM series are found and read with their place, whatever their orientation, packing and headers."""

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

from dicom_builders import save, uid, write_enhanced, write_series
from dicom_series import AFFINE, SHAPE, SPACING, read, refusal, values
from gliomask.volumes import dicom_headers
from gliomask.volumes.archive import Part
from gliomask.volumes.dicom import find_series
from gliomask.volumes.dicom_headers import DicomFrame, read_frames
from gliomask.volumes.volume import Volume, to_axial
from orientations import ORIENTATIONS, affine_of, rotation


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
