"""From a trained run to a written evaluation, with what a reader must know about it. Knows no command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gliomask.data.index import DatasetIndex
from gliomask.evaluation.evaluate import evaluate
from gliomask.evaluation.results import MASKS, Evaluation, write_evaluation
from gliomask.evaluation.subsets import Subset, choose_subset
from gliomask.inference.predictor import Predictor
from gliomask.models.contract import ModelContract


def evaluate_test_part(
    index: DatasetIndex, run: Path, out: Path, *, progress: Callable[[int, int], None] | None = None
) -> Evaluation:
    """Score a run on the test part of its split, and write the evaluation with the masks.

    Parameters
    ----------
    index
        The data that the run was trained on.
    run
        Run folder, exported.
    out
        Folder for the evaluation.
    progress
        Called with (patients done, patients).

    Raises
    ------
    GliomaskError
        If the run is not finished, or was trained on other data.
    """
    predictor, subset = Predictor.load(run), choose_subset(index, run, "test")
    evaluation = evaluate(predictor, index, subset.positions, masks_to=out / MASKS, progress=progress)
    facts = model_facts(predictor.contract, "test") | data_facts(index, subset)
    write_evaluation(evaluation, out, facts)
    return evaluation


def model_facts(contract: ModelContract, subset: str) -> dict[str, Any]:
    """Return what an evaluation keeps of the model and the name of the subset."""
    return {
        "model": contract.name,
        "subset": subset,
        "split": contract.training.get("split"),
        "threshold": contract.threshold,
    }


def data_facts(index: DatasetIndex, subset: Subset) -> dict[str, Any]:
    """Return what an evaluation keeps of the data, and whether the model has seen it."""
    return {
        "data": str(index.root),
        "data_fingerprint": index.fingerprint,
        "spacing": None,
        "slices": len(subset.positions),
        "patients_seen_in_training": subset.seen_patients,
        "whole_patients": subset.whole_patients,
        "caveats": subset.caveats(),
    }
