"""Finds the outline that belongs to a volume, and brings it to the volume's grid. Knows no slices."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliomask.errors import DataError
from gliomask.inference.names import is_mask, may_be_of_tumour, place_of, stem, whole_path, without_mask_word
from gliomask.inference.nifti_studies import other_sequence
from gliomask.inference.volume_study import VolumeStudy
from gliomask.volumes.dicom import DicomImage
from gliomask.volumes.dicom_seg import read_dicom_seg
from gliomask.volumes.nifti_file import SUFFIXES
from gliomask.volumes.nifti_image import NiftiImage, read_nifti
from gliomask.volumes.resample import same_grid, to_grid
from gliomask.volumes.volume import Volume

_SEQUENCE = re.compile(r"[^A-Za-z0-9]*(t2[^A-Za-z0-9]?)?(flair|t2f)$", re.IGNORECASE)
_ENTITY = re.compile(r"_(?!ses-)[a-z]+-[A-Za-z0-9]+")
_SEGMENTATION = ".dcm"
_LEAST_INSIDE = 0.5
_OUTLINE = "an outline of whole numbers, 0 outside of the tumour"


def patient_name(study: VolumeStudy) -> str:
    """Return what the folder of a patient is called: the study's name without the sequence, or else its folder's.

    ``BraTS-GLI-00001-000-t2f`` becomes ``BraTS-GLI-00001-000``; ``flair`` in the folder P001 becomes ``P001``.

    Raises
    ------
    DataError
        If the name is no text, which no table can hold, or begins with a dot.
    """
    name = _SEQUENCE.sub("", study.name)
    if not name and isinstance(study.flair, Path):
        name = whole_path(study.flair).parent.name
    name = name or study.name
    if not name.isprintable() or name.startswith("."):
        shown = name.encode(errors="backslashreplace").decode()
        raise DataError(
            _place(study), f"a patient called {shown!r}", "a name in UTF-8 without a dot before it", "rename it"
        )
    return name


class OutlineFinder:
    """The NIfTI files and DICOM segmentations that are outlines, by the patient they are named after.

    Parameters
    ----------
    folder
        Searched to any depth, when the first outline is asked for. None: each study's own folder.

    Raises
    ------
    DataError
        If it is no folder.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None and not self.folder.is_dir():
            found = "a file" if self.folder.exists() else "no such folder"
            raise DataError(self.folder, found, "a folder of outlines", "check the path")

    def of(self, study: VolumeStudy) -> Path:
        """Return the outline of a study.

        It is called like the study or its patient (`patient_name`), with ``_mask``, ``_seg``, ... or nothing behind it,
        or lies in a folder that is; other BIDS entities than subject and session do not count. Without a folder to
        search, it is a mask beside FLAIR that is called like it, too, or the only one beside the only FLAIR.

        Raises
        ------
        DataError
            If there is none, or more than one, or the patient has no name.
        """
        name = patient_name(study)
        names = {_key(each) for each in (study.name, name) if _SEQUENCE.sub("", each)}
        if self.folder is None:
            found = _beside(study, names)
        else:
            own = {whole_path(path) for path in (study.flair, study.pre, study.post) if isinstance(path, Path)}
            found = {path for each in names for path in self._by_name.get(each, ()) if whole_path(path) not in own}
        if len(found) == 1:
            return found.pop()
        place = self.folder or _place(study)
        otherwise = "" if self.folder is not None else ", or give --masks FOLDER"
        if not found:
            raise DataError(place, f"no outline of {name}", f"{name}_seg.nii.gz", f"rename it{otherwise}")
        listed = ", ".join(sorted(str(path.relative_to(self.folder or path.parent)) for path in found))
        raise DataError(place, f"{len(found)} outlines of {name}: {listed}", "one", f"move others away{otherwise}")

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        named: defaultdict[str, list[Path]] = defaultdict(list)
        for path in sorted(self.folder.rglob("*")) if self.folder is not None else ():
            name = stem(place_of(path))
            if _is_outline(path) and (is_mask(path) or not _SEQUENCE.search(name)):
                for key in {_key(name), _key(f"{path.parent.name}_{name}")}:
                    named[key].append(path)
        return dict(named)


def read_outline(
    path: Path, labels: Sequence[int], image: NiftiImage | DicomImage
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Read an outline and bring it to the grid of an image.

    Parameters
    ----------
    path
        NIfTI with whole numbers, which by its header may lie on another grid; or a DICOM segmentation of the image.
    labels
        Which numbers, or segments, are tumour; all above 0 if there are none.
    image
        FLAIR, on whose grid the result lies.

    Returns
    -------
    NDArray
        (X, Y, Z) bool.
    tuple of str
        What a user should know, one sentence each.

    Raises
    ------
    DataError
        If the file cannot be read or holds other numbers, less than half of the outline lies in the image, or a DICOM
        segmentation is not of the image.
    MissingExtraError
        If it is a DICOM segmentation and highdicom is not installed.
    """
    flair = image.volume
    if path.name.lower().endswith(_SEGMENTATION):
        if isinstance(image, NiftiImage):
            raise DataError(path, "a DICOM segmentation of a NIfTI volume", _OUTLINE, "save it as NIfTI")
        marked = read_dicom_seg(path, image.series, labels)
        return marked, _remarks(marked)
    outline = read_nifti(path)
    marked = _marked(path, outline.volume.array, labels)
    said = _remarks(marked)
    if _has_no_place(outline) and marked.shape == flair.array.shape:
        return marked, (*said, "the outline's header says nothing of its place; it is taken to lie on FLAIR's grid")
    volume = Volume(marked.astype(np.uint8), outline.volume.affine, "RAS", str(path))
    if same_grid(volume, flair):
        return marked, said
    moved = to_grid(volume, flair).astype(np.bool_)
    _check_inside(path, volume, Volume(moved, flair.affine, "RAS", flair.source))
    return moved, (*said, "the outline lies on another grid; it was brought to FLAIR's by nearest neighbour")


def _remarks(marked: NDArray[np.bool_]) -> tuple[str, ...]:
    return () if marked.any() else ("no tumour in the outline",)


def _key(name: str) -> str:
    """Return whose a study or an outline is."""
    name = without_mask_word(name)
    name = _SEQUENCE.sub("", name) or name
    return _ENTITY.sub("", name) if name.startswith("sub-") else name


def _is_outline(path: Path) -> bool:
    is_image = path.name.lower().endswith((*SUFFIXES, _SEGMENTATION)) and not path.name.startswith(".")
    return is_image and may_be_of_tumour(path)


def _place(study: VolumeStudy) -> Path:
    """Return what an error about a study names."""
    return study.flair if isinstance(study.flair, Path) else Path(study.flair[0].source)


def _beside(study: VolumeStudy, names: set[str]) -> set[Path]:
    """Return the outlines in the folder of a study's NIfTI file."""
    if not isinstance(study.flair, Path) or study.is_dicom:
        return set()
    names = names | {_key(stem(place_of(study.flair)))}
    beside = (path for path in whole_path(study.flair).parent.iterdir() if not path.name.startswith("."))
    files = [path for path in beside if path.name.lower().endswith(SUFFIXES)]
    masks = {path for path in files if is_mask(path) and may_be_of_tumour(path)}
    named = {path for path in masks if _key(stem(place_of(path))) in names}
    volumes = [path for path in files if not is_mask(path) and other_sequence(path) is None]
    return named or (masks if len(volumes) == 1 else set())


def _marked(path: Path, values: NDArray[Any], labels: Sequence[int]) -> NDArray[np.bool_]:
    is_whole = values.dtype.kind != "f" or np.array_equal(values, np.rint(values))
    if values.min() < 0 or not is_whole:
        numbers = np.unique(values)
        shown = ", ".join(f"{number:g}" for number in numbers[:4]) + (", ..." if len(numbers) > 4 else "")
        raise DataError(path, f"values {shown}", _OUTLINE, "check whether it is an image, or threshold it")
    marked: NDArray[np.bool_] = np.isin(values, labels) if labels else values != 0
    if marked.all():
        raise DataError(path, "an outline around everything", _OUTLINE, "check whether it is inverted")
    return marked


def _has_no_place(image: NiftiImage) -> bool:
    return max(int(image.header["sform_code"]), int(image.header["qform_code"])) <= 0


def _check_inside(path: Path, before: Volume, after: Volume) -> None:
    """Make sure that an outline has not been lost on its way to another grid."""
    sizes = [np.count_nonzero(each.array) * float(np.prod(each.spacing)) for each in (before, after)]
    if sizes[1] < _LEAST_INSIDE * sizes[0]:
        found = f"an outline of which {sizes[1] / sizes[0]:.0%} lies in FLAIR"
        raise DataError(path, found, "one that was drawn on it", "check that it is of the same examination")
