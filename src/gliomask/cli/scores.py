"""Tables of scores as ``evaluate`` and ``demo`` print them. Knows no command; the words are those of the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gliomask.reporting.report import wording


def score_rows(summary: Mapping[str, Any], unit: str) -> list[tuple[str, str, str]]:
    """Return name, value and 95 % interval of every score, the headline first.

    Parameters
    ----------
    summary
        As `Evaluation.summary` returns it.
    unit
        Of distances.
    """
    found = wording.score_rows(summary, unit)
    rows = {row.key: [(row.name, row.value, row.interval)] for row in found if row.value != wording.NONE}
    patient, lesions = summary["dice_patient"], summary["lesions"]
    rows["dice_patient"] += [
        ("  median", wording.number(patient["median"]), ""),
        ("  lowest", wording.number(patient["lowest"]), ""),
        ("  missed (Dice < 0.1)", f"{patient['missed']} of {patient['patients']}", ""),
    ]
    if patient["without_tumour"]:
        rows["dice_patient"].append(("  patients without tumour", str(patient["without_tumour"]), ""))
    nothing = wording.number(summary["dice_slice_all"]["predicting_nothing"])
    rows["dice_slice_all"].append(("  of predicting nothing", nothing, ""))
    if lesions is not None:
        rows["lesions"].append(("  invented", str(lesions["invented"]), ""))
    if "dice_original" in rows:
        rows["dice_original"].append(("  (too high; to compare only)", "", ""))
    return [row for part in rows.values() for row in part]


def group_rows(groups: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return name, patients, mean Dice, interval, median and missed of every group."""
    return [
        (
            f"{kind} {name}",
            str(part["patients"]),
            wording.number(part["mean"]),
            wording.interval_text(part["low"], part["high"]),
            wording.number(part["median"]),
            str(part["missed"]),
        )
        for kind, parts in groups.items()
        for name, part in parts.items()
    ]
