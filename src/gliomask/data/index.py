"""What is in a folder of slices in the Kaggle layout, and what is wrong with it. Knows nothing of splits or networks.

Names decide which file is which (`gliomask.data.scan`), pixels decide whether it can be used. Nothing is skipped in
silence: whatever is left out is in the list of problems.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from gliomask.data import index_cache, naming
from gliomask.data.clinical import Clinical, read_clinical
from gliomask.data.records import DatasetIndex, PatientRecord, Problem, SliceRecord, from_values, to_values
from gliomask.data.scan import TABLE, Entry, SliceFiles, list_entries, sort_out
from gliomask.data.spacings import TABLE as SPACINGS
from gliomask.data.spacings import Spacings, read_spacings
from gliomask.errors import DataError, UnreadableImageError
from gliomask.volumes.slices import read_image, read_mask

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DatasetIndex", "PatientRecord", "Problem", "Progress", "SliceRecord", "build_index", "index_table"]

Progress = Callable[[int, int], None]
"""Called with the number of slices done and the number of all."""

_Array = TypeVar("_Array")
_CURE_ROOT = "give the folder that holds the patient folders (kaggle_3m)"


@dataclass(frozen=True)
class _Reading:
    """One slice as read: its record, the digests of its pixels, and which sequences equal FLAIR in it.

    The digest of the image alone is None if nothing is to be seen in it.
    """

    patient: str
    record: SliceRecord
    digest: str
    copies: frozenset[str]
    image_digest: str | None


def build_index(root: Path, *, use_cache: bool = True, progress: Progress | None = None) -> DatasetIndex:
    """Find and check every slice of a folder.

    Parameters
    ----------
    root
        The folder of the patients (kaggle_3m), one above it, the whole archive (which holds the set twice; it is
        counted once), or the folder of one patient.
    use_cache
        Take the index from the cache folder if no file has changed since, by name, size and time stamp.
    progress
        Told how many slices are read.

    Returns
    -------
    DatasetIndex
        Usable slices by patient, and every problem.

    Raises
    ------
    DataError
        If the folder is missing, is a file, or holds no slices at all.
    """
    root = Path(root).resolve()
    entries = _entries(root)
    tables = _tables_above(root, entries)
    sign = index_cache.signature(_stamps(root, entries, tables))
    kept = index_cache.load_values(root, sign) if use_cache else None
    if kept is not None:
        return from_values(root, kept)
    index = _build(root, entries, tables, progress)
    if use_cache and not index.problems:  # a cure need not change what files look like from outside
        index_cache.save_values(root, sign, to_values(index))
    return index


def index_table(index: DatasetIndex) -> pd.DataFrame:
    """Return one row a patient.

    Columns: patient, institution, slices, tumour_slices, tumour_pixels, height, width (pixels), missing (sequences,
    with commas), then the columns of data.csv as text. One that has the name of another column is called
    ``height (data.csv)``.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    def row(patient: PatientRecord) -> dict[str, Any]:
        own = {
            "patient": patient.name,
            "institution": patient.institution,
            "slices": len(patient.slices),
            "tumour_slices": patient.tumour_slices,
            "tumour_pixels": patient.tumour_pixels,
            "height": patient.slices[0].height,
            "width": patient.slices[0].width,
            "missing": ",".join(patient.missing),
        }
        told = {name: value for name, value in patient.clinical.items() if own.get(name) != value}
        return own | {f"{name} ({TABLE})" if name in own else name: value for name, value in told.items()}

    return pd.DataFrame(row(patient) for patient in index.patients)


def _entries(root: Path) -> tuple[Entry, ...]:
    if not root.is_dir():
        found = "a file" if root.exists() else "no such folder"
        raise DataError(root, found, "a folder of slices", _CURE_ROOT)
    try:
        return list_entries(root)
    except OSError as error:
        found = f"a folder that cannot be listed ({error.strerror})"
        raise DataError(error.filename or root, found, "a readable folder", "change its permissions") from error


def _tables_above(root: Path, entries: Iterable[Entry]) -> tuple[str, ...]:
    """Return the tables beside the folder of one patient, which is where the Kaggle layout keeps them."""
    inside = (entry.path.name for entry in entries if len(entry.path.parts) == 1 and not entry.is_folder)
    patient = any(name.patient == root.name for file in inside if (name := naming.parse_slice_name(file)))
    return tuple(f"../{name}" for name in (TABLE, SPACINGS) if patient and (root.parent / name).is_file())


def _stamps(root: Path, entries: Iterable[Entry], tables: Iterable[str]) -> list[tuple[str, int, int]]:
    above = [(table, (root / table).stat()) for table in tables]
    return [
        *((str(entry.path), entry.size, entry.modified) for entry in entries),
        *((table, state.st_size, state.st_mtime_ns) for table, state in above),
    ]


def _build(root: Path, entries: tuple[Entry, ...], tables: tuple[str, ...], progress: Progress | None) -> DatasetIndex:
    scan = sort_out(root, entries)
    if not scan.slices:
        found = scan.problems[0].found if scan.problems else "an empty folder"
        raise DataError(root, f"no slices ({found})", naming.EXPECTED, _CURE_ROOT)
    readings, problems = _read_all(root, scan.slices, progress)
    readings, odd = _of_one_size(readings)
    clinical, faults = read_clinical(root, (*scan.tables, *(name for name in tables if name.endswith(TABLE))))
    spacings, more = read_spacings(root, (*scan.spacings, *(name for name in tables if name.endswith(SPACINGS))))
    lacking = sorted({reading.patient for reading in readings} - spacings.keys()) if spacings else []
    everything = (
        *scan.problems, *problems, *odd, *_same_patients(readings), *faults, *more,
        *_without_row(scan.spacings, lacking),
    )  # fmt: skip
    return DatasetIndex(
        root=root,
        patients=tuple(
            _patient(name, list(group), clinical, spacings)
            for name, group in groupby(readings, lambda reading: reading.patient)
        ),
        problems=tuple(sorted(everything, key=lambda problem: (problem.path, problem.found))),
        fingerprint=_fingerprint(readings),
    )


def _without_row(tables: tuple[str, ...], patients: list[str]) -> list[Problem]:
    """Tell of patients whose distances are not known, for which those of all others do not count."""
    if not patients or not tables:
        return []
    shown = ", ".join(patients[:6]) + (", ..." if len(patients) > 6 else "")
    expected = f"one of each patient, or no {SPACINGS}"
    return [Problem(tables[0], f"no row of {shown}: distances are in pixels for all", expected, "add the rows")]


def _read_all(
    root: Path, slices: tuple[SliceFiles, ...], progress: Progress | None
) -> tuple[list[_Reading], list[Problem]]:
    """Read all slices with as many threads as there are processors; results come in the order of the slices."""
    readings: list[_Reading] = []
    problems: list[Problem] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, (reading, faults) in enumerate(pool.map(partial(_read_slice, root), slices), start=1):
            problems += faults
            if reading is not None:
                readings.append(reading)
            if progress is not None:
                progress(done, len(slices))
    return readings, problems


def _read_slice(root: Path, files: SliceFiles) -> tuple[_Reading | None, list[Problem]]:
    image_path, problems = _one_copy(root, files.images)
    mask_path, more = _one_copy(root, files.masks)
    problems += [*more, *_missing_half(files)]
    image = _attempt(read_image, root, image_path, problems)
    mask = _attempt(read_mask, root, mask_path, problems)
    if image_path is None or mask_path is None or image is None or mask is None:
        return None, problems
    height, width = mask.shape
    if image.shape[:2] != mask.shape:
        expected = f"{image.shape[0]} x {image.shape[1]}, the size of its image"
        problems.append(
            Problem(
                mask_path, f"a mask of {height} x {width} pixels", expected, "make the mask on the grid of the image"
            )
        )
        return None, problems
    record = SliceRecord(files.number, image_path, mask_path, height, width, int(np.count_nonzero(mask)))
    image_digest, mask_digest = (hashlib.sha256(array.data).hexdigest() for array in (image, mask))
    equal = {"pre": (image[..., 0] == image[..., 1]).all(), "post": (image[..., 2] == image[..., 1]).all()}
    copies = frozenset(name for name in equal if equal[name])
    seen = image_digest if image.max() > image.min() else None
    return _Reading(files.patient, record, f"{image_digest} {mask_digest}", copies, seen), problems


def _one_copy(root: Path, paths: list[str]) -> tuple[str | None, list[Problem]]:
    """Choose among the files that claim to be the same image; None if there is none, or if they differ.

    The archive holds the data set twice, so equal files in two folders are no problem. Two in one folder are.
    """
    if len(paths) < 2:
        return (paths[0] if paths else None), []
    folders = Counter(PurePosixPath(path).parent for path in paths)
    equal = all(_same_bytes(root / paths[0], root / other) for other in paths[1:])
    if equal and max(folders.values()) == 1:
        return paths[0], []
    kind = "the same as" if equal else "with other content than"
    problems = [
        Problem(
            other, f"duplicate slice, {kind} {paths[0]}", "one file for each image and mask", "remove the wrong one"
        )
        for other in paths[1:]
    ]
    return (paths[0] if equal else None), problems


def _same_bytes(first: Path, second: Path) -> bool:
    try:
        return filecmp.cmp(first, second, shallow=False)
    except OSError:
        return False


def _missing_half(files: SliceFiles) -> list[Problem]:
    if not files.images:
        return [
            Problem(path, "a mask without image", "an image of the same number", "add the image, or remove the mask")
            for path in files.masks
        ]
    if not files.masks:
        path = PurePosixPath(files.images[0])
        expected = f"{path.stem}_mask{path.suffix} beside it"
        return [Problem(str(path), "an image without mask", expected, "add the mask (all zeros if there is no tumour)")]
    return []


def _attempt(read: Callable[[Path], _Array], root: Path, path: str | None, problems: list[Problem]) -> _Array | None:
    """Read a file, or put what is wrong with it on the list and return None."""
    if path is None:
        return None
    try:
        return read(root / path)
    except UnreadableImageError as error:
        problems.append(Problem(path, error.found, error.expected, error.cure))
        return None


def _of_one_size(readings: list[_Reading]) -> tuple[list[_Reading], list[Problem]]:
    """Keep the slices of the size that most have; of two sizes equally frequent, the larger."""
    sizes = Counter((reading.record.height, reading.record.width) for reading in readings)
    if len(sizes) < 2:
        return readings, []
    size = max(sizes, key=lambda each: (sizes[each], each))
    expected = f"{size[0]} x {size[1]}, the size of most slices"
    odd = [reading.record for reading in readings if (reading.record.height, reading.record.width) != size]
    problems = [
        Problem(
            record.image, f"a slice of {record.height} x {record.width} pixels", expected, "resample it, or remove it"
        )
        for record in odd
    ]
    return [reading for reading in readings if (reading.record.height, reading.record.width) == size], problems


def _same_patients(readings: list[_Reading]) -> list[Problem]:
    """Find images that two patients share: one of the two is a copy, and a split could part them."""
    first: dict[str, _Reading] = {}
    shared: dict[tuple[str, str], list[_Reading]] = {}
    for reading in readings:
        if reading.image_digest is not None:
            earlier = first.setdefault(reading.image_digest, reading)
            if naming.person(earlier.patient) != naming.person(reading.patient):
                shared.setdefault((earlier.patient, reading.patient), []).append(reading)
    return [
        Problem(
            str(PurePosixPath(found[0].record.image).parent),
            f"{len(found)} slice{'s' if len(found) > 1 else ''} with the very image of {earlier}",
            "every patient once, under one name",
            "remove the copy: as two patients they may be trained on and tested on at once",
        )
        for (earlier, _), found in shared.items()
    ]


def _patient(name: str, readings: list[_Reading], clinical: Clinical, spacings: Spacings) -> PatientRecord:
    known = dict(clinical.get(naming.person(name)) or clinical.get(name, {}))
    in_all = frozenset.intersection(*(reading.copies for reading in readings))
    return PatientRecord(
        name=name,
        institution=_institution(name, known),
        slices=tuple(reading.record for reading in readings),
        missing=tuple(sequence for sequence in ("pre", "post") if sequence in in_all),
        clinical=known,
        spacing=spacings.get(name),
    )


def _institution(name: str, known: dict[str, str]) -> str:
    """Return the institution that the name tells, else the table."""
    told = naming.institution(name)
    return known.get("institution", told) if told == naming.UNKNOWN else told


def _fingerprint(readings: list[_Reading]) -> str:
    digest = hashlib.sha256()
    for reading in readings:
        record = reading.record
        digest.update(f"{reading.patient} {record.number} {record.height} {record.width} {reading.digest}\n".encode())
    return digest.hexdigest()
