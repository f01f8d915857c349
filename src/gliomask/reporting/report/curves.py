"""The charts of a training: loss, Dice and learning rate over epochs, of one run or of all folds. Knows no page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from gliomask.config import TrainConfig, from_dict
from gliomask.reporting.report.charts import DICE, legend_below, new_chart
from gliomask.reporting.report.sources import Trained
from gliomask.reporting.report.svg import ACCENT, DATA, ink

_FEW = 25  # epochs up to which each is marked


@dataclass(frozen=True)
class _Curve:
    """A column of metrics.csv and how it is drawn."""

    column: str
    name: str
    colour: str
    line: str


def loss_figure(runs: Sequence[Trained]) -> Figure:
    """Draw training and validation loss over the epochs of every run."""
    curves = (_Curve("val_loss", "validation", DATA, "-"), _Curve("train_loss", "training", ACCENT, "--"))
    return _figure(runs, curves, "Loss (no unit)")


def dice_figure(runs: Sequence[Trained]) -> Figure:
    """Draw training and validation Dice over the epochs of every run, with the epoch whose weights were kept."""
    curves = (
        _Curve("val_dice", "validation, mean of patients", DATA, "-"),
        _Curve("val_dice_pooled", "validation, pixels pooled", DATA, ":"),
        _Curve("train_dice_pooled", "training, pixels pooled", ACCENT, "--"),
    )
    figure = _figure(runs, curves, DICE)
    axes = figure.axes[0]
    for number, run in enumerate(runs):
        kept = kept_epoch(run)
        if kept is not None:
            label = "epoch that was kept" if number == 0 else None
            axes.plot([kept[0]], [kept[1]], "D", color=DATA, markersize=7, zorder=3, label=label)
    axes.set_ylim(-0.03, 1.03)
    _again(figure, axes)
    return figure


def rate_figure(runs: Sequence[Trained]) -> Figure:
    """Draw the learning rate at the end of every epoch."""
    figure = _figure(runs, (_Curve("learning_rate", "", ink(), "-"),), "Learning rate (no unit)")
    figure.axes[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return figure


def has_column(runs: Sequence[Trained], column: str) -> bool:
    """Tell whether any epoch of any run has this number."""
    return any(math.isfinite(row.get(column, math.nan)) for run in runs for row in run.metrics)


def kept_epoch(run: Trained) -> tuple[int, float] | None:
    """Return the epoch, counted from 1, whose weights are kept, and its validation Dice.

    None before the first epoch ends, and without validation.
    """
    rows = [(row["val_dice"], row["epoch"]) for row in run.metrics if math.isfinite(row.get("val_dice", math.nan))]
    if not rows:
        return None
    if keeps_last(run):
        dice, epoch = rows[-1]
    else:
        dice, epoch = max(rows, key=lambda row: (row[0], -row[1]))  # of equal ones the first is kept
    return int(epoch) + 1, dice


def keeps_last(run: Trained) -> bool:
    """Tell whether the weights of a run's last epoch are kept."""
    return from_dict(TrainConfig, run.config).optimisation.keeps_last


def _figure(runs: Sequence[Trained], curves: Sequence[_Curve], unit: str) -> Figure:
    figure, axes = new_chart(len(curves))
    longest = max((len(run.metrics) for run in runs), default=0)
    for curve in curves:
        label: str | None = curve.name
        for run in runs:
            rows = [row for row in run.metrics if math.isfinite(row.get(curve.column, math.nan))]
            if rows:
                epochs, values = [int(row["epoch"]) + 1 for row in rows], [row[curve.column] for row in rows]
                marker = "o" if longest <= _FEW and len(runs) == 1 else ""
                axes.plot(
                    epochs, values, color=curve.colour, linestyle=curve.line, marker=marker, markersize=3.5,
                    linewidth=1.6 if len(runs) == 1 else 1.1, label=label,
                )  # fmt: skip
                label = None
    axes.set_ylim(bottom=0)
    axes.set_xlim(0.5, longest + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.set_xlabel("Epoch (number)" if len(runs) == 1 else f"Epoch (number), {len(runs)} folds")
    axes.set_ylabel(unit)
    _again(figure, axes)
    return figure


def _again(figure: Figure, axes: Axes) -> None:
    """Explain the lines, in place of what was explained before."""
    for legend in figure.legends:
        legend.remove()
    legend_below(figure, axes)
