"""Finds what to predict in files and folders the user names: single slices, and stacks that belong together.

Knows file names, not pixels.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliomask.data.greyscale import to_uint8
from gliomask.errors import DataError
from gliomask.files import file_sha256
from gliomask.studies.lone_masks import mask_error
from gliomask.studies.names import is_mask
from gliomask.studies.own_results import result_finder
from gliomask.volumes.archive import list_parts
from gliomask.volumes.slices import SUFFIXES, read_mask_pages, read_pages

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
    notes
        What was noticed while searching.
    """

    name: str
    slices: tuple[StudySlice, ...]
    notes: tuple[str, ...] = ()

    def images(self) -> NDArray[np.uint8]:
        """Read the slices, (S, H, W, 3) uint8; the pages of a lone file are slices, too.

        Grey slices count as FLAIR. Of 16 bits they are scaled, all together (`gliomask.data.greyscale.to_uint8`).

        Raises
        ------
        DataError
            If a file cannot be read, the slices differ in size or depth, or there are several files of several pages.
        """
        stacks = [read_pages(item.image) for item in self.slices]
        first = stacks[0]
        for item, stack in zip(self.slices, stacks, strict=True):
            if len(stack) > 1 and len(stacks) > 1:
                found, expected = f"{len(stack)} images in one file", "one in each file of a stack"
                raise DataError(item.image, found, expected, "predict the file by itself")
            if (stack.shape[1:3], stack.dtype == np.uint8) != (first.shape[1:3], first.dtype == np.uint8):
                raise DataError(
                    item.image,
                    f"{stack.shape[1]} x {stack.shape[2]} pixels of {8 if stack.dtype == np.uint8 else 16} bits",
                    f"{first.shape[1]} x {first.shape[2]} of {8 if first.dtype == np.uint8 else 16} bits"
                    f" as the other slices of {self.name}",
                    "predict slices of different size or depth one by one",
                )
        if first.dtype != np.uint8:
            stacks = [to_uint8(np.concatenate(stacks))]
        return np.concatenate([each if each.ndim == 4 else np.stack([each] * 3, axis=-1) for each in stacks])

    def fingerprint(self) -> str:
        """Return a SHA-256 over the content of the files, wherever they lie.

        Raises
        ------
        DataError
            If a file cannot be read.
        """
        return _sha256([item.image for item in self.slices])

    def truth_fingerprint(self) -> str | None:
        """Return a SHA-256 over the content of the masks that lie beside the slices; None unless every slice has one.

        Raises
        ------
        DataError
            If a mask cannot be read.
        """
        masks = self._masks()
        return _sha256(masks) if masks else None

    def truth(self, size: tuple[int, int]) -> NDArray[np.bool_] | None:
        """Read the masks, (S, H, W) bool, or return None unless every slice has one.

        Parameters
        ----------
        size
            H and W of the slices.

        Raises
        ------
        DataError
            If a mask cannot be read or is not of this size.
        """
        paths = self._masks()
        if not paths:
            return None
        pages = len(read_pages(self.slices[0].image)) if len(paths) == 1 else 1
        masks = [read_mask_pages(path) for path in paths]
        for path, mask in zip(paths, masks, strict=True):
            cure = "make the mask on the grid of the slice, or move it away"
            if mask.shape[1:] != size:
                found = f"a mask of {mask.shape[1]} x {mask.shape[2]} pixels"
                raise DataError(path, found, f"{size[0]} x {size[1]} as its slice", cure)
            if len(mask) != pages:
                raise DataError(path, f"{len(mask)} mask(s) in one file", f"{pages}, one for each slice", cure)
        return np.concatenate(masks)

    def _masks(self) -> list[Path]:
        """Return the masks if every slice has one."""
        paths = [item.truth for item in self.slices if item.truth is not None]
        return paths if len(paths) == len(self.slices) else []


def find_studies(inputs: Iterable[Path]) -> list[Study]:
    """Find the studies in files and folders (searched to any depth).

    Slices named ``<study>_<number>`` that lie in one folder form a stack, in order of their numbers; any other slice is
    a study of its own, and so is a slice of which no other of its stack is named. ``*_mask`` files (and what else is
    called like a mask) are truth, never input: they are passed over, so that ``folder/*`` may be given; so are results
    of an earlier run.

    Raises
    ------
    DataError
        If an input does not exist or holds no slice, all are masks, or two slices of a stack have one number.
    """
    studies: list[Study] = []
    errors: list[DataError] = []
    given = list(inputs)
    named = [path for path in given if path.is_file()]
    for path in given:
        if path.is_dir():
            ours = result_finder()
            found = stacks([part.path for part in list_parts(path) if not ours(part.path)], errors)
            if not found and not errors:
                raise DataError(path, "no TIFF or PNG slice in it", "a folder of slices", "check the path")
            studies += found
        elif path not in named:
            raise DataError(path, "does not exist", "a slice (TIFF or PNG) or a folder of slices", "check the path")
        elif path == named[0]:
            studies += named_slices(named, errors)
    if named and not studies and not errors:
        raise mask_error(named[0])
    if errors:
        raise errors[0]
    return studies


def named_slices(paths: Iterable[Path], errors: list[DataError]) -> list[Study]:
    """Return the studies among slices that are named one by one; a lone slice of a stack is called after its file."""
    found = stacks(paths, errors)
    return [replace(study, name=study.slices[0].image.stem) if len(study.slices) == 1 else study for study in found]


def stacks(files: Iterable[Path], errors: list[DataError]) -> list[Study]:
    """Find the stacks and single slices among files as `find_studies` does; none if there are none.

    ``errors`` takes stacks in which two slices have one number.
    """
    found: dict[tuple[Path, str, str], list[tuple[int, Path]]] = {}
    for file in files:
        if file.suffix.lower() in SUFFIXES and not is_mask(file):
            match = _NUMBERED.fullmatch(file.stem)
            study, number, alone = (match["study"], int(match["number"]), "") if match else (file.stem, 0, file.name)
            found.setdefault((file.parent, study, alone), []).append((number, file))
    studies = []
    for (_, study, _), stack in sorted(found.items()):
        ordered = sorted(stack)
        twice = [pair for pair in pairwise(ordered) if pair[0][0] == pair[1][0]]
        if twice:
            (number, one), (_, other) = twice[0]
            said = f"{one.name} and {other.name} are both slice {number} of {study}"
            errors.append(DataError(one.parent, said, "one file for each slice", "move one of them away"))
            continue
        items = tuple(_with_truth(file) for _, file in ordered)
        studies.append(Study(study, items, _notes([number for number, _ in ordered], items)))
    return studies


def _notes(numbers: Sequence[int], items: Sequence[StudySlice]) -> tuple[str, ...]:
    """Say what is odd about a stack."""
    notes = []
    steps = [(upper - lower, lower, upper) for lower, upper in pairwise(numbers)]
    if steps and (widest := max(steps))[0] > min(steps)[0]:
        notes.append(f"slices are missing: after number {widest[1]} comes {widest[2]}")
    masks = sum(item.truth is not None for item in items)
    if 0 < masks < len(items):
        notes.append(f"masks lie beside {masks} of {len(items)} slices: not scored")
    return tuple(notes)


def _sha256(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        try:
            digest.update(file_sha256(path).encode())
        except OSError as error:
            found = f"cannot be read ({error.strerror})"
            raise DataError(path, found, "a slice", "check its permissions") from error
    return digest.hexdigest()


def _with_truth(image: Path) -> StudySlice:
    candidates = (image.with_name(f"{image.stem}_mask{suffix}") for suffix in (image.suffix, *sorted(SUFFIXES)))
    return StudySlice(image, next((mask for mask in candidates if mask.is_file()), None))
