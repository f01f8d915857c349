"""The model that comes with gliomask, on a simulated patient, through every door: files, orientations, engines."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from builders import short_phantoms
from dicom_builders import write_series
from gliomask.cli.app import main
from gliomask.data.cache import read_patient
from gliomask.data.index import build_index
from gliomask.inference.predictor import Predictor
from gliomask.studies.volume import VolumeStudy
from gliomask.volumes.phantom import write_phantoms
from scans import read_nifti, turned, write_nifti

STEPS = (0.9, 0.9, 6.0)
SOME = [*product(permutations(range(3)), product((1, -1), repeat=3))][::7]
"""Seven of the 48 orientations; all of them are in test_predict_volumes.py, with a model of one convolution."""


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load()


@pytest.fixture(scope="module")
def flair(tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.uint8]:
    """Return the FLAIR of a simulated patient as (X, Y, Z) with axes L, P, S."""
    folder = tmp_path_factory.mktemp("phantoms")
    with short_phantoms(12):
        write_phantoms(folder, patients=1, seed=3, size=96)
    index = build_index(folder, use_cache=False)
    images, _ = read_patient(index.root, index.patients[0])
    return np.ascontiguousarray(images[..., 1].transpose(2, 1, 0))


@pytest.fixture(scope="module")
def expected(predictor: Predictor, flair: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the mask of the axial slices themselves, on the same axes."""
    stack = flair.transpose(2, 1, 0)[..., np.newaxis].repeat(3, axis=3)
    mask = predictor.predict(stack).mask.transpose(2, 1, 0)
    assert mask.any()
    return mask


def in_ras(array: NDArray[Any]) -> NDArray[Any]:
    return array[::-1, ::-1]


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


@pytest.mark.parametrize(("axes", "signs"), SOME)
def test_nifti_of_any_orientation(
    flair: NDArray[np.uint8], expected: NDArray[np.bool_], tmp_path: Path, axes: Any, signs: Any
) -> None:
    source = write_nifti(tmp_path / "scan.nii.gz", *turned(in_ras(flair), axes, signs, STEPS))
    truth, _ = turned(in_ras(expected), axes, signs, STEPS)
    assert main(["predict", str(source), "--out", str(tmp_path / "out"), "--no-pictures", "--quiet"]) == 0
    mask, affine = read_nifti(tmp_path / "out" / "scan" / "scan_mask.nii.gz")
    assert dice(mask.astype(bool), truth) >= 0.999
    assert affine.tobytes() == read_nifti(source)[1].tobytes()


def test_dicom(flair: NDArray[np.uint8], expected: NDArray[np.bool_], tmp_path: Path) -> None:
    """16-bit values of a scanner, scaled and shifted: brought to 8 bits by percentiles, so not the very same mask."""
    array, affine = turned(in_ras(flair), (0, 1, 2), (-1, -1, 1), STEPS)
    truth, _ = turned(in_ras(expected), (0, 1, 2), (-1, -1, 1), STEPS)
    write_series(tmp_path / "study", (array.astype(np.int16) * 7 + 30), affine)
    assert main(["predict", str(tmp_path / "study"), "--out", str(tmp_path / "out"), "--no-pictures", "--quiet"]) == 0
    mask, _ = read_nifti(tmp_path / "out" / "study" / "study_mask.nii.gz")
    assert dice(mask.astype(bool), truth) > 0.97


@pytest.fixture
def doors(flair: NDArray[np.uint8], tmp_path: Path) -> dict[str, NDArray[np.bool_]]:
    """Return the mask of the same file by the command line and by Python, with both engines."""
    source = write_nifti(tmp_path / "scan.nii", *turned(in_ras(flair), (0, 1, 2), (1, 1, 1), STEPS))
    found = {}
    for engine in ("onnxruntime", "openvino"):
        out = tmp_path / engine
        command = ["predict", str(source), "--out", str(out), "--engine", engine, "--precision", "float32"]
        command += ["--no-pictures", "--quiet"]
        assert main(command) == 0
        found[f"command, {engine}"] = read_nifti(out / "scan" / "scan_mask.nii.gz")[0].astype(bool)
        study = VolumeStudy("scan", source).read()
        mask = Predictor.load(engine=engine, precision="float32").predict(study.images).mask
        found[f"Python, {engine}"] = study.grid.back(mask)
    return found


def test_masks_are_the_same_through_every_door(doors: dict[str, NDArray[np.bool_]]) -> None:
    first, *others = doors.values()
    assert first.any()
    assert all(dice(first, other) >= 0.999 for other in others)
