"""Tiny data sets in the Kaggle layout, made by the tests themselves. Knows nothing of what the tests prove."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliomask.volumes.slices import write_image, write_mask

INSTITUTIONS = ("CS", "DU", "HT")


def make_slice(seed: int, size: int = 16) -> NDArray[np.uint8]:
    """Return (size, size, 3) uint8 of noise, the same for the same seed."""
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def make_mask(pixels: int, size: int = 16) -> NDArray[np.bool_]:
    """Return (size, size) bool whose first `pixels` pixels are tumour."""
    return (np.arange(size * size) < pixels).reshape(size, size)


def patient_name(number: int) -> str:
    """Return the name of the tiny patient of that number."""
    return f"TCGA_{INSTITUTIONS[number % len(INSTITUTIONS)]}_{1000 + number}_20000101"


def write_patient(
    root: Path, name: str, slices: int = 3, size: int = 16, tumour: int = 5, suffix: str = ".tif"
) -> Path:
    """Write one patient and return the folder; the first slice has no tumour, the others `tumour` pixels of it."""
    folder = root / name
    folder.mkdir(parents=True)
    for number in range(1, slices + 1):
        seed = sum(name.encode()) * 1000 + number
        write_image(folder / f"{name}_{number}{suffix}", make_slice(seed, size))
        write_mask(folder / f"{name}_{number}_mask{suffix}", make_mask(tumour if number > 1 else 0, size))
    return folder


def tiny_dataset(root: Path, patients: int = 6, slices: int = 3, size: int = 16) -> tuple[str, ...]:
    """Write patients of rising tumour size with a data.csv, and return their names as an index orders them."""
    names = [patient_name(number) for number in range(patients)]
    for number, name in enumerate(names):
        write_patient(root, name, slices, size, tumour=number + 1)
    with (root / "data.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["Patient", "RNASeqCluster", "gender"])
        table.writerows([name.rsplit("_", 1)[0], number % 3 + 1, ""] for number, name in enumerate(names))
    return tuple(sorted(names))
