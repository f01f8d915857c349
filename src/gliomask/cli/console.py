"""What the commands share: parsing options, printing for people or for machines, progress. Knows no command."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import tyro

if TYPE_CHECKING:
    from gliomask.data.index import DatasetIndex

Flag = tyro.conf.FlagCreatePairsOff[bool]
"""A switch that is off unless it is given."""
_PAGE = 120
"""Characters in a line of a table where the output is no terminal."""
_Options = TypeVar("_Options")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """How a command talks."""

    quiet: Flag = False
    """No progress and no tables; errors still appear."""
    json: Flag = False
    """Print one JSON object instead of text."""


def parse(kind: type[_Options], command: str, arguments: Sequence[str], default: _Options | None = None) -> _Options:
    """Read a command's options from its arguments; leaves with status 2 and an explanation if they are wrong."""
    prog, config = f"gliomask {command}", (tyro.conf.OmitArgPrefixes,)
    if default is None:
        return tyro.cli(kind, prog=prog, args=list(arguments), config=config)
    return tyro.cli(kind, prog=prog, args=list(arguments), config=config, default=default)


def counter(progress: Progress | None, total: int) -> Callable[[object], None]:
    """Return a function that moves a bar of ``total`` steps on by one, whatever it is called with."""
    done = iter(range(1, total + 1))

    def step(_: object) -> None:
        if progress is not None:
            progress(next(done), total)

    return step


@contextmanager
def ends_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM (of a batch system, of a container that stops) end a block as Ctrl-C does: what is done is kept.

    So does SIGHUP (of a terminal that is closed), unless whoever started the command ignores it, as ``nohup`` does.
    """

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only there may a handler be set
        yield
        return
    known = (signal.Signals[name] for name in ("SIGTERM", "SIGHUP") if name in signal.Signals.__members__)
    before = {each: signal.getsignal(each) for each in known if signal.getsignal(each) is not signal.SIG_IGN}
    for each in before:
        signal.signal(each, interrupt)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class Printer:
    """Prints for people, or collects one JSON object for machines."""

    def __init__(self, output: OutputOptions) -> None:
        self._output = output

    def line(self, text: str) -> None:
        """Print a line for people."""
        if not self._output.quiet and not self._output.json:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table for people."""
        if self._output.quiet or self._output.json:
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(_text(cell) for cell in row))
        Console(width=None if sys.stdout.isatty() else _PAGE, markup=False).print(table)

    def result(self, values: dict[str, Any]) -> None:
        """Print the JSON object for machines."""
        if self._output.json:
            sys.stdout.write(json.dumps(values, indent=2, default=str) + "\n")
            sys.stdout.flush()

    @staticmethod
    def error(text: str) -> None:
        """Print a line to standard error, always."""
        sys.stderr.write(text + "\n")

    @contextmanager
    def progress(self, what: str) -> Iterator[Progress | None]:
        """Show a bar with the time left while the block runs; None where nothing is to be shown."""
        if self._output.quiet or self._output.json or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        apart = not sys.stdout.isatty()  # lines for a file go there, not above the bar
        with Bar(*columns, console=Console(stderr=True), transient=True, redirect_stdout=not apart) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    def log_to_screen(self) -> None:
        """Let the package's own log lines through."""
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger = logging.getLogger("gliomask")
        logger.handlers = [handler]
        logger.setLevel(logging.WARNING if self._output.quiet or self._output.json else logging.INFO)

    def read_index(self, data: Path) -> DatasetIndex:
        """Index a folder with progress; problems are counted on standard error, not listed.

        Raises
        ------
        DataError
            If the folder is missing or holds no slices.
        """
        from gliomask.data.index import build_index

        with self.progress("reading slices") as progress:
            index = build_index(data, progress=progress)
        if index.problems:
            self.error(f"{len(index.problems)} problems in {data}; `gliomask index {data}` lists them")
        return index


def _text(cell: object) -> str:
    return f"{cell:.4f}" if isinstance(cell, float) else str(cell)
