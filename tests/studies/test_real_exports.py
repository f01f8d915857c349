"""Files that scanners made, which pydicom and nibabel bring with them: read as those two read them."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom.data
import pytest
from pydicom import dcmread

from gliomask.errors import DataError
from gliomask.studies.inputs import find_inputs
from gliomask.volumes.dicom import choose_flair, find_series

PYDICOM = Path(pydicom.data.__file__).parent / "test_files"
NIBABEL = Path(nibabel.__file__).parent / "nicom" / "tests" / "data"
SYNTAXES = (
    "MR_small", "MR_small_RLE", "MR_small_bigendian", "MR_small_expb", "MR_small_implicit", "MR_small_jp2klossless",
    "MR_small_jpeg_ls_lossless", "MR_small_padded",
)  # fmt: skip


def exported(folder: Path, name: str, target: Path) -> Path:
    """Return a file of theirs, unpacked; skip the test where their packages came without it."""
    source = folder / name
    if not source.is_file():
        pytest.skip(f"{source} is not installed")
    content = source.read_bytes()
    path = target / name.removesuffix(".gz")
    path.write_bytes(gzip.decompress(content) if name.endswith(".gz") else content)
    return path


def same_place(path: Path) -> None:
    """Compare where the voxels lie with what nibabel says, in LPS, whose first axis runs along a column."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is experimental
        from nibabel.nicom.dicomwrappers import wrapper_from_data

        expected: Any = wrapper_from_data(dcmread(path))  # type: ignore[no-untyped-call]
    (series,) = find_series(path)
    volume = series.read().volume
    assert volume.array.shape == (expected.image_shape[1], expected.image_shape[0], *(*expected.image_shape, 1)[2:3])
    ours, theirs, last = np.diag([-1, -1, 1, 1]) @ volume.affine, expected.affine, volume.array.shape[2] - 1
    assert np.allclose(ours[:, [1, 0]], theirs[:, :2], atol=1e-3)
    ends = [sorted([tuple(each[:3, 3]), tuple(each[:3, 3] + last * each[:3, 2])]) for each in (ours, theirs)]
    assert np.allclose(ends[0], ends[1], atol=1e-2)  # slices may be counted from either side


@pytest.mark.parametrize("name", SYNTAXES)
def test_a_slice_of_toshiba_in_every_syntax(tmp_path: Path, name: str) -> None:
    path = exported(PYDICOM, f"{name}.dcm", tmp_path)
    (series,) = find_series(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the bytes that fill one of them up
        expected = dcmread(path).pixel_array
    assert np.array_equal(series.read().volume.array[..., 0].T, expected)
    same_place(path)


def test_a_cut_off_slice_is_refused(tmp_path: Path) -> None:
    path = exported(PYDICOM, "MR_truncated.dcm", tmp_path)
    with pytest.raises(DataError, match=r"MR_truncated\.dcm"):
        find_series(path)[0].read()


def test_a_sagittal_volume_of_philips_in_one_file(tmp_path: Path) -> None:
    """176 frames of enhanced MR, turned by some degrees."""
    path = exported(NIBABEL, "philips_mprage.dcm.gz", tmp_path)
    (series,) = find_series(path)
    assert (str(series), series.is_flair(), series.t1()) == (
        "series 301 (MPRAGE_S2; 176 slices, sagittal)", False, None,
    )  # fmt: skip
    assert series.read().warnings == ()
    same_place(path)
    (study,) = find_inputs(path, series="301").studies
    assert study.read().images.shape == (256, 256, 176, 3)  # type: ignore[union-attr]


def test_slices_of_two_heads_are_of_several_patients(tmp_path: Path) -> None:
    exported(PYDICOM, "MR_small.dcm", tmp_path)
    exported(NIBABEL, "philips_mprage.dcm.gz", tmp_path)
    with pytest.raises(DataError, match="images of several patients"):
        choose_flair(find_series(tmp_path))
