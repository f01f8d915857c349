"""``gliomask phantom``: simulate patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from gliomask.cli.console import OutputOptions, Printer, counter, parse


@dataclass(frozen=True, kw_only=True)
class PhantomOptions(OutputOptions):
    """Simulate patients in the layout of the Kaggle data set: slices, masks and data.csv."""

    out: tyro.conf.Positional[Path]
    """Folder to write to."""
    patients: int = 8
    """Number of patients."""
    seed: int = 0
    """Same seed, same patients."""
    size: int = 256
    """Side of a slice in pixels."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(PhantomOptions, "phantom", arguments)
    from gliomask.volumes.phantom import write_phantoms

    printer = Printer(options)
    with printer.progress("simulating patients") as progress:
        names = write_phantoms(
            options.out,
            patients=options.patients,
            seed=options.seed,
            size=options.size,
            on_patient=counter(progress, options.patients),
        )
    printer.line(f"{len(names)} simulated patients in {options.out}")
    printer.result({"folder": options.out, "patients": names})
    return 0
