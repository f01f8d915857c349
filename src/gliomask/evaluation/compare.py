"""Two or more models on the same patients: paired differences, never by eye. Knows no files and no pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gliomask.data import naming
from gliomask.errors import UsageError
from gliomask.evaluation.intervals import Estimate, mean_interval
from gliomask.evaluation.results import Evaluation

PAIRED = ("dice", "iou", "precision", "recall", "volume_error_absolute", "hd95", "nsd_1", "nsd_2")
"""Columns of the patient table that are compared."""
DISTANCES = ("hd95", "nsd_1", "nsd_2")
"""Those that have a unit: compared only where every patient has the same spacing in both."""


@dataclass(frozen=True)
class PairedDifference:
    """Second minus first, over the same patients.

    Attributes
    ----------
    difference
        Mean difference with its 95 % bootstrap interval over patients.
    p
        Two-sided p of Wilcoxon's signed-rank test; 1 if no patient differs.
    patients
        Number of pairs.
    """

    difference: Estimate
    p: float
    patients: int


def paired(first: ArrayLike, second: ArrayLike, patients: Sequence[str] | None = None) -> PairedDifference | None:
    """Compare two models patient by patient.

    Parameters
    ----------
    first, second
        (P,) a score of the same patients in the same order; pairs with NaN are left out.
    patients
        (P,) their names; without them, everybody is another person. A person with two scans is drawn with both for the
        interval, and counts once, with the mean of both differences, for the test.

    Returns
    -------
    PairedDifference or None
        None if no pair is left.

    Raises
    ------
    ValueError
        If the lengths differ.
    """
    before, after = np.asarray(first, float), np.asarray(second, float)
    if before.shape != after.shape or before.ndim != 1:
        raise ValueError(f"scores of {before.shape} and {after.shape}; expected the same (P,) patients")
    known = ~np.isnan(before) & ~np.isnan(after)
    differences = (after - before)[known]
    names = np.arange(len(known)).astype(str) if patients is None else np.asarray(patients)
    persons = [naming.person(str(name)) for name in names[known]]
    if not len(differences):
        return None
    if not differences.any():
        return PairedDifference(mean_interval(differences, persons), 1.0, len(differences))
    from scipy.stats import wilcoxon  # noqa: PLC0415 - half a second that only comparisons need

    _, rows = np.unique(persons, return_inverse=True)
    p = float(wilcoxon(np.bincount(rows, differences) / np.bincount(rows)).pvalue)
    return PairedDifference(mean_interval(differences, persons), p, len(differences))


def check_comparable(evaluations: Mapping[str, Evaluation]) -> None:
    """Make sure that all were scored on the same slices of the same patients against the same truth.

    Raises
    ------
    UsageError
        Naming the first two that were not, and what differs.
    """
    (first_name, first), *others = evaluations.items()
    for name, other in others:
        difference = _difference(first, other)
        if difference:
            raise UsageError(
                f"{name} and {first_name} cannot be compared: {difference}; expected evaluations of the same slices; "
                "evaluate both models on the same --subset of the same data and split"
            )


def compare(first: Evaluation, second: Evaluation) -> dict[str, PairedDifference]:
    """Return the paired difference of every score per patient that both have, by its name in the summary.

    Raises
    ------
    UsageError
        If they were not scored on the same slices.
    """
    check_comparable({"the first": first, "the second": second})
    ordered = second.patients.set_index("patient").loc[first.patients["patient"]]
    same_spacing = list(ordered["spacing"]) == list(first.patients["spacing"])
    names = [name for name in PAIRED if same_spacing or name not in DISTANCES]
    found = {
        f"{name}_patient": paired(first.patients[name], ordered[name], first.patients["patient"].tolist())
        for name in names
    }
    return {name: difference for name, difference in found.items() if difference is not None}


def _difference(one: Evaluation, other: Evaluation) -> str:
    """Say in what the other evaluation differs that must not; nothing if it does not."""
    patients, others = set(one.patients["patient"]), set(other.patients["patient"])
    if patients != others:
        alone = f"{len(others - patients)} are only in the former, {len(patients - others)} in the latter"
        return f"they share {len(patients & others)} patients, {alone}"
    mine, theirs = _truths(one), _truths(other)
    if set(mine) != set(theirs):
        return f"{len(set(mine) ^ set(theirs))} slices were scored in only one of them"
    changed = sum(mine[key] != theirs[key] for key in mine)
    return f"the truth differs in {changed} slices" if changed else ""


def _truths(evaluation: Evaluation) -> dict[tuple[str, int], tuple[int, int]]:
    """Return pixels with and without tumour in the truth, by patient and slice."""
    counts = evaluation.counts
    keys = zip(counts.patients.tolist(), evaluation.numbers.tolist(), strict=True)
    pixels = zip((counts.tp + counts.fn).tolist(), (counts.fp + counts.tn).tolist(), strict=True)
    return dict(zip(keys, pixels, strict=True))
