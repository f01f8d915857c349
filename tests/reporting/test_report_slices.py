"""The patients and slices that the page of a run shows are those that were scored, with their own outlines."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from builders import make_slice
from gliomask.data.cache import read_patient
from gliomask.data.index import DatasetIndex
from gliomask.evaluation.evaluate import GivenMasks, evaluate
from gliomask.evaluation.masks import MaskFolder, write_masks
from gliomask.reporting.report.pictures import crop_box, encode, profile_path, svg_path
from gliomask.reporting.report.sources import read_scored
from gliomask.reporting.report.viewer import choose_cases, read_cases
from gliomask.volumes.nifti import write_mask_volume
from report_runs import SLICES, six_patients, write_scored


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> DatasetIndex:
    return six_patients(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(
    ("values", "chosen"),
    [
        ([0.5], [("only", "A")]),
        ([0.5, 0.9], [("best", "B"), ("worst", "A")]),
        ([0.2, 0.9, 0.4, 0.5, 0.1], [("best", "B"), ("median", "C"), ("worst", "E")]),
        ([0.5, 0.5, 0.5], [("best", "A"), ("median", "B"), ("worst", "C")]),
    ],
)
def test_best_median_and_worst_patient_are_shown(values: list[float], chosen: list[tuple[str, str]]) -> None:
    assert choose_cases(pd.DataFrame({"patient": list("ABCDE")[: len(values)], "dice": values})) == chosen


def test_only_scored_slices_are_shown(tmp_path: Path, index: DatasetIndex) -> None:
    rows = np.array([row for row in range(index.slice_count) if row % SLICES != 2], np.int64)
    scored = read_scored(write_scored(tmp_path / "some", index, rows))
    assert [view.number for view in read_cases(scored)[0].slices] == [1, 2, 4, 5]


@pytest.mark.parametrize("kept", ["files", "volumes"])
def test_each_slice_has_its_own_mask(tmp_path: Path, index: DatasetIndex, kept: str) -> None:
    """A part of the slices is scored, with masks that each have pixels of their own, one of them none at all."""
    folder, rows = tmp_path / kept, np.arange(index.slice_count)[np.arange(index.slice_count) % SLICES != 1]
    masks = {each.name: read_patient(index.root, each)[1].copy() for each in index.patients}
    for mask in masks.values():
        mask[2] = False
        for place in (0, 1, 3, 4):
            mask[place, place, place : 2 * place + 1] = True
    for patient in index.patients:
        if kept == "volumes":
            write_mask_volume(folder / f"{patient.name}.nii.gz", masks[patient.name])
        else:
            write_masks(folder, patient, np.arange(SLICES), masks[patient.name])
    scored = read_scored(write_scored(tmp_path / "some", index, rows, masks=False))
    evaluation = evaluate(GivenMasks(MaskFolder(folder)), index, rows)
    cases = read_cases(replace(scored, evaluation=evaluation, facts=scored.facts | {"masks": str(folder)}))
    assert len(cases) == 3
    for case in cases:
        places = [view.number - 1 for view in case.slices]
        assert places == [0, 2, 3, 4]
        truth = read_patient(index.root, index.patient(case.patient))[1][places]
        expected = masks[case.patient][places]
        box = crop_box(read_patient(index.root, index.patient(case.patient))[0][places], [truth, expected])
        assert [view.prediction for view in case.slices] == [svg_path(plane[box]) for plane in expected]
        assert [view.truth for view in case.slices] == [svg_path(plane[box]) for plane in truth]
        assert case.slices[1].prediction == ""


def test_pictures_keep_to_their_budget() -> None:
    planes = np.stack([make_slice(seed, 64)[..., 0] for seed in range(4)])
    fine = sum(map(len, encode(planes, 10**6)))
    assert fine > 8000
    assert sum(map(len, encode(planes, 8000))) <= 8000


def test_outline_runs_around_the_pixels_in_the_pictures_own_grid() -> None:
    mask = np.zeros((4, 5), np.bool_)
    mask[1:3, 2:4] = True
    path = svg_path(mask)
    numbers = np.array(re.findall(r"[\d.]+", path), float).reshape(-1, 2)
    assert numbers.min(axis=0).tolist() == [2, 1]  # x is the column
    assert numbers.max(axis=0).tolist() == [4, 3]
    assert (path[0], path[-1], svg_path(~mask & mask)) == ("M", "Z", "")


def test_a_prediction_outside_of_the_head_is_not_cut_off() -> None:
    images = np.zeros((1, 40, 40, 3), np.uint8)
    images[0, 15:25, 15:25] = 200
    nothing = np.zeros((1, 40, 40), np.bool_)
    astray = nothing.copy()
    astray[0, 2, 38] = True
    rows, columns = crop_box(images, [nothing, nothing])
    assert (rows.start, rows.stop, columns.start, columns.stop) == (11, 29, 11, 29)
    rows, columns = crop_box(images, [nothing, astray])
    assert (rows.start, columns.stop) == (2, 39)


def test_profile_has_a_point_for_each_slice() -> None:
    assert profile_path(np.array([0.0, 1.0, 0.25])) == "M0 1L1 0L2 0.75"
