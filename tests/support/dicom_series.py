"""A series of known values, and what is read of a folder of them. Proves nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dicom_builders import SECRETS
from gliomask.errors import DataError
from gliomask.volumes.dicom import DicomImage, choose_flair, find_series
from orientations import affine_of

SHAPE = (9, 8, 6)
SPACING = (0.75, 0.5, 5.5)
AFFINE: Any = affine_of((0, 1, 2), (-1, -1, 1), SPACING)  # as scanners store axial slices


def values(dtype: str = "<i2", shape: tuple[int, ...] = SHAPE) -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, 1000, shape).astype(dtype)


def read(path: Path) -> DicomImage:
    (series,) = find_series(path)
    return series.read()


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        choose_flair(find_series(path)).read()
    message = str(caught.value)
    assert "\n" not in message
    assert not [secret for secret in SECRETS if secret in message]
    return message
