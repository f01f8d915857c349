"""The table of all results in a folder, with what failed. Knows nothing of how a result is made."""

from __future__ import annotations

import csv
import json
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gliomask.errors import DataError, Failure
from gliomask.files import whole_file
from gliomask.results.claim import one_at_a_time
from gliomask.studies.own_results import SUMMARY, read_result

TABLE = "summary.csv"
_LOCK = ".summary.lock"
_LISTS = ("masks", "files", "warnings", "extras", "sequences")


def require_own_table(out: Path) -> None:
    """Make sure that no table but one of ours is written over.

    Raises
    ------
    DataError
        If there is a file of that name that is something else.
    """
    for path in (out / SUMMARY, out / TABLE):
        if path.exists() and not _is_own(path):
            raise DataError(path, "exists already and is no table of results", "a new file", "choose another --out")


def write_table(
    out: Path, results: Sequence[Mapping[str, Any]], failures: Sequence[Failure], elsewhere: Container[str] = ()
) -> None:
    """Write ``summary.json`` and ``summary.csv`` of all results in a folder by name, those of other calls among them.

    One call at a time writes them (not on Windows, and not on disks without locks).

    Parameters
    ----------
    out
        The folder.
    results
        Summaries of the studies of this call.
    failures
        Of this call. An earlier result of the same name stays, and has a row beside that of the failure.
    elsewhere
        Names that are left to other calls: rows of what failed there stay.
    """
    with one_at_a_time(out / _LOCK):
        _write(out, _rows(out, results, failures, elsewhere))


def _rows(
    out: Path, results: Sequence[Mapping[str, Any]], failures: Sequence[Failure], elsewhere: Container[str]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{"study": each.study, "status": "failed", "error": each.reason} for each in failures]
    said = {(row["study"], row["error"]) for row in rows}
    rows += [
        row
        for row in _told(out)
        if row.get("status") == "failed" and row["study"] in elsewhere and (row["study"], row.get("error")) not in said
    ]
    named = {result["study"] for result in results}
    for result in [*results, *(old for old in _earlier(out) if old["study"] not in named)]:
        values = {key: value for key, value in result.items() if key not in {"study", "skipped"}}
        rows.append({"study": result["study"], "status": "done", "error": None, **values})
    return sorted(rows, key=lambda row: str(row["study"]))


def _write(out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with whole_file(out / SUMMARY) as part:
        part.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    with (
        whole_file(out / TABLE) as part,
        part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        table = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)), restval="")
        table.writeheader()
        table.writerows(_texts(row) for row in rows)


def _texts(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands in the cells."""
    texts = {name: "; ".join(row[name]) for name in _LISTS if name in row}
    if row.get("spacing_mm"):
        texts["spacing_mm"] = " x ".join(f"{each:g}" for each in row["spacing_mm"])
    return {**row, **texts}


def _told(out: Path) -> list[dict[str, Any]]:
    """Return the rows of the table that is there."""
    try:
        rows: list[dict[str, Any]] = json.loads((out / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return rows


def _earlier(out: Path) -> Iterator[dict[str, Any]]:
    """Yield what summary.json says in the folder of each study; folders without one are left alone."""
    for path in sorted(out.glob(f"*/{SUMMARY}")):
        values = read_result(path.parent)
        if values is not None:
            yield values | {"folder": str(path.parent)}


def _is_own(path: Path) -> bool:
    try:
        text = path.read_text(encoding="utf-8")
        if path.name == TABLE:
            return text.startswith("study,")
        rows = json.loads(text)
        return isinstance(rows, list) and all(isinstance(row, dict) and "study" in row for row in rows)
    except (OSError, ValueError):
        return False
