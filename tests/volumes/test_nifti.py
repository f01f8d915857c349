"""A mask in a NIfTI file comes back as it was, and whatever is no mask is refused with a reason."""

from __future__ import annotations

import gzip
import struct
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Extension, Nifti1Header, Nifti1Image
from nibabel.nifti2 import Nifti2Image
from numpy.typing import NDArray

from gliomask.errors import DataError
from gliomask.volumes.nifti import read_mask_volume, write_mask_volume
from gliomask.volumes.nifti_image import read_nifti
from gliomask.volumes.volume import to_axial

SHAPE = (3, 4, 5)
SPACING = (5.0, 0.9, 0.7)


def volume(shape: tuple[int, ...] = SHAPE, seed: int = 1) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random(shape) < 0.3


def save(path: Path, array: NDArray[Any], kind: Any = Nifti1Image, header: Any = None) -> Path:
    path.write_bytes(kind(array, np.eye(4), header).to_bytes())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_mask_volume(path)
    assert caught.value.path == str(path)
    assert "\n" not in str(caught.value)
    return caught.value.found


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII.GZ", "new/a.nii.gz"])
@pytest.mark.parametrize("shape", [SHAPE, (1, 4, 5), (3, 1, 5), (3, 4, 1)])
def test_round_trip(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    write_mask_volume(tmp_path / name, volume(shape), SPACING)
    again = read_mask_volume(tmp_path / name)
    assert again.mask.dtype == np.bool_
    assert np.array_equal(again.mask, volume(shape))
    assert again.spacing == SPACING
    assert again.mask.flags.writeable
    assert again.mask.flags.c_contiguous


def test_empty_mask_without_spacing_comes_back(tmp_path: Path) -> None:
    write_mask_volume(tmp_path / "a.nii", np.zeros(SHAPE, np.bool_))
    again = read_mask_volume(tmp_path / "a.nii")
    assert again.mask.shape == SHAPE
    assert not again.mask.any()
    assert again.spacing is None


def test_axes_are_column_row_slice_in_file_order(tmp_path: Path) -> None:
    array = np.zeros((5, 4, 3), np.uint8)
    array[4, 1, 2] = 1
    path = save(tmp_path / "a.nii", array)
    assert np.argwhere(read_mask_volume(path).mask).tolist() == [[2, 1, 4]]


def test_pixels_lie_row_by_row_in_the_file(tmp_path: Path) -> None:
    write_mask_volume(tmp_path / "a.nii", volume())
    assert (tmp_path / "a.nii").read_bytes()[352:] == volume().astype(np.uint8).tobytes()


PLACES = [*product(permutations(range(3)), product((1, -1), repeat=3))]


@pytest.mark.parametrize(("axes", "signs"), PLACES)
def test_a_mask_lies_as_its_image_does(tmp_path: Path, axes: tuple[int, ...], signs: tuple[int, ...]) -> None:
    """The slices of an image and those of a mask with its header are the same ones, however the file lies."""
    affine = np.zeros((4, 4))
    affine[3, 3], affine[:3, 3] = 1, (7, 8, 9)
    for place, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[axis, place] = sign * (0.7, 0.9, 5.0)[axis]
    image = Nifti1Image(volume().astype(np.uint8), affine)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    slices, grid = to_axial(read_nifti(tmp_path / "a.nii").volume)
    mask = read_mask_volume(tmp_path / "a.nii")
    assert np.array_equal(mask.mask, slices > 0)
    assert mask.spacing == pytest.approx(grid.spacing) == (5.0, 0.9, 0.7)
    assert mask.is_turned == ((axes, signs) != ((0, 1, 2), (-1, -1, 1)))


@pytest.mark.parametrize("affine", [np.eye(4), np.diag([0.7, 0.9, 5.0, 1.0]), np.diag([-1.0, -1.0, 1.0, 1.0])])
def test_a_stack_without_a_place_is_read_in_file_order(tmp_path: Path, affine: NDArray[np.float64]) -> None:
    image = Nifti1Image(volume().T.astype(np.uint8), affine)  # type: ignore[no-untyped-call]
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    assert np.array_equal(read_mask_volume(tmp_path / "a.nii").mask, volume())
    assert not read_mask_volume(tmp_path / "a.nii").is_turned


def test_an_affine_that_no_code_declares_turns_nothing(tmp_path: Path) -> None:
    turned = np.array([[0, 0, -1, 9], [-1, 0, 0, 9], [0, 1, 0, 9], [0, 0, 0, 1]])
    image = Nifti1Image(volume().T.astype(np.uint8), turned)  # type: ignore[no-untyped-call]
    content = bytearray(image.to_bytes())
    content[252:256] = bytes(4)  # qform_code and sform_code
    (tmp_path / "a.nii").write_bytes(content)
    assert np.array_equal(read_mask_volume(tmp_path / "a.nii").mask, volume())


@pytest.mark.parametrize(("shape", "expected"), [((5, 4), (1, 4, 5)), ((5, 4, 3, 1, 1), SHAPE), ((5, 4, 1), (1, 4, 5))])
def test_two_dimensions_and_trailing_axes_are_accepted(
    tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    path = save(tmp_path / "a.nii", volume(expected).T.reshape(shape, order="F").astype(np.uint8))
    assert np.array_equal(read_mask_volume(path).mask, volume(expected))


@pytest.mark.parametrize("top", [1, 2, 255, 0.5])
@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i2", "<u4", "<f4", ">f8"])
def test_any_positive_value_is_tumour(tmp_path: Path, top: float, dtype: str) -> None:
    values = volume().T * (top if "f" in dtype else max(int(top), 1))
    header = Nifti1Header(endianness=">" if dtype.startswith(">") else "<")  # type: ignore[no-untyped-call]
    header.set_data_dtype(dtype)  # type: ignore[no-untyped-call]
    path = save(tmp_path / "a.nii", values.astype(dtype), header=header)
    assert np.array_equal(read_mask_volume(path).mask, volume())


@pytest.mark.parametrize("kind", [Nifti1Image, Nifti2Image])
@pytest.mark.parametrize("lengths", [(10,), (400,), (100, 100), (200_000,)])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_extensions_of_the_header_are_no_damage(tmp_path: Path, kind: Any, lengths: tuple[int, ...], name: str) -> None:
    """AFNI's XML and dcm2niix's comments lie between the header and the voxels."""
    image = kind(volume().astype(np.uint8), np.eye(4))
    image.header.extensions.extend(Nifti1Extension("comment", b"x" * length) for length in lengths)
    content = image.to_bytes()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert np.array_equal(read_mask_volume(tmp_path / name).mask, volume().transpose())


def test_nifti_2_is_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", volume().T.astype(np.uint8), Nifti2Image)
    assert np.array_equal(read_mask_volume(path).mask, volume())


@pytest.mark.parametrize(
    ("unit", "zooms", "expected"),
    [
        ("mm", (0.7, 0.9, 5), SPACING),
        ("mm", (1, 1, 1), None),
        ("micron", (7, 9, 5), None),
        ("unknown", (0.7, 0.9, 5), None),
        ("mm", (1, 1, float("nan")), None),
    ],
)
def test_spacing_counts_only_if_the_header_means_it(
    tmp_path: Path, unit: str, zooms: tuple[float, ...], expected: tuple[float, ...] | None
) -> None:
    image: Any = Nifti1Image(volume().T.astype(np.uint8), None)  # type: ignore[no-untyped-call]
    image.header.set_zooms(zooms)
    image.header.set_xyzt_units(unit)
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    assert read_mask_volume(tmp_path / "a.nii").spacing == expected


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0, 1, 2, 4], "4 value.s.: 0, 1, 2, 4"),
        ([0, -1], "-1, 0"),
        ([0.0, 0.5, 1.0], "0, 0.5, 1"),
        ([0.0, float("nan")], "nan"),
        ([0.0, float("inf")], "inf"),
        ([3, 3], "1 value.s.: 3"),
        (list(range(9)), "9 value.s.: 0, 1, 2, 3, 4, 5, ..."),
    ],
)
def test_other_values_are_named(tmp_path: Path, values: list[float], found: str) -> None:
    array = np.resize(np.array(values, np.float32), (6, 6, 2))
    assert found.replace(".s.", "(s)") in refusal(save(tmp_path / "a.nii", array))


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((4, 4, 3, 2), np.uint8), "an array of 4 x 4 x 3 x 2"),
        (np.zeros(4, np.uint8), "an array of 4"),
        (np.zeros((4, 0, 3), np.uint8), "an array of 4 x 0 x 3"),
        (np.zeros((4, 4, 3), np.complex64), "complex"),
        (np.zeros((4, 4, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")]), "RGB"),
    ],
)
def test_arrays_that_are_no_mask_are_refused(tmp_path: Path, array: NDArray[Any], found: str) -> None:
    assert found in refusal(save(tmp_path / "a.nii", array))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("part", [0.001, 0.02, 0.3, 0.9, 0.99, 0.9999])
def test_cut_off_file_is_refused(tmp_path: Path, name: str, part: float) -> None:
    path = tmp_path / name
    write_mask_volume(path, volume((9, 64, 64)))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    assert "damaged" in refusal(path)


def test_a_flipped_bit_in_a_packed_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(save(tmp_path / "a.nii", volume().T.astype(np.uint8)).read_bytes(), 0))
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    assert "damaged" in refusal(path)


@pytest.mark.parametrize(
    ("content", "found"),
    [(None, "no such file"), (b"", "0 bytes"), (b"x" * 500, "no NIfTI"), (gzip.compress(b""), "0 bytes")],
    ids=["missing", "empty", "other", "packed, empty"],  # a packed file holds the time, an id must not
)
def test_file_that_is_no_nifti_is_refused(tmp_path: Path, content: bytes | None, found: str) -> None:
    if content is not None:
        (tmp_path / "a.nii.gz").write_bytes(content)
    assert found in refusal(tmp_path / "a.nii.gz")


def test_damaged_header_is_refused_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = save(tmp_path / "a.nii", volume().T.astype(np.uint8))
    content = bytearray(path.read_bytes())
    content[70:72] = struct.pack("<h", 999)  # the code of the data type
    path.write_bytes(content)
    assert "damaged" in refusal(path)
    assert not caplog.records


def test_odd_header_that_can_be_used_is_read_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = save(tmp_path / "a.nii", volume().T.astype(np.uint8))
    content = bytearray(path.read_bytes())
    content[80:84] = struct.pack("<f", -1)  # a pixel size, which nibabel mends and tells of
    path.write_bytes(content)
    assert np.array_equal(read_mask_volume(path).mask, volume())
    assert not caplog.records


@pytest.mark.parametrize("name", ["a.hdr", "a.gz", "a.png", "nii"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    assert "a name ending in" in refusal(tmp_path / name)
    with pytest.raises(DataError, match="a name ending in"):
        write_mask_volume(tmp_path / name, volume())


def test_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii").mkdir()
    assert refusal(tmp_path / "a.nii") == "a folder"
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        write_mask_volume(tmp_path / "file" / "a.nii", volume())


@pytest.mark.parametrize("mask", [np.zeros(SHAPE, np.uint8), volume()[0], volume()[:0], np.ones(SHAPE, np.bool_)])
def test_arrays_that_would_not_come_back_are_not_written(tmp_path: Path, mask: Any) -> None:
    with pytest.raises(DataError, match="to write"):
        write_mask_volume(tmp_path / "a.nii", mask)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("spacing", [(0.0, 1.0, 1.0), (1.0, 1.0), (1.0, -1.0, 1.0), (float("nan"), 1.0, 1.0)])
def test_impossible_spacing_is_not_written(tmp_path: Path, spacing: Any) -> None:
    with pytest.raises(DataError, match="a spacing of"):
        write_mask_volume(tmp_path / "a.nii", volume(), spacing)


def test_the_same_mask_makes_the_same_file(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        write_mask_volume(tmp_path / name, volume(), SPACING)
    content = (tmp_path / "a.nii.gz").read_bytes()
    assert content == (tmp_path / "b.nii.gz").read_bytes()
    assert content[4:8] == bytes(4)  # gzip's time stamp
