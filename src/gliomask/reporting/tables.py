"""Tells in tables what an index holds beyond a row a patient, and what data.csv leaves open. Touches no files."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gliomask.data.index import DatasetIndex
from gliomask.reporting.style import NEUTRAL, new_figure, style

if TYPE_CHECKING:
    import pandas as pd

_LISTED = 8  # a column with more values than this is told by its range


def slice_table(index: DatasetIndex) -> pd.DataFrame:
    """Return one row a slice.

    Columns: patient, institution, slice (number in the file's name), height, width (pixels), tumour_pixels, tumour
    (whether there are any).
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    columns = ["patient", "institution", "slice", "height", "width", "tumour_pixels", "tumour"]
    rows = (
        (patient.name, patient.institution, record.number, record.height, record.width, record.tumour_pixels,
         record.tumour_pixels > 0)
        for patient in index.patients
        for record in patient.slices
    )  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def clinical_table(index: DatasetIndex) -> pd.DataFrame:
    """Return one row for each column of data.csv, over the patients that have slices.

    Columns: column, known, missing (patients), values: each value with its number of patients, or the range where there
    are more than eight. Without a table, or if it is blank for everybody, there is no row.
    """
    import pandas as pd  # noqa: PLC0415 - slow to import

    columns = dict.fromkeys(column for patient in index.patients for column in patient.clinical)
    found = {
        column: [patient.clinical[column] for patient in index.patients if column in patient.clinical]
        for column in columns
    }
    rows = (
        (column, len(values), len(index.patients) - len(values), _describe(values)) for column, values in found.items()
    )
    return pd.DataFrame(rows, columns=["column", "known", "missing", "values"])


@style()
def clinical_figure(index: DatasetIndex) -> Figure:
    """Draw for how many patients each column of data.csv is known, and for how many it is missing."""
    table = clinical_table(index)
    figure = new_figure(8.0, 1.2 + 0.22 * max(4, len(table)))
    axes = figure.subplots()
    axes.set_title(f"What data.csv tells of {len(index.patients):,} patient{'' if len(index.patients) == 1 else 's'}")
    if table.empty:
        axes.axis("off")
        axes.text(0.5, 0.5, "no clinical values", transform=axes.transAxes, ha="center", va="center")
        return figure
    known, missing, places = table["known"].tolist(), table["missing"].tolist(), range(len(table))
    axes.barh(places, known, color=NEUTRAL, edgecolor=NEUTRAL, label="known")
    bars = axes.barh(places, missing, left=known, color="white", edgecolor=NEUTRAL, hatch="/////", label="missing")
    axes.bar_label(bars, [f"{count:,} missing" if count else "" for count in missing], padding=3)
    axes.set_yticks(places, table["column"].tolist())
    axes.invert_yaxis()
    _end_axis(axes, len(index.patients))
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _end_axis(axes: Axes, patients: int) -> None:
    """Let the axis end with the last patient, and leave room for what is written behind the bars."""
    axes.set_xlim(0, 1.15 * patients)
    axes.set_xticks([tick for tick in MaxNLocator(integer=True).tick_values(0, patients) if 0 <= tick <= patients])
    axes.spines["bottom"].set_bounds(0, patients)
    axes.set_xlabel("Patients", x=0.5 / 1.15)


def _describe(values: list[str]) -> str:
    counts = Counter(values)
    ordered = sorted(counts, key=_order)
    if len(counts) <= _LISTED:
        return ", ".join(f"{value}: {counts[value]}" for value in ordered)
    return f"{ordered[0]} to {ordered[-1]}, {len(counts)} different"


def _order(value: str) -> tuple[bool, float, str]:
    """Sort numbers by size, and text after them by letters."""
    try:
        return False, float(value), value
    except ValueError:
        return True, 0.0, value
