"""Evaluations of predictions that lie some pixels beside the truth. Knows nothing of what the tests prove."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliomask.config import ModelConfig, OptimisationConfig, TrainConfig, save_config
from gliomask.data.records import PatientRecord, SliceRecord
from gliomask.evaluation.counts import count_slices, join
from gliomask.evaluation.lesions import count_lesions
from gliomask.evaluation.results import Evaluation, PatientResult, collect, write_evaluation
from gliomask.evaluation.surfaces import surface_scores

SIDE = 12


def truth_of(patient: int) -> NDArray[np.bool_]:
    mask = np.zeros((2, SIDE, SIDE), np.bool_)
    mask[0, 2:8, 2 : 4 + patient % 4] = True
    return mask


def evaluation(shift: int, patients: int = 6, slices: int = 2, name: str = "P", side: int = SIDE) -> Evaluation:
    """Return the evaluation of predictions that lie some pixels beside the truth."""
    counts, results = [], []
    for number in range(patients):
        truth = truth_of(number)[:slices, :, :side]
        found = np.roll(truth, shift, axis=1)
        record = PatientRecord(f"{name}{number}", "XX", tuple(SliceRecord(n, "", "", 0, 0, 0) for n in (1, 2)), (), {})
        counts.append(count_slices(found, truth, record.name))
        measured = surface_scores(found, truth), count_lesions(found, truth)
        results.append(PatientResult(record, tuple(range(1, slices + 1)), *measured, probabilities=None))
    return collect(join(counts), results)


def kept(folder: Path, shift: int, **options: int | str) -> Path:
    write_evaluation(evaluation(shift, **options), folder / "test", {})  # type: ignore[arg-type]
    model = ModelConfig(model="unet" if shift else "resnet18")
    save_config(
        TrainConfig(model=model, optimisation=OptimisationConfig(lr_scheduler="cosine")), folder / "config.json"
    )
    return folder
