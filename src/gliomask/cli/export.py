"""``gliomask export``: make model.onnx and model.json from a run's best weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from gliomask.cli.console import OutputOptions, Printer, parse

if TYPE_CHECKING:
    from gliomask.training.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class ExportOptions(OutputOptions):
    """Export the best weights of a run again (training does it at its end), and verify the result."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    data: Path | None = None
    """Folder that the run was trained on, to fit the temperature of the probabilities on its validation patients again;
    without it, the temperature stays what it was."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(ExportOptions, "export", arguments)
    from gliomask.training.export import export
    from gliomask.training.run_folder import RunFolder

    printer = Printer(options)
    run = RunFolder(options.run)
    contract = export(run, _temperature(run, options.data, printer))
    printer.line(f"{run.model} and {run.contract.name}: {contract.architecture}, {contract.image_size} pixels")
    printer.result(asdict(contract))
    return 0


def _temperature(run: RunFolder, data: Path | None, printer: Printer) -> float:
    from gliomask.data.cache import open_cache
    from gliomask.models.contract import read_contract
    from gliomask.training.fit import run_temperature

    if data is None:
        return read_contract(run.contract).temperature if run.contract.is_file() else 1.0
    index = printer.read_index(data)
    validation = run.split().positions(index, "validation")
    return run_temperature(run, open_cache(index, run.config().image_size), validation)
