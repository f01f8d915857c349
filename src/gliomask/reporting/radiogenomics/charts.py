"""The charts of a radiogenomic study: features by cluster, predicted against manual. Knows no page and no file.

Every function draws in the ink of `gliomask.reporting.report.svg.chart_style`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gliomask.radiogenomics.agreement import Agreement
from gliomask.radiogenomics.study import MANUAL
from gliomask.reporting.report.charts import legend_below, new_chart
from gliomask.reporting.report.svg import ACCENT, DATA, ink

_GOLDEN = 0.618
_BOX = 0.34  # of the distance of two clusters
_RARE = 4  # patients that a box needs


def cluster_figure(values: Mapping[str, pd.Series], labels: pd.Series, clusters: tuple[str, ...], name: str) -> Figure:
    """Draw the values of a feature by cluster, every patient a mark, with boxes from quartile to quartile.

    Parameters
    ----------
    values
        By kind of masks: one value a patient.
    labels
        The cluster of every patient, missing where it is not known.
    clusters
        In the order of the axis.
    name
        Of the feature.
    """
    figure, axes = new_chart(len(values))
    many = len(values) > 1
    for kind, series in values.items():
        colour, marker = (DATA, "o") if kind == MANUAL else (ACCENT, "^")
        aside = (-0.2 if kind == MANUAL else 0.2) * many
        labelled = False
        for place, cluster in enumerate(clusters):
            members = series[(labels.reindex(series.index) == cluster) & series.notna()].to_numpy(float)
            if not len(members):
                continue
            scatter = (np.arange(1, len(members) + 1) * _GOLDEN) % 1 - 0.5
            width = _BOX if many else 1.6 * _BOX
            axes.plot(
                place + aside + 0.7 * width * scatter, members, marker, color=colour, alpha=0.55, markersize=3.2,
                label=None if labelled else f"{kind} masks",
            )  # fmt: skip
            labelled = True
            if len(members) >= _RARE:
                lines = {"color": ink(), "linewidth": 1.1}
                axes.boxplot(
                    members, positions=[place + aside], widths=width, showfliers=False, manage_ticks=False,
                    boxprops=lines, whiskerprops=lines, capprops=lines, medianprops={"color": ink(), "linewidth": 2.2},
                )  # fmt: skip
    drawn = pd.concat(values, axis=1).dropna(how="all").index
    counts = labels.reindex(drawn).value_counts()
    axes.set_xticks(range(len(clusters)), [f"{each}\n({counts.get(each, 0)})" for each in clusters])
    axes.set_xlim(-0.6, max(len(clusters), 1) - 0.4)
    axes.set_xlabel("Cluster (patients)")
    axes.set_ylabel(name)
    axes.grid(visible=False, axis="x")
    legend_below(figure, axes)
    return figure


def scatter_figure(truth: NDArray[np.float64], found: NDArray[np.float64], name: str) -> Figure:
    """Draw predicted against manual values (P,), with the line on which they are equal."""
    figure, axes = new_chart(2)
    axes.plot(truth, found, "o", color=DATA, alpha=0.75, markersize=3.5, label="a patient")
    if len(truth):
        ends = [min(truth.min(), found.min()), max(truth.max(), found.max())]
        axes.plot(ends, ends, color=ink(), linestyle=":", linewidth=1.2, label="equal")
    axes.set_xlabel(f"{name}, manual masks")
    axes.set_ylabel(f"{name}, predicted masks")
    legend_below(figure, axes)
    return figure


def bland_altman_figure(
    truth: NDArray[np.float64], found: NDArray[np.float64], agreement: Agreement, name: str
) -> Figure:
    """Draw the differences of predicted and manual values (P,) against their means, with the limits of agreement."""
    figure, axes = new_chart(3)
    axes.plot((truth + found) / 2, found - truth, "o", color=DATA, alpha=0.75, markersize=3.5, label="a patient")
    axes.axhline(0, color=ink(), linestyle=":", linewidth=1.0)
    if agreement.patients:
        axes.axhline(agreement.bias, color=ACCENT, linewidth=1.6, label=f"bias, {agreement.bias:+.3g}")
    if agreement.patients > 1:
        label = f"limits of agreement, {agreement.lower_limit:+.3g} to {agreement.upper_limit:+.3g}"
        axes.axhline(agreement.lower_limit, color=ACCENT, linewidth=1.2, linestyle="--", label=label)
        axes.axhline(agreement.upper_limit, color=ACCENT, linewidth=1.2, linestyle="--")
    axes.set_xlabel(f"{name}, mean of both masks")
    axes.set_ylabel("Predicted less manual")
    legend_below(figure, axes)
    return figure
