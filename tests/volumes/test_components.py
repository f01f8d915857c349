"""Small components are left out of masks: by an independent flood fill, from the model's word, and by the command."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from builders import SIDE, flair_of, write_known_model, write_known_patient
from gliomask.cli.app import main
from gliomask.errors import UsageError
from gliomask.evaluation.results import read_evaluation
from gliomask.inference.components import without_small
from gliomask.inference.predictor import Predictor

Mask = NDArray[np.bool_]


def parts(mask: Mask) -> list[set[tuple[int, ...]]]:
    """Return the connected components as sets of voxels, by filling one after the other."""
    left, found = {tuple(map(int, voxel)) for voxel in np.argwhere(mask)}, []
    while left:
        part, border = set(), [left.pop()]
        while border:
            voxel = border.pop()
            part.add(voxel)
            near = {tuple(np.add(voxel, step)) for step in product((-1, 0, 1), repeat=3)} & left
            left -= near
            border += near
        found.append(part)
    return found


def scattered() -> Mask:
    """Return a tumour of 50 voxels in two slices, one of 10 voxels, one of 4 and a stray voxel, none touching."""
    mask = np.zeros((3, SIDE, SIDE), np.bool_)
    mask[:2, 2:7, 2:7] = mask[0, 20, 10:20] = mask[2, 20:22, 3:5] = mask[2, 30, 30] = True
    return mask


@settings(max_examples=200, deadline=None)
@given(mask=arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, max_side=6)), fraction=st.floats(0, 1))
def test_what_is_left_is_large_enough(mask: Mask, fraction: float) -> None:
    found, before = parts(mask), mask.copy()
    largest = max(map(len, found), default=0)
    kept = [part for part in found if len(part) >= fraction * largest]
    expected = np.zeros_like(mask)
    for voxel in set().union(*kept):
        expected[voxel] = True
    left, left_out = without_small(mask, fraction)
    assert np.array_equal(left, expected)
    assert left_out == len(found) - len(kept)
    assert np.array_equal(mask, before)


@pytest.mark.parametrize(
    ("fraction", "voxels", "left_out"),
    [(0, 65, 0), (0.02, 65, 0), (0.05, 64, 1), (0.2, 60, 2), (0.21, 50, 3), (1, 50, 3)],
)
def test_the_model_says_what_is_small(tmp_path: Path, fraction: float, voxels: int, left_out: int) -> None:
    model = write_known_model(tmp_path, smallest_component=fraction)
    prediction = Predictor.load(model).predict(flair_of(scattered()))
    assert (prediction.mask.sum(), prediction.left_out) == (voxels, left_out)
    assert np.array_equal(prediction.probabilities >= prediction.threshold, scattered())  # they still show everything
    assert np.array_equal(Predictor.load(model, smallest_component=0).predict(flair_of(scattered())).mask, scattered())


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_no_such_fraction(tmp_path: Path, fraction: float) -> None:
    with pytest.raises(UsageError, match=r"smallest_component is .*; expected 0 to 1"):
        Predictor.load(write_known_model(tmp_path), smallest_component=fraction)


def test_predict_tells_how_many_it_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_known_model(tmp_path / "model", smallest_component=0.1)
    write_known_patient(tmp_path / "data", "case", scattered(), None)
    command = ["predict", str(tmp_path / "data"), "--model", str(model), "--no-pictures", "--json", "--out"]
    found: list[dict[str, Any]] = []
    for option in ((), ("--smallest-component", "0"), ("--smallest-component", "1")):
        assert main([*command, str(tmp_path / f"out{len(found)}"), *option]) == 0
        found += json.loads(capsys.readouterr().out)["studies"]
    assert [each["components"] for each in found] == [2, 4, 1]
    assert [each["components_left_out"] for each in found] == [2, 0, 3]
    assert [each["smallest_component"] for each in found] == [0.1, 0, 1]
    assert [each["tumour_voxels"] for each in found] == [60, 65, 50]


def test_evaluation_scores_what_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_known_model(tmp_path / "model", smallest_component=0.1)
    truth = scattered()
    truth[2] = False  # the two smallest parts are false alarms
    write_known_patient(tmp_path / "data", "TCGA_CS_0001_20000101", scattered(), truth)
    command = ["evaluate", str(tmp_path / "data"), "--model", str(model), "--subset", "all"]
    for place, used, option in (
        ("all", 0.1, ()),
        ("all-components-0", 0, ("--smallest-component", "0")),
        ("all-components-1", 1, ("--smallest-component", "1")),
    ):
        assert main([*command, *option]) == 0
        assert read_evaluation(tmp_path / "model" / place)[1]["smallest_component"] == used
    dice = [
        read_evaluation(tmp_path / "model" / place)[1]["scores"]["dice_patient"]["mean"]
        for place in ("all", "all-components-0", "all-components-1")
    ]
    assert dice == pytest.approx([1, 120 / 125, 100 / 110])
    capsys.readouterr()
    assert main([*command[:2], "--masks", str(tmp_path), "--smallest-component", "0"]) == 2
    assert "--smallest-component: for models; expected no such option" in capsys.readouterr().err
