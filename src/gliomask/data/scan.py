"""Which files of a folder are slices of which patient, by name alone. Opens no file and knows no pixels."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePosixPath

from gliomask.data import naming, spacings
from gliomask.data.records import Problem

_DEPTH = 4  # <archive>/lgg-mri-segmentation/kaggle_3m/<patient>, and one to spare
TABLE = "data.csv"


@dataclass(frozen=True)
class Entry:
    """A file or folder below the root: relative path, whether it is a folder, size in bytes, time stamp in ns."""

    path: PurePosixPath
    is_folder: bool
    size: int
    modified: int


@dataclass(frozen=True)
class SliceFiles:
    """Every file that claims to be the image, and every file that claims to be the mask, of one slice."""

    patient: str
    number: int
    images: list[str] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Scan:
    """Slices by patient and number, tables of persons and of distances, and what is wrong with the names."""

    slices: tuple[SliceFiles, ...]
    tables: tuple[str, ...]
    spacings: tuple[str, ...]
    problems: tuple[Problem, ...]


def list_entries(root: Path) -> tuple[Entry, ...]:
    """List the files and folders below a folder, hidden ones left out, nearest first and then by name.

    Raises
    ------
    OSError
        If a folder cannot be listed.
    """
    entries = list(_walk(root, PurePosixPath(), 0))
    return tuple(sorted(entries, key=lambda entry: (len(entry.path.parts), str(entry.path))))


def sort_out(root: Path, entries: tuple[Entry, ...]) -> Scan:
    """Group files by patient and slice, by parsing their names.

    Parameters
    ----------
    root
        The folder that was listed; its own name counts if it is the folder of one patient.
    entries
        What `list_entries` gave.

    Returns
    -------
    Scan
        Slices by patient and number. The files of a slice may be several: copies of the data set, or duplicates.
    """
    slices: dict[tuple[str, int], SliceFiles] = {}
    problems: list[Problem] = []
    for entry in entries:
        if not _is_text(entry.path):
            problems += _nameless(entry.path)
            continue
        if entry.is_folder:
            problems += _too_deep(entry)
            continue
        if naming.may_lie_beside(entry.path.name):
            continue
        problem = _misplaced(root, entry.path)
        name = _name_of(root, entry.path)
        if problem is not None or name is None:
            problems += [problem] if problem is not None else []
            continue
        files = slices.setdefault((name.patient, name.number), SliceFiles(name.patient, name.number))
        (files.masks if name.is_mask else files.images).append(str(entry.path))
    tables, spaced = _called(entries, TABLE), _called(entries, spacings.TABLE)
    problems += [*_empty_folders(root, entries), *_numbering(slices)]
    return Scan(tuple(slices[key] for key in sorted(slices)), tables, spaced, tuple(problems))


def _called(entries: tuple[Entry, ...], name: str) -> tuple[str, ...]:
    return tuple(str(entry.path) for entry in entries if not entry.is_folder and entry.path.name.lower() == name)


def _walk(root: Path, below: PurePosixPath, depth: int) -> Iterator[Entry]:
    with os.scandir(root / below) as found:
        for item in found:
            if item.name.startswith("."):
                continue
            path = below / item.name
            if not item.is_dir():
                yield _file(item, path)
                continue
            yield Entry(path, True, 0, 0)
            if depth < _DEPTH:
                yield from _walk(root, path, depth + 1)


def _file(item: os.DirEntry[str], path: PurePosixPath) -> Entry:
    try:
        state = item.stat()
    except OSError:  # a link to nowhere: reading it will say so
        return Entry(path, False, 0, 0)
    return Entry(path, False, state.st_size, state.st_mtime_ns)


def _is_text(path: PurePosixPath) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _nameless(path: PurePosixPath) -> list[Problem]:
    """Return the problem of a name that tables cannot hold; once for a folder and all that lies in it."""
    if not _is_text(path.parent):
        return []
    shown = os.fsencode(path).decode(errors="replace")
    return [Problem(shown, "a name that is no text in UTF-8; it is left out", "a name in UTF-8", "rename it")]


def _too_deep(entry: Entry) -> list[Problem]:
    if len(entry.path.parts) <= _DEPTH:
        return []
    cure = "give a folder nearer to the patients"
    return [Problem(str(entry.path), "a folder too deep to be searched", f"at most {_DEPTH} folders", cure)]


def _name_of(root: Path, path: PurePosixPath) -> naming.SliceName | None:
    return naming.parse_slice_name(path.name, path.parent.name or root.name)


def _misplaced(root: Path, path: PurePosixPath) -> Problem | None:
    """Return what is wrong with a file that is no slice, or is one of another patient than its folder."""
    name = _name_of(root, path)
    if name is None:
        return Problem(str(path), "a file that is not named like a slice", naming.EXPECTED, "rename or remove it")
    owner = _owner(root, path)
    if owner is not None and owner != name.patient:
        expected = f"only files of {owner} in this folder"
        return Problem(
            str(path), f"a slice of another patient, {name.patient}", expected, f"move it to the folder {name.patient}"
        )
    return None


def _owner(root: Path, path: PurePosixPath) -> str | None:
    """Return the patient of TCGA whose folder a file lies in, if it lies in one."""
    above = [*reversed(path.parts[:-1]), root.name]
    return next((part for part in above if naming.is_tcga(part)), None)


def _empty_folders(root: Path, entries: tuple[Entry, ...]) -> list[Problem]:
    """List the patient folders without a single slice file, and the empty ones beside patient folders."""
    slices = [entry.path for entry in entries if not entry.is_folder and _name_of(root, entry.path)]
    filled = {folder for path in slices for folder in path.parents}
    used = {folder for entry in entries for folder in entry.path.parents}
    beside = {path.parent.parent for path in slices if path.parent.name}
    return [
        Problem(str(entry.path), "a patient folder without slices", "images and masks", "copy them again, or remove it")
        for entry in entries
        if entry.is_folder
        and entry.path not in filled
        and (naming.is_tcga(entry.path.name) or (entry.path.parent in beside and entry.path not in used))
        and len(entry.path.parts) <= _DEPTH
    ]


def _numbering(slices: dict[tuple[str, int], SliceFiles]) -> list[Problem]:
    """List the patients whose slices do not run from 1 without gaps."""
    numbers: dict[str, list[int]] = defaultdict(list)
    folders: dict[str, str] = {}
    for patient, number in sorted(slices):
        files = slices[patient, number]
        numbers[patient].append(number)
        folders.setdefault(patient, str(PurePosixPath((files.images or files.masks)[0]).parent))
    problems: list[Problem] = []
    for patient, present in numbers.items():
        if present[0] != 1:
            found = f"slices of {patient} numbered from {present[0]}"
            problems.append(Problem(folders[patient], found, "numbers from 1", "check that none is lost"))
        gaps = [(low + 1, high - 1) for low, high in pairwise(present) if high - low > 1]
        if gaps:
            shown = ", ".join(str(low) if low == high else f"{low} to {high}" for low, high in gaps)
            found = f"slices of {patient} without number {shown}"
            problems.append(Problem(folders[patient], found, "numbers without gaps", "check that none is lost"))
    return problems
