"""Score a predictor on the patients of an index. Knows how counts are gathered, not what a score is."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliomask.data.cache import read_patient
from gliomask.data.index import DatasetIndex, PatientRecord
from gliomask.errors import DataError
from gliomask.evaluation.counts import SliceCounts, count_slices, join
from gliomask.evaluation.scores import dice, summarise
from gliomask.files import whole_file
from gliomask.inference.predictor import Prediction, Predictor


@dataclass(frozen=True)
class Evaluation:
    """Counts of the scored slices, and the patients they belong to."""

    counts: SliceCounts
    patients: tuple[PatientRecord, ...]

    def summary(self) -> dict[str, Any]:
        """Return every score by name."""
        return summarise(self.counts)

    def patient_rows(self) -> list[dict[str, Any]]:
        """Return one row a patient: Dice, counts, slices scored, institution, missing sequences."""
        counts = self.counts.per_patient()
        scored = dict(zip(*np.unique(self.counts.patients, return_counts=True), strict=True))
        by_name = {patient.name: patient for patient in self.patients}
        return [
            {
                "patient": str(name),
                "dice": round(float(value), 6),
                "tp": int(tp),
                "fp": int(fp),
                "fn": int(fn),
                "slices": int(scored[name]),
                "institution": by_name[name].institution,
                "missing": "+".join(by_name[name].missing),
            }
            for name, value, tp, fp, fn in zip(
                counts.patients, dice(counts), counts.tp, counts.fp, counts.fn, strict=True
            )
        ]


def evaluate(
    predictor: Predictor,
    index: DatasetIndex,
    positions: NDArray[np.int64] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Predict patients and count.

    A patient's volume is always predicted whole; where only some of its slices are to be scored (a split by slice),
    only those are counted.

    Parameters
    ----------
    predictor
        The model.
    index
        The data.
    positions
        Slices to score, as row numbers in the order of the index; all if None.
    progress
        Called with (patients done, patients).

    Raises
    ------
    DataError
        If there is nothing to score, or a file has changed since it was indexed.
    """
    chosen = np.arange(index.slice_count) if positions is None else positions
    selected = list(_select(index, chosen))
    if not selected:
        raise DataError(
            index.root, "no slice to score", "at least one patient in the subset", "choose another --subset"
        )
    parts = []
    for done, (patient, rows) in enumerate(selected, start=1):
        images, truth = read_patient(index.root, patient)
        prediction: Prediction = predictor.predict(images)
        parts.append(count_slices(prediction.mask[rows], truth[rows], patient.name))
        if progress is not None:
            progress(done, len(selected))
    return Evaluation(join(parts), tuple(patient for patient, _ in selected))


def _select(index: DatasetIndex, positions: NDArray[np.int64]) -> Iterator[tuple[PatientRecord, NDArray[np.int64]]]:
    """Yield each patient with slices to score, and which of its slices those are."""
    wanted = np.zeros(index.slice_count, bool)
    wanted[positions] = True
    start = 0
    for patient in index.patients:
        rows = np.flatnonzero(wanted[start : start + len(patient.slices)])
        start += len(patient.slices)
        if len(rows):
            yield patient, rows


def write_evaluation(evaluation: Evaluation, folder: Path, facts: dict[str, Any]) -> None:
    """Write ``patients.csv`` and ``summary.json`` (``facts`` first, then the scores).

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    rows = evaluation.patient_rows()
    with whole_file(folder / "patients.csv") as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with whole_file(folder / "summary.json") as part:
        part.write_text(json.dumps(facts | {"scores": evaluation.summary()}, indent=2) + "\n")
