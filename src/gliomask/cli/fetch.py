"""``gliomask fetch``: download the data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from gliomask.cli.console import OutputOptions, Printer, parse


@dataclass(frozen=True, kw_only=True)
class FetchOptions(OutputOptions):
    """Download the LGG MRI segmentation data set (110 patients, CC BY-NC-SA 4.0) from Kaggle."""

    out: tyro.conf.Positional[Path] = Path("data/kaggle_3m")
    """Folder to put it in; where the system allows, a link into kagglehub's cache."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(FetchOptions, "fetch", arguments)
    from gliomask.data.fetch import fetch

    printer = Printer(options)
    folder = fetch(options.out)
    printer.line(f"the data set is in {folder}; next: gliomask index {folder}")
    printer.result({"folder": folder})
    return 0
