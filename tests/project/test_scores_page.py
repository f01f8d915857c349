"""The worked example of docs/scores.md: its masks and numbers are read from the page and compared with the code."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gliomask.data.records import PatientRecord, SliceRecord
from gliomask.evaluation import scores
from gliomask.evaluation.counts import SliceCounts, count_slices, join
from gliomask.evaluation.lesions import count_lesions
from gliomask.evaluation.results import Evaluation, PatientResult, collect
from gliomask.evaluation.surfaces import hd95, surface_dice, surface_scores
from places import ROOT

PAGE = (ROOT / "docs" / "scores.md").read_text()
SLICES = SliceRecord(1, "", "", 6, 6, 0), SliceRecord(2, "", "", 6, 6, 0)


def masks() -> dict[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Return prediction and truth of each patient, (2, 6, 6) bool, as drawn on the page."""
    block = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    names, *lines = block.group(1).splitlines()
    grid = np.array([line.split() for line in lines]).reshape(6, 4, 6).transpose(1, 0, 2)
    assert names.split() == ["A", "1", "A", "2", "B", "1", "B", "2"]
    return {name: (np.isin(part, ["P", "B"]), np.isin(part, ["T", "B"])) for name, part in
            (("A", grid[:2]), ("B", grid[2:]))}  # fmt: skip


def table(first: str) -> list[list[str]]:
    """Return the cells of the table whose first heading this is."""
    rows = PAGE.partition(f"| {first} |")[2].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return cells[: next((place for place, row in enumerate(cells) if row == [""]), len(cells))]


def value(text: str) -> float:
    """Work out a sum such as ``(4 / 9 + 1) / 2``, and what stands after an equals sign or a colon."""
    plain = re.split(r"[=:]", text)[-1]
    assert re.fullmatch(r"[\d\s./+()-]+", plain), text
    return float(eval(plain))  # noqa: S307 - digits and signs only


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    counts, results = [], []
    for name, (prediction, truth) in masks().items():
        counts.append(count_slices(prediction, truth, name))
        record = PatientRecord(name, "XX", SLICES, (), {})
        found = surface_scores(prediction, truth), count_lesions(prediction, truth)
        results.append(PatientResult(record, (1, 2), *found, probabilities=None))
    return collect(join(counts), results)


def test_counts_and_dice_of_each_slice(evaluation: Evaluation) -> None:
    counts = evaluation.counts
    found = zip(counts.tp, counts.fp, counts.fn, scores.dice(counts), strict=True)
    rows = [[float(number) for number in row] for row in found]
    assert rows == [[*map(float, row[1:4]), value(row[4])] for row in table("slice")]


def test_scores_of_each_patient(evaluation: Evaluation) -> None:
    columns = ["tp", "fp", "fn", "dice", "iou", "precision", "recall", "volume_error"]
    written = [[value(cell) for cell in row[1:]] for row in table("patient")]
    assert evaluation.patients[columns].to_numpy().tolist() == [pytest.approx(row) for row in written]


def test_means(evaluation: Evaluation) -> None:
    summary: dict[str, Any] = evaluation.summary()
    found = {name: part["mean"] for name, part in summary.items() if isinstance(part, dict) and "mean" in part}
    found["predicting_nothing"] = summary["dice_slice_all"]["predicting_nothing"]
    found["dice_original"] = scores.dice_original(evaluation.counts, batch=2)
    written = {row[0].strip("`"): value(row[2]) for row in table("score")}
    assert len(written) == 12
    assert {name: found[name] for name in written} == pytest.approx(written)
    shown = re.search(r"are a ([\d.]+), a ([\d.]+), a ([\d.]+), a ([\d.]+) and a ([\d.]+)\.", PAGE)
    assert shown is not None
    names = ("dice_patient", "dice_slice_tumour", "dice_slice_all", "dice_pooled", "dice_original")
    assert [float(text) for text in shown.groups()] == [pytest.approx(found[name], abs=0.0051) for name in names]


def test_lesions(evaluation: Evaluation) -> None:
    assert evaluation.summary()["lesions"] == {"truth": 2, "found": 2, "missed": 0, "invented": 1}
    assert evaluation.summary()["dice_patient"]["missed"] == 0


def test_two_voxels_three_pixels_apart() -> None:
    one, other = np.zeros((2, 3, 5, 9), np.bool_)
    one[1, 2, 2] = other[1, 2, 5] = True
    assert hd95(one, other) == 3
    assert [surface_dice(one, other, tolerance=size) for size in (1, 2, 3)] == [0, 0.5, 1]


@pytest.mark.parametrize("row", table("reported"))
def test_published_scores_of_the_original(row: list[str]) -> None:
    assert scores.original_mean([float(row[1])] * 13) == pytest.approx(float(row[0]), abs=0.005)
    assert float(row[0]) * 12 / 13 == pytest.approx(float(row[1]), abs=0.0005)


def test_masks_are_small_enough_to_count_by_hand() -> None:
    counts: SliceCounts = join([count_slices(*pair, name) for name, pair in masks().items()])
    assert int((counts.tp + counts.fp + counts.fn).sum()) == 13
