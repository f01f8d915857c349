"""What a benchmark hands over: tables on the screen and in Markdown, and one JSON file. Measures nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from gliomask.errors import DataError
from gliomask.files import whole_file

RESULTS = Path(__file__).resolve().parent / "results"
"""Where the JSON files lie unless `--out` says otherwise."""


@dataclass(frozen=True)
class Table:
    """Cells that are text already; the first column is names, the others are numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self) -> str:
        """Return the table for a screen."""
        lines = (self.columns, *self.rows)
        widths = [max(len(line[place]) for line in lines) for place in range(len(self.columns))]
        shown = [
            "  ".join(
                cell.rjust(width) if place else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        return "\n".join((self.title, *(f"  {line}" for line in shown)))

    def markdown(self) -> str:
        """Return the table for a page."""
        rule = ("---", *("---:" for _ in self.columns[1:]))
        lines = (f"| {' | '.join(line)} |" for line in (self.columns, rule, *self.rows))
        return "\n".join((f"**{self.title}**", "", *lines))


def say(text: str) -> None:
    """Show a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def finish(
    name: str, *, out: Path | None, settings: dict[str, Any], results: dict[str, Any], tables: Sequence[Table]
) -> Path:
    """Show the tables and write the JSON file of a benchmark.

    Parameters
    ----------
    name
        Name of the benchmark; names the file, too.
    out
        Where to write; None for the folder of results.
    settings, results
        Plain values.
    tables
        What is shown, here and later on the page.

    Returns
    -------
    Path
        The file.
    """
    path = out or RESULTS / f"{name}.json"
    values = {
        "benchmark": name,
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "settings": {key: str(value) if isinstance(value, Path) else value for key, value in settings.items()},
        "results": results,
        "tables": [asdict(table) for table in tables],
    }
    with whole_file(path) as part:
        part.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    for table in tables:
        say(f"\n{table.text()}")
    say(f"\n{path}")
    return path


def load(path: Path) -> dict[str, Any]:
    """Read what `finish` wrote.

    Raises
    ------
    DataError
        If the file is something else.
    """
    cure = "run the benchmark again"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(path, f"cannot be read ({error})", "the JSON file of a benchmark", cure) from error
    if not isinstance(values, dict) or not {"benchmark", "machine", "settings", "tables"} <= set(values):
        raise DataError(path, "another JSON file", "the JSON file of a benchmark", cure)
    return values


def table_of(values: dict[str, Any]) -> Table:
    """Build a table from its plain values."""
    return Table(values["title"], tuple(values["columns"]), tuple(tuple(row) for row in values["rows"]))


def percent(fraction: float) -> str:
    """Write a fraction."""
    return f"{100 * fraction:.1f} %"


def gigabytes(count: float) -> str:
    """Write a number of bytes."""
    return f"{count / 1e9:.2f} GB"


def milliseconds(seconds: float) -> str:
    """Write a time to three digits or so."""
    value = 1000 * seconds
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
