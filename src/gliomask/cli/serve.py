"""``gliomask serve``: the web page, for people who use no command line."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from gliomask.cli.console import Flag, OutputOptions, Printer, ends_like_ctrl_c, parse
from gliomask.config import EngineName, PredictionPrecision
from gliomask.errors import UsageError
from gliomask.models.trained import DEFAULT

_ENDING = "ending, after the studies in hand"


@dataclass(frozen=True, kw_only=True)
class ServeOptions(OutputOptions):
    """Show a page in the browser that takes images and gives masks, as `gliomask predict` makes them.

    Nothing leaves this computer. What was sent, and the results, lie in a temporary folder; they are removed when the
    page asks for it, when nobody has looked at them for an hour, and at the end. Ctrl-C ends it.
    """

    port: int = 8765
    """Port to listen at; 0 takes one that is free."""
    host: str = "127.0.0.1"
    """Address to listen at. Anything but this computer's own lets others send images, without password."""
    model: str = DEFAULT
    """Bundled model (`gliomask models`), run folder, or a model.onnx with its model.json beside it."""
    engine: EngineName = "auto"
    """What computes, as for `gliomask predict`."""
    precision: PredictionPrecision = "auto"
    """In which numbers, as for `gliomask predict`."""
    threads: int = 0
    """Processor threads of the network: 0 takes one for each core, of which a container may have a share only."""
    flips: Flag = False
    """Predict every slice mirrored as well and average, for twice the time of the network."""
    no_browser: Flag = False
    """Do not open the page; its address is printed."""
    max_mb: int = 4096
    """Largest upload, in MiB."""


def main(arguments: Sequence[str]) -> int:
    """Run the command until Ctrl-C or SIGTERM, which are its ordinary end (exit status 0)."""
    options = parse(ServeOptions, "serve", arguments)
    _check(options)
    printer = Printer(options)
    from gliomask.inference.predictor import Predictor
    from gliomask.serve.guard import is_loopback
    from gliomask.serve.server import address_of, listen, server
    from gliomask.serve.upload import MEBI, Limits

    with suppress(KeyboardInterrupt), ends_like_ctrl_c(), listen(options.host, options.port) as listening:
        predictor = Predictor.load(
            options.model,
            engine=options.engine,
            precision=options.precision,
            threads=options.threads,
            flips=options.flips,
        )
        if not is_loopback(options.host):
            printer.error(_open_to_others(options.host))
        limits = Limits(size=options.max_mb * MEBI)
        with server(predictor, options.host, limits, lambda: printer.line(_ENDING)) as answering:
            address = address_of(listening)
            printer.line(f"{address} ({predictor.contract.name}, {predictor.precision}); Ctrl-C ends it")
            printer.line("For research, not for diagnosis. Images stay on this computer, and are removed at the end.")
            printer.result({"address": address, "model": predictor.contract.name, "precision": predictor.precision})
            if not options.no_browser:
                _open(address)
            answering.run([listening])
    printer.line("ended; what was sent, and all results, are removed")
    return 0


def _check(options: ServeOptions) -> None:
    if not 0 <= options.port <= 65535:
        raise UsageError(f"--port {options.port}; expected 0 to 65535")
    if options.threads < 0:
        raise UsageError(f"--threads {options.threads}; expected a number of threads, or 0")
    if options.max_mb < 1:
        raise UsageError(f"--max-mb {options.max_mb}; expected a number of MiB, 1 or more")


def _open_to_others(host: str) -> str:
    return (
        f"WARNING: --host {host} lets others reach this page: there is no password, and nothing is encrypted. Whoever "
        "reaches it can send images, and see the results of an upload by its id, which is hard to guess but can be "
        "overheard. Expected 127.0.0.1; from elsewhere, use ssh -L (docs/web.md)"
    )


def _open(address: str) -> None:
    """Open the browser, where there is a screen for it."""
    if sys.platform in {"darwin", "win32"} or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        with suppress(webbrowser.Error):
            webbrowser.open(address)
