"""Reads what a report is made from: an evaluation, and the trainings that the scored model came from. Draws nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gliomask.data.split import Split
from gliomask.errors import DataError
from gliomask.evaluation.results import MASKS, Evaluation, read_evaluation
from gliomask.models.contract import ModelContract, read_contract
from gliomask.training.run_folder import RunFolder

_FACTS = ("scores", "groups", "caveats", "subset", "split", "slices", "whole_patients")
_COLUMNS = (
    "patient", "institution", "missing", "slices", "tumour_slices", "truth_pixels", "predicted_pixels", "dice",
    "precision", "recall", "hd95",
)  # fmt: skip


@dataclass(frozen=True)
class Scored:
    """An evaluation: its folder, its tables, and the content of its ``summary.json``."""

    folder: Path
    evaluation: Evaluation
    facts: dict[str, Any]

    @property
    def unit(self) -> str:
        """Unit of distances: mm or pixels."""
        return self.evaluation.unit

    @property
    def patients(self) -> int:
        """Scored patients."""
        return len(self.evaluation.patients)

    @property
    def millilitres(self) -> float | None:
        """Volume of a voxel in ml; None where one spacing for all patients is not known."""
        spacing = self.facts.get("spacing")
        return None if spacing is None else float(spacing[0] * spacing[1] * spacing[2] / 1000)

    @property
    def masks(self) -> Path:
        """Folder of the masks that were scored: kept with the evaluation, or those of another program.

        Raises
        ------
        DataError
            If they were not kept.
        """
        kept = self.facts.get("masks")  # relative to the evaluation, or anywhere
        if kept is None or not (self.folder / str(kept)).is_dir():
            cure = "run gliomask evaluate again, without --no-masks"
            raise DataError(self.folder, "no masks", f"the folder {kept or MASKS}", cure)
        return self.folder / str(kept)


@dataclass(frozen=True)
class Trained:
    """One training: everything small in its run folder.

    Attributes
    ----------
    name
        Name of the folder.
    config
        Every setting.
    split
        Who was trained on.
    environment
        Day, versions, processor, git commit; empty if the file is absent.
    metrics
        One dictionary an epoch.
    model
        What ``model.json`` says; None if there is no exported model.
    """

    name: str
    config: dict[str, Any]
    split: Split
    environment: dict[str, Any]
    metrics: list[dict[str, float]]
    model: ModelContract | None


def read_scored(folder: Path) -> Scored:
    """Read an evaluation.

    Raises
    ------
    DataError
        If the folder holds none, or a damaged or older one.
    """
    evaluation, facts = read_evaluation(folder)
    absent = [name for name in _FACTS if name not in facts]
    absent += [name for name in _COLUMNS if name not in evaluation.patients]
    if absent or not len(evaluation.patients):
        found = f"an evaluation without {', '.join(absent)}" if absent else "an evaluation of no patient"
        raise DataError(folder, found, "all scores of at least one patient", "run gliomask evaluate again")
    return Scored(folder, evaluation, facts)


def read_trainings(run: Path) -> tuple[Trained, ...]:
    """Read the training of a run folder, or the training of each fold of a cross-validated one.

    Raises
    ------
    DataError
        If there is none, or one of its files is damaged.
    ModelFileError
        If a ``model.json`` is damaged.
    """
    if (run / "config.json").is_file():
        return (_read_training(RunFolder(run)),)
    folds = [path for path in run.glob("fold*") if (path / "config.json").is_file() and path.name[4:].isdigit()]
    if not folds:
        raise DataError(
            run, "no config.json and no fold0", "a folder that `gliomask train` made",
            "check the name, or give --evaluation alone for masks of another program",
        )  # fmt: skip
    return tuple(_read_training(RunFolder(path)) for path in sorted(folds, key=lambda path: int(path.name[4:])))


def _read_training(run: RunFolder) -> Trained:
    try:
        metrics = run.metrics()
    except (ValueError, TypeError) as error:
        cure = "resume the training, which writes it anew"
        raise DataError(run.metrics_file, f"not a table of numbers ({error})", "one row an epoch", cure) from error
    return Trained(
        name=run.name,
        config=asdict(run.config()),
        split=run.split(),
        environment=_environment(run.environment_file),
        metrics=metrics,
        model=read_contract(run.contract) if run.contract.is_file() else None,
    )


def _environment(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DataError(path, f"not JSON ({error})", "an object", "copy it again, or remove it") from error
