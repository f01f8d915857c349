"""Several evaluated models side by side: tables for people, Markdown, and a figure. Knows no command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gliomask.config import TrainConfig, load_settings
from gliomask.errors import GliomaskError, UsageError
from gliomask.evaluation.compare import DISTANCES, PairedDifference, check_comparable, compare
from gliomask.evaluation.results import Evaluation, find_evaluation, read_evaluation
from gliomask.files import whole_file
from gliomask.reporting.figures import save_figure
from gliomask.reporting.style import NEGATIVE, NEUTRAL, POSITIVE, new_figure, style
from gliomask.reporting.views import shown


@dataclass(frozen=True)
class Model:
    """An evaluated model: its name in the tables, its scores, what was kept of it, and its settings where known."""

    name: str
    folder: Path
    evaluation: Evaluation
    facts: dict[str, Any]
    config: TrainConfig | None


@dataclass(frozen=True)
class Table:
    """Rows of text under columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return the table as Markdown, with its title as a paragraph."""
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        return f"{self.title}\n\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def read_models(paths: Sequence[Path]) -> list[Model]:
    """Read the evaluations of runs (or evaluation folders) that are to be compared.

    Raises
    ------
    UsageError
        If there are fewer than two, one is given twice, or they were not scored on the same slices.
    DataError
        If one has not been evaluated.
    """
    folders = [find_evaluation(path) for path in paths]
    if len({folder.resolve() for folder in folders}) < max(2, len(paths)):
        raise UsageError(f"{len(paths)} evaluations to compare; expected two or more, all different")
    short = [path.resolve().name for path in paths]
    names = short if len(set(short)) == len(short) else [str(path) for path in paths]
    models = [_read_model(*each) for each in zip(names, paths, folders, strict=True)]
    check_comparable({model.name: model.evaluation for model in models})
    return models


def tables(models: Sequence[Model]) -> list[Table]:
    """Return the scores of all models, and the difference of each to the first."""
    return [_dice_table(models), _other_table(models), *_difference_tables(models)]


def caveats(models: Sequence[Model]) -> list[str]:
    """Return what must be known to read the tables, one sentence each."""
    own = [f"{model.name}: {caveat}" for model in models for caveat in model.facts.get("caveats", [])]
    fractions = [model.facts.get("smallest_component") for model in models]
    if len({fraction or 0 for fraction in fractions}) > 1:
        each = [
            f"{model.name} {'unknown or 0' if fraction is None else format(fraction, 'g')}"
            for model, fraction in zip(models, fractions, strict=True)
        ]
        own.append(
            "components of fewer voxels than a fraction of the patient's largest are left out of the masks, and the "
            f"fraction differs: {', '.join(each)}"
        )
    networks = [model for model in models if model.facts.get("model_sha256") != []]  # as of other programs' masks
    precisions = {model.name: model.facts.get("precision") or "float32" for model in networks}
    if len(set(precisions.values())) > 1:
        told = (f"{name} in {precision}" for name, precision in precisions.items())
        own.append(f"the networks were computed otherwise: {', '.join(told)}")
    views = {model.name: view for model in networks if (view := shown(model.facts)) is not None}
    if len(set(views.values())) > 1:
        own.append(
            f"the networks were shown other things: {'; '.join(f'{name} {view}' for name, view in views.items())}"
        )
    return own


def differences(models: Sequence[Model]) -> dict[str, dict[str, PairedDifference]]:
    """Return the paired differences of each model to the first, by name and score."""
    first, *others = models
    return {other.name: compare(first.evaluation, other.evaluation) for other in others}


def write_comparison(models: Sequence[Model], folder: Path) -> list[Path]:
    """Write ``comparison.md``, ``comparison.json`` and ``comparison.png``, and return their paths.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    paths = [folder / f"comparison{ending}" for ending in (".md", ".json", ".png")]
    texts = [markdown(models), json.dumps(as_values(models), indent=2) + "\n"]
    for path, text in zip(paths, texts, strict=False):
        with whole_file(path) as part:
            part.write_text(text, encoding="utf-8")
    save_figure(comparison_figure(models), paths[2])
    return paths


def markdown(models: Sequence[Model]) -> str:
    """Return the tables as Markdown, and below them what must be known to read them."""
    notes = "\n".join(f"* {caveat}" for caveat in caveats(models))
    return "\n".join([*(table.markdown() for table in tables(models)), *([f"{notes}\n"] if notes else [])])


def as_values(models: Sequence[Model]) -> dict[str, Any]:
    """Return scores and differences as plain values, ready for JSON."""
    found = {
        name: {
            score: {**value.difference.as_values(), "p": value.p, "patients": value.patients}
            for score, value in scores.items()
        }
        for name, scores in differences(models).items()
    }
    scores = {model.name: {"unit": model.evaluation.unit, **model.evaluation.summary()} for model in models}
    return {"scores": scores, "reference": models[0].name, "differences": found, "caveats": caveats(models)}


@style()
def comparison_figure(models: Sequence[Model]) -> Figure:
    """Draw Dice of every patient, a line a patient, and the mean of each model with its 95 % interval."""
    figure = new_figure(max(3.6, 1.4 * len(models) + 1.2), 4.0)
    axes = figure.subplots()
    patients = models[0].evaluation.patients["patient"]
    values = np.stack([model.evaluation.patients.set_index("patient")["dice"].loc[patients] for model in models])
    places = np.arange(len(models))
    axes.plot(places, values, color=NEUTRAL, alpha=0.25, linewidth=0.7)
    axes.plot(places, values, "o", color=NEGATIVE, markersize=3, alpha=0.8)
    for place, model in zip(places, models, strict=True):
        score = model.evaluation.summary()["dice_patient"]
        if score["low"] is not None:
            axes.plot([place, place], [score["low"], score["high"]], color=POSITIVE, linewidth=3, solid_capstyle="butt")
        axes.plot(place, score["mean"], "D", color=POSITIVE, markeredgecolor="white", markersize=7)
    axes.set_xticks(places, [model.name for model in models], rotation=20 if len(models) > 3 else 0)
    axes.set_xlim(-0.5, len(models) - 0.5)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("Dice per patient (no unit)")
    axes.set_title(f"{len(patients)} patients (dots, joined); means with 95 % intervals", fontsize=9)
    return figure


def _dice_table(models: Sequence[Model]) -> Table:
    columns = ("model", "network", "schedule", "split", "dice_patient", "median", "missed", "dice_slice_tumour",
               "dice_slice_all", "dice_pooled", "dice_original")  # fmt: skip
    rows = []
    for model in models:
        found, config = model.evaluation.summary(), model.config
        settings = ("-",) * 3
        if config is not None:
            settings = config.model.model, config.optimisation.lr_scheduler, config.split.split
        patient = found["dice_patient"]
        missed = f"{patient['missed']} of {patient['patients']}"
        dice = [_with_interval(found[f"dice_{name}"]) for name in ("slice_tumour", "slice_all", "pooled")]
        original = _short(found["dice_original"])
        rows.append(
            (model.name, *settings, _with_interval(patient), _short(patient["median"]), missed, *dice, original)
        )
    nothing = models[0].evaluation.summary()["dice_slice_all"]["predicting_nothing"]
    title = (
        f"Dice of {len(models[0].evaluation.patients)} patients, mean (95 % interval over patients). "
        f"Predicting nothing has a dice_slice_all of {nothing:.3f}; dice_original is the original project's "
        "arithmetic, too high."
    )
    return Table(title, columns, tuple(rows))


def _other_table(models: Sequence[Model]) -> Table:
    columns = ("model", "IoU", "precision", "recall", "volume error", "HD95", "NSD at 1", "NSD at 2", "distances in",
               "empty slices with false positives", "lesions found", "lesions invented")  # fmt: skip
    names = ("iou_patient", "precision_patient", "recall_patient", "volume_error_absolute_patient", "hd95_patient",
             "nsd_1_patient", "nsd_2_patient")  # fmt: skip
    rows = []
    for model in models:
        found = model.evaluation.summary()
        lesions = found["lesions"]
        counted = ("-", "-")
        if lesions is not None:
            counted = f"{lesions['found']} of {lesions['truth']}", str(lesions["invented"])
        scores = (_with_interval(found[name]) for name in names)
        false_positives = _with_interval(found["false_positive_slices"])
        rows.append((model.name, *scores, model.evaluation.unit, false_positives, *counted))
    title = "Other scores, mean over patients (95 % interval); the volume error is relative and without its sign."
    return Table(title, columns, tuple(rows))


def _difference_tables(models: Sequence[Model]) -> list[Table]:
    columns = ("score", "difference (95 % interval)", "p (Wilcoxon)", "patients")
    found = []
    for name, scores in differences(models).items():
        unit = models[0].evaluation.unit
        rows = tuple(
            (
                f"{score} ({unit})" if score.removesuffix("_patient") in DISTANCES else score,
                _with_interval(value.difference.as_values(), sign=True),
                f"{value.p:.2g}",
                str(value.patients),
            )
            for score, value in scores.items()
        )
        found.append(Table(f"{name} minus {models[0].name}, in pairs on the same patients.", columns, rows))
    return found


def _with_interval(score: Mapping[str, Any] | None, *, sign: bool = False) -> str:
    if score is None:
        return "-"
    plus = "+" if sign else ""
    interval = "" if score["low"] is None else f" ({score['low']:{plus}.3f} to {score['high']:{plus}.3f})"
    return f"{score['mean']:{plus}.3f}{interval}"


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _read_model(name: str, path: Path, folder: Path) -> Model:
    evaluation, facts = read_evaluation(folder)
    of_another_program = facts.get("model_sha256") == []  # whatever run its folder lies in
    return Model(name, folder, evaluation, facts, None if of_another_program else _config_of(path))


def _config_of(path: Path) -> TrainConfig | None:
    """Return the settings of a run, or of the run whose evaluation this is."""
    for folder in (path, path.parent):
        for name in ("config.json", "fold0/config.json"):
            if (folder / name).is_file():
                try:
                    return load_settings(folder / name)
                except GliomaskError:
                    return None
    return None
