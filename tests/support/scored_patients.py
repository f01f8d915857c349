"""Patients of whom the known model finds what is written here, and runs to score them. Proves nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from builders import block, write_known_patient
from gliomask.config import SplitConfig, TrainConfig, save_config
from gliomask.data.index import DatasetIndex, PatientRecord, SliceRecord, build_index
from gliomask.data.split import Split, make_split, save_split

NAMES = ("TCGA_CS_0001_20000101", "TCGA_DU_0002_20000101")
NOTHING = block(slice(0, 0), slice(0, 0))
FOUND = {
    NAMES[0]: [NOTHING, block(slice(0, 10), slice(0, 10)), block(slice(0, 4), slice(0, 5))],
    NAMES[1]: [NOTHING, block(slice(8, 12), slice(8, 12))],
}
TRUTH = {
    NAMES[0]: [NOTHING, block(slice(5, 15), slice(0, 10)), NOTHING],
    NAMES[1]: [block(slice(0, 3), slice(0, 3)), block(slice(8, 12), slice(8, 12))],
}


def two_patients(root: Path) -> DatasetIndex:
    """Write patients of whom the known model finds `FOUND`, and return their index."""
    for name in NAMES:
        write_known_patient(root, name, np.stack(FOUND[name]), np.stack(TRUTH[name]))
    return build_index(root)


def six_patients(root: Path) -> DatasetIndex:
    """Write six patients who are alike, and return their index."""
    for number in range(6):
        name = f"TCGA_CS_{number:04}_20000101"
        write_known_patient(root, name, np.stack(FOUND[NAMES[0]]), np.stack(TRUTH[NAMES[0]]))
    return build_index(root)


def simulated(*names: str, slices: int = 2) -> DatasetIndex:
    """Return an index without files."""
    records = tuple(SliceRecord(number, "", "", 8, 8, 4) for number in range(1, slices + 1))
    patients = tuple(PatientRecord(name, name[5:7], records, (), {}) for name in names)
    return DatasetIndex(Path("simulated"), patients, (), "other")


def started_run(folder: Path, index: DatasetIndex, kind: Any) -> Split:
    """Write the part of a run folder that evaluation reads, and return its split."""
    folder.mkdir()
    config = SplitConfig(split=kind)
    save_config(TrainConfig(split=config), folder / "config.json")
    split = make_split(index, config)
    save_split(split, folder / "split.json")
    return split
