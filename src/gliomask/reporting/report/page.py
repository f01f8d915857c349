"""Makes the page: gathers scores, charts, slices and provenance, and fills the template. Knows no command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from gliomask.errors import DataError
from gliomask.files import whole_file
from gliomask.reporting.figures import save_figure
from gliomask.reporting.leak import leak_paragraph
from gliomask.reporting.report import provenance, wording
from gliomask.reporting.report.drawings import (
    Drawing,
    calibration_drawings,
    leak_drawings,
    patient_drawings,
    training_drawings,
)
from gliomask.reporting.report.sources import Scored, Trained
from gliomask.reporting.report.svg import PAGE_INK, chart_style, inline_svg
from gliomask.reporting.report.viewer import Case, read_cases
from gliomask.reporting.style import PREDICTION, TRUTH

_HERE = Path(__file__).parent
_GROUPS = {"institution": "Institution", "size": "Tumour size (thirds of the patients)", "missing": "Missing sequences"}


@dataclass(frozen=True)
class Report:
    """What a report is made from.

    Attributes
    ----------
    title
        Name of the run, or of the folder that was scored.
    scored
        The evaluation.
    trained
        The trainings of the scored model, one a fold; empty for masks of another program.
    leak
        What `gliomask leak` measured (`gliomask.reporting.leak.read_leak`), for a section of its own.
    """

    title: str
    scored: Scored
    trained: tuple[Trained, ...] = ()
    leak: dict[str, Any] | None = None

    def caveats(self) -> list[str]:
        """Return what must be known to read the scores: what the evaluation says, and whether the model is another."""
        scored = self.scored.facts.get("model_sha256") or []
        models = [run.model.onnx_sha256 for run in self.trained if run.model is not None]
        other = "the model in this run is not the one that was scored: evaluate it again"
        return [*self.scored.facts["caveats"], *([other] if scored and models and set(scored) != set(models) else [])]

    def drawings(self) -> dict[str, list[Drawing]]:
        """Return the charts by section of the page."""
        return {
            "patients": patient_drawings(self.scored),
            "calibration": calibration_drawings(self.scored),
            "leak": leak_drawings(self.leak),
            "training": training_drawings(self.trained),
        }


@dataclass(frozen=True)
class WrittenReport:
    """A report that was written: the page, its size in bytes, the figures, and why slices are left out, if they are."""

    page: Path
    size: int
    figures: tuple[Path, ...]
    without_slices: str | None


@dataclass(frozen=True)
class _Chart:
    """A drawing as the template shows it."""

    title: str
    caption: str
    svg: Markup


def write_report(
    report: Report,
    out: Path,
    *,
    data: Path | None = None,
    figures: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> WrittenReport:
    """Write the page, and each of its charts as PNG if a folder is given.

    Parameters
    ----------
    report
        What it tells.
    out
        The HTML file.
    data
        Folder of the slices; by default the one that was scored. Where it is absent or holds other data, the page is
        made without slices and says so.
    figures
        Folder for the charts as PNG.
    progress
        Called with (slices done, slices) while the data are read.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    cases, reason = _cases(report.scored, data, progress)
    drawings = report.drawings()
    text = _render(report, drawings, cases, reason)
    with whole_file(out) as part:
        part.write_text(text, encoding="utf-8")
    written = [] if figures is None else _write_figures([each for part in drawings.values() for each in part], figures)
    return WrittenReport(out, out.stat().st_size, tuple(written), reason)


def _cases(
    scored: Scored, data: Path | None, progress: Callable[[int, int], None] | None
) -> tuple[list[Case], str | None]:
    """Return the patients to show, or none and the reason."""
    try:
        return read_cases(scored, data, progress=progress), None
    except DataError as error:
        return [], f"{error}."


def _write_figures(drawings: Sequence[Drawing], folder: Path) -> list[Path]:
    paths = []
    for drawing in drawings:
        with chart_style():
            figure: Figure = drawing.draw()
            path = folder / f"{drawing.name}.png"
            save_figure(figure, path)
        paths.append(path)
    return paths


def _render(report: Report, drawings: dict[str, list[Drawing]], cases: list[Case], reason: str | None) -> str:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "number": wording.number, "missing": wording.missing_text, "plural": wording.plural, "interval": _interval,
    }  # fmt: skip
    charts = {section: [_chart(drawing) for drawing in part] for section, part in drawings.items()}
    values = {**_score_values(report.scored), **_training_values(report), "charts": charts}
    return environment.get_template("page.html.j2").render(
        values,
        title=report.title,
        cases=cases,
        without_slices=reason,
        caveats=report.caveats(),
        leak=None if report.leak is None else leak_paragraph(report.leak).replace("`", ""),
        truth=TRUTH,
        prediction=PREDICTION,
        style=_own("page.css"),
        script=_own("viewer.js"),
    )


def _chart(drawing: Drawing) -> _Chart:
    with chart_style(PAGE_INK):
        figure = drawing.draw()
    return _Chart(drawing.title, drawing.caption, inline_svg(figure, name=drawing.name, label=drawing.label))


def _own(name: str) -> Markup:
    return Markup((_HERE / name).read_text(encoding="utf-8"))  # noqa: S704 - part of this package


def _score_values(scored: Scored) -> dict[str, Any]:
    facts, patients = scored.facts, scored.evaluation.patients
    rows = patients.sort_values(["dice", "patient"]).to_dict("records")
    return {
        "facts": facts,
        "headline": facts["scores"]["dice_patient"],
        "seen": wording.seen_sentence(facts.get("patients_seen_in_training"), scored.patients),
        "score_rows": wording.score_rows(facts["scores"], scored.unit),
        "groups": [(_GROUPS.get(kind, kind), kind, parts) for kind, parts in facts["groups"].items()],
        "patients": rows,
        "missed": [row for row in rows if row["missed"]],
        "unit": scored.unit,
        "millilitres": scored.millilitres,
        "evaluation_rows": provenance.evaluation_rows(scored),
    }


def _training_values(report: Report) -> dict[str, Any]:
    runs = report.trained
    return {
        "trained": bool(runs),
        "training_rows": provenance.training_rows(runs, report.scored) if runs else [],
        "machine_rows": provenance.machine_rows(runs) if runs else [],
        "training_table": provenance.training_table(runs),
        "setting_rows": provenance.setting_rows(runs),
    }


def _interval(score: dict[str, Any]) -> str:
    return wording.interval_text(score.get("low"), score.get("high"))
