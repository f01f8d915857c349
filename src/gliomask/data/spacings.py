"""The table volumes.csv: how far apart the slices and pixels of each patient are. Knows nothing of images."""

from __future__ import annotations

import csv
from math import isfinite
from pathlib import Path

from gliomask.data.records import Problem

TABLE = "volumes.csv"
"""Beside the patients' folders; `gliomask convert` writes it, and so may anybody."""
KEY = "patient"
"""Column that names the patient as the folder does."""
COLUMNS = ("slices_mm", "rows_mm", "columns_mm")
"""Distance of neighbouring slices, rows and columns, in mm."""

Spacings = dict[str, tuple[float, float, float]]


def read_spacings(root: Path, tables: tuple[str, ...]) -> tuple[Spacings, tuple[Problem, ...]]:
    """Read the tables of a folder, each about other patients, or copies.

    Parameters
    ----------
    root
        Folder that the names are relative to.
    tables
        Files named volumes.csv; none is no problem.

    Returns
    -------
    tuple
        Distance of slices, rows and columns in mm by patient; and what is wrong with the tables. Where anything is,
        nothing is taken, so that distances are never in mm for some and in pixels for others.
    """
    spacings: Spacings = {}
    for table in tables:
        found = _read(root / table, table)
        if isinstance(found, Problem):
            return {}, (found,)
        differing = [name for name in found if spacings.get(name, found[name]) != found[name]]
        if differing:
            said = f"other distances of {differing[0]} than in another {TABLE}"
            return {}, (Problem(table, said, "one row for each patient, or copies", "remove one"),)
        spacings |= found
    return spacings, ()


def _read(path: Path, name: str) -> Spacings | Problem:
    expected = f"comma-separated text with the columns {', '.join((KEY, *COLUMNS))}"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
        spacings = {row[KEY]: _spacing(row) for row in rows}
    except KeyError as error:
        return Problem(name, f"a table without the column {error.args[0]}", expected, "add it")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return Problem(name, f"an unreadable table ({error})", expected, "save it as CSV in UTF-8")
    except (TypeError, ValueError) as error:
        return Problem(name, str(error), "three distances above 0 in mm in every row", "mend the row")
    if len(spacings) < len(rows):
        return Problem(name, "a patient with two rows", "one row for each patient", "remove one")
    return spacings


def _spacing(row: dict[str, str]) -> tuple[float, float, float]:
    texts = [row[column] for column in COLUMNS]
    try:
        slices, rows, columns = (float(text) for text in texts)
    except (TypeError, ValueError):
        raise ValueError(f"distances {texts} of {row[KEY]}") from None
    if not all(step > 0 and isfinite(step) for step in (slices, rows, columns)):
        raise ValueError(f"distances {texts} of {row[KEY]}")
    return slices, rows, columns
