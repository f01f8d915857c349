"""Reads an outline, and brings it to the grid of the volume it belongs to. Knows no slices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliomask.errors import DataError
from gliomask.volumes.dicom import DicomImage
from gliomask.volumes.dicom_seg import read_dicom_seg
from gliomask.volumes.nifti_image import NiftiImage, read_nifti
from gliomask.volumes.resample import part_inside, same_grid, to_grid
from gliomask.volumes.volume import Volume

_SEGMENTATION = ".dcm"
_LEAST_INSIDE = 0.5
_CHANGED = 0.05
_MOST_LABELS = 30
_OUTLINE = "an outline of whole numbers, 0 outside of the tumour"


def read_outline(
    path: Path, labels: Sequence[int], image: NiftiImage | DicomImage
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Read an outline and bring it to the grid of an image.

    Parameters
    ----------
    path
        NIfTI with whole numbers, which by its header may lie on another grid; or a DICOM segmentation of the image.
        Where one of the two headers does not tell its place (no code is positive, or the affine only scales the axes,
        as ``numpy.eye(4)`` does, and a stack of SimpleITK's), both have to be of one shape, and lie on one grid.
    labels
        Which numbers, or segments, are tumour; all above 0 if there are none.
    image
        FLAIR, on whose grid the result lies. A voxel is tumour if at least half of it is.

    Returns
    -------
    NDArray
        (X, Y, Z) bool.
    tuple of str
        What a user should know, one sentence each.

    Raises
    ------
    DataError
        If the file cannot be read or holds other numbers, less than half of the outline lies in the image, it lies
        nobody knows where, or a DICOM segmentation is not of the image.
    MissingExtraError
        If it is a DICOM segmentation and highdicom is not installed.
    """
    flair = image.volume
    if path.name.lower().endswith(_SEGMENTATION):
        if isinstance(image, NiftiImage):
            raise DataError(path, "a DICOM segmentation of a NIfTI volume", _OUTLINE, "save it as NIfTI")
        marked = read_dicom_seg(path, image.series, labels)
        return marked, () if marked.any() else ("no tumour in the outline",)
    outline = read_nifti(path)
    marked, said = _marked(path, outline.volume.array, labels)
    said += [f"the outline: {warning}" for warning in outline.warnings]
    if not (_is_placed(outline) and _is_placed(image)):
        if marked.shape != flair.array.shape:
            shapes = " and ".join(" x ".join(map(str, each)) for each in (marked.shape, flair.array.shape))
            found = f"an outline and FLAIR of {shapes} voxels, of which one does not tell its place"
            raise DataError(path, found, "a place in both headers, or one shape", "save it again on FLAIR's grid")
        return marked, (*said, "a header says nothing of its place; the outline is taken to lie on FLAIR's grid")
    volume = Volume(marked.astype(np.uint8), outline.volume.affine, "RAS", str(path))
    if same_grid(volume, flair):
        return marked, tuple(said)
    return _moved(path, volume, flair, said)


def _moved(path: Path, volume: Volume, flair: Volume, said: list[str]) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Bring an outline to the grid of FLAIR, and tell what is lost on the way."""
    inside = part_inside(volume, flair)
    if inside < _LEAST_INSIDE:
        found = f"an outline of which {inside:.0%} lies in FLAIR"
        raise DataError(path, found, "one that was drawn on it", "check that it is of the same examination")
    moved = to_grid(volume, flair)
    before, after = (
        np.count_nonzero(array) * float(np.prod(each.spacing)) / 1000
        for array, each in ((volume.array, volume), (moved, flair))
    )
    text = "the outline lies on another grid than FLAIR and was brought to it"
    if volume.array.shape == flair.array.shape:
        text += "; it has as many voxels as FLAIR: check that its header is right"
    if abs(after - before) > _CHANGED * before:
        text += f"; of {before:.2f} ml it has become {after:.2f} ml"
    return moved, (*said, text)


def _is_placed(image: NiftiImage | DicomImage) -> bool:
    """Tell whether a header tells where the image lies; one that only scales or mirrors axes is that of a stack."""
    if isinstance(image, DicomImage):
        return True
    affine = image.volume.affine
    scales_alone = np.array_equal(affine, np.diag(np.diag(affine)))
    return max(int(image.header["sform_code"]), int(image.header["qform_code"])) > 0 and not scales_alone


def _marked(path: Path, values: NDArray[Any], labels: Sequence[int]) -> tuple[NDArray[np.bool_], list[str]]:
    """Return where the tumour is, and what is said of the numbers."""
    whole = np.rint(values) if values.dtype.kind == "f" else values
    if values.min() < 0 or not np.allclose(values, whole, rtol=0, atol=1e-3):
        numbers = np.unique(values)
        shown = ", ".join(f"{number:g}" for number in numbers[:4]) + (", ..." if len(numbers) > 4 else "")
        raise DataError(path, f"values {shown}", _OUTLINE, "check whether it is an image, or threshold it")
    present, counts = np.unique(whole[whole != 0].astype(np.int64), return_counts=True)
    if len(present) > _MOST_LABELS:
        raise DataError(path, f"{len(present)} different numbers", _OUTLINE, "check whether it is an image")
    marked: NDArray[np.bool_] = np.isin(whole, labels) if labels else whole != 0
    if marked.all():
        raise DataError(path, "an outline around everything", _OUTLINE, "check whether it is inverted")
    others = [
        f"{number} ({count} voxels)"
        for number, count in zip(present, counts, strict=True)
        if labels and number not in labels
    ]
    said = [f"numbers in the outline that were not asked for: {', '.join(others)}"] if others else []
    return marked, said if marked.any() else ["no tumour in the outline", *said]
