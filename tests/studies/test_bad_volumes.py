"""Broken files and folders of every kind give one line, soon, and nothing else: no other error, no secret, no memory.

``GLIOMASK_FUZZ=5000`` tries so many mutated files, drawn anew in each run.
"""

from __future__ import annotations

import gzip
import io
import os
import resource
import struct
import tempfile
import zipfile
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from builders import write_known_model
from dicom_builders import SECRETS, save, write_enhanced, write_series
from gliomask.errors import DataError
from gliomask.inference.predictor import Predictor
from gliomask.studies.inputs import Inputs, find_inputs
from gliomask.studies.volume import VolumeStudy
from gliomask.volumes.dicom import find_series
from orientations import affine_of

SHAPE = (64, 32, 4)
AFFINE: Any = affine_of((0, 1, 2), (-1, -1, 1), (0.75, 0.5, 5.5))
SYNTAXES = {"rle": RLELossless, "jpegls": JPEGLSLossless, "jpeg2000": JPEG2000Lossless}
FORMATS = ("a.nii", "a.nii.gz", "single.dcm", "multi.dcm", *(f"{name}.dcm" for name in SYNTAXES), "a.zip")
MOST_MEMORY = 2 * 2**20  # KiB
EXAMPLES = int(os.environ.get("GLIOMASK_FUZZ", "0"))

Break = Callable[[Path], Path]


def values() -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, 4000, SHAPE).astype(np.int16)


def write(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@cache
def sound(name: str) -> bytes:
    """Return a whole file of that format."""
    if name.startswith("a.nii"):
        content = Nifti1Image(values(), AFFINE).to_bytes()  # type: ignore[no-untyped-call]
        return gzip.compress(content) if name.endswith(".gz") else bytes(content)
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        if name == "single.dcm":
            return write_series(where, values()[..., :1], AFFINE)[0].read_bytes()
        if name == "multi.dcm":
            return write_enhanced(where / name, values(), AFFINE).read_bytes()
        if name in [f"{syntax}.dcm" for syntax in SYNTAXES]:
            syntax = SYNTAXES[name.removesuffix(".dcm")]
            return write_series(where, values()[..., :1], AFFINE, syntax=syntax)[0].read_bytes()
        files = {path.name: path.read_bytes() for path in write_series(where, values(), AFFINE)}
    return zipped(files)


MR_IMAGE, PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.11.1"


def deflated(kind: str) -> bytes:
    """Return a whole DICOM file of a class, packed after its first group."""
    image = dcmread(io.BytesIO(sound("single.dcm")))
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = UID(kind)
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    buffer = io.BytesIO()
    image.save_as(buffer)
    return buffer.getvalue()


def zipped(files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, how)
    return buffer.getvalue()


@cache
def predictor() -> Predictor:
    with tempfile.TemporaryDirectory() as folder:
        return Predictor.load(write_known_model(Path(folder)))


def predictable(*paths: Path) -> Inputs:
    """Find, read and predict all that lies under some paths; return what went well and what was said of the rest."""
    found = find_inputs(paths)
    good, errors = [], list(found.errors)
    for study in found.studies:
        try:
            assert isinstance(study, VolumeStudy)
            volume = study.read()
        except DataError as error:
            errors.append(error)
            continue
        _, tall, wide = volume.grid.spacing
        mask = volume.grid.back(predictor().predict(volume.images, pixel=(tall, wide)).mask)
        assert mask.shape == volume.flair.volume.array.shape
        good.append(study)
    return Inputs(tuple(good), tuple(errors))


def line(path: Path) -> str:
    """Return the only line that is said of a path nothing of which can be used."""
    found = predictable(path)
    assert found.studies == ()
    assert len(found.errors) == 1
    message = str(found.errors[0])
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < 500 + len(str(path))
    assert not [secret for secret in SECRETS if secret in message]
    return message


@pytest.mark.parametrize("name", FORMATS)
def test_whole_files_are_read(tmp_path: Path, name: str) -> None:
    found = predictable(write(tmp_path / name, sound(name)))
    assert found.errors == ()
    assert len(found.studies) == 1


@pytest.mark.parametrize("tenth", range(10))
@pytest.mark.parametrize("name", FORMATS)
def test_cut_off_files(tmp_path: Path, name: str, tenth: int) -> None:
    content = sound(name)
    assert line(write(tmp_path / name, content[: len(content) * tenth // 10]))


@pytest.mark.parametrize("tenth", range(10))
def test_series_with_a_cut_off_file_is_not_predicted_without_it(tmp_path: Path, tenth: int) -> None:
    path = write_series(tmp_path, values(), AFFINE)[-1]
    path.write_bytes(path.read_bytes()[: path.stat().st_size * tenth // 10])
    assert line(tmp_path)


def nifti(array: NDArray[Any], affine: Any = AFFINE) -> bytes:
    return bytes(Nifti1Image(array, affine, dtype=array.dtype).to_bytes())  # type: ignore[no-untyped-call]


def patched(name: str, offset: int, kind: str, *numbers: float) -> bytes:
    content = bytearray(sound(name))
    struct.pack_into(kind, content, offset, *numbers)
    return bytes(content)


def changed(**changes: Any) -> Break:
    """Return what writes a series whose headers were changed."""

    def make(folder: Path) -> Path:
        for path in write_series(folder / "s", values(), AFFINE):
            dataset = dcmread(path)
            for name, value in changes.items():
                setattr(dataset, name, value)
            dataset.save_as(path)
        return folder / "s"

    return make


def replaced(name: str, old: bytes, new: bytes) -> Break:
    """Return what writes a file with some bytes replaced."""
    assert len(old) == len(new)

    def make(folder: Path) -> Path:
        content = sound(name)
        assert old in content
        return write(folder / name, content.replace(old, new, 1))

    return make


def content(name: str, made: Callable[[], bytes]) -> Break:
    return lambda folder: write(folder / name, made())


def folder_of(*names: str) -> Break:
    """Return what makes a folder of files that are no images."""

    def make(folder: Path) -> Path:
        for name in names:
            write(folder / "f" / name, b"no image")
        (folder / "f").mkdir(exist_ok=True)
        return folder / "f"

    return make


def link(path: Path, target: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    return path


def several(**changes: Any) -> Break:
    """Return what writes two series, the second with other headers."""

    def make(folder: Path) -> Path:
        write_series(folder / "s" / "a", values(), AFFINE)
        write_series(folder / "s" / "b", values(), AFFINE, **{"series": 2, **changes})
        return folder / "s"

    return make


def moved(index: int, by: float, axis: int = 2) -> Break:
    def make(folder: Path) -> Path:
        path = write_series(folder / "s", values(), AFFINE)[index]
        dataset = dcmread(path)
        dataset.ImagePositionPatient[axis] += by
        dataset.save_as(path)
        return folder / "s"

    return make


def two_patients(folder: Path) -> Path:
    for path in write_series(folder / "s", values(), AFFINE):
        path.rename(path.with_name(f"first-{path.name}"))
    write_series(folder / "s", values(), AFFINE, patient=1)
    return folder / "s"


def without_slice(folder: Path) -> Path:
    write_series(folder / "s", values(), AFFINE)[1].unlink()
    return folder / "s"


def secondary_captures(folder: Path) -> Path:
    for path in write_series(folder / "s", values(), AFFINE):
        save(path, dcmread(path), "1.2.840.10008.5.1.4.1.1.7")
    return folder / "s"


def encrypted() -> bytes:
    made = bytearray(sound("a.zip"))
    at = made.rindex(b"PK\x01\x02")
    made[at + 8] |= 1
    return bytes(made)


def large_zip() -> bytes:
    """Return a small zip whose directory says that it unpacks to 4 GiB."""
    made = bytearray(sound("a.zip"))
    struct.pack_into("<I", made, made.index(b"PK\x01\x02") + 24, 0xFFFFFFF0)
    return bytes(made)


def bomb(name: str, size: int = 3 * 2**20) -> bytes:
    """Return what unpacks to far more than its header declares."""
    return gzip.compress(sound(name) + bytes(size))


BROKEN: dict[str, tuple[Break, str]] = {
    "nifti empty": (content("a.nii", lambda: b""), "0 bytes"),
    "nifti packed, empty": (content("a.nii.gz", lambda: gzip.compress(b"")), "0 bytes"),
    "nifti of text": (content("a.nii", lambda: b"no image" * 100), "no NIfTI"),
    "nifti with another magic": (content("a.nii", lambda: patched("a.nii", 344, "4s", b"ni1\0")), "no NIfTI"),  # type: ignore[arg-type]
    "nifti that is a zip": (content("a.nii", lambda: sound("a.zip")), "no NIfTI"),
    "nifti of huge size": (content("a.nii", lambda: patched("a.nii", 42, "<hhh", *[32767] * 3)), "32767 x 32767"),
    "nifti of negative size": (content("a.nii", lambda: patched("a.nii", 42, "<h", -3)), "-3 x 32"),
    "nifti of unknown type": (content("a.nii", lambda: patched("a.nii", 70, "<h", 12345)), "damaged"),
    "nifti with voxels nowhere": (content("a.nii", lambda: patched("a.nii", 108, "<f", 1e9)), "damaged header"),
    "nifti bomb": (content("a.nii.gz", lambda: bomb("a.nii")), "goes on after the voxels"),
    "nifti with a wrong checksum": (content("a.nii.gz", lambda: sound("a.nii.gz")[:-8] + bytes(8)), "damaged"),
    "nifti 4-D": (content("a.nii", lambda: nifti(np.zeros((4, 4, 4, 3), np.int16))), "save the FLAIR volume alone"),
    "nifti 1-D": (content("a.nii", lambda: nifti(np.zeros(4, np.int16))), "an array of 4"),
    "nifti complex": (content("a.nii", lambda: nifti(np.zeros((4, 4, 4), np.complex64))), "complex64"),
    "nifti of NaN": (content("a.nii", lambda: nifti(np.full((4, 4, 4), np.nan, np.float32))), "NaN"),
    "nifti of infinity": (content("a.nii", lambda: nifti(np.full((4, 4, 4), np.inf, np.float32))), "infinite"),
    "nifti in metres": (content("a.nii", lambda: patched("a.nii", 123, "B", 1)), "lengths in meter"),
    "nifti that is flat": (content("a.nii", lambda: patched("a.nii", 280, "<4f", 0, 0, 0, 0)), "cannot be inverted"),
    "nifti with NaN for a place": (content("a.nii", lambda: patched("a.nii", 280, "<f", np.nan)), "finite numbers"),
    "nifti absent": (lambda folder: folder / "a.nii", "does not exist"),
    "path absent": (lambda folder: folder / "none", "does not exist"),
    "text file": (content("a.txt", lambda: b"no image"), "none of these"),
    "empty file": (content("a", lambda: b""), "none of these"),
    "folder without anything": (folder_of(), "no slices (TIFF, PNG), NIfTI or DICOM"),
    "folder of other files": (folder_of("a.txt", "b.json", ".hidden"), "no slices"),
    "dicom empty": (content("a.dcm", lambda: b""), "empty"),
    "dicom with another magic": (content("a.dcm", lambda: b"\0" * 128 + b"DOCM" + b"\0" * 99), "at its start"),
    "dicom of magic alone": (content("a.dcm", lambda: b"\0" * 128 + b"DICM"), "damaged"),
    "dicom of noise": (content("a.dcm", lambda: b"\0" * 128 + b"DICM" + bytes(range(256)) * 9), "damaged"),
    "dicom deflated": (content("a.dcm", lambda: deflated(MR_IMAGE)), "deflated"),
    "dicom of unknown compression": (replaced("rle.dcm", b"1.2.840.10008.1.2.5", b"1.2.840.10008.1.2.9"), "damaged"),
    "dicom stream of another size": (replaced("jpegls.dcm", b"\0\x20\0\x40\1", b"\xff\xff\xff\xff\1"), "another size"),
    "dicom 2000 stream of another size": (
        replaced("jpeg2000.dcm", struct.pack(">II", 64, 32), struct.pack(">II", 2**31 - 1, 2**31 - 1)), "another size",
    ),
    "dicom of huge size": (changed(Rows=65535, Columns=65535), "65535 x 65535"),
    "dicom of no size": (changed(Rows=0), "a series of"),
    "dicom of a billion frames": (changed(NumberOfFrames="1000000000"), "1000000000 frames"),
    "dicom with fewer pixels": (changed(PixelData=bytes(100)), "damaged"),
    "dicom in colour": (changed(SamplesPerPixel=3, PhotometricInterpretation="RGB"), "colour"),
    "dicom inverted": (changed(PhotometricInterpretation="MONOCHROME1"), "MONOCHROME1"),
    "dicom without position": (changed(ImagePositionPatient=None), "without its place"),
    "dicom without direction": (changed(ImageOrientationPatient=["0"] * 6), "sensible position or direction"),
    "dicom with letters for numbers": (
        lambda folder: write(folder / "a.dcm", sound("single.dcm").replace(b"0.750000", b"DOE^JANE")), "damaged",
    ),
    "dicom of infinite slope": (changed(RescaleSlope="1e400"), "infinite"),
    "dicom of flat pixels": (changed(PixelSpacing=["0", "1"]), "cannot be inverted"),
    "dicom with a gap": (without_slice, "slices missing"),
    "dicom with a slice twice": (moved(1, 5.5), "at the place of another"),
    "dicom unevenly spaced": (moved(1, 1.5), "unevenly spaced"),
    "dicom beside its line": (moved(1, 5, axis=0), "on a line"),
    "dicom of two patients": (two_patients, "several patients"),
    "dicom of two patients in a study": (several(PatientID="X"), "several patients"),
    "dicom with two FLAIR series": (several(SeriesDescription="Sag FLAIR"), "2 FLAIR series among series 1"),
    "dicom without FLAIR": (changed(SeriesDescription="Ax T2"), "no FLAIR series among series 1 (Ax T2"),
    "dicom of other objects": (secondary_captures, "no slices"),
    "dicom of another object": (
        lambda folder: save(folder / "a.dcm", dcmread(io.BytesIO(sound("single.dcm"))), "1.2.840.10008.5.1.4.1.1.7"),
        "no MR image",
    ),
    "dicom of localisers": (changed(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "no slices"),
    "zip that is empty": (content("a.zip", lambda: zipped({})), "a zip without MR images"),
    "zip of other files": (content("a.zip", lambda: zipped({"a.txt": b"no image"})), "a zip without MR images"),
    "zip that leads up": (content("a.zip", lambda: zipped({"a/../../b.dcm": b"x"})), "leads out of it"),
    "zip that leads to the root": (content("a.zip", lambda: zipped({"/etc/b.dcm": b"x"})), "leads out of it"),
    "zip that leads up in Windows": (content("a.zip", lambda: zipped({"..\\..\\b.dcm": b"x"})), "leads out of it"),
    "zip that leads to a drive": (content("a.zip", lambda: zipped({"C:\\b.dcm": b"x"})), "leads out of it"),
    "zip that leads nowhere": (content("a.zip", lambda: zipped({".": b"x"})), "or nowhere"),
    "zip that leads to itself": (content("a.zip", lambda: zipped({"./.": b"x"})), "or nowhere"),
    "zip of NIfTI": (content("a.zip", lambda: zipped({"a.nii": sound("a.nii")})), "1 image(s) that are not DICOM"),
    "zip of NIfTI in a folder": (
        lambda folder: write(folder / "f" / "a.zip", zipped({"a.nii": sound("a.nii")})).parent, "unpack it",
    ),
    "nrrd in a folder": (folder_of("a.nrrd", "b.NRRD", "c.txt"), "2 file(s) in NRRD; expected NIfTI; convert"),
    "analyze in a folder": (folder_of("a.hdr", "a.img"), "2 file(s) in Analyze"),
    "link that leads nowhere": (lambda folder: link(folder / "f" / "a.nii", "gone").parent, "leads nowhere"),
    "links that lead nowhere": (
        lambda folder: link(link(folder / "f" / "a.nii", "gone").with_name("b.nii"), "gone").parent, "(one of 2 in its",
    ),
    "link to itself": (lambda folder: link(folder / "f" / "a.nii", "a.nii").parent, "cannot be read"),
    "zip with a password": (content("a.zip", encrypted), "encrypted"),
    "zip that unpacks to much": (content("a.zip", large_zip), "unpack to 4.0 GiB"),
    "zip of very many": (content("a.zip", lambda: zipped({str(number): b"" for number in range(50_001)}, 0)), "50001"),
    "zip with a wrong checksum": (
        lambda folder: write(folder / "a.zip", zipped({"a.dcm": sound("single.dcm")}, 0).replace(b"DICM", b"DICN")),
        "damaged",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_inputs(tmp_path: Path, kind: str) -> None:
    make, said = BROKEN[kind]
    assert said in line(make(tmp_path))


@pytest.mark.parametrize("name", FORMATS)
def test_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Refused by hand, because a test may run as one who may read everything."""
    path = write(tmp_path / name, sound(name))
    usual = Path.open

    def refusing(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self == path:
            raise PermissionError(13, "Permission denied")
        return usual(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refusing)
    assert "Permission denied" in line(path)


def test_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_series(tmp_path / "s" / "deep", values(), AFFINE)[0].parent
    usual = os.scandir

    def refusing(path: Any) -> Any:
        if not isinstance(path, int) and Path(path) == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return usual(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert "Permission denied" in line(tmp_path / "s")
    write(tmp_path / "s" / "good.nii", sound("a.nii"))
    found = predictable(tmp_path / "s")
    assert [study.name for study in found.studies] == ["good"]
    assert "Permission denied" in str(found.errors[0])
    with pytest.raises(DataError, match="Permission denied"):
        find_series(tmp_path / "s")


def test_the_rest_of_the_batch_is_read(tmp_path: Path) -> None:
    paths = [BROKEN[kind][0](tmp_path / kind) for kind in list(BROKEN)[::5]]
    paths.insert(3, write(tmp_path / "good.nii", sound("a.nii")))
    found = predictable(*paths)
    assert [study.name for study in found.studies] == ["good"]
    assert len(found.errors) == len(paths) - 1


mutations = st.lists(
    st.tuples(
        st.sampled_from(("set", "cut", "insert", "repeat")),
        st.floats(0, 1) | st.floats(0, 0.1),  # headers are at the beginning
        st.binary(min_size=1, max_size=8) | st.sampled_from((b"\0" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f")),
    ),
    min_size=1,
    max_size=6,
)


def mutated(whole: bytes, changes: Any) -> bytes:
    made = bytearray(whole)
    for kind, place, new in changes:
        at = int(place * len(made))
        if kind == "set":
            made[at : at + len(new)] = new
        elif kind == "cut":
            del made[at : at + 16 * len(new)]
        elif kind == "insert":
            made[at:at] = new
        else:
            made[at:at] = made[at : at + 32 * len(new)]
    return bytes(made)


@given(name=st.sampled_from(FORMATS), changes=mutations)
@settings(
    max_examples=EXAMPLES or 150,
    derandomize=not EXAMPLES,
    deadline=timedelta(seconds=10),
    suppress_health_check=list(HealthCheck),
    database=None,
)
@pytest.mark.timeout(0 if EXAMPLES else 300)
def test_mutated_files_give_a_volume_or_a_line(name: str, changes: Any) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        found = predictable(write(Path(folder) / name, mutated(sound(name), changes)))
    assert len(found.studies) + len(found.errors) >= 1
    for error in found.errors:
        assert "\n" not in str(error)
        assert not [secret for secret in SECRETS if secret in str(error)]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss <= max(before, MOST_MEMORY)


def test_a_packed_object_that_is_no_image_spoils_nothing(tmp_path: Path) -> None:
    """A presentation state is often deflated; the images beside it are not."""
    write(tmp_path / "image.dcm", sound("single.dcm"))
    write(tmp_path / "state.dcm", deflated(PRESENTATION_STATE))
    assert len(find_series(tmp_path)) == 1


def test_an_image_may_speak_of_packing(tmp_path: Path) -> None:
    image = dcmread(io.BytesIO(sound("single.dcm")))
    image.ImageComments = str(DeflatedExplicitVRLittleEndian)
    image.save_as(tmp_path / "image.dcm")
    assert len(find_series(tmp_path)) == 1
