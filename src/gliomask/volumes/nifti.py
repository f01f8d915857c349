"""One mask in one NIfTI file, read strictly and written whole. Knows no patients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliomask.errors import DataError
from gliomask.volumes.nifti_file import check_name, damaged, in_silence, load_nifti, write_content
from gliomask.volumes.volume import AxialGrid, Volume

_MASK = "a NIfTI mask of at most 3 dimensions with 0 for background and one positive value for tumour"
_UNKNOWN = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class MaskVolume:
    """A mask of several slices.

    Attributes
    ----------
    mask
        (S, H, W) bool, true where there is tumour.
    spacing
        Distance between slices, rows and columns in mm; None if the file does not say.
    is_turned
        Whether the header's place in space has exchanged axes or turned them round.
    """

    mask: NDArray[np.bool_]
    spacing: tuple[float, float, float] | None
    is_turned: bool = False


def read_mask_volume(path: Path) -> MaskVolume:
    """Read one mask.

    A volume with a place in space becomes axial slices as an image does (`gliomask.volumes.volume.to_axial`). A stack
    of slice images has none: its axes are taken as (column, row, slice), in file order, which is what programs write
    (SimpleITK's ``GetImageFromArray`` of a (slice, row, column) array, for one; ITK's identity, LPS, is that order).
    It is known by its header: none of the two codes (qform, sform) is positive, or the affine scales the axes and does
    nothing else, as ``numpy.eye(4)`` does, which people give to nibabel for want of another.

    Parameters
    ----------
    path
        NIfTI-1 or NIfTI-2 in one file, ``.nii`` or ``.nii.gz``. A file of two dimensions is one slice; further axes of
        length 1 are dropped. Integers or floating point; 0, and at most one other value, which is positive.

    Returns
    -------
    MaskVolume
        The spacing is None unless the header's unit is mm and it is not 1 x 1 x 1, which is what a stack without
        geometry gets; it is None for a file of two dimensions.

    Raises
    ------
    DataError
        If the file is missing, empty, cut off or no NIfTI, has other dimensions or complex or RGB values, has several
        labels or negative or infinite values, or has no background at all.
    """
    try:
        with in_silence():
            image = load_nifti(path, _MASK)
            shape = _shape(path, image)
            values = np.asanyarray(image.dataobj).reshape(shape)
            spacing, affine = _spacing(image), _place(image)
    except DataError:
        raise
    except Exception as error:  # nibabel and its decoders raise nearly anything for broken files
        raise damaged(path, _MASK, error) from error
    mask = _binary(path, values)
    if affine is None:
        return MaskVolume(mask.T.copy(), spacing)
    grid = AxialGrid.of(Volume(mask.astype(np.uint8), affine, "RAS", str(path)))
    if spacing is not None:
        slices, rows, columns = (spacing[2 - axis] for axis in grid.axes)
        spacing = slices, rows, columns
    return MaskVolume(grid.slices(mask).copy(), spacing, grid.axes != (2, 1, 0) or any(grid.flips))


def write_mask_volume(path: Path, mask: NDArray[np.bool_], spacing: tuple[float, float, float] | None = None) -> None:
    """Write one mask as NIfTI-1 with the values 0 and 1, so that `read_mask_volume` gives it back.

    Parameters
    ----------
    path
        File to write, or to replace; ``.nii`` or ``.nii.gz``. The folder is made if it is absent.
    mask
        (S, H, W) bool with some background.
    spacing
        Distance between slices, rows and columns in mm; without it, unit and position are left unknown.

    Raises
    ------
    DataError
        If the array or the spacing is anything else, the ending is unknown, or the file cannot be written.
    """
    from nibabel.nifti1 import Nifti1Image  # noqa: PLC0415 - slow to import

    check_name(path, _MASK)
    _check_to_write(path, mask, spacing)
    scale = np.diag([*reversed(spacing or _UNKNOWN), 1.0])
    image: Any = Nifti1Image(mask.T.astype(np.uint8), scale)  # type: ignore[no-untyped-call]  # typed only in part
    image.header.set_xyzt_units("mm" if spacing else "unknown")
    write_content(path, image.to_bytes())


def _check_to_write(path: Path, mask: NDArray[np.bool_], spacing: tuple[float, float, float] | None) -> None:
    if mask.dtype != np.bool_ or mask.ndim != 3 or mask.size == 0:
        found = f"an array {mask.shape} of {mask.dtype} to write"
        raise DataError(path, found, "(S, H, W) of bool", "threshold the array first")
    if mask.all():
        raise DataError(path, "a mask without background to write", _MASK, "check whether it is inverted")
    if spacing is not None and not (len(spacing) == 3 and all(0 < step < np.inf for step in spacing)):
        raise DataError(path, f"a spacing of {spacing} to write", "three positive numbers (mm)", "leave it out")


def _shape(path: Path, image: Any) -> tuple[int, ...]:
    """Return (columns, rows, slices), looking at the header alone."""
    shape = tuple(int(length) for length in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if not 2 <= len(shape) <= 3 or 0 in shape:
        found = f"an array of {' x '.join(map(str, image.shape)) or 'no dimensions'}"
        raise DataError(path, found, _MASK, "save each mask as a volume of its own")
    dtype = image.get_data_dtype()
    if dtype.kind not in "biuf":
        kind = "complex values" if dtype.kind == "c" else "values that are no single numbers (RGB)"
        raise DataError(path, kind, _MASK, "save the mask as 8-bit integers")
    return (*shape, 1)[:3]


def _place(image: Any) -> NDArray[np.float64] | None:
    """Return the affine of a volume with a place in space, None of a stack."""
    if len(image.shape) < 3 or max(int(image.header["qform_code"]), int(image.header["sform_code"])) <= 0:
        return None
    affine = np.asarray(image.affine, np.float64)
    scales_alone = np.array_equal(affine, np.diag(np.abs(np.diag(affine))))
    return None if scales_alone or not np.isfinite(affine).all() or np.linalg.det(affine) == 0 else affine


def _spacing(image: Any) -> tuple[float, float, float] | None:
    steps = [round(float(step), 6) for step in image.header.get_zooms()[:3]]  # kept as float32: 0.7 is 0.699999988
    known = len(steps) == 3 and image.header.get_xyzt_units()[0] == "mm" and all(0 < step < np.inf for step in steps)
    spacing = (steps[2], steps[1], steps[0]) if known else _UNKNOWN
    return None if spacing == _UNKNOWN else spacing


def _binary(path: Path, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where the values are not 0, or say which labels there are."""
    mask: NDArray[np.bool_] = values != 0
    top = values.max()
    if not mask.any() or (top < np.inf and not mask.all() and bool((values[mask] == top).all())):
        return mask
    labels = np.unique(values)
    shown = ", ".join(f"{label:g}" for label in labels[:6]) + (", ..." if labels.size > 6 else "")
    cure = "threshold it, or merge its labels into one"
    if mask.all() and labels.size == 1:
        cure = "check whether it is a mask, and not inverted"
    raise DataError(path, f"a volume with {labels.size} value(s): {shown}", _MASK, cure)
