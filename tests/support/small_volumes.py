"""Volumes of random values, and how a predictor should see them. Knows nothing of what the tests prove."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

from gliomask.data.greyscale import to_uint8
from gliomask.studies.inputs import find_inputs
from gliomask.studies.volume import VolumeStudy
from orientations import affine_of

SHAPE = (9, 8, 6)


AFFINE: Any = affine_of((0, 1, 2), (-1, -1, 1), (0.75, 0.5, 5.5))


def values(seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).integers(0, 1000, SHAPE).astype(np.int16)


def nifti(path: Path, seed: int = 0, affine: Any = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Nifti1Image(values(seed), affine).to_filename(path)  # type: ignore[no-untyped-call]
    return path


def axial(seed: int) -> NDArray[np.uint8]:
    """Return what the predictor should see of a volume with this affine: columns and rows run left and back."""
    return to_uint8(values(seed)).transpose(2, 1, 0)


def volumes(*paths: Path, **options: Any) -> list[VolumeStudy]:
    found = find_inputs(paths, **options)
    assert found.errors == ()
    return [study for study in found.studies if isinstance(study, VolumeStudy)]
