"""Makes the page: gathers scores, charts, slices and provenance, and fills the template. Knows no command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gliomask.errors import DataError
from gliomask.files import whole_file
from gliomask.radiogenomics.study_folder import require_no_study
from gliomask.reporting.leak import leak_paragraph
from gliomask.reporting.look import PREDICTION, TRUTH
from gliomask.reporting.report import provenance, wording
from gliomask.reporting.report.drawings import (
    Drawing,
    calibration_drawings,
    leak_drawings,
    patient_drawings,
    training_drawings,
)
from gliomask.reporting.report.parts import as_chart, environment, package_text, write_figures
from gliomask.reporting.report.sources import Scored, Trained
from gliomask.reporting.report.viewer import Case, read_cases

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
        field = "int8_sha256" if self.scored.facts.get("precision") == "int8" else "onnx_sha256"
        models = [getattr(run.model, field) for run in self.trained if run.model is not None]
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
    UsageError
        If the HTML file is the page of a radiogenomic study.
    OSError
        If a file cannot be written.
    """
    require_no_study(out)
    cases, reason = _cases(report.scored, data, progress)
    drawings = report.drawings()
    text = _render(report, drawings, cases, reason)
    with whole_file(out) as part:
        part.write_text(text, encoding="utf-8")
    written = [] if figures is None else write_figures([each for part in drawings.values() for each in part], figures)
    return WrittenReport(out, out.stat().st_size, tuple(written), reason)


def _cases(
    scored: Scored, data: Path | None, progress: Callable[[int, int], None] | None
) -> tuple[list[Case], str | None]:
    """Return the patients to show, or none and the reason."""
    try:
        return read_cases(scored, data, progress=progress), None
    except DataError as error:
        return [], f"{error}."


def _render(report: Report, drawings: dict[str, list[Drawing]], cases: list[Case], reason: str | None) -> str:
    templates = environment()
    templates.filters |= {"missing": wording.missing_text, "interval": _interval}
    charts = {section: [as_chart(drawing) for drawing in part] for section, part in drawings.items()}
    values = {**_score_values(report.scored), **_training_values(report), "charts": charts}
    return templates.get_template("page.html.j2").render(
        values,
        title=report.title,
        cases=cases,
        without_slices=reason,
        caveats=report.caveats(),
        leak=None if report.leak is None else leak_paragraph(report.leak).replace("`", ""),
        truth=TRUTH,
        prediction=PREDICTION,
        style=package_text("page.css"),
        script=package_text("viewer.js"),
    )


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
        "false_alarms": sum(row["truth_pixels"] == 0 < row["predicted_pixels"] for row in rows),
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
