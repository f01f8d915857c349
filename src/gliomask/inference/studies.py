"""Finds what to predict in files and folders the user names: single slices, and stacks that belong together.

Knows file names, not pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliomask.errors import DataError
from gliomask.volumes.slices import read_image, read_mask

SUFFIXES = {".tif", ".tiff", ".png"}
_NUMBERED = re.compile(r"(?P<study>.+)_(?P<number>\d+)")


@dataclass(frozen=True)
class StudySlice:
    """One slice file, and its mask if one lies beside it (``<stem>_mask``)."""

    image: Path
    truth: Path | None


@dataclass(frozen=True)
class Study:
    """Slices that are predicted together, in order.

    Parameters
    ----------
    name
        Patient for a stack ``<patient>_<number>``, file stem for a single slice.
    slices
        At least one.
    """

    name: str
    slices: tuple[StudySlice, ...]

    def images(self) -> NDArray[np.uint8]:
        """Read the slices, (S, H, W, 3) uint8; grey slices count as FLAIR.

        Raises
        ------
        DataError
            If a file cannot be read or the slices differ in size.
        """
        arrays = [read_image(item.image, allow_grey=True) for item in self.slices]
        for item, array in zip(self.slices, arrays, strict=True):
            if array.shape != arrays[0].shape:
                raise DataError(
                    item.image,
                    f"{array.shape[0]} x {array.shape[1]} pixels",
                    f"{arrays[0].shape[0]} x {arrays[0].shape[1]} as the other slices of {self.name}",
                    "predict slices of different size one by one",
                )
        return np.stack(arrays)

    def truth(self) -> NDArray[np.bool_] | None:
        """Read the masks, (S, H, W) bool, or return None unless every slice has one.

        Raises
        ------
        DataError
            If a mask cannot be read.
        """
        masks = [item.truth for item in self.slices]
        if any(mask is None for mask in masks):
            return None
        return np.stack([read_mask(mask) for mask in masks if mask is not None])


def find_studies(inputs: Iterable[Path]) -> list[Study]:
    """Find the studies in files and folders (searched to any depth).

    Slices named ``<study>_<number>`` that lie in one folder form a stack, in order of their numbers; any other slice is
    a study of its own. A single file that is named is predicted alone. ``*_mask`` files are truth, never input.

    Raises
    ------
    DataError
        If an input does not exist or holds no slice.
    """
    studies: list[Study] = []
    for path in inputs:
        if path.is_dir():
            found = _in_folder(path)
            if not found:
                raise DataError(path, "no TIFF or PNG slice in it", "a folder of slices", "check the path")
            studies += found
        elif path.is_file():
            studies.append(Study(path.stem, (_with_truth(path),)))
        else:
            raise DataError(path, "does not exist", "a slice (TIFF or PNG) or a folder of slices", "check the path")
    return studies


def _in_folder(folder: Path) -> list[Study]:
    stacks: dict[tuple[Path, str], list[tuple[int, Path]]] = {}
    files = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and not file.name.startswith("."))
    for file in files:
        if not file.stem.endswith("_mask"):
            match = _NUMBERED.fullmatch(file.stem)
            study, number = (match["study"], int(match["number"])) if match else (file.stem, 0)
            stacks.setdefault((file.parent, study), []).append((number, file))
    return [
        Study(study, tuple(_with_truth(file) for _, file in sorted(stack)))
        for (_, study), stack in sorted(stacks.items())
    ]


def _with_truth(image: Path) -> StudySlice:
    candidates = (image.with_name(f"{image.stem}_mask{suffix}") for suffix in (image.suffix, *sorted(SUFFIXES)))
    return StudySlice(image, next((mask for mask in candidates if mask.is_file()), None))
