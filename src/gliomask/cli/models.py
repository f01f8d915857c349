"""``gliomask models``: the models that come with gliomask, and the networks that can be trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import tyro

from gliomask.cli.console import OutputOptions, Printer, parse
from gliomask.errors import UsageError

if TYPE_CHECKING:
    from gliomask.models.contract import ModelContract


@dataclass(frozen=True, kw_only=True)
class ModelsOptions(OutputOptions):
    """List the models that come with gliomask (NAME shows the card of one), and the networks that can be trained."""

    name: tyro.conf.Positional[str] = ""
    """Model whose card is to be shown."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(ModelsOptions, "models", arguments)
    printer = Printer(options)
    return _card(options.name, printer) if options.name else _list(printer)


def _card(name: str, printer: Printer) -> int:
    from gliomask.models.trained import bundled_models, contract_of

    if name not in bundled_models():
        raise UsageError(f"no model {name} comes with gliomask; expected one of {', '.join(bundled_models())}")
    card = bundled_models()[name].with_suffix(".md").read_text(encoding="utf-8")
    printer.line(card)
    printer.result(asdict(contract_of(name)) | {"card": card})
    return 0


def _list(printer: Printer) -> int:
    from gliomask.models.catalogue import ALIASES, CATALOGUE
    from gliomask.models.trained import DEFAULT, bundled_models, contract_of, int8_of

    files = {name: [path, int8_of(path)] for name, path in bundled_models().items()}
    sizes = {name: sum(path.stat().st_size for path in each if path.is_file()) / 1e6 for name, each in files.items()}
    bundled = {name: (contract_of(name), size) for name, size in sizes.items()}
    rows = [
        (name + " (default)" * (name == DEFAULT), contract.architecture, f"{size:.0f}", *_figures(contract))
        for name, (contract, size) in bundled.items()
    ]
    columns = (
        "name",
        "network",
        "MB",
        "pixels",
        "dice_patient, out of fold",
        "median",
        "missed",
        "slices/s",
    )
    printer.table("Trained models", columns, rows)
    short = {full: f" (or {alias})" for alias, full in ALIASES.items()}
    networks = [
        (
            card.name + short.get(card.name, ""),
            f"{card.parameters_millions:.2f}",
            f"{card.gflop:.1f}",
            card.pretrained_architecture or "-",
            card.summary,
        )
        for card in CATALOGUE.values()
    ]
    printer.table("Networks", ("--model", "parameters (M)", "GFLOP at 256", "ImageNet encoder", ""), networks)
    trained = [asdict(contract) | {"megabytes": size} for contract, size in bundled.values()]
    printer.result({"trained": trained, "models": [asdict(card) for card in CATALOGUE.values()]})
    return 0


def _figures(contract: ModelContract) -> tuple[str, ...]:
    """Return what the table says of a model's scores and speed."""
    known: dict[str, Any] = contract.scores
    score = f"{known['dice_patient']:.3f} ({known['dice_patient_low']:.3f} to {known['dice_patient_high']:.3f})"
    return (
        str(contract.image_size),
        score,
        f"{known['dice_patient_median']:.3f}",
        f"{known['missed']} of {known['patients']}",
        f"{known['slices_per_second']:.0f}",
    )
