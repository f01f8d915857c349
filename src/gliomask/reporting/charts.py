"""Charts of what a data set holds, drawn from its index alone. Knows nothing of pixels, files or models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from gliomask.data.index import DatasetIndex
from gliomask.reporting.style import NEGATIVE, NEUTRAL, POSITIVE, new_figure, style

WITH_TUMOUR = "Positive (with tumour)"
WITHOUT_TUMOUR = "Negative (no tumour)"
_THOUSANDS = "{x:,.0f}"
_NAMED = 30  # more patients than this are not named on the axis


@dataclass(frozen=True)
class _Group:
    """Slices of one bar."""

    name: str
    positive: int
    negative: int


@style()
def distribution_figure(index: DatasetIndex) -> Figure:
    """Draw how many slices show tumour and how many do not, with counts and per cent.

    The first bar is the positive one, and its height is `index.tumour_slice_count`.
    """
    counts = (index.tumour_slice_count, index.slice_count - index.tumour_slice_count)
    figure = new_figure(4.6, 4.0)
    axes = figure.subplots()
    bars = axes.bar([WITH_TUMOUR, WITHOUT_TUMOUR], counts, width=0.6, color=[POSITIVE, NEGATIVE])
    total = max(1, index.slice_count)
    axes.bar_label(bars, [f"{count:,}\n{count / total:.1%}" for count in counts], padding=3)
    axes.margins(y=0.15)
    axes.yaxis.set_major_formatter(_THOUSANDS)
    axes.set_ylabel("Slices")
    axes.set_title(f"Slices with and without tumour\n{_plural(index.slice_count, 'slice')} of {_patients(index)}")
    return figure


@style()
def patients_figure(index: DatasetIndex) -> Figure:
    """Draw the slices of every patient, positive below negative, patients with most slices first."""
    groups = [
        _Group(patient.name, patient.tumour_slices, len(patient.slices) - patient.tumour_slices)
        for patient in index.patients
    ]
    groups.sort(key=lambda group: (-group.positive - group.negative, -group.positive, group.name))
    figure = new_figure(8.0, 3.6)
    axes = figure.subplots()
    _stack(axes, groups, width=0.85)
    if len(groups) <= _NAMED:
        axes.set_xticks(range(1, len(groups) + 1), [group.name for group in groups], rotation=90, fontsize=6.5)
        axes.set_xlabel("Patient")
    else:
        axes.set_xlabel("Patients, sorted by number of slices")
    axes.set_xlim(0.3, len(groups) + 0.7)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("Slices per patient")
    axes.set_title(f"Slices per patient ({_patients(index)})")
    axes.legend(loc="upper right", reverse=True)
    return figure


@style()
def institutions_figure(index: DatasetIndex) -> Figure:
    """Draw patients and slices of every institution, those with most patients first."""
    groups, counts = _institutions(index)
    figure = new_figure(8.0, 3.6)
    left, right = figure.subplots(1, 2)
    bars = left.bar([group.name for group in groups], counts, width=0.65, color=NEUTRAL)
    left.bar_label(bars, padding=2)
    left.set_ylabel("Patients")
    left.set_title(f"Patients per institution ({_patients(index)})")
    _stack(right, groups, width=0.65)
    right.set_xticks(range(1, len(groups) + 1), [group.name for group in groups])
    for place, group in enumerate(groups, start=1):
        total = group.positive + group.negative
        right.annotate(
            f"{total:,}\n({group.positive / max(1, total):.0%})", (place, total), (0, 2), textcoords="offset points",
            ha="center", va="bottom",
        )  # fmt: skip
    right.set_ylabel("Slices")
    right.set_title("Slices per institution (share with tumour)")
    right.legend(loc="upper right", reverse=True)
    for axes in (left, right):
        axes.set_xlabel("Institution")
        axes.margins(y=0.2)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(_THOUSANDS)
    return figure


@style()
def tumour_size_figure(index: DatasetIndex) -> Figure:
    """Draw how large tumours are: voxels per patient on a logarithmic axis, and pixels per positive slice."""
    volumes = np.array([patient.tumour_pixels for patient in index.patients if patient.tumour_pixels], dtype=np.int64)
    areas = np.array(
        [record.tumour_pixels for patient in index.patients for record in patient.slices if record.tumour_pixels],
        dtype=np.int64,
    )
    figure = new_figure(8.0, 3.6)
    left, right = figure.subplots(1, 2)
    _histogram(left, volumes, logarithmic=True)
    left.set_xlabel("Tumour volume (voxels, logarithmic)")
    left.set_ylabel("Patients")
    left.set_title(f"Tumour volume of {_plural(len(volumes), 'patient')} with tumour")
    _histogram(right, areas, logarithmic=False)
    right.set_xlabel("Tumour area (pixels)")
    right.set_ylabel("Slices")
    right.set_title(f"Tumour area of {_plural(len(areas), 'positive slice')}")
    return figure


def _institutions(index: DatasetIndex) -> tuple[list[_Group], list[int]]:
    """Return slices and patients per institution, most patients first."""
    found: dict[str, list[int]] = {}
    for patient in index.patients:
        counts = found.setdefault(patient.institution, [0, 0, 0])
        counts[0] += 1
        counts[1] += patient.tumour_slices
        counts[2] += len(patient.slices) - patient.tumour_slices
    ordered = sorted(found.items(), key=lambda item: (-item[1][0], item[0]))
    return [_Group(name, counts[1], counts[2]) for name, counts in ordered], [counts[0] for _, counts in ordered]


def _stack(axes: Axes, groups: Sequence[_Group], *, width: float) -> None:
    """Draw one bar per group: positive slices at the foot, negative ones on top."""
    positive = [group.positive for group in groups]
    places = range(1, len(groups) + 1)
    axes.bar(places, positive, width, label=WITH_TUMOUR, color=POSITIVE)
    axes.bar(places, [group.negative for group in groups], width, positive, label=WITHOUT_TUMOUR, color=NEGATIVE)


def _histogram(axes: Axes, values: NDArray[np.int64], *, logarithmic: bool) -> None:
    if len(values) == 0:
        axes.text(0.5, 0.5, "no tumour", transform=axes.transAxes, ha="center", va="center")
        return
    bins = min(30, max(5, round(2 * len(values) ** (1 / 3))))  # Rice's rule, kept readable
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        edges = np.geomspace(values.min() * 0.999, values.max() * 1.001 + 1, bins + 1)
    else:
        edges = np.linspace(0, values.max() + 1, bins + 1)
    axes.hist(values, edges.tolist(), color=POSITIVE, edgecolor="white", linewidth=0.5)
    median = float(np.median(values))
    axes.axvline(median, color="black", linestyle="--", linewidth=1.2)
    axes.annotate(
        f"median {median:,.0f}",
        (median, 0.99),
        (4, 0),
        xycoords=axes.get_xaxis_transform(),
        textcoords="offset points",
        va="top",
    )
    axes.margins(y=0.2)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(_THOUSANDS)


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _patients(index: DatasetIndex) -> str:
    return _plural(len(index.patients), "patient")
