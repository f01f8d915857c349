"""``gliomask export``: make model.onnx and model.json from the weights that a run keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from gliomask.cli.console import Flag, OutputOptions, Printer, parse
from gliomask.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gliomask.training.learned import Learned
    from gliomask.training.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class ExportOptions(OutputOptions):
    """Export the weights that a run keeps again (training does it at its end), and verify the result."""

    run: tyro.conf.Positional[Path]
    """Run folder."""
    data: Path | None = None
    """Folder that the run was trained on, to learn again the temperature of its probabilities (on validation patients
    whom the model that it went on from, if any, was not trained on) and what its slices look like; without it, both
    stay what they were."""
    int8: Flag = False
    """Write the network with 8-bit integers as well (model.int8.onnx), for `gliomask predict --precision int8`. Needs
    --data: its ranges are those of up to 64 training slices. Without, one of an earlier export is removed."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(ExportOptions, "export", arguments)
    from gliomask.training.export import export
    from gliomask.training.run_folder import RunFolder

    printer = Printer(options)
    run = RunFolder(options.run)
    if options.int8 and options.data is None:
        raise UsageError("--int8 learns from training slices; expected --data, the folder that the run was trained on")
    learned, examples = _learned(run, options.data, printer), None
    if options.data is not None and options.int8:
        examples = _examples(run, options.data, printer)
    before = run.int8.exists()
    contract = export(run, learned, examples=examples)
    if contract.int8_sha256 is not None:
        printer.line(f"{run.int8}: with 8-bit integers")
    elif before:
        printer.line(f"{run.int8} is removed: it belonged to the earlier export; --int8 makes it again")
    printer.line(f"{run.model} and {run.contract.name}: {contract.architecture}, {contract.image_size} pixels")
    printer.result(asdict(contract))
    return 0


def _examples(run: RunFolder, data: Path, printer: Printer) -> NDArray[np.float32]:
    from gliomask.data.cache import open_cache
    from gliomask.training.examples import examples

    index = printer.read_index(data)
    return examples(run, open_cache(index, run.config().image_size), index)


def _learned(run: RunFolder, data: Path | None, printer: Printer) -> Learned:
    from gliomask.data.cache import open_cache
    from gliomask.models.contract import read_contract
    from gliomask.training.learned import Learned, learn

    if data is not None:
        index = printer.read_index(data)
        return learn(run, open_cache(index, run.config().image_size), index)
    if not run.contract.is_file():
        printer.line("the run was not exported before: probabilities are not calibrated; give --data to learn how")
        return Learned()
    before = read_contract(run.contract)
    return Learned(before.temperature, before.training.get("looks") or {})
