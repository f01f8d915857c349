"""Runs and evaluations that a page can be made of, and the page of one. Knows nothing of what the tests prove."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from builders import tiny_dataset
from gliomask.cli.report import main
from gliomask.config import SplitConfig, TrainConfig, save_config
from gliomask.data.cache import read_patient
from gliomask.data.index import DatasetIndex, PatientRecord, build_index
from gliomask.data.split import make_split, save_split
from gliomask.evaluation.evaluate import Segmentation, evaluate
from gliomask.evaluation.results import write_evaluation
from gliomask.files import file_sha256
from gliomask.models.contract import ModelContract, write_contract
from gliomask.training.run_folder import RunFolder

SIZE, SLICES = 48, 5


class OneMore:
    """Masks that are the truth and one pixel in a corner."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def segment(self, patient: PatientRecord, _: NDArray[np.uint8]) -> Segmentation:
        mask = read_patient(self.root, patient)[1].copy()
        mask[0, 0, 0] = True
        return Segmentation(mask, None)

    def spacing(self, _: PatientRecord) -> None:
        return None

    def remarks(self) -> list[str]:
        return []


class ShiftedTruth:
    """Masks that are the truth moved by one pixel."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def segment(self, patient: PatientRecord, _: NDArray[np.uint8]) -> Segmentation:
        mask = np.roll(read_patient(self.root, patient)[1], 1, axis=2)
        return Segmentation(mask, np.where(mask, 0.9, 0.1).astype(np.float32))

    def spacing(self, _: PatientRecord) -> None:
        return None

    def remarks(self) -> list[str]:
        return []


def six_patients(root: Path) -> DatasetIndex:
    """Write the data set of these tests and return its index."""
    tiny_dataset(root, patients=6, slices=SLICES, size=SIZE)
    return build_index(root, use_cache=False)


def write_scored(
    folder: Path, index: DatasetIndex, positions: NDArray[np.int64] | None = None, *, masks: bool = True,
    source: type[ShiftedTruth] | type[OneMore] = ShiftedTruth, **facts: Any,
) -> Path:  # fmt: skip
    evaluation = evaluate(source(index.root), index, positions, masks_to=folder / "masks" if masks else None)
    known = {
        "model": "tiny", "subset": "test", "split": "patient", "threshold": 0.5, "data": str(index.root),
        "data_fingerprint": index.fingerprint, "spacing": None, "slices": index.slice_count,
        "patients_seen_in_training": 0, "whole_patients": True, "caveats": [], "model_sha256": [],
        "masks": "masks" if masks else None,
    }  # fmt: skip
    write_evaluation(evaluation, folder, known | facts)
    return folder


def write_run(folder: Path, index: DatasetIndex, split: SplitConfig, *, epochs: int = 3) -> Path:
    run, config = RunFolder(folder), TrainConfig(split=split)
    folder.mkdir(parents=True)
    save_config(config, run.config_file)
    save_split(make_split(index, split), run.split_file)
    run.write_json(
        run.environment_file, {"versions": {"torch": "9.8.7"}, "processor": "Abacus", "git_commit": "c0ffee"}
    )
    names = ("epoch", "val_loss", "val_dice", "train_loss", "train_dice_pooled", "learning_rate")
    run.write_metrics([dict.fromkeys(names, 0.1 * epoch) | {"epoch": float(epoch)} for epoch in range(epochs)])
    run.model.write_bytes(b"weights")
    write_contract(
        ModelContract(
            name=folder.name, architecture="unet", image_size=256, normalisation="volume", threshold=0.5, training={},
            scores={}, versions={}, onnx_sha256=file_sha256(run.model),
        ),
        run.contract,
    )  # fmt: skip
    return folder


def change_summary(folder: Path, **values: Any) -> None:
    path = folder / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def page_of(folder: Path, *options: str) -> str:
    assert main(["--evaluation", str(folder), "--quiet", *options]) == 0
    return (folder / "report.html").read_text(encoding="utf-8")
