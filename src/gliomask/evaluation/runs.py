"""From a trained run to a written evaluation, with what a reader must know about it. Knows no command line."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from gliomask.data.index import DatasetIndex
from gliomask.errors import DataError
from gliomask.evaluation.evaluate import evaluate, has_no_gap, patients_at
from gliomask.evaluation.results import MASKS, SUMMARY, Evaluation, write_evaluation
from gliomask.evaluation.subsets import Subset, choose_subset
from gliomask.files import require_own_json
from gliomask.inference.predictor import Predictor

_MARK = "README.txt"
_Value = TypeVar("_Value", float, str)


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
        If the run is not finished, was trained on other data, or there is no room for the masks.
    """
    predictor, subset = Predictor.load(run, precision="float32"), choose_subset(index, run, "test")
    masks = room_for_masks(out)
    evaluation = evaluate(predictor, index, subset.positions, masks_to=masks, progress=progress)
    facts = model_facts([predictor], "test") | data_facts(index, subset) | {"masks": MASKS}
    write_evaluation(evaluation, out, facts)
    return evaluation


def model_facts(predictors: Sequence[Predictor], subset: str, name: str | None = None) -> dict[str, Any]:
    """Return what an evaluation keeps of the model (one predictor a fold) and the name of the subset."""
    contracts = [predictor.contract for predictor in predictors]
    first = contracts[0]
    return {
        "model": name or first.name,
        "model_sha256": [predictor.settings()["model_sha256"] for predictor in predictors],
        "subset": subset,
        "split": first.training.get("split"),
        "threshold": _common(contract.threshold for contract in contracts),
        "precision": _common(predictor.precision for predictor in predictors),
        "smallest_component": _common(predictor.smallest_component for predictor in predictors),
    }


def _common(values: Iterable[_Value]) -> _Value | None:
    """Return the value that all share; None if they differ."""
    different = set(values)
    return different.pop() if len(different) == 1 else None


def data_facts(index: DatasetIndex, subset: Subset) -> dict[str, Any]:
    """Return what an evaluation keeps of the data, and what a reader of its scores must know."""
    gaps = sum(not has_no_gap(patient) for patient in patients_at(index, subset.positions))
    lacking = f"patients who lack slices in between: {gaps}; no distances and no lesions are given"
    return {
        "data": str(index.root),
        "data_fingerprint": index.fingerprint,
        "spacing": None,
        "slices": len(subset.positions),
        "patients_seen_in_training": subset.seen_patients,
        "whole_patients": subset.whole_patients,
        "caveats": [*subset.caveats(), *([lacking] if gaps else [])],
    }


def room_for_masks(out: Path, *, keep: bool = True) -> Path | None:
    """Return the folder for the masks of an evaluation, empty; those of an earlier evaluation are removed.

    To be called before anything is computed, since it makes sure that nothing else is replaced.

    Parameters
    ----------
    out
        Folder of the evaluation.
    keep
        Whether masks are to be kept; if not, None is returned.

    Raises
    ------
    DataError
        If there is a folder of this name that no evaluation made.
    UsageError
        If there is a ``summary.json`` that is no evaluation's: of `gliomask predict`, say.
    """
    require_own_json(out / SUMMARY, lambda known: isinstance(known, dict) and "scores" in known, "an evaluation")
    place = out / MASKS
    if (place / _MARK).is_file():
        (out / SUMMARY).unlink(missing_ok=True)  # an evaluation whose masks are gone is none
        shutil.rmtree(place)  # none of an earlier evaluation may be taken for one of this
    if not keep:
        return None
    if place.exists():
        cure = "choose another --out, or move the folder away"
        raise DataError(place, "a folder that gliomask did not make", "room for the predicted masks", cure)
    place.mkdir(parents=True)
    (place / _MARK).write_text("Predicted masks, written by gliomask evaluate, which replaces this folder.\n")
    return place
