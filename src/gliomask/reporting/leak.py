"""Tells what a split by slice adds to a score: numbers, a paragraph whose words follow them, a figure. Trains nothing.

By slice less by patient, on the same slices: what a network gains from having been trained on other slices of the
patients it is scored on (`gliomask.data.leak`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from gliomask.errors import DataError, UsageError
from gliomask.evaluation.compare import check_comparable, paired
from gliomask.evaluation.results import Evaluation
from gliomask.files import whole_file
from gliomask.reporting.figures import save_figure
from gliomask.reporting.style import NEGATIVE, POSITIVE, new_figure, style

Verdict = Literal["higher", "lower", "no difference shown"]
_SCORES = ("dice_patient", "dice_slice_tumour")
_MEANING: dict[Verdict, str] = {
    "higher": """
        By slice is higher by {size} ({interval}): a score from a split by slice promises more than a new patient gets.
        """,
    "lower": """
        By slice is lower by {size} ({interval}): here, training on other slices of the scored patients did not raise
        their score.
        """,
    "no difference shown": """
        No difference could be shown: by slice less by patient is {signed} ({interval}).
        """,
}
_PARAGRAPH = """
Two networks were trained with the same settings, the same validation patients and as many slices ({training[slices]:,},
of them {training[tumour_slices]:,} with tumour), and scored on the same {scored[slices]:,} slices of
{scored[patients]:,} patients. By patient, nothing of these patients was trained on: mean `dice_patient` over the scored
slices is {patient_both[0]}. By slice, their other slices were trained on as well: {patient_both[1]}. {meaning} The mean
Dice of single slices with tumour (`dice_slice_tumour`) is {slice_both[0]} by patient and {slice_both[1]} by slice.
Intervals are 95 % bootstrap intervals over patients; they do not tell how much another seed would change. Made by
`{command}`.
"""


@dataclass(frozen=True)
class LeakResult:
    """Two trainings, scored on the same slices.

    Attributes
    ----------
    by_patient, by_slice
        Scores without and with training on other slices of the scored patients.
    training_slices, training_tumour_slices
        How many slices each of the two was trained on, and how many of them with tumour.
    command
        The command that makes the same again.
    """

    by_patient: Evaluation
    by_slice: Evaluation
    training_slices: int
    training_tumour_slices: int
    command: str


def leak_numbers(result: LeakResult) -> dict[str, Any]:
    """Return scores both ways, the paired difference (by slice less by patient) and the verdict, ready for JSON.

    The verdict is ``higher`` or ``lower`` if the 95 % interval of the mean difference of ``dice_patient`` lies on that
    side of zero, and ``no difference shown`` if it does not, or if there is no interval.

    Raises
    ------
    UsageError
        If the two were not scored on the same slices.
    """
    both = {"by_patient": result.by_patient, "by_slice": result.by_slice}
    check_comparable({name.replace("_", " "): evaluation for name, evaluation in both.items()})
    names = result.by_patient.patients["patient"].tolist()
    dice = {name: each.patients.set_index("patient")["dice"].loc[names].to_numpy(float) for name, each in both.items()}
    difference = paired(dice["by_patient"], dice["by_slice"], names)
    if difference is None:
        raise UsageError("no patient was scored both ways; expected at least one")
    counts = result.by_patient.counts
    summaries = {name: evaluation.summary() for name, evaluation in both.items()}
    return {
        "command": result.command,
        "training": {"slices": result.training_slices, "tumour_slices": result.training_tumour_slices},
        "scored": {"patients": len(names), "slices": len(counts), "tumour_slices": int(counts.has_tumour.sum())},
        **{name: {score: found[score] for score in _SCORES} for name, found in summaries.items()},
        "difference": {**difference.difference.as_values(), "p": difference.p, "patients": difference.patients},
        "verdict": verdict(difference.difference.low, difference.difference.high),
        "patients": [
            {"patient": name, "by_patient": float(before), "by_slice": float(after)}
            for name, before, after in zip(names, dice["by_patient"], dice["by_slice"], strict=True)
        ],
    }


def verdict(low: float, high: float) -> Verdict:
    """Return what the interval of a difference allows to say; NaN allows nothing."""
    if low > 0:
        return "higher"
    return "lower" if high < 0 else "no difference shown"


def leak_paragraph(numbers: dict[str, Any]) -> str:
    """Return what `leak_numbers` found as a paragraph of Markdown."""
    difference = numbers["difference"]
    interval = f"{_interval(difference, sign=True)}, Wilcoxon p = {difference['p']:.2g}"
    size, signed = f"{abs(difference['mean']):.3f}", f"{difference['mean']:+.3f}"
    both = numbers["by_patient"], numbers["by_slice"]
    return _one_line(_PARAGRAPH).format(
        **numbers,
        meaning=_one_line(_MEANING[numbers["verdict"]]).format(size=size, signed=signed, interval=interval),
        patient_both=[_with_interval(scores["dice_patient"]) for scores in both],
        slice_both=[_with_interval(scores["dice_slice_tumour"]) for scores in both],
    )


def leak_figure(numbers: dict[str, Any]) -> Figure:
    """Draw Dice of every patient both ways, a line a patient, and both means with their 95 % intervals.

    Narrow enough for a telephone, in the ink and letters of the surrounding style.
    """
    figure = new_figure(4.0, 3.8)
    axes = figure.subplots()
    names, colours = ("by_patient", "by_slice"), (NEGATIVE, POSITIVE)
    values = np.array([[row[name] for name in names] for row in numbers["patients"]])
    axes.plot((0, 1), values.T, color=mpl.rcParams["text.color"], alpha=0.3, linewidth=0.7)
    for place, name, colour, outwards in zip((0, 1), names, colours, (-0.17, 0.17), strict=True):
        axes.plot(np.full(len(values), place), values[:, place], "o", color=colour, markersize=4, alpha=0.8)
        score, beside = numbers[name]["dice_patient"], place + outwards
        if score["low"] is not None:
            axes.plot([beside] * 2, [score["low"], score["high"]], color=colour, linewidth=3, solid_capstyle="butt")
        axes.plot(beside, score["mean"], "D", color=colour, markeredgecolor="black", markersize=6)
        axes.annotate(
            f"{score['mean']:.3f}", (beside, score["mean"]), (40 * outwards, 0), textcoords="offset points",
            ha="right" if outwards < 0 else "left", va="center",
        )  # fmt: skip
    axes.set_xticks((0, 1), ("by patient", "by slice"))
    axes.set_xlim(-0.6, 1.6)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("Dice per patient (0 to 1)")
    axes.set_title(f"{numbers['scored']['patients']:,} patients (dots, joined); means, 95 % intervals", fontsize=9)
    return figure


def read_leak(folder: Path) -> dict[str, Any]:
    """Read the numbers that `write_leak` wrote.

    Raises
    ------
    DataError
        If the folder holds none, or damaged ones.
    """
    path = folder / "leak.json"
    try:
        numbers: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        leak_paragraph(numbers)  # so that a damaged file is found here
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else f"not usable ({error})"
        raise DataError(path, found, "what `gliomask leak` wrote", "run gliomask leak, or check the path") from error
    return numbers


def write_leak(result: LeakResult, folder: Path) -> dict[str, Any]:
    """Write ``leak.png``, ``leak.md`` and, last, ``leak.json``; return its content.

    Raises
    ------
    UsageError
        As `leak_numbers`.
    OSError
        If the folder cannot be written.
    """
    numbers = leak_numbers(result)
    with style():
        save_figure(leak_figure(numbers), folder / "leak.png")
    for name, text in (("leak.md", leak_paragraph(numbers)), ("leak.json", json.dumps(numbers, indent=2))):
        with whole_file(folder / name) as part:
            part.write_text(text + "\n", encoding="utf-8")
    return numbers


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _with_interval(score: dict[str, Any] | None) -> str:
    return "not known (no slice with tumour)" if score is None else f"{score['mean']:.3f} ({_interval(score)})"


def _interval(score: dict[str, Any], *, sign: bool = False) -> str:
    if score["low"] is None:
        return "no interval for one person"
    plus = "+" if sign else ""
    return f"{score['low']:{plus}.3f} to {score['high']:{plus}.3f}"
