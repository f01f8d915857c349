"""``gliomask evaluate``: score a model, patient by patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from gliomask.cli.console import OutputOptions, Printer, parse
from gliomask.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gliomask.data.index import DatasetIndex

Subset = Literal["test", "validation", "train", "unseen", "all", "buda10"]


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(OutputOptions):
    """Predict the patients of a folder and score the masks against the truth."""

    data: tyro.conf.Positional[Path]
    """Folder in the Kaggle layout."""
    model: Path
    """Run folder, or a model.onnx with its model.json beside it."""
    subset: Subset = "test"
    """test, validation, train: that part of the run's split. unseen: patients the run neither trained nor validated on.
    buda10: the ten published test patients. all: everybody."""
    out: Path | None = None
    """Folder for patients.csv and summary.json; MODEL/SUBSET if not given."""
    batch_size: int = 8
    """Slices predicted at once."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    options = parse(EvaluateOptions, "evaluate", arguments)
    from gliomask.evaluation.evaluate import evaluate, write_evaluation
    from gliomask.inference.predictor import Predictor

    printer = Printer(options)
    predictor = Predictor.load(options.model, batch_size=options.batch_size)
    index = printer.read_index(options.data)
    positions = subset_positions(index, options.model, options.subset)
    with printer.progress("evaluating") as progress:
        evaluation = evaluate(predictor, index, positions, progress=progress)
    folder = options.model if options.model.is_dir() else options.model.parent
    out = options.out or folder / options.subset
    facts = {
        "model": predictor.contract.name,
        "subset": options.subset,
        "data_fingerprint": index.fingerprint,
        "split": predictor.contract.training.get("split"),
        "threshold": predictor.contract.threshold,
        "slices": len(evaluation.counts),
    }
    write_evaluation(evaluation, out, facts)
    summary = evaluation.summary()
    printer.table(f"{options.model} on {options.subset}", ("score", "value"), score_rows(summary))
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


def subset_positions(index: DatasetIndex, model: Path, subset: Subset) -> NDArray[np.int64] | None:
    """Return the slices to score, as rows in the order of the index; None for all.

    Raises
    ------
    UsageError
        If the subset is a part of a split, and the model is not a run folder.
    SplitMismatchError
        If the run was trained on other data and its parts mean nothing here.
    DataError
        If the ten named patients are not all there.
    """
    if subset == "all":
        return None
    if subset == "buda10":
        from gliomask.config import SplitConfig
        from gliomask.data.split import make_split

        return make_split(index, SplitConfig(split="buda10")).positions(index, "test")
    if not model.is_dir():
        raise UsageError(
            f"--subset {subset} needs the run folder, which holds the split; expected --subset all or buda10"
        )
    from gliomask.training.run_folder import RunFolder

    split = RunFolder(model).split()
    if subset == "unseen":
        return split.unseen_positions(index)
    split.check(index)
    return split.positions(index, subset)
