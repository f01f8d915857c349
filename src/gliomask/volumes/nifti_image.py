"""Images in NIfTI files, with their place in space, and results on the same grid. Knows nothing of models or patients.

Masks of stacked slices, which have no place in space, are the affair of `gliomask.volumes.nifti`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliomask.errors import DataError
from gliomask.volumes.nifti_file import check_name, damaged, in_silence, load_nifti, write_content
from gliomask.volumes.volume import Volume, check_spacing

_IMAGE = "a NIfTI image of 3 dimensions with its orientation"
_SPATIAL = (
    "pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d",
    "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z",
)  # fmt: skip
_NO_PLACE = "the header says nothing of the orientation; it is taken as growing to left, anterior and superior"
_TWO_PLACES = "the header's two descriptions of the place in space (sform and qform) differ; sform is taken"
_NO_ROTATION = "one of the header's two descriptions of the place in space (qform) is no rotation; sform is taken"


@dataclass(frozen=True)
class NiftiImage:
    """An image, and what its header says of space.

    Attributes
    ----------
    volume
        Values as float64 if the header scales them, else of the type in the file.
    header
        nibabel's header, so that results can carry the same geometry bit for bit.
    warnings
        What is odd about the header, one sentence each.
    """

    volume: Volume
    header: Any
    warnings: tuple[str, ...] = ()


def read_nifti(path: Path) -> NiftiImage:
    """Read one image.

    Parameters
    ----------
    path
        NIfTI-1 or NIfTI-2 in one file, ``.nii`` or ``.nii.gz``. Further axes of length 1 are dropped; a file of two
        dimensions is one slice. Integers or floats, scaled by the header's slope and intercept. The affine is that of
        sform if its code is positive, else that of qform, else nibabel's guess.

    Returns
    -------
    NiftiImage
        In the file's own orientation.

    Raises
    ------
    DataError
        If the file is missing, empty, cut off, damaged or no NIfTI; has more than 3 dimensions, is not of real numbers,
        holds NaN or infinite values, or has lengths in another unit than mm, voxels of less than 0.05 or more than
        50 mm, none at all where they count (without sform), or an affine that cannot be inverted.
    """
    image = load_nifti(path, _IMAGE)
    try:
        with in_silence():
            shape = _shape(path, image)
            _check_unit(path, image.header)
            with np.errstate(all="ignore"):  # what overflows is found as infinite
                values = np.asanyarray(image.dataobj).reshape(shape)
            affine, said = _affine(path, image)
    except DataError:
        raise
    except Exception as error:  # nibabel and its decoders raise nearly anything for broken files
        raise damaged(path, _IMAGE, error) from error
    volume = Volume(values, affine, "RAS", source=str(path))
    check_spacing(volume.spacing, volume.source)
    return NiftiImage(volume, image.header, said)


def write_nifti(path: Path, array: NDArray[Any], volume: Volume, header: Any = None) -> None:
    """Write a result that lies on the grid of a volume.

    Parameters
    ----------
    path
        File to write, or to replace; ``.nii`` or ``.nii.gz``. The folder is made if it is absent.
    array
        (X, Y, Z) on the volume's grid; bool (a mask, written as uint8 0 and 1) or float32 (probabilities).
    volume
        What it was computed from.
    header
        Header of the `NiftiImage` the volume came from: its qform, sform, spacing and units are repeated bit for bit,
        and nothing else of it, because free text may name a patient. Without it sform and qform are the affine.

    Raises
    ------
    DataError
        If the array is anything else, the ending is unknown, or the file cannot be written.
    """
    from nibabel.nifti1 import Nifti1Image  # noqa: PLC0415 - slow to import
    from nibabel.nifti2 import Nifti2Header, Nifti2Image  # noqa: PLC0415

    check_name(path, "a name for a result")
    if array.dtype not in (np.bool_, np.float32) or array.shape != volume.array.shape:
        found = f"an array {array.shape} of {array.dtype} to write"
        raise DataError(path, found, f"{volume.array.shape} of bool or float32", "bring it to the image's grid first")
    values = array.astype(np.uint8) if array.dtype == np.bool_ else array
    kind: Any = Nifti2Image if isinstance(header, Nifti2Header) else Nifti1Image
    made = kind(values, volume.affine).header
    if header is None:
        made.set_xyzt_units("mm")
        made.set_qform(volume.affine, code="scanner", strip_shears=True)
        made.set_sform(volume.affine, code="scanner")
    else:
        for field in _SPATIAL:
            made[field] = header[field]
    made["scl_slope"], made["scl_inter"] = 1, 0
    made["vox_offset"] = len(made.binaryblock) + 4
    no_extension = bytes(4)
    write_content(path, made.binaryblock + no_extension + values.tobytes(order="F"))  # an image writes its own affine


def _shape(path: Path, image: Any) -> tuple[int, int, int]:
    shape = tuple(int(length) for length in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if not 2 <= len(shape) <= 3 or 0 in shape:
        found = f"an array of {' x '.join(map(str, image.shape)) or 'no dimensions'}"
        raise DataError(path, found, _IMAGE, "save the FLAIR volume alone, for example with nibabel's four_to_three")
    dtype = image.get_data_dtype()
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise DataError(path, f"values of type {dtype}", _IMAGE, "save it as integers or floats of at most 64 bits")
    x, y, z = (*shape, 1)[:3]
    return x, y, z


def _check_unit(path: Path, header: Any) -> None:
    unit = header.get_xyzt_units()[0]
    if unit in ("meter", "micron"):
        raise DataError(path, f"lengths in {unit}", f"{_IMAGE} in mm", "convert it to mm")


def _affine(path: Path, image: Any) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the affine, and what is odd about it."""
    header, lengths = image.header, image.extra["pixdim"][1:4]
    if header["sform_code"] <= 0:
        check_spacing(np.abs(lengths[: min(3, int(header["dim"][0]))]).tolist(), str(path))
    affine = np.asarray(header.get_best_affine(), np.float64)
    if header["sform_code"] <= 0 and header["qform_code"] <= 0:
        return affine, (_NO_PLACE,)
    if header["sform_code"] <= 0 or header["qform_code"] <= 0:
        return affine, ()
    try:
        other = header.get_qform()
    except ValueError:  # a quaternion longer than 1
        return affine, (_NO_ROTATION,)
    agree = np.allclose(affine, other, atol=0.02 * float(np.abs(affine[:3, :3]).max()))
    return affine, () if agree else (_TWO_PLACES,)
