"""Volumes in which the known model finds the tumour, in any orientation. Knows nothing of what the tests prove."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

HEAD, TUMOUR = 60, 250
"""Grey levels of the scanner, of which the known model finds the tumour's: above 100 of 157 at the top."""


def scan() -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Return (32, 32, 6) values with axes R, A, S, and the tumour; nothing of it is symmetrical."""
    values, tumour = np.zeros((32, 32, 6), np.int16), np.zeros((32, 32, 6), np.bool_)
    values[2:30, 3:29, :] = HEAD
    tumour[5:14, 8:25, 1:4] = tumour[14:20, 8:12, 2:4] = True
    values[tumour] = TUMOUR
    return values, tumour


def turned(array: NDArray[Any], axes: tuple[int, ...], signs: tuple[int, ...], steps: tuple[float, ...]) -> Any:
    """Return an array of R, A, S with its axes in another order and direction, and the affine that says so."""
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    moved = array.transpose(axes)
    for place, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[axis, place] = sign * steps[axis]
        affine[axis, 3] = 7.0 + 3 * axis
        if sign < 0:
            moved = np.flip(moved, place)
            affine[axis, 3] += steps[axis] * (moved.shape[place] - 1)
    return np.ascontiguousarray(moved), affine


def write_nifti(path: Path, array: NDArray[Any], affine: NDArray[np.float64]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine), path)  # type: ignore[no-untyped-call]
    return path


def read_nifti(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    image: Any = nibabel.load(path)
    return np.asanyarray(image.dataobj), image.affine


def interrupted(*_: Any) -> Any:
    """Stop where the user did."""
    raise KeyboardInterrupt
