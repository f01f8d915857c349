"""The charts of a report's scores: patients, institutions, tumour size, calibration. Knows no page and no file.

Every function draws in the ink of `gliomask.reporting.report.svg.chart_style`, so that one drawing serves page and PNG.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from gliomask.reporting.report.svg import ACCENT, DATA, WIDTH, ink
from gliomask.reporting.style import new_figure

DICE = "Dice (0 to 1)"
_GOLDEN = 0.618
_FEW = 30  # patients whose marks have room
_RAISED = str.maketrans("0123456789-", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b")
_PLOT, _LINE = 2.45, 0.19  # inches


def new_chart(entries: int) -> tuple[Figure, Axes]:
    """Return an empty chart with room for so many lines of explanation below it; the plots themselves are alike."""
    figure = new_figure(WIDTH, _PLOT + _LINE * entries)
    return figure, figure.subplots()


def legend_below(figure: Figure, axes: Axes) -> None:
    """Explain the marks under the axes, where the words cover nothing, a line each."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower left", handlelength=2.4, labelspacing=0.25, borderaxespad=0.2)


def strip_figure(dice: NDArray[np.float64], missed: NDArray[np.bool_], score: Mapping[str, Any]) -> Figure:
    """Draw the Dice of every patient, sorted, with mean, interval and median.

    Parameters
    ----------
    dice
        (P,) one value a patient.
    missed
        (P,) bool: whether the patient's tumour was missed.
    score
        ``dice_patient`` of the summary.
    """
    figure, axes = new_chart(4)
    values = np.sort(dice, kind="stable")
    places = np.arange(1, len(values) + 1)
    if score["low"] is not None:
        label = f"95 % interval of the mean, {score['low']:.3f} to {score['high']:.3f}"
        axes.axhspan(score["low"], score["high"], color=ACCENT, alpha=0.2, linewidth=0, label=label)
    axes.axhline(score["mean"], color=ACCENT, linewidth=1.6, label=f"mean, {score['mean']:.3f}")
    axes.axhline(score["median"], color=ink(), linewidth=1.1, linestyle="--", label=f"median, {score['median']:.3f}")
    found = ~missed[np.argsort(dice, kind="stable")]
    axes.plot(places[found], values[found], "o", color=DATA, markersize=_marker(len(values)), label="a patient")
    if not found.all():
        axes.plot(places[~found], values[~found], "X", color=ACCENT, markersize=7, label="a missed tumour, below 0.1")
    axes.set_xlim(0.3, len(values) + 0.7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.grid(visible=False, axis="x")
    _dice_axis(axes)
    axes.set_xlabel("Patient (rank by Dice, lowest first)")
    legend_below(figure, axes)
    return figure


def institution_figure(patients: pd.DataFrame, groups: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw the Dice of every patient by institution, with mean and interval of each.

    Parameters
    ----------
    patients
        One row a patient, columns as in ``patients.csv``.
    groups
        ``groups.institution`` of the summary.
    """
    names, side = sorted(groups, key=lambda name: (-groups[name]["patients"], name)), _marker(len(patients))
    figure = new_figure(WIDTH, 1.35 + 0.42 * len(names))
    axes = figure.subplots()
    for place, name in enumerate(names):
        values = np.sort(patients.loc[patients["institution"] == name, "dice"].to_numpy(float))
        scatter = (np.arange(1, len(values) + 1) * _GOLDEN) % 1 - 0.5  # evenly spread, the same every time
        label = None if place else "a patient"
        axes.plot(values, place + 0.42 * scatter, "o", color=DATA, alpha=0.75, markersize=side, label=label)
        score = groups[name]
        if score["low"] is not None:
            axes.plot([score["low"], score["high"]], [place, place], color=ACCENT, linewidth=2.6, alpha=0.8)
        label = None if place else "mean with 95 % interval"
        axes.plot([score["mean"]], [place], "D", color=ACCENT, markersize=6.5, label=label)
    axes.set_yticks(range(len(names)), [f"{name} ({groups[name]['patients']})" for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel(DICE)
    axes.set_ylabel("Institution (patients)")
    legend_below(figure, axes)
    return figure


def size_figure(patients: pd.DataFrame, millilitres: float | None) -> Figure:
    """Draw Dice against the size of the true tumour; patients without one are left out.

    Parameters
    ----------
    patients
        One row a patient, columns as in ``patients.csv``.
    millilitres
        Volume of a voxel, or None to count voxels.
    """
    figure, axes = new_chart(2)
    chosen = patients[patients["truth_pixels"] > 0]
    volume = chosen["truth_pixels"].to_numpy(float) * (1.0 if millilitres is None else millilitres)
    dice, side = chosen["dice"].to_numpy(float), _marker(len(chosen))
    lacking = (chosen["missing"] != "").to_numpy(bool)
    missed = chosen["missed"].to_numpy(bool)
    kinds = (
        (~missed & ~lacking, "o", DATA, "all sequences"),
        (~missed & lacking, "s", "none", "a sequence is missing"),
        (missed, "X", ACCENT, "a missed tumour, below 0.1"),
    )
    for rows, marker, face, label in kinds:
        if rows.any():
            edge = ACCENT if face == ACCENT else DATA
            (marks,) = axes.plot(volume[rows], dice[rows], marker, color=edge, label=label)
            marks.set(markerfacecolor=face, markersize=7.0 if face == ACCENT else side)
    if len(volume):
        _logarithmic(axes, volume)
    axes.set_xlabel(f"True tumour volume ({'voxels' if millilitres is None else 'ml'}, logarithmic)")
    _dice_axis(axes)
    legend_below(figure, axes)
    return figure


def reliability_figure(calibration: Mapping[str, Any]) -> Figure:
    """Draw how often pixels are tumour for each probability the model gives, and how many pixels there are.

    Parameters
    ----------
    calibration
        ``calibration`` of the summary.
    """
    figure = new_figure(WIDTH, 4.0)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.plot([0, 1], [0, 1], color=ink(), linestyle=":", linewidth=1.2, label="probability and share agree")
    kinds = (
        ("tumour_slices", "slices with tumour", "o", "-", DATA),
        ("all_slices", "all slices", "s", "--", ACCENT),
    )
    for key, name, marker, line, colour in kinds:
        bins = calibration[key]["bins"]
        error = calibration[key]["expected_calibration_error"]
        label = name if error is None else f"{name}, expected calibration error {error:.4f}"
        style = {"color": colour, "marker": marker, "linestyle": line, "linewidth": 1.5}
        said = [entry["confidence"] for entry in bins]
        upper.plot(said, [entry["observed"] for entry in bins], label=label, **style)
        lower.plot([(entry["low"] + entry["high"]) / 2 for entry in bins], [e["pixels"] for e in bins], **style)
    upper.set_ylim(-0.03, 1.03)
    upper.set_xlim(-0.03, 1.03)
    upper.set_ylabel("Pixels that are tumour\n(share, 0 to 1)")
    lower.set_yscale("log")
    lower.set_ylabel("Pixels\n(number)")
    lower.yaxis.set_major_formatter(FuncFormatter(_power_of_ten))
    lower.yaxis.set_minor_formatter(NullFormatter())
    lower.set_xlabel("Probability given by the model (0 to 1)")
    legend_below(figure, upper)
    return figure


def threshold_figure(rows: Sequence[Mapping[str, float]], used: float | None) -> Figure:
    """Draw the mean Dice of the patients over the threshold, with the threshold that was used.

    Parameters
    ----------
    rows
        ``calibration.thresholds`` of the summary.
    used
        Threshold of the model; None if it is not known.
    """
    figure, axes = new_chart(2)
    thresholds = [row["threshold"] for row in rows]
    scores = [row["dice_patient"] for row in rows]
    axes.plot(thresholds, scores, color=DATA, linewidth=1.8, label="mean of the patients")
    if used is not None and rows:
        here = float(np.interp(used, thresholds, scores))
        axes.axvline(used, color=ACCENT, linewidth=1.2, linestyle="--")
        axes.plot([used], [here], "D", color=ACCENT, markersize=6.5, label=f"threshold used, {used:g}: {here:.3f}")
    axes.set_xlim(0, 1)
    axes.set_xlabel("Threshold (probability, 0 to 1)")
    _dice_axis(axes)
    legend_below(figure, axes)
    return figure


def _marker(patients: int) -> float:
    """Return the size in points of a patient's mark: smaller where many lie side by side."""
    return 5.0 if patients <= _FEW else 3.5


def _dice_axis(axes: Axes) -> None:
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel(DICE)


def _power_of_ten(value: float, _: object) -> str:
    """Return 10 with its exponent in small digits; Matplotlib's own labels are mathematical markup."""
    return "10" + str(round(math.log10(value))).translate(_RAISED) if value > 0 else ""


def _logarithmic(axes: Axes, values: NDArray[np.float64]) -> None:
    """Give the axis a logarithmic scale with a few labels that fit side by side."""
    low, high = values.min() / 1.3, values.max() * 1.3
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    for steps in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0)):
        ticks = [tick for tick in LogLocator(subs=steps).tick_values(low, high) if low <= tick <= high]
        if len(ticks) >= 3:
            break
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
