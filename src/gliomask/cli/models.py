"""``gliomask models``: the networks that can be trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from gliomask.cli.console import OutputOptions, Printer, parse


@dataclass(frozen=True, kw_only=True)
class ModelsOptions(OutputOptions):
    """List the networks that can be trained, their size and their cost."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(ModelsOptions, "models", arguments)
    from gliomask.models.catalogue import ALIASES, CATALOGUE

    printer = Printer(options)
    short = {full: f" (or {alias})" for alias, full in ALIASES.items()}
    rows = [
        (
            card.name + short.get(card.name, ""),
            f"{card.parameters_millions:.2f}",
            f"{card.gflop:.1f}",
            card.pretrained_architecture or "-",
            card.summary,
        )
        for card in CATALOGUE.values()
    ]
    columns = ("--model", "parameters (M)", "GFLOP at 256", "ImageNet encoder", "")
    printer.table("Networks", columns, rows)
    printer.result({"models": [asdict(card) for card in CATALOGUE.values()]})
    return 0
