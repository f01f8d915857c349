"""``gliomask evaluate``: score a model, or masks of any other program, patient by patient."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from gliomask.cli.console import Flag, OutputOptions, Printer, parse
from gliomask.cli.scores import score_rows
from gliomask.config import SubsetName
from gliomask.errors import DataError, UsageError

if TYPE_CHECKING:
    from gliomask.data.index import DatasetIndex
    from gliomask.evaluation.evaluate import MaskSource
    from gliomask.evaluation.results import Evaluation
    from gliomask.evaluation.subsets import Subset


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(OutputOptions):
    """Score masks against the truth of a folder: those that a model predicts, or those that another program made."""

    data: tyro.conf.Positional[Path]
    """Folder in the Kaggle layout."""
    model: Path | None = None
    """Run folder (also of a cross-validation), or a model.onnx with its model.json beside it."""
    masks: Path | None = None
    """Instead of a model: a folder of masks, <patient>.nii.gz or <patient>_<number>_mask.png (or .tif)."""
    subset: SubsetName | None = None
    """test, validation, train: that part of the run's split. unseen: patients the run neither trained nor validated on.
    buda10: the ten published test patients. all: everybody. Without it: test for a run, everybody for masks; of a
    cross-validation each patient is always predicted by the fold that has not seen it."""
    spacing: tuple[float, float, float] | None = None
    """Distance of slices, rows and columns in mm, if it is known: distances are then in mm, volumes in ml."""
    out: Path | None = None
    """Folder for the tables and masks; MODEL/SUBSET (MODEL/out-of-fold, MASKS/scores) if not given."""
    no_masks: Flag = False
    """Do not keep the predicted masks."""
    batch_size: int = 8
    """Slices predicted at once."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(EvaluateOptions, "evaluate", arguments)
    _check(options)
    from gliomask.evaluation.evaluate import evaluate
    from gliomask.evaluation.results import MASKS, SUMMARY, write_evaluation
    from gliomask.evaluation.runs import data_facts

    printer = Printer(options)
    index = printer.read_index(options.data)
    source, subset, facts = _of_masks(options, index) if options.masks else _of_model(options, index)
    out = options.out or _default_folder(options)
    keep = None if options.no_masks or options.masks else out / MASKS
    if keep is not None and (out / SUMMARY).is_file():
        shutil.rmtree(keep, ignore_errors=True)  # none of an earlier evaluation may be taken for one of this
    with printer.progress("evaluating") as progress:
        evaluation = evaluate(
            source, index, subset.positions, spacing=options.spacing, masks_to=keep, progress=progress
        )
    written = write_evaluation(evaluation, out, facts | data_facts(index, subset) | {"spacing": options.spacing})
    _tell(printer, evaluation, subset, f"{options.model or options.masks} on {facts['subset']}")
    printer.line(f"per patient: {out / 'patients.csv'}; summary: {out / 'summary.json'}")
    printer.result(written)
    return 0


def _check(options: EvaluateOptions) -> None:
    if (options.model is None) == (options.masks is None):
        raise UsageError("expected either --model or --masks: what is to be scored")
    if options.masks is not None and options.subset not in {None, "all", "buda10"}:
        raise UsageError(f"--subset {options.subset} is part of a run's split; expected all or buda10 with --masks")
    if options.batch_size < 1:
        raise UsageError(f"batch_size is {options.batch_size}; expected >= 1")
    if options.spacing is not None and min(options.spacing) <= 0:
        raise UsageError(f"spacing is {options.spacing}; expected three distances above 0, in mm")


def _of_model(options: EvaluateOptions, index: DatasetIndex) -> tuple[MaskSource, Subset, dict[str, Any]]:
    from gliomask.evaluation.evaluate import PredictedMasks
    from gliomask.evaluation.runs import model_facts
    from gliomask.evaluation.subsets import choose_subset, out_of_fold
    from gliomask.inference.predictor import Predictor
    from gliomask.training.cross_validation import CrossValidation

    model = options.model or Path()
    folds = CrossValidation(model)
    if folds.exists():
        if options.subset not in {None, "test"}:
            found = f"--subset {options.subset}: the folds of {model} test every patient once"
            raise UsageError(f"{found}; expected no --subset, or one of the folds as --model")
        subset, run_of = out_of_fold(index, folds)
        predictors = {run.path: Predictor.load(run.path, batch_size=options.batch_size) for run in run_of.values()}
        contract = next(iter(predictors.values())).contract
        source = PredictedMasks(lambda patient: predictors[run_of[patient.name].path])
        name = "out-of-fold"
    else:
        predictor = Predictor.load(model, batch_size=options.batch_size)
        name = options.subset or "test"
        subset, contract = choose_subset(index, model, name), predictor.contract
        source = PredictedMasks(lambda _: predictor)
    return source, subset, model_facts(contract, name)


def _of_masks(options: EvaluateOptions, index: DatasetIndex) -> tuple[MaskSource, Subset, dict[str, Any]]:
    from gliomask.evaluation.evaluate import GivenMasks, patients_at
    from gliomask.evaluation.masks import MaskFolder
    from gliomask.evaluation.subsets import choose_subset

    folder = MaskFolder(options.masks or Path())
    name = options.subset or "all"
    subset = choose_subset(index, None, name)
    absent = folder.missing(patients_at(index, subset.positions))
    if absent:
        found = f"no mask of {len(absent)} patients ({', '.join(absent[:3])}{', ...' if len(absent) > 3 else ''})"
        cure = "add the masks; where a patient has no tumour, an empty mask as a file"
        raise DataError(folder.root, found, "a mask of every patient of the subset", cure)
    facts = {"model": str(folder.root), "subset": name, "split": None, "threshold": None}
    return GivenMasks(folder), subset, facts


def _default_folder(options: EvaluateOptions) -> Path:
    if options.masks is not None:
        return options.masks / "scores"
    model = options.model or Path()
    if (model / "folds.json").is_file():
        return model / "out-of-fold"
    return (model if model.is_dir() else model.parent) / (options.subset or "test")


def _tell(printer: Printer, evaluation: Evaluation, subset: Subset, title: str) -> None:
    rows = score_rows(evaluation.summary(), evaluation.unit)
    printer.table(title, ("score", "value", "95 % interval over patients"), rows)
    groups = [
        (f"{kind} {name}", part["patients"], part["mean"], part["median"], part["missed"])
        for kind, parts in evaluation.groups().items()
        for name, part in parts.items()
    ]
    printer.table("dice_patient by group", ("group", "patients", "mean", "median", "missed"), groups)
    for caveat in subset.caveats():
        printer.line(f"NOTE: {caveat}")
