"""What slices look like: images that are no brain are told from those of the training patients."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from builders import write_known_model
from gliomask.data.cache import open_cache
from gliomask.data.index import build_index
from gliomask.data.looks import FEATURES, describe, training_looks, unlike
from gliomask.inference.predictor import Predictor
from gliomask.volumes.phantom import write_phantoms

SIZE = 64


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> list[NDArray[np.uint8]]:
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantoms(folder, patients=8, size=SIZE)
    cache = open_cache(build_index(folder), SIZE)
    patients = np.asarray(cache.patients)
    return [np.asarray(cache.images[patients == each]) for each in np.unique(patients)]


def test_other_patients_look_alike(stacks: list[NDArray[np.uint8]]) -> None:
    looks = training_looks(stacks[:6])
    assert [unlike(stack, looks) for stack in stacks[6:]] == [None, None]
    single = [unlike(stack[[len(stack) // 2]], looks) for stack in stacks]
    assert single.count(None) >= 7


NOISE = np.random.default_rng(0).integers(0, 255, (6, SIZE, SIZE, 3), np.uint8)
RAMP = np.tile(np.linspace(0, 255, SIZE).astype(np.uint8)[None, None, :, None], (6, SIZE, 1, 3))


@pytest.mark.parametrize("images", [NOISE, NOISE[:1], RAMP, RAMP[:1], np.full((6, SIZE, SIZE, 3), 200, np.uint8)])
def test_what_is_no_brain_is_said(stacks: list[NDArray[np.uint8]], images: NDArray[np.uint8]) -> None:
    assert "does not look like" in (unlike(images, training_looks(stacks)) or "")


def test_an_empty_image_is_said(stacks: list[NDArray[np.uint8]]) -> None:
    assert "next to nothing" in (unlike(np.zeros((3, SIZE, SIZE, 3), np.uint8), training_looks(stacks)) or "")


def test_features_of_a_disc_by_hand() -> None:
    rows, columns = np.mgrid[:100, :100]
    disc = np.where(np.hypot(rows - 49.5, columns - 49.5) < 30, 200, 0).astype(np.uint8)
    (values,) = describe(np.stack([disc] * 3, axis=-1)[None])
    expected = {"area": np.pi * 900 / 1e4, "symmetry": 1.0, "contrast": 0.0, "roughness": 0.0, "border": 0.0}
    assert dict(zip(FEATURES, values, strict=True)) == pytest.approx(expected, abs=0.01)


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert unlike(NOISE, {}) is None
    assert training_looks([NOISE[:1]]) == {}


def test_a_model_that_knows_says_so(stacks: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    model = write_known_model(tmp_path)
    path = model.with_suffix(".json")
    values = json.loads(path.read_text())
    values["training"]["looks"] = training_looks(stacks)
    path.write_text(json.dumps(values))
    predictor = Predictor.load(model)
    assert "does not look like" in (predictor.predict(NOISE).concern or "")
    assert predictor.predict(stacks[0]).concern is None
