"""``gliomask export``: make model.onnx and model.json from a run's best weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from gliomask.cli.console import OutputOptions, Printer, parse


@dataclass(frozen=True, kw_only=True)
class ExportOptions(OutputOptions):
    """Export the best weights of a run again (training does it at its end), and verify the result."""

    run: tyro.conf.Positional[Path]
    """Run folder."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(ExportOptions, "export", arguments)
    from gliomask.training.export import export
    from gliomask.training.run_folder import RunFolder

    printer = Printer(options)
    run = RunFolder(options.run)
    contract = export(run)
    printer.line(f"{run.model} and {run.contract.name}: {contract.architecture}, {contract.image_size} pixels")
    printer.result(asdict(contract))
    return 0
