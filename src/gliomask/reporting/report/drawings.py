"""Which charts a report has, with the words that go with each. Knows how nothing is drawn, and no page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gliomask.evaluation.summary import SMALLEST
from gliomask.reporting.leak import leak_figure
from gliomask.reporting.report import charts, curves
from gliomask.reporting.report.sources import Scored, Trained
from gliomask.reporting.report.wording import number, plural


@dataclass(frozen=True)
class Drawing:
    """A chart and its words.

    Attributes
    ----------
    name
        Of its file, and unlike any other in the report.
    title, caption
        Above and below it.
    label
        What is to be seen, for those who cannot see it.
    draw
        Draws it in the ink of the block it is called in.
    """

    name: str
    title: str
    caption: str
    label: str
    draw: Callable[[], Figure]


def patient_drawings(scored: Scored) -> list[Drawing]:
    """Return the charts of the patients: all of them, by institution, by tumour size."""
    patients, facts = scored.evaluation.patients, scored.facts
    score, institutions = facts["scores"]["dice_patient"], facts["groups"]["institution"]
    dice = patients["dice"].to_numpy(np.float64)
    without = int((patients["truth_pixels"] == 0).sum())
    each = ", ".join(f"{name} {part['mean']:.3f} ({part['patients']})" for name, part in institutions.items())
    return [
        Drawing(
            "patients", "Every patient",
            f"One mark a patient, sorted by Dice, from {number(float(dice.min()))} to {number(float(dice.max()))}. "
            f"{'None is' if score['missed'] == 0 else plural(score['missed'], 'tumour') + ' with Dice below 0.1'} "
            f"{'missed (below 0.1)' if score['missed'] == 0 else 'counts as missed'}.",
            f"Dice of {plural(len(dice), 'patient')}, sorted, with a mean of {number(score['mean'])} and a median of "
            f"{number(score['median'])}",
            partial(charts.strip_figure, dice, patients["missed"].to_numpy(bool), score),
        ),
        Drawing(
            "institutions", "By institution",
            f"Each institution's patients with their mean and its 95 % interval over patients; none for fewer than "
            f"{SMALLEST} patients, for whom it would be too narrow.",
            f"Mean Dice by institution (patients): {each}",
            partial(charts.institution_figure, patients, institutions),
        ),
        Drawing(
            "size", "By tumour size",
            "Dice against the volume of the true tumour. The same error of the outline costs a small tumour more."
            + (f" {plural(without, 'patient')} without tumour not shown." if without else ""),
            f"Dice of each patient against true tumour volume in {'voxels' if scored.millilitres is None else 'ml'}",
            partial(charts.size_figure, patients, scored.millilitres),
        ),
    ]  # fmt: skip


def calibration_drawings(scored: Scored) -> list[Drawing]:
    """Return the charts of the probabilities; none for masks without probabilities."""
    calibration, used = scored.evaluation.calibration, scored.facts.get("threshold")
    if calibration is None:
        return []
    rows = calibration["thresholds"]
    best = max(rows, key=lambda row: row["dice_patient"], default=None)
    highest = "" if best is None else (
        f" It is highest, {number(best['dice_patient'])}, at {best['threshold']:g}; a threshold that is chosen on the "
        "scored patients makes no score to report."
    )  # fmt: skip
    leaves_out = scored.facts.get("smallest_component")
    small = ", before small components are left out as they are for the score" if leaves_out else ""
    error = calibration["tumour_slices"]["expected_calibration_error"]
    return [
        Drawing(
            "calibration", "What a probability means",
            "Pixels are grouped by the probability that the model gave. On the dotted line it is right; below the line "
            "it is too sure of tumour. The expected calibration error is the mean distance from that line over all "
            "pixels, most of which are plainly healthy.",
            f"Share of tumour among pixels by probability; expected calibration error {number(error)} in slices with "
            "tumour",
            partial(charts.reliability_figure, calibration),
        ),
        Drawing(
            "thresholds", "Other thresholds",
            f"Mean Dice per patient if pixels counted as tumour from another probability{small}.{highest}",
            "Mean Dice per patient over the threshold",
            partial(charts.threshold_figure, rows, used),
        ),
    ]  # fmt: skip


def leak_drawings(numbers: dict[str, Any] | None) -> list[Drawing]:
    """Return the chart of what a split by slice adds to the score, if it was measured."""
    if numbers is None:
        return []
    patients = plural(numbers["scored"]["patients"], "patient")
    return [
        Drawing(
            "leak", "By patient and by slice",
            "Each line is a patient: left, no slice of it was trained on; right, its other slices were. The same "
            "slices are scored.",
            f"Dice of {patients}, trained by patient and by slice", partial(leak_figure, numbers),
        )
    ]  # fmt: skip


def training_drawings(runs: Sequence[Trained]) -> list[Drawing]:
    """Return the curves of the trainings that have any."""
    folds = "" if len(runs) == 1 else f" One line a fold, {len(runs)} folds."
    last = all(curves.keeps_last(run) for run in runs)
    kept = "the last epoch" if last else "the epoch with the highest validation Dice per patient"
    if any(run.config["optimisation"].get("start_share", 0) for run in runs):
        kept += ", in a mean with those it began with,"
    drawings = []
    if curves.has_column(runs, "val_loss") or curves.has_column(runs, "train_loss"):
        drawings.append(Drawing(
            "loss", "Loss", f"Mean loss of an epoch on training and validation slices.{folds}",
            "Training and validation loss over epochs", partial(curves.loss_figure, runs),
        ))  # fmt: skip
    if curves.has_column(runs, "val_dice"):
        drawings.append(Drawing(
            "dice", "Dice in training",
            f"At the size that the network sees. The weights of {kept} are kept. "
            f"These are not scores to report.{folds}",
            "Training and validation Dice over epochs", partial(curves.dice_figure, runs),
        ))  # fmt: skip
    if curves.has_column(runs, "learning_rate"):
        drawings.append(Drawing(
            "learning-rate", "Learning rate", f"At the end of each epoch.{folds}",
            "Learning rate over epochs", partial(curves.rate_figure, runs),
        ))  # fmt: skip
    return drawings
