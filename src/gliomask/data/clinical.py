"""The table data.csv: what is known of each person beside the images. Knows nothing of slices."""

from __future__ import annotations

import csv
from pathlib import Path

from gliomask.data.records import Problem

KEY = "Patient"
"""Column that names the person (`gliomask.data.naming.person`)."""

Clinical = dict[str, dict[str, str]]


def read_clinical(root: Path, tables: tuple[str, ...]) -> tuple[Clinical, tuple[Problem, ...]]:
    """Read the first of the tables; the others have to be copies of it.

    Parameters
    ----------
    root
        Folder that the names are relative to.
    tables
        Files named data.csv; none is no problem.

    Returns
    -------
    tuple
        Columns by person, blanks left out and everything as text; and what is wrong with the tables.
    """
    clinical: Clinical = {}
    problems: list[Problem] = []
    for number, table in enumerate(tables):
        rows, faults = _read(root / table, table)
        problems += faults
        if number == 0:
            clinical = rows
        elif not faults and rows != clinical:
            problems.append(
                Problem(table, f"a table that differs from {tables[0]}", "one table, or copies of it", "remove one")
            )
    return clinical, tuple(problems)


def _read(path: Path, name: str) -> tuple[Clinical, list[Problem]]:
    expected = f"comma-separated text with a column {KEY}"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
            columns = list(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return {}, [Problem(name, f"an unreadable table ({error})", expected, "save it as CSV in UTF-8")]
    if KEY not in columns:
        cure = f"call the column of the patients {KEY}" if len(columns) > 1 else "save it with commas"
        return {}, [Problem(name, f"a table with the columns {columns[:4]}", expected, cure)]
    return _by_person(name, rows, len(columns))


def _by_person(name: str, rows: list[dict[str, str]], width: int) -> tuple[Clinical, list[Problem]]:
    """Turn rows into columns by person; rows of another length and second rows of a person are left out."""
    clinical: Clinical = {}
    problems: list[Problem] = []
    for line, row in enumerate(rows, start=1):
        person = (row[KEY] or "").strip()
        if None in row or None in row.values():  # what csv makes of rows that are too long or too short
            found = f"row {line} ({person}) with another number of columns than {width}"
            problems.append(Problem(name, found, f"{width} columns in every row", "mend the row"))
        elif not person or person in clinical:
            found = f"a second row for {person}" if person else f"row {line} without a {KEY}"
            problems.append(Problem(name, found, "one row for each person", "remove or complete the row"))
        else:
            clinical[person] = {
                key: value.strip() for key, value in row.items() if key and key != KEY and value.strip()
            }
    return clinical, problems
