"""Which slices to score, by name, and whether the model has seen them. Knows no predictions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliomask.config import SubsetName
from gliomask.data import naming
from gliomask.data.index import DatasetIndex
from gliomask.data.split import Split, buda10_positions, unseen_positions
from gliomask.errors import UsageError
from gliomask.models.trained import contract_of
from gliomask.training.cross_validation import CrossValidation
from gliomask.training.run_folder import RunFolder


@dataclass(frozen=True)
class Subset:
    """Slices to score, and what has to be said about them.

    Parameters
    ----------
    positions
        (N,) int64 rows of the index, rising.
    seen_patients
        How many of their patients the model was trained or chosen on; None if that is not known.
    whole_patients
        Whether all slices of every patient are scored. Where not, ``dice_patient`` is over the scored slices alone.
    """

    positions: NDArray[np.int64]
    seen_patients: int | None
    whole_patients: bool

    def caveats(self) -> list[str]:
        """Return what a reader of the scores must know, one sentence each."""
        said = []
        if self.seen_patients is None:
            said.append("it is not known whether the model has seen these patients")
        elif self.seen_patients:
            said.append(f"the model has seen {self.seen_patients} of these patients: not a score on unseen patients")
        if not self.whole_patients:
            said.append("only some slices of each patient are scored: dice_patient is not over whole volumes")
        return said


def choose_subset(index: DatasetIndex, model: Path | str | None, name: SubsetName) -> Subset:
    """Find the slices of a subset, and how many of its patients the model has seen.

    Parameters
    ----------
    index
        The data.
    model
        Run folder, which holds a split; a file of a model or the name of a bundled one, which do not, but tell who was
        trained on; None for masks of another program.
    name
        ``test``, ``validation``, ``train``: that part of the run's split. ``unseen``: patients that the run neither
        trained nor validated on. ``buda10``: the ten published test patients. ``all``: everybody.

    Raises
    ------
    UsageError
        If the subset is a part of a split, and the model is not a run folder; or there is no such model.
    SplitMismatchError
        If the run was trained on other data and its parts mean nothing here.
    DataError
        If the ten named patients are not all there, or the split is damaged.
    """
    split = RunFolder(Path(model)).split() if model is not None and Path(model).is_dir() else None
    seen = _seen(model, split)
    positions = _positions(index, split, seen, name)
    scored, whole = _scored(index, positions)
    return Subset(positions, None if seen is None else _count_seen(scored, seen), whole)


def out_of_fold(index: DatasetIndex, folds: CrossValidation) -> tuple[Subset, dict[str, RunFolder]]:
    """Find which fold of a cross-validation has not seen each patient.

    Parameters
    ----------
    index
        The data that it was trained on.
    folds
        The cross-validation, all folds trained.

    Returns
    -------
    tuple
        Every slice of every patient, and by patient name the run whose test part the patient is in.

    Raises
    ------
    SplitMismatchError
        If the folds were trained on other data.
    DataError
        If a fold is not trained yet, or a patient is in the test part of no fold, or of two.
    """
    folds.check(index)
    runs = {name: run for run in folds.runs() for name in run.split().patients(index, "test")}
    seen = sum(
        _count_seen(run.split().patients(index, "test"), _seen(run.path, run.split()) or frozenset())
        for run in folds.runs()
    )
    return Subset(np.arange(index.slice_count), seen, whole_patients=True), runs


def _count_seen(patients: Iterable[str], seen: frozenset[str]) -> int:
    """Return how many patients are somebody whom a model has seen, by any of their names."""
    return sum(not naming.known_as(name).isdisjoint(seen) for name in patients)


def _scored(index: DatasetIndex, positions: NDArray[np.int64]) -> tuple[list[str], bool]:
    """Return the patients with slices at these positions, and whether all their slices are there."""
    chosen = np.zeros(index.slice_count, bool)
    chosen[positions] = True
    scored: list[str] = []
    whole, start = True, 0
    for patient in index.patients:
        here = chosen[start : start + len(patient.slices)]
        start += len(patient.slices)
        if here.any():
            scored.append(patient.name)
            whole &= bool(here.all())
    return scored, whole


def _seen(model: Path | str | None, split: Split | None) -> frozenset[str] | None:
    """Return the persons a model was trained or chosen on, those of the model that it went on from among them.

    None if that is not known.
    """
    split_cases = None if split is None else split.seen_cases()
    if model is None or (split is not None and not RunFolder(Path(model)).contract.is_file()):
        return split_cases
    told = contract_of(model).training.get("cases")
    return split_cases if told is None else frozenset(map(str, told)) | (split_cases or frozenset())


def _positions(
    index: DatasetIndex, split: Split | None, seen: frozenset[str] | None, name: SubsetName
) -> NDArray[np.int64]:
    if name == "all":
        return np.arange(index.slice_count)
    if name == "buda10":
        return buda10_positions(index)
    if name == "unseen" and seen is not None:
        return unseen_positions(index, seen)
    if split is None:
        raise UsageError(
            f"--subset {name} needs the run folder, which holds the split; expected --subset all or buda10"
        )
    split.check(index)
    return split.positions(index, name)
