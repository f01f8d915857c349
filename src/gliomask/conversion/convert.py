"""Writes a volume and its outline as a patient's folder of slices, and keeps the table of all. Knows no command."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gliomask.conversion.labelled import LabelledSlices, label
from gliomask.conversion.outlines import OutlineFinder, patient_name
from gliomask.data.spacings import COLUMNS, KEY, TABLE
from gliomask.errors import DataError, ResultExistsError, UsageError
from gliomask.files import file_sha256, whole_file
from gliomask.inference.studies import Study
from gliomask.inference.volume_study import VolumeStudy
from gliomask.volumes.slices import write_image, write_mask

SIZE = 256
"""Side of the slices of the public data set, in pixels."""
_SMALLEST, _LARGEST = 32, 1024
_RECORD = ".volume.json"
_MADE_OF = "made_of"


def convert_study(
    study: Study | VolumeStudy,
    outlines: OutlineFinder,
    out: Path,
    *,
    size: int = SIZE,
    labels: Sequence[int] = (),
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write the slices of one patient to ``out/<patient>/`` and a row to ``out/volumes.csv``.

    A patient who is there already, made of the same files with the same options, is left alone.

    Parameters
    ----------
    study
        The volumes (`gliomask.find_inputs`).
    outlines
        Where the outline is.
    out
        Folder to train on, in the layout of the Kaggle data set.
    size
        Side of the slices in pixels.
    labels
        Which numbers in the outline are tumour; all above 0 if there are none.
    overwrite
        Replace what was made otherwise.

    Returns
    -------
    dict
        patient, folder, slices, tumour_slices, left_out (blank slices at both ends), spacing_mm (of slices, rows and
        columns), sequences, outline, warnings, and skipped: whether the patient was there already.

    Raises
    ------
    UsageError
        If the size is below 32 or above 1024 pixels, or the study is one of slices already.
    ResultExistsError
        If the patient's folder is there and was made otherwise, or is none of ours.
    DataError
        If there is not exactly one outline, or a file cannot be used.
    """
    check_size(size)
    if isinstance(study, Study):
        raise UsageError(f"{study.name} is slices already; expected a volume (NIfTI or DICOM); train on it as it is")
    name, outline = patient_name(study), outlines.of(study)
    folder = out / name
    made_of = _fingerprint(study, outline, size, labels)
    known = _read_record(folder)
    if known.get(_MADE_OF) == made_of:
        _tell_table(out / TABLE, known)
        return _result(folder, known, (), skipped=True)
    if folder.exists() and not (overwrite and known):
        found = "was made of other files or with other options" if known else "exists already and is none of ours"
        cure = "choose another --out" + (", or give --overwrite" if known else "")
        raise ResultExistsError(folder, found, "a new folder", cure)
    slices = label(study, outline, size=size, labels=labels)
    row = _row(name, slices, outline) | {_MADE_OF: made_of}
    _write_slices(folder, row, slices)
    _tell_table(out / TABLE, row)
    return _result(folder, row, slices.warnings, skipped=False)


def check_size(size: int) -> None:
    """Make sure that slices have a size that can be trained on.

    Raises
    ------
    UsageError
        If it is below 32 or above 1024 pixels.
    """
    if not _SMALLEST <= size <= _LARGEST:
        raise UsageError(f"slices of {size} pixels; expected {_SMALLEST} to {_LARGEST}")


def _fingerprint(study: VolumeStudy, outline: Path, size: int, labels: Sequence[int]) -> str:
    settings = f"{study.fingerprint()} {file_sha256(outline)} {size} {sorted(set(labels))}"
    return hashlib.sha256(settings.encode()).hexdigest()


def _row(name: str, slices: LabelledSlices, outline: Path) -> dict[str, str]:
    spacing = dict(zip(COLUMNS, (f"{step:.6g}" for step in slices.spacing), strict=True))
    return {KEY: name} | spacing | {
        "slices": str(len(slices.images)),
        "tumour_slices": str(int(slices.masks.any(axis=(1, 2)).sum())),
        "left_out": str(slices.left_out),
        "sequences": "+".join(slices.sequences),
        "outline": outline.name,
    }  # fmt: skip


def _result(folder: Path, row: dict[str, str], warnings: tuple[str, ...], *, skipped: bool) -> dict[str, Any]:
    return {
        "patient": row[KEY],
        "folder": str(folder),
        **{key: int(row[key]) for key in ("slices", "tumour_slices", "left_out")},
        "spacing_mm": [float(row[column]) for column in COLUMNS],
        "sequences": row["sequences"].split("+"),
        "outline": row["outline"],
        "warnings": list(warnings),
        "skipped": skipped,
    }


def _write_slices(folder: Path, row: dict[str, str], slices: LabelledSlices) -> None:
    """Write a folder that is whole or absent, with a hidden record of what it was made of."""
    name, part = row[KEY], folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        (part / _RECORD).write_text(json.dumps(row) + "\n", encoding="utf-8")
        for number, (image, mask) in enumerate(zip(slices.images, slices.masks, strict=True), start=1):
            write_image(part / f"{name}_{number}.tif", image)
            write_mask(part / f"{name}_{number}_mask.tif", mask)
        if folder.exists():
            shutil.rmtree(folder)
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _read_record(folder: Path) -> dict[str, str]:
    """Return the row of a patient's folder that `convert_study` wrote; an empty one of any other folder."""
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) and record.keys() >= {KEY, _MADE_OF} else {}


def _read_rows(table: Path) -> dict[str, dict[str, str]]:
    """Return the rows of an earlier call by patient."""
    try:
        with table.open(encoding="utf-8", newline="") as file:
            return {row[KEY]: row for row in csv.DictReader(file, strict=True)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, csv.Error, KeyError) as error:
        cure = "choose another --out, or move it away"
        raise DataError(table, f"is no table of volumes ({error})", "one of an earlier call", cure) from error


def _tell_table(table: Path, row: dict[str, str]) -> None:
    """Put the row of a patient into the table of all, in place of an earlier one."""
    rows = _read_rows(table)
    if rows.get(row[KEY]) == row:
        return
    rows[row[KEY]] = row
    with whole_file(table) as part, part.open("w", encoding="utf-8", newline="") as file:
        columns = dict.fromkeys(column for row in rows.values() for column in row)
        writer = csv.DictWriter(file, list(columns), restval="")
        writer.writeheader()
        writer.writerows(rows[name] for name in sorted(rows))
