"""``gliomask report``: one page about a run and its scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from gliomask.cli.console import OutputOptions, Printer, parse
from gliomask.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class ReportOptions(OutputOptions):
    """Make one HTML page about a run: what was trained on what, curves, scores, patients, slices, missed tumours.

    The page needs no network and no other file.
    """

    run: tyro.conf.Positional[Path | None] = None
    """Run folder, also of a cross-validation. Without it, --evaluation alone is reported."""
    evaluation: Path | None = None
    """Folder that `gliomask evaluate` wrote; RUN/test or RUN/out-of-fold if not given."""
    data: Path | None = None
    """Folder of the slices, if it has moved since the evaluation."""
    leak: Path | None = None
    """Folder that `gliomask leak` made: its paragraph and figure become a section of the page."""
    out: Path | None = None
    """File for the page; RUN/report.html (without a run, EVALUATION/report.html) if not given."""
    figures: Path | None = None
    """Folder for the charts as PNG; none are written if not given."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(ReportOptions, "report", arguments)
    folder = options.run or options.evaluation
    if folder is None:
        raise UsageError("neither a run nor --evaluation is given; expected `gliomask report RUN`")
    from gliomask.evaluation.results import find_evaluation
    from gliomask.reporting.leak import read_leak
    from gliomask.reporting.report.page import Report, write_report
    from gliomask.reporting.report.sources import read_scored, read_trainings

    printer = Printer(options)
    trained = () if options.run is None else read_trainings(options.run)
    scored = read_scored(options.evaluation or find_evaluation(folder))
    named = scored.facts.get("model") if options.run is None else None
    leak = None if options.leak is None else read_leak(options.leak)
    report = Report(Path(named or folder.resolve()).name, scored, trained, leak)
    with printer.progress("reading slices") as progress:
        written = write_report(
            report, options.out or folder / "report.html", data=options.data, figures=options.figures, progress=progress
        )
    if written.without_slices is not None:
        printer.error(f"the page is without slices: {written.without_slices}")
    if options.figures is not None:
        printer.line(f"{len(written.figures)} figures in {options.figures}")
    printer.line(f"report: {written.page} ({written.size / 1e6:.1f} MB)")
    printer.result({
        "page": written.page,
        "bytes": written.size,
        "evaluation": scored.folder,
        "without_slices": written.without_slices,
        "figures": written.figures,
    })  # fmt: skip
    return 0
