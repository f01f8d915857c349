"""The summary: its means are those of the pure functions, and its groups, sizes and missed patients are right."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomask.data.records import PatientRecord, SliceRecord
from gliomask.evaluation import scores
from gliomask.evaluation.counts import SliceCounts
from gliomask.evaluation.results import Evaluation, PatientResult, collect

NUMBER = st.one_of(st.just(0), st.integers(0, 300))
ROW = st.tuples(st.integers(0, 4), NUMBER, NUMBER, NUMBER, NUMBER)


def evaluation(rows: list[tuple[int, int, int, int, int]]) -> Evaluation:
    """Return the evaluation of slices given as patient, tp, fp, fn, tn."""
    rows = sorted(rows, key=lambda row: row[0])
    patient, tp, fp, fn, tn = np.array(rows, np.int64).T
    counts = SliceCounts(tp, fp, fn, tn, np.array([f"P{number}" for number in patient], np.str_))
    results = []
    for number in sorted(set(patient.tolist())):
        slices = tuple(SliceRecord(place, "", "", 1, 1, 0) for place in range(1, int((patient == number).sum()) + 1))
        record = PatientRecord(f"P{number}", f"I{number % 2}", slices, (), {})
        results.append(PatientResult(record, tuple(s.number for s in slices), None, None, None))
    return collect(counts, results)


def sized(*tumours: int) -> list[str]:
    """Return how tumours of these sizes are called."""
    sizes: list[str] = evaluation([(n, size, 0, 0, 9) for n, size in enumerate(tumours)]).patients["size"].tolist()
    return sizes


@given(rows=st.lists(ROW, min_size=1, max_size=30))
def test_means_are_those_of_the_pure_functions(rows: list[tuple[int, int, int, int, int]]) -> None:
    found = evaluation(rows)
    summary, counts = found.summary(), found.counts
    each = counts.per_patient()
    assert summary["dice_patient"]["mean"] == pytest.approx(scores.dice(each).mean())
    assert summary["iou_patient"]["mean"] == pytest.approx(scores.iou(each).mean())
    assert summary["dice_slice_all"]["mean"] == pytest.approx(scores.dice_slice_all(counts))
    assert summary["dice_slice_all"]["predicting_nothing"] == scores.predicting_nothing(counts)
    assert summary["dice_pooled"]["mean"] == pytest.approx(scores.dice_pooled(counts))
    assert summary["dice_patient"]["missed"] == scores.missed(each).sum()


@given(rows=st.lists(ROW, min_size=1, max_size=30))
def test_means_over_chosen_slices_are_those_of_the_pure_functions(rows: list[tuple[int, int, int, int, int]]) -> None:
    found = evaluation(rows)
    for name in ("dice_slice_tumour", "false_positive_slices"):
        score, value = found.summary()[name], getattr(scores, name)(found.counts)
        assert (score is None) == bool(np.isnan(value))
        assert score is None or score["mean"] == pytest.approx(value)
    json.dumps(found.summary(), allow_nan=False)


def test_quartiles_are_over_patients() -> None:
    found = evaluation([(n, tp, 0, 10 - tp, 0) for n, tp in enumerate((0, 2, 5, 8, 10))]).summary()["dice_patient"]
    values = sorted(2 * n / (n + 10) for n in (0, 2, 5, 8, 10))
    names = ("lowest", "lower_quartile", "median", "upper_quartile")
    assert [found[name] for name in names] == pytest.approx(values[:4])


def test_patients_without_tumour_are_not_missed_but_counted_apart() -> None:
    found = evaluation([(0, 0, 1, 0, 9), (1, 0, 0, 9, 0), (2, 9, 0, 0, 0)]).summary()["dice_patient"]
    assert (found["missed"], found["without_tumour"], found["lowest"]) == (1, 1, 0)


def test_thirds_of_nine_tumours() -> None:
    assert sized(9, 1, 5, 2, 8, 3, 7, 4, 6) == [
        "large", "small", "medium", "small", "large", "small", "large", "medium", "medium",
    ]  # fmt: skip


def test_equal_tumours_are_in_one_class() -> None:
    assert len(set(sized(5, 5, 5, 5, 5, 5))) == 1
    assert sized(1, 1, 1, 2, 9, 9)[:3] == ["small"] * 3


def test_tumours_too_few_for_thirds_have_no_size_and_no_tumour_is_none() -> None:
    assert sized(0, 0, 50, 900) == ["none", "none", "", ""]
    assert sized(0, 10, 20, 30) == ["none", "small", "medium", "large"]
    assert set(evaluation([(0, 5, 0, 0, 1), (1, 9, 0, 0, 1)]).groups()["size"]) == set()


def test_small_groups_have_no_interval() -> None:
    for patients in (4, 5):
        groups = evaluation([(n, 5 + n, 1, 1, 9) for n in range(patients)]).groups()
        (found,) = groups["missing"].values()
        assert (found["low"] is None, found["high"] is None) == (patients < 5,) * 2


def test_groups_hold_every_patient_once() -> None:
    found = evaluation([(n, 5 + n, 1, 1, 9) for n in range(5)]).groups()
    assert {name: part["patients"] for name, part in found["institution"].items()} == {"I0": 3, "I1": 2}
    assert sum(part["patients"] for part in found["size"].values()) == 5
    assert list(found["missing"]) == ["none"]


def test_distances_of_some_patients_are_no_mean() -> None:
    assert evaluation([(0, 5, 0, 0, 1)]).summary()["hd95_patient"] is None
    assert evaluation([(0, 5, 0, 0, 1)]).summary()["lesions"] is None
