"""Image files of kinds that are not read, which are said and not passed over in silence. Knows their names alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gliomask.errors import DataError
from gliomask.volumes import nifti_file, slices

_KINDS = {
    ".nrrd": "NRRD",
    ".nhdr": "NRRD",
    ".mha": "MetaImage",
    ".mhd": "MetaImage",
    ".mgz": "MGH",
    ".mgh": "MGH",
    ".mnc": "MINC",
    ".hdr": "Analyze, or NIfTI in two files",
    ".img": "Analyze, or NIfTI in two files",
}
_CURE = "convert them to .nii.gz"


def unread_images(paths: Iterable[Path]) -> dict[Path, DataError]:
    """Return an error for each folder that holds such files."""
    kinds: dict[Path, list[str]] = {}
    for path in paths:
        if path.suffix.lower() in _KINDS:
            kinds.setdefault(path.parent, []).append(_KINDS[path.suffix.lower()])
    return {
        folder: DataError(folder, f"{len(here)} file(s) in {' and '.join(sorted(set(here)))}", "NIfTI", _CURE)
        for folder, here in kinds.items()
    }


def is_other_image(name: str) -> bool:
    """Tell whether a name is that of an image, but for DICOM."""
    return name.lower().endswith((*nifti_file.SUFFIXES, *slices.SUFFIXES, *_KINDS))
