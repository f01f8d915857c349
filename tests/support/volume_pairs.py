"""Volumes with outlines, made by the tests themselves, and what `convert` makes of them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from gliomask.cli.app import main
from gliomask.volumes.slices import read_image, read_mask

SIDE = 32


HEAD, TUMOUR = 60, 250


STEPS = (5.0, 5.0, 6.0)


def scan(seed: int = 0) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return (32, 32, 6) values with axes R, A, S, and labels 1 and 4; nothing of it is symmetrical."""
    values, labels = np.zeros((SIDE, SIDE, 6), np.int16), np.zeros((SIDE, SIDE, 6), np.uint8)
    values[2:30, 3:29, :] = HEAD + np.random.default_rng(seed).integers(0, 9, (28, 26, 6))
    labels[5:14, 8:25, 1:4] = 1
    labels[14:20, 8:12, 2:4] = 4
    values[labels > 0] = TUMOUR
    return values, labels


def axial(array: NDArray[Any]) -> NDArray[Any]:
    """Bring R, A, S to slices upwards, rows from front to back, columns from the patient's right to the left."""
    return array.transpose(2, 1, 0)[:, ::-1, ::-1]


def turned(array: NDArray[Any], axes: tuple[int, ...], signs: tuple[int, ...]) -> Any:
    """Return an array of R, A, S with its axes in another order and direction, and the affine that says so."""
    affine, moved = np.diag([0.0, 0.0, 0.0, 1.0]), array.transpose(axes)
    for place, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[axis, place] = sign * STEPS[axis]
        affine[axis, 3] = -80.0 if sign > 0 else -80.0 + STEPS[axis] * (moved.shape[place] - 1)
        moved = moved if sign > 0 else np.flip(moved, place)
    return np.ascontiguousarray(moved), affine


def save(path: Path, array: NDArray[Any], affine: Any = None, *, placed: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = turned(array, (0, 1, 2), (1, 1, 1))[1] if affine is None else affine
    image: Any = nibabel.Nifti1Image(array, affine)  # type: ignore[no-untyped-call]
    if not placed:
        image.set_qform(None, 0)
        image.set_sform(None, 0)
    nibabel.save(image, path)
    return path


def write_pair(folder: Path, name: str = "P1", seed: int = 0) -> Path:
    """Write FLAIR and an outline of a patient as BraTS calls them; return FLAIR."""
    values, labels = scan(seed)
    save(folder / f"{name}_seg.nii.gz", labels)
    return save(folder / f"{name}-t2f.nii.gz", values)


def convert(*arguments: str | Path | int) -> int:
    return main(["convert", *map(str, arguments), "--size", str(SIDE)])


def stack(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read a patient's images and masks by rising number."""
    count = len(list(folder.glob("*_mask.tif")))
    names = [folder / f"{folder.name}_{number}" for number in range(1, count + 1)]
    return (
        np.stack([read_image(Path(f"{name}.tif")) for name in names]),
        np.stack([read_mask(Path(f"{name}_mask.tif")) for name in names]),
    )


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "volumes.csv").open(newline="") as file:
        return {row["patient"]: row for row in csv.DictReader(file)}


def moved(millimetres: float) -> NDArray[np.float64]:
    affine: NDArray[np.float64] = turned(scan()[1], (0, 1, 2), (1, 1, 1))[1]
    affine[0, 3] += millimetres
    return affine
