"""Image files of kinds that are not read, which are said and not passed over in silence. Knows their names alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gliomask.errors import DataError
from gliomask.volumes import nifti_file, slices

_VOLUMES = {
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
_PICTURES = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jp2": "JPEG 2000",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".webp": "WebP",
}
_KINDS = _VOLUMES | _PICTURES


@dataclass(frozen=True)
class Unread:
    """Files of a folder that are not read.

    Attributes
    ----------
    said
        How many of which kinds.
    volumes
        Whether there are volumes among them; pictures alone may be anything, a logo or photographs.
    """

    said: str
    volumes: bool

    def error(self, folder: Path) -> DataError:
        """Return what to tell where nothing in the folder is read."""
        if self.volumes:
            return DataError(folder, self.said, "NIfTI", "convert them to .nii.gz")
        return DataError(folder, self.said, "TIFF or PNG", "convert them, or better export them anew without loss")


def unread_images(paths: Iterable[Path]) -> dict[Path, Unread]:
    """Return what is not read in each folder that holds such files."""
    endings: dict[Path, list[str]] = {}
    for path in paths:
        if path.suffix.lower() in _KINDS:
            endings.setdefault(path.parent, []).append(path.suffix.lower())
    return {
        folder: Unread(
            f"{len(here)} file(s) in {' and '.join(sorted({_KINDS[ending] for ending in here}))}",
            not _VOLUMES.keys().isdisjoint(here),
        )
        for folder, here in endings.items()
    }


def is_other_image(name: str) -> bool:
    """Tell whether a name is that of an image, but for DICOM."""
    return name.lower().endswith((*nifti_file.SUFFIXES, *slices.SUFFIXES, *_KINDS))
