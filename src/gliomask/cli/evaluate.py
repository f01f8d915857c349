"""``gliomask evaluate``: score a model, or masks of any other program, patient by patient."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from gliomask.cli.console import Flag, OutputOptions, Printer, parse
from gliomask.cli.scores import group_rows, score_rows
from gliomask.config import PredictionPrecision, SubsetName
from gliomask.errors import DataError, UsageError
from gliomask.models.trained import DEFAULT

if TYPE_CHECKING:
    from gliomask.data.index import DatasetIndex
    from gliomask.evaluation.evaluate import MaskSource
    from gliomask.evaluation.results import Evaluation
    from gliomask.evaluation.subsets import Subset
    from gliomask.inference.predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(OutputOptions):
    """Score masks against the truth of a folder: those that a model predicts, or those that another program made.

    With neither --model nor --masks, the model that comes with gliomask is scored.
    """

    data: tyro.conf.Positional[Path]
    """Folder in the Kaggle layout (see `gliomask index --help`)."""
    model: str | None = None
    """Run folder (also of a cross-validation), a model.onnx with its model.json beside it, or a bundled model."""
    masks: Path | None = None
    """Instead of a model: a folder of masks, <patient>.nii.gz (axes column, row, slice, as NIfTI has them) or
    <patient>_<number>_mask.png (or .tif)."""
    split_of: Path | None = None
    """With --masks: run folder whose split --subset speaks of, to score the masks on that run's test patients."""
    subset: SubsetName | None = None
    """test, validation, train: that part of the run's split. unseen: patients the run neither trained nor validated on.
    buda10: the ten published test patients. all: everybody. Without it: test for a run, unseen for any other model,
    everybody for masks; of a cross-validation each patient is always predicted by the fold that has not seen it."""
    flair_alone: Flag = False
    """Replace pre- and post-contrast T1 by FLAIR, as for a patient who has nothing else."""
    flips: Flag = False
    """Predict every slice mirrored as well and average, in twice the time of the network."""
    smallest_component: float | None = None
    """Leave connected parts of a predicted mask out that have fewer voxels than this fraction of the largest part's: 0
    keeps all, 1 only the largest. What the model asks for if not given."""
    precision: PredictionPrecision = "float32"
    """How the network is computed, see `gliomask predict --help`; float32 scores alike on every processor, int8 needs
    models exported with --int8."""
    one_by_one: Flag = False
    """Predict every slice by itself, as for somebody who has nothing else, instead of whole volumes."""
    spacing: tuple[float, float, float] | None = None
    """Distance of slices, rows and columns in mm, of all patients: distances are then in mm, volumes in ml. Else what
    NIfTI masks or the data's volumes.csv tell of every patient."""
    out: Path | None = None
    """Folder for the tables and masks; MODEL/SUBSET (MODEL/out-of-fold, evaluations/NAME/SUBSET, MASKS/scores; beside
    a model.onnx SUBSET, beside an OTHER.onnx OTHER/SUBSET) if not given, with -flair-alone, -one-by-one, -flips,
    -PRECISION or -components-FRACTION behind it."""
    no_masks: Flag = False
    """Do not keep the predicted masks."""
    batch_size: int = 8
    """Slices predicted at once."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(EvaluateOptions, "evaluate", arguments)
    _check(options)
    if options.model is None and options.masks is None:
        options = replace(options, model=DEFAULT)
    from gliomask.evaluation.evaluate import evaluate
    from gliomask.evaluation.results import MASKS, write_evaluation
    from gliomask.evaluation.runs import data_facts, room_for_masks

    printer = Printer(options)
    index = printer.read_index(options.data)
    source, subset, facts, predictors = _of_masks(options, index) if options.masks else _of_model(options, index)
    out = options.out or _default_folder(options)
    if not len(subset.positions):
        raise DataError(
            index.root, "no slice to score", "at least one patient in the subset", "choose another --subset"
        )
    if options.masks is not None and _would_remove(out / MASKS, options.masks):
        raise UsageError(f"--out {out} is where the masks that are to be scored were kept; choose another --out")
    _require_own_data(out, index)
    start = time.perf_counter()
    keep = room_for_masks(out, keep=options.masks is None and not options.no_masks)
    with printer.progress("evaluating") as progress:
        evaluation = evaluate(
            source, index, subset.positions, spacing=options.spacing, masks_to=keep, progress=progress
        )
    if options.flips:
        spent, cost = time.perf_counter() - start, sum(each.mirrored_seconds for each in predictors)
        printer.line(f"--flips: the mirrored slices took {cost:.1f} of {spent:.1f} s")
    facts |= data_facts(index, subset) | {"spacing": options.spacing}
    facts["masks"] = MASKS if keep is not None else facts.get("masks")
    if options.masks is not None and not (evaluation.counts.fp + evaluation.counts.fn).any():
        facts["caveats"].append("every mask equals the truth: was the truth itself given as --masks?")
    facts["caveats"] += source.remarks()
    written = write_evaluation(evaluation, out, facts)
    _tell(printer, evaluation, written)
    printer.line(f"per patient: {out / 'patients.csv'}; summary: {out / 'summary.json'}")
    printer.result(written)
    return 0


def _require_own_data(out: Path, index: DatasetIndex) -> None:
    """Make sure that no evaluation of other data in another folder is replaced."""
    from gliomask.evaluation.results import SUMMARY

    try:
        known = json.loads((out / SUMMARY).read_text(encoding="utf-8"))
        data, fingerprint = known["data"], known["data_fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):  # none, or none of ours, of which others take care
        return
    if data != str(index.root) and fingerprint != index.fingerprint:
        raise UsageError(f"{out} holds an evaluation of {data}; choose another --out, or remove it")


def _would_remove(kept: Path, masks: Path) -> bool:
    """Tell whether masks to be scored lie where those of an earlier evaluation would be removed."""
    one, other = kept.resolve(), masks.resolve()
    return one in {other, *other.parents} or (one.is_dir() and other in one.parents)


def _check(options: EvaluateOptions) -> None:
    if options.model is not None and options.masks is not None:
        raise UsageError("expected either --model or --masks: what is to be scored")
    of_models = {
        "--flair-alone": options.flair_alone,
        "--one-by-one": options.one_by_one,
        "--flips": options.flips,
        "--precision": options.precision != EvaluateOptions.precision,
        "--smallest-component": options.smallest_component is not None,
        "--no-masks": options.no_masks,
        "--batch-size": options.batch_size != EvaluateOptions.batch_size,
    }
    given = [option for option, is_given in of_models.items() if is_given]
    if options.masks is not None and given:
        raise UsageError(f"{', '.join(given)}: for models; expected no such option with --masks")
    if options.split_of is not None and options.masks is None:
        raise UsageError(
            "--split-of chooses patients for --masks; expected no --split-of with a model, which has its own"
        )
    if options.masks and options.split_of is None and options.subset in {"test", "validation", "train", "unseen"}:
        raise UsageError(f"--subset {options.subset} of --masks; expected the run that has the split: --split-of RUN")
    if options.batch_size < 1:
        raise UsageError(f"batch_size is {options.batch_size}; expected >= 1")
    if options.spacing is not None and not all(0 < distance < float("inf") for distance in options.spacing):
        raise UsageError(f"spacing is {options.spacing}; expected three distances above 0, in mm")


def _of_model(
    options: EvaluateOptions, index: DatasetIndex
) -> tuple[MaskSource, Subset, dict[str, Any], list[Predictor]]:
    from gliomask.evaluation.evaluate import PredictedMasks, View
    from gliomask.evaluation.runs import model_facts
    from gliomask.evaluation.subsets import choose_subset, out_of_fold
    from gliomask.inference.predictor import Predictor
    from gliomask.training.cross_validation import CrossValidation

    model, view = options.model or DEFAULT, View(options.flair_alone, options.one_by_one)
    load = partial(
        Predictor.load,
        batch_size=options.batch_size,
        flips=options.flips,
        precision=options.precision,
        smallest_component=options.smallest_component,
    )
    seen = asdict(view) | {"flips": options.flips}
    folds = CrossValidation(Path(model))
    if folds.exists():
        if options.subset not in {None, "test"}:
            found = f"--subset {options.subset}: the folds of {model} test every patient once"
            raise UsageError(f"{found}; expected no --subset, or one of the folds as --model")
        subset, run_of = out_of_fold(index, folds)
        predictors = {run.path: load(run.path) for run in folds.runs()}
        facts = model_facts(list(predictors.values()), "out-of-fold", folds.name)
        masks = PredictedMasks(lambda patient: predictors[run_of[patient.name].path], view)
        return masks, subset, facts | {"view": seen}, list(predictors.values())
    predictor = load(model)
    name = options.subset or ("test" if Path(model).is_dir() else "unseen")
    subset = choose_subset(index, model, name)
    facts = model_facts([predictor], name) | {"view": seen}
    return PredictedMasks(lambda _: predictor, view), subset, facts, [predictor]


def _of_masks(
    options: EvaluateOptions, index: DatasetIndex
) -> tuple[MaskSource, Subset, dict[str, Any], list[Predictor]]:
    from gliomask.evaluation.evaluate import GivenMasks, patients_at
    from gliomask.evaluation.masks import MaskFolder
    from gliomask.evaluation.subsets import choose_subset

    if options.split_of is not None and not (options.split_of / "split.json").is_file():
        raise UsageError(
            f"--split-of {options.split_of}: no run; expected its folder (of a cross-validation: a fold's)"
        )
    folder = MaskFolder(options.masks or Path())
    name = options.subset or ("test" if options.split_of else "all")
    subset = replace(choose_subset(index, options.split_of, name), seen_patients=None)
    absent = folder.missing(patients_at(index, subset.positions))
    if absent:
        found = f"no mask of {len(absent)} patients ({', '.join(absent[:3])}{', ...' if len(absent) > 3 else ''})"
        cure = "add the masks; where a patient has no tumour, an empty mask as a file"
        raise DataError(folder.root, found, "a mask of every patient of the subset", cure)
    where = str(folder.root.resolve())
    facts: dict[str, Any] = {
        "model": where,
        "model_sha256": [],
        "subset": name,
        "split": None,
        "threshold": None,
        "smallest_component": None,
        "masks": where,
    }
    return GivenMasks(folder), subset, facts, []


def _default_folder(options: EvaluateOptions) -> Path:
    if options.masks is not None:
        return options.masks / "scores"
    model = Path(options.model or DEFAULT)
    view = "-flair-alone" * options.flair_alone + "-one-by-one" * options.one_by_one + "-flips" * options.flips
    view += "" if options.precision == EvaluateOptions.precision else f"-{options.precision}"
    if options.smallest_component is not None:
        view += f"-components-{options.smallest_component:g}"
    if (model / "folds.json").is_file():
        return model / f"out-of-fold{view}"
    if model.is_dir():
        return model / f"{options.subset or 'test'}{view}"
    name = f"{options.subset or 'unseen'}{view}"
    if not model.exists():
        return Path("evaluations") / model / name
    alone = model.name == "model.onnx"  # other names may lie side by side
    return (model.parent if alone else model.parent / model.stem) / name


def _tell(printer: Printer, evaluation: Evaluation, written: dict[str, Any]) -> None:
    title = f"{written['model']} on {written['subset']}"
    rows = score_rows(written["scores"], evaluation.unit)
    printer.table(title, ("score", "value", "95 % interval over patients"), rows)
    columns = ("group", "patients", "mean", "95 % interval", "median", "missed")
    printer.table("dice_patient by group", columns, group_rows(written["groups"]))
    for caveat in written["caveats"]:
        printer.line(f"NOTE: {caveat}")
