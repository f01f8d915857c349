"""What is kept of each converted patient: a hidden record in the folder, and the table of all. Knows no images."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gliomask.data.spacings import COLUMNS, KEY, TABLE
from gliomask.errors import DataError
from gliomask.files import whole_file

RECORD = ".volume.json"
"""In the folder of each patient; index and training pass it over."""

Record = dict[str, Any]
_KEYS = {
    KEY,
    "size",
    "spacing_mm",
    "slices",
    "tumour_slices",
    "left_out",
    "sequences",
    "outline",
    "warnings",
    "volume",
    "made_of",
}


def read_record(folder: Path) -> Record:
    """Return the record in a patient's folder; an empty one of any other folder."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) and record.keys() >= _KEYS else {}


def read_records(out: Path) -> dict[str, Record]:
    """Return the records of all patients in a folder by name."""
    found = (read_record(path.parent) for path in sorted(out.glob(f"[!.]*/{RECORD}")))
    return {record[KEY]: record for record in found if record}


def write_table(out: Path, records: dict[str, Record]) -> None:
    """Write ``volumes.csv``: a row for each record, after rows of somebody else's whose folders are there.

    Raises
    ------
    DataError
        If there is a file of that name that is no table of volumes.
    OSError
        If it cannot be written.
    """
    others = {name: row for name, row in read_table(out).items() if name not in records and (out / name).is_dir()}
    rows = others | {name: _row(record) for name, record in records.items()}
    columns = dict.fromkeys(column for row in rows.values() for column in row)
    with whole_file(out / TABLE) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(columns), restval="")
        writer.writeheader()
        writer.writerows(rows[name] for name in sorted(rows))


def read_table(out: Path) -> dict[str, dict[str, str]]:
    """Return the rows of a folder's ``volumes.csv`` by patient; none where there is no such file.

    Raises
    ------
    DataError
        If it is no table of volumes.
    """
    try:
        with (out / TABLE).open(encoding="utf-8-sig", newline="") as file:
            return {row[KEY]: dict(_cells(row)) for row in csv.DictReader(file, strict=True)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, csv.Error, KeyError) as error:
        cure = "choose another --out, or move it away"
        raise DataError(out / TABLE, f"is no table of volumes ({error})", f"a column {KEY}", cure) from error


def _cells(row: dict[str, str]) -> Iterator[tuple[str, str]]:
    return ((name, text or "") for name, text in row.items() if name is not None)


def _row(record: Record) -> dict[str, str]:
    return {
        KEY: record[KEY],
        **{column: f"{step:.6g}" for column, step in zip(COLUMNS, record["spacing_mm"], strict=True)},
        **{name: str(record[name]) for name in ("slices", "tumour_slices", "left_out")},
        "sequences": "+".join(record["sequences"]),
        "outline": record["outline"],
        "warnings": "; ".join(record["warnings"]),
    }
