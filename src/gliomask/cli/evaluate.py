"""``gliomask evaluate``: score a model, patient by patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from gliomask.cli.console import OutputOptions, Printer, parse
from gliomask.config import SubsetName
from gliomask.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(OutputOptions):
    """Predict the patients of a folder and score the masks against the truth."""

    data: tyro.conf.Positional[Path]
    """Folder in the Kaggle layout."""
    model: Path
    """Run folder, or a model.onnx with its model.json beside it."""
    subset: SubsetName = "test"
    """test, validation, train: that part of the run's split. unseen: patients the run neither trained nor validated on.
    buda10: the ten published test patients. all: everybody."""
    out: Path | None = None
    """Folder for patients.csv and summary.json; MODEL/SUBSET if not given."""
    batch_size: int = 8
    """Slices predicted at once."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(EvaluateOptions, "evaluate", arguments)
    if options.batch_size < 1:
        raise UsageError(f"batch_size is {options.batch_size}; expected >= 1")
    from gliomask.evaluation.evaluate import evaluate, write_evaluation
    from gliomask.evaluation.subsets import choose_subset
    from gliomask.inference.predictor import Predictor

    printer = Printer(options)
    predictor = Predictor.load(options.model, batch_size=options.batch_size)
    index = printer.read_index(options.data)
    subset = choose_subset(index, options.model, options.subset)
    with printer.progress("evaluating") as progress:
        evaluation = evaluate(predictor, index, subset.positions, progress=progress)
    folder = options.model if options.model.is_dir() else options.model.parent
    out = options.out or folder / options.subset
    facts = {
        "model": predictor.contract.name,
        "subset": options.subset,
        "data_fingerprint": index.fingerprint,
        "split": predictor.contract.training.get("split"),
        "threshold": predictor.contract.threshold,
        "slices": len(evaluation.counts),
        "patients_seen_in_training": subset.seen_patients,
        "whole_patients": subset.whole_patients,
    }
    write_evaluation(evaluation, out, facts)
    summary = evaluation.summary()
    printer.table(f"{options.model} on {options.subset}", ("score", "value"), score_rows(summary))
    for caveat in subset.caveats():
        printer.line(f"NOTE: {caveat}")
    printer.line(f"per patient: {out / 'patients.csv'}; summary: {out / 'summary.json'}")
    printer.result(facts | {"scores": summary})
    return 0


def score_rows(summary: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the rows of the table of scores, the headline first."""
    patient = summary["dice_patient"]
    rows: list[tuple[str, Any]] = [(f"dice_patient {name}", patient[name]) for name in ("mean", "median", "lowest")]
    rows.append(("patients missed (Dice < 0.1)", f"{patient['missed']} of {patient['patients']}"))
    names = ("dice_slice_tumour", "dice_slice_all", "dice_slice_all_of_predicting_nothing", "dice_pooled")
    rows += [(name.replace("_of_", " of "), "-" if summary[name] is None else summary[name]) for name in names]
    original = summary["dice_original"]
    rows.append(("dice_original (too high; to compare only)", "-" if original is None else original))
    return rows
