"""``gliomask compare``: evaluated models side by side, and their differences in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from gliomask.cli.console import OutputOptions, Printer, parse


@dataclass(frozen=True, kw_only=True)
class CompareOptions(OutputOptions):
    """Compare evaluated models on the same slices: every score with its interval, and paired differences to the first.

    Models that were scored on different patients or slices are refused.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders that were evaluated, or folders that `gliomask evaluate` wrote; the first is the reference."""
    out: Path = Path("comparison")
    """Folder for comparison.md, comparison.json and comparison.png."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(CompareOptions, "compare", arguments)
    from gliomask.reporting.comparison import as_values, caveats, read_models, tables, write_comparison

    printer = Printer(options)
    models = read_models(options.runs)
    paths = write_comparison(models, options.out)
    for table in tables(models):
        printer.table(table.title, table.columns, table.rows)
    for caveat in caveats(models):
        printer.line(f"NOTE: {caveat}")
    printer.line(f"written: {', '.join(map(str, paths))}")
    printer.result(as_values(models))
    return 0
