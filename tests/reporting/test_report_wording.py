"""Scores are put into words with their signs and units, and so are those that are not known."""

from __future__ import annotations

from gliomask.evaluation import summary
from gliomask.reporting.report.wording import OF_WHOLE_VOLUMES, number, score_rows


def test_scores_that_are_unknown_are_dashes() -> None:
    rows = score_rows({"hd95_patient": None, "dice_pooled": {"mean": 1.0, "low": None, "high": None}}, "mm")
    assert [(row.value, row.interval) for row in rows] == [("\u2013", "\u2013"), ("1.000", "\u2013")]
    assert number(float("nan")) == "\u2013"


def test_unknown_scores_are_shown_by_their_key() -> None:
    row = score_rows({"beauty_patient": {"mean": 0.5, "low": 0.25, "high": 0.75}}, "mm")[0]
    assert (row.name, row.value, row.interval) == ("beauty patient", "0.500", "0.250 to 0.750")


def test_signs_and_units_go_with_their_numbers() -> None:
    scores = {
        "volume_error_patient": {"mean": -0.1, "low": -0.2, "high": 0.3, "median": -0.15, "patients": 4},
        "hd95_patient": {"mean": 7.25, "low": 1.0, "high": 12.0, "median": 5.0, "patients": 4},
    }
    rows = score_rows(scores, "mm")
    assert [(row.value, row.interval) for row in rows] == [
        ("\u221210.0 %", "\u221220.0 % to +30.0 %"),
        ("7.2 mm", "1.0 to 12.0 mm"),
    ]


def test_distances_that_some_patients_lack_are_not_given() -> None:
    assert {*(f"{name}_patient" for name in summary.OF_WHOLE_VOLUMES), "lesions"} == OF_WHOLE_VOLUMES
    for name in OF_WHOLE_VOLUMES:
        assert score_rows({name: None}, "mm")[0].meaning.startswith("Not given: it needs every slice")
    assert score_rows({"dice_slice_tumour": None}, "mm")[0].meaning == "There was nothing to average."
