"""Where the runs of a cross-validation lie, and whether they belong together. Needs no PyTorch and trains nothing."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gliomask.config import EARLIER, TrainConfig, from_dict, to_dict
from gliomask.data.records import DatasetIndex
from gliomask.data.split import Split
from gliomask.errors import DataError, SplitMismatchError, UsageError
from gliomask.files import whole_file
from gliomask.training.run_folder import RunFolder

_CURE = "go on with gliomask train --resume"


@dataclass(frozen=True)
class CrossValidation:
    """A folder ``runs/<name>`` with a run for each fold.

    =====================  ==========================================================================
    ``folds.json``         number of folds, seed of the split, fingerprint of the data, every setting
    ``fold0``, ``fold1``   ordinary run folders; the test part of each is its fold
    =====================  ==========================================================================
    """

    path: Path

    @property
    def name(self) -> str:
        """Name of the cross-validation."""
        return self.path.name

    @property
    def record_file(self) -> Path:
        """Written before the first fold is trained."""
        return self.path / "folds.json"

    def exists(self) -> bool:
        """Whether a cross-validation was started here."""
        return self.record_file.is_file()

    def config(self) -> TrainConfig:
        """Read the settings that all folds share; the fold is -1.

        Raises
        ------
        DataError
            If no cross-validation was started here, or folds.json is damaged.
        """
        try:
            config = from_dict(TrainConfig, self._record()["settings"], from_dict(TrainConfig, dict(EARLIER)))
        except (KeyError, TypeError, UsageError) as error:
            raise self._damaged(error) from error
        if config.split.split != "fold":
            raise self._damaged(f"split is {config.split.split}")
        return config

    def run(self, fold: int) -> RunFolder:
        """Return the folder of a fold's run, trained or not."""
        return RunFolder(self.path / f"fold{fold}")

    def runs(self) -> list[RunFolder]:
        """Return the folders of all folds, trained or not, in order.

        Raises
        ------
        DataError
            As for `config`.
        """
        return [self.run(fold) for fold in range(self.config().split.folds)]

    def check_data(self, index: DatasetIndex) -> None:
        """Make sure that the folds are of this data.

        Raises
        ------
        SplitMismatchError
            If the fingerprints differ.
        DataError
            As for `config`.
        """
        fingerprint = str(self._record().get("data_fingerprint"))
        if fingerprint != index.fingerprint:
            raise SplitMismatchError(
                index.root,
                f"data with the fingerprint {index.fingerprint[:12]}",
                f"{fingerprint[:12]}, which the folds were made for",
                "give the data that the folds were made for, or start a cross-validation under another name",
            )

    def check(self, index: DatasetIndex) -> None:
        """Make sure that every fold is exported and that the folds test every patient of this data exactly once.

        Raises
        ------
        SplitMismatchError
            If the folds, or one of them, were made for other data.
        DataError
            If a fold is missing, not exported or does not belong to the others.
        """
        self.check_data(index)
        runs, tested = self.runs(), Counter[str]()
        for fold, run in enumerate(runs):
            if not (run.model.is_file() and run.contract.is_file()):
                raise DataError(run.path, "no exported model", f"all {len(runs)} folds trained", _CURE)
            split = run.split()
            split.check(index)
            _require_fold(run, split, fold, len(runs))
            tested.update(split.patients(index, "test"))
        if tested != Counter(patient.name for patient in index.patients):
            raise DataError(
                self.path, "folds that do not test every patient exactly once", "folds of one split", "train them anew"
            )

    def begin(self, index: DatasetIndex, config: TrainConfig) -> None:
        """Write folds.json, whole or not at all."""
        values = {
            "folds": config.split.folds,
            "seed": config.split.split_seed,
            "data_fingerprint": index.fingerprint,
            "settings": to_dict(config),
        }
        with whole_file(self.record_file) as part:
            part.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")

    def _record(self) -> dict[str, Any]:
        if not self.exists():
            raise DataError(self.path, "no folds.json", "a folder that `gliomask train --folds` made", "check the name")
        try:
            values = json.loads(self.record_file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise self._damaged(error) from error
        if not isinstance(values, dict):
            raise self._damaged(f"holds {type(values).__name__}")
        return values

    def _damaged(self, reason: object) -> DataError:
        return DataError(self.record_file, f"damaged ({reason})", "a folds.json of gliomask", "train the folds anew")


def _require_fold(run: RunFolder, split: Split, fold: int, folds: int) -> None:
    if (split.kind, split.fold, split.folds) != ("fold", fold, folds):
        found = f"a split of kind {split.kind}" if split.kind != "fold" else f"fold {split.fold} of {split.folds}"
        raise DataError(run.split_file, found, f"fold {fold} of {folds}", "train the folds anew")
