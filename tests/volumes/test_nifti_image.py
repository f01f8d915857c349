"""NIfTI images of any kind and orientation are read with their place; results carry it bit for bit."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from nibabel.nifti2 import Nifti2Image
from numpy.typing import NDArray

from gliomask.errors import DataError
from gliomask.volumes.nifti_image import read_nifti, write_nifti
from orientations import ORIENTATIONS, affine_of, rotation

SHAPE = (5, 6, 7)
SPACING = (0.7, 0.9, 5.1)
AFFINE = affine_of((0, 1, 2), (-1, 1, 1), SPACING)


def values(dtype: str = "<i2", shape: tuple[int, ...] = SHAPE) -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def save(path: Path, array: NDArray[Any], affine: Any = AFFINE, kind: Any = Nifti1Image) -> Path:
    path.write_bytes(kind(array, affine, dtype=array.dtype).to_bytes())
    return path


def load(path: Path) -> Any:
    return nib.load(path)


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_nifti(path)
    assert caught.value.path == str(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def patch(path: Path, offset: int, kind: str, *numbers: float) -> Path:
    content = bytearray(path.read_bytes())
    struct.pack_into(f"<{kind}", content, offset, *numbers)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII.GZ"])
@pytest.mark.parametrize("kind", [Nifti1Image, Nifti2Image])
@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">i2", "<u2", "<i4", "<u4", "<i8", "<f4", ">f4", "<f8"])
def test_every_type_is_read_as_nibabel_reads_it(tmp_path: Path, name: str, kind: Any, dtype: str) -> None:
    content = kind(values(dtype), AFFINE, dtype=dtype).to_bytes()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.lower().endswith("gz") else content)
    image = read_nifti(tmp_path / name)
    assert np.array_equal(image.volume.array, values(dtype))
    assert image.volume.array.dtype.kind == np.dtype(dtype).kind
    assert np.array_equal(image.volume.affine, load(tmp_path / name).affine)
    assert image.warnings == ()


@pytest.mark.parametrize("which", ORIENTATIONS)
@pytest.mark.parametrize("kind", [Nifti1Image, Nifti2Image])
def test_result_lies_where_the_image_lies_bit_for_bit(tmp_path: Path, which: Any, kind: Any) -> None:
    affine: Any = rotation(7.3) @ affine_of(which[0], which[1], SPACING)
    made = kind(values(), affine)
    made.set_qform(affine, code="aligned")
    made.header["descrip"] = b"DOE^JANE"
    (tmp_path / "a.nii").write_bytes(made.to_bytes())
    image = read_nifti(tmp_path / "a.nii")
    mask = values() > 50
    write_nifti(tmp_path / "mask.nii.gz", mask, image.volume, image.header)
    first, second = load(tmp_path / "a.nii"), load(tmp_path / "mask.nii.gz")
    for field in ("pixdim", "xyzt_units", "qform_code", "sform_code", "qoffset_x", "quatern_b", "srow_x", "srow_z"):
        assert first.header[field].tobytes() == second.header[field].tobytes()
    assert first.affine.tobytes() == second.affine.tobytes() == image.volume.affine.tobytes()
    assert second.get_data_dtype() == np.uint8
    assert np.array_equal(np.asanyarray(second.dataobj), mask)
    assert b"DOE" not in gzip.decompress((tmp_path / "mask.nii.gz").read_bytes())
    assert np.array_equal(read_nifti(tmp_path / "mask.nii.gz").volume.array, mask)


def test_probabilities_and_a_volume_without_header(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", values())
    volume = read_nifti(tmp_path / "a.nii").volume
    probabilities = np.random.default_rng(1).random(SHAPE).astype(np.float32)
    write_nifti(tmp_path / "p.nii.gz", probabilities, volume)
    again = load(tmp_path / "p.nii.gz")
    assert np.array_equal(np.asanyarray(again.dataobj), probabilities)
    assert np.array_equal(again.affine, volume.affine)
    assert np.allclose(again.get_qform(), volume.affine, atol=1e-5)
    assert again.header.get_xyzt_units()[0] == "mm"


def test_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    path = patch(save(tmp_path / "a.nii", values()), 112, "ff", 2.5, -100)
    assert np.array_equal(read_nifti(path).volume.array, values() * 2.5 - 100)


@pytest.mark.parametrize("shape", [(5, 6, 7, 1), (5, 6, 7, 1, 1), (5, 6), (5, 6, 1)])
def test_further_axes_of_length_one_are_dropped(tmp_path: Path, shape: tuple[int, ...]) -> None:
    expected = (*shape, 1)[:3]
    image = read_nifti(save(tmp_path / "a.nii", values(shape=shape)))
    assert np.array_equal(image.volume.array, values(shape=shape).reshape(expected))


def test_qform_counts_where_sform_does_not(tmp_path: Path) -> None:
    made: Any = Nifti1Image(values(), None)  # type: ignore[no-untyped-call]
    made.set_qform(rotation(20) @ AFFINE, code=1)
    (tmp_path / "a.nii").write_bytes(made.to_bytes())
    image = read_nifti(tmp_path / "a.nii")
    assert np.allclose(image.volume.affine, rotation(20) @ AFFINE, atol=1e-5)
    assert image.warnings == ()


def test_what_is_odd_about_the_place_is_said(tmp_path: Path) -> None:
    nowhere = read_nifti(patch(patch(save(tmp_path / "a.nii", values()), 254, "h", 0), 252, "h", 0))
    assert "nothing of the orientation" in nowhere.warnings[0]
    assert nowhere.volume.orientation == "LAS"
    made: Any = Nifti1Image(values(), AFFINE)  # type: ignore[no-untyped-call]
    made.set_qform(rotation(30) @ AFFINE, code=1)
    (tmp_path / "b.nii").write_bytes(made.to_bytes())
    twice = read_nifti(tmp_path / "b.nii")
    assert "differ" in twice.warnings[0]
    assert np.array_equal(twice.volume.affine, load(tmp_path / "b.nii").affine)


def test_a_quaternion_that_is_too_long_leaves_sform(tmp_path: Path) -> None:
    path = patch(save(tmp_path / "a.nii", values()), 252, "h", 1)
    affine = load(path).affine
    image = read_nifti(patch(path, 256, "fff", 0.6000001, 0.8000003, 0.00002))
    assert "(qform) is no rotation; sform is taken" in image.warnings[0]
    assert np.array_equal(image.volume.affine, affine)
    write_nifti(tmp_path / "m.nii", values() > 0, image.volume, image.header)
    assert np.array_equal(read_nifti(tmp_path / "m.nii").volume.affine, affine)
    assert "damaged" in refusal(patch(path, 254, "h", 0))  # nothing else tells the place


def test_lengths_that_nibabel_would_make_up_are_refused(tmp_path: Path) -> None:
    made: Any = Nifti1Image(values(), None)  # type: ignore[no-untyped-call]
    made.set_qform(AFFINE, code=1)
    made.header.set_xyzt_units("mm")
    for axis, length in ((3, 0.0), (2, 0.0)):
        (tmp_path / "a.nii").write_bytes(made.to_bytes())
        assert "; expected lengths of 0.05 to 50.0 mm" in refusal(patch(tmp_path / "a.nii", 76 + 4 * axis, "f", length))
    with_sform = patch(save(tmp_path / "b.nii", values()), 88, "f", 0.0)
    assert read_nifti(with_sform).volume.spacing == pytest.approx(SPACING)
    flat = patch(patch(save(tmp_path / "c.nii", values(shape=(5, 6))), 88, "f", 0.0), 254, "h", 0)
    assert read_nifti(flat).volume.array.shape == (5, 6, 1)


@pytest.mark.parametrize(("step", "fits"), [(0.04, False), (0.06, True), (49.0, True), (51.0, False), (2e-4, False)])
def test_lengths_of_no_scanner_are_refused(tmp_path: Path, step: float, fits: bool) -> None:
    path = save(tmp_path / "a.nii", values(), np.diag([1, -step, 1, 1]))
    if fits:
        assert read_nifti(path).volume.spacing == pytest.approx((1, step, 1))
    else:
        assert f"voxels of 1 x {step:.3g} x 1 mm; expected lengths" in refusal(path)


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((4, 4, 3, 2), np.uint8), "4 x 4 x 3 x 2; expected"),
        (np.zeros(4, np.uint8), "an array of 4;"),
        (np.zeros((4, 0, 3), np.uint8), "4 x 0 x 3"),
        (np.zeros((4, 4, 3), np.complex64), "complex64"),
        (np.zeros((4, 4, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")]), "values of type"),
        (np.full((4, 4, 3), np.nan, np.float32), "48 voxel(s) that are NaN"),
        (np.full((4, 4, 3), np.inf, np.float32), "infinite"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: NDArray[Any], found: str) -> None:
    assert found in refusal(save(tmp_path / "a.nii", array))


@pytest.mark.parametrize(
    ("offset", "kind", "numbers", "found"),
    [
        (42, "hhh", (32767, 32767, 32767), "32767 x 32767 x 32767 voxels"),
        (42, "h", (-5,), "-5 x 6 x 7"),
        (42, "h", (600,), "cut-off"),
        (40, "h", (9,), "damaged"),
        (70, "h", (999,), "damaged"),
        (108, "f", (float("nan"),), "damaged header"),
        (108, "f", (1e30,), "damaged header"),
        (112, "ff", (1, float("nan")), "damaged"),
        (123, "B", (1,), "lengths in meter"),
        (280, "ffff", (0, 0, 0, 0), "cannot be inverted"),
        (280, "f", (float("nan"),), "finite numbers"),
        (344, "B", (65,), "no NIfTI"),
    ],
)
def test_damaged_headers_are_refused(tmp_path: Path, offset: int, kind: str, numbers: Any, found: str) -> None:
    path = save(tmp_path / "a.nii", values())
    assert found in refusal(patch(path, offset, kind, *numbers))


def test_results_of_another_kind_are_not_written(tmp_path: Path) -> None:
    volume = read_nifti(save(tmp_path / "a.nii", values())).volume
    for array in (np.zeros(SHAPE), np.zeros(SHAPE, np.uint8), np.zeros((7, 6, 5), np.bool_)):
        with pytest.raises(DataError, match="to write"):
            write_nifti(tmp_path / "b.nii", array, volume)
    with pytest.raises(DataError, match="a name ending in"):
        write_nifti(tmp_path / "b.img", np.zeros(SHAPE, np.bool_), volume)
    assert not (tmp_path / "b.nii").exists()
