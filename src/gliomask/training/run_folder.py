"""Where the files of one training lie, and reading the small ones back. Needs no PyTorch."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gliomask.config import TrainConfig, load_settings
from gliomask.data.split import Split, load_split
from gliomask.errors import DataError, UsageError
from gliomask.files import drop_mark, take_mark, whole_file
from gliomask.models.trained import int8_of

_MARK = ".training"


@dataclass(frozen=True)
class RunFolder:
    """A folder ``runs/<name>``.

    ======================  =====================================================================
    ``config.json``         every setting, as it was used
    ``split.json``          patients (or slices) of each part, and the fingerprint of the data
    ``start.json``          what the first weights were, and who is known to them
    ``environment.json``    versions, processor, git commit
    ``metrics.csv``         one row an epoch
    ``tensorboard/``        curves and example overlays
    ``last.safetensors``    full state after the last complete epoch, for ``--resume``
    ``best.safetensors``    weights of the epoch that is kept (`gliomask.config.OptimisationConfig.keep`)
    ``model.onnx, .json``   the exported model
    ``model.int8.onnx``     the same with 8-bit integers, on request
    ``.training``           while it is trained: locked by the process that does it
    ======================  =====================================================================
    """

    path: Path

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.path.name

    @property
    def config_file(self) -> Path:
        """Every setting, as it was used."""
        return self.path / "config.json"

    @property
    def split_file(self) -> Path:
        """Who was trained on."""
        return self.path / "split.json"

    @property
    def start_file(self) -> Path:
        """What the first weights were."""
        return self.path / "start.json"

    @property
    def environment_file(self) -> Path:
        """Versions, processor, git commit."""
        return self.path / "environment.json"

    @property
    def metrics_file(self) -> Path:
        """One row an epoch."""
        return self.path / "metrics.csv"

    @property
    def last(self) -> Path:
        """Full state for resuming."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """Weights of the epoch that is kept."""
        return self.path / "best.safetensors"

    @property
    def model(self) -> Path:
        """The exported model."""
        return self.path / "model.onnx"

    @property
    def int8(self) -> Path:
        """The exported model with 8-bit integers, if it was asked for."""
        return int8_of(self.model)

    @property
    def contract(self) -> Path:
        """Description of the exported model."""
        return self.path / "model.json"

    @property
    def holds_work(self) -> bool:
        """Whether something trained is here: a state, an exported model, or more epochs than a kill may lose."""
        if self.last.is_file():
            return True
        return self.exists() and (self.contract.is_file() or len(self.metrics()) > 1)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder, and keep other trainings out of it while the block runs.

        Raises
        ------
        UsageError
            If a training is writing to it. (On Windows, and on disks that know no locks, nobody is kept out.)
        """
        is_new = not self.path.exists()
        self.path.mkdir(parents=True, exist_ok=True)
        mark = self.path / _MARK
        handle = take_mark(mark)
        if handle is None:
            raise UsageError(
                f"{self.path} is being trained by another call; wait for it, or choose another folder (if its machine "
                f"has failed and the disk has not noticed: remove {mark})"
            )
        try:
            yield
        finally:
            drop_mark(mark, handle)
            if is_new:
                with suppress(OSError):  # something was trained
                    self.path.rmdir()

    def exists(self) -> bool:
        """Whether a training was started here."""
        return self.config_file.is_file()

    def config(self) -> TrainConfig:
        """Read the settings.

        Raises
        ------
        DataError
            If no training was started here.
        UsageError
            If the file was damaged.
        """
        if not self.exists():
            raise DataError(self.path, "no config.json", "a folder that `gliomask train` made", "check the name")
        return load_settings(self.config_file)

    def split(self) -> Split:
        """Read the split.

        Raises
        ------
        DataError
            If the file is missing or damaged.
        """
        return load_split(self.split_file)

    def metrics(self) -> list[dict[str, float]]:
        """Read metrics.csv: one dictionary an epoch, in order; empty before the first epoch ends."""
        if not self.metrics_file.is_file():
            return []
        with self.metrics_file.open(newline="") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]

    def write_metrics(self, rows: list[dict[str, float]]) -> None:
        """Write metrics.csv, whole or not at all."""
        with whole_file(self.metrics_file) as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def write_json(self, path: Path, values: dict[str, Any]) -> None:
        """Write a JSON file of the run, whole or not at all."""
        with whole_file(path) as part:
            part.write_text(json.dumps(values, indent=2) + "\n")


def remove_trained(folder: Path) -> None:
    """Remove a folder with a run, or several, unless one of them is being trained.

    Raises
    ------
    UsageError
        If that is so.
    """
    with ExitStack() as held:
        for mark in sorted(folder.rglob(_MARK)):
            held.enter_context(RunFolder(mark.parent).held())
        shutil.rmtree(folder, ignore_errors=True)
