"""Comparisons in pairs: known differences, who may be compared, and what is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import wilcoxon

from gliomask.cli.app import main
from gliomask.errors import DataError, UsageError
from gliomask.evaluation.compare import compare, paired
from gliomask.evaluation.results import Evaluation, write_evaluation
from gliomask.reporting.comparison import caveats, read_models, tables
from shifted import evaluation, kept


def test_masks_of_another_program_have_no_network(tmp_path: Path) -> None:
    run = kept(tmp_path / "run", 1)
    write_evaluation(evaluation(2), run / "other", {"model_sha256": []})
    ours, other = read_models([run, run / "other"])
    assert ours.config is not None
    assert other.config is None


def test_two_scans_of_a_person_count_once() -> None:
    rng = np.random.default_rng(8)
    first, second = rng.random(8), rng.random(8)
    names = [f"TCGA_CS_{1000 + number}_20000101" for number in range(8)]
    again = [name.replace("2000", "2001") for name in names]
    alone, twice = paired(first, second, names), paired(np.tile(first, 2), np.tile(second, 2), names + again)
    assert alone is not None
    assert twice is not None
    assert alone == paired(first, second)
    assert twice.patients == 16
    assert twice.p == pytest.approx(alone.p)
    assert (twice.difference.low, twice.difference.high) == pytest.approx((alone.difference.low, alone.difference.high))


def test_known_difference() -> None:
    first = np.array([0.5, 0.6, 0.7, 0.8, 0.4, 0.9])
    second = first + np.array([0.1, 0.05, 0.2, -0.02, 0.15, 0.04])
    found = paired(first, second)
    assert found is not None
    assert found.difference.mean == pytest.approx(0.52 / 6)
    assert found.difference.low < found.difference.mean < found.difference.high
    assert found.p == wilcoxon(second - first).pvalue


def test_swapping_the_models_changes_the_sign_and_nothing_else() -> None:
    first, second = np.random.default_rng(0).random((2, 20))
    there, back = paired(first, second), paired(second, first)
    assert there is not None
    assert back is not None
    assert (there.difference.mean, there.p) == pytest.approx((-back.difference.mean, back.p))
    assert there.difference.low == pytest.approx(-back.difference.high)


def test_a_model_does_not_differ_from_itself() -> None:
    found = paired([0.3, 0.9], [0.3, 0.9])
    assert found is not None
    assert (found.difference.mean, found.difference.low, found.difference.high, found.p) == (0, 0, 0, 1)


def test_pairs_without_a_value_are_left_out() -> None:
    found = paired([0.5, np.nan, 0.7], [0.6, 0.8, np.nan])
    assert found is not None
    assert found.patients == 1
    assert paired([np.nan], [0.5]) is None


def test_scores_of_other_length_are_refused() -> None:
    with pytest.raises(ValueError, match="same"):
        paired([0.5], [0.5, 0.6])


def test_better_model_is_better_in_every_score() -> None:
    found = compare(evaluation(2), evaluation(1))
    assert all(found[f"{name}_patient"].difference.mean > 0 for name in ("dice", "iou", "precision", "recall", "nsd_1"))
    assert found["hd95_patient"].difference.mean < 0


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (evaluation(1, patients=5), "they share 5 patients, 0 are only in the former, 1 in the latter"),
        (evaluation(1, name="Q"), "they share 0 patients"),
        (evaluation(1, slices=1), "6 slices were scored in only one"),
        (evaluation(1, side=6), "the truth differs in"),
    ],
)
def test_other_patients_slices_or_truth_are_refused(other: Evaluation, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        compare(evaluation(2), other)


def test_tables_hold_the_numbers(tmp_path: Path) -> None:
    models = read_models([kept(tmp_path / "far", 2), kept(tmp_path / "near", 1)])
    dice, other, difference = tables(models)
    score = models[0].evaluation.summary()["dice_patient"]
    assert dice.rows[0][:4] == ("far", "unet", "cosine", "patient")
    assert dice.rows[0][4] == f"{score['mean']:.3f} ({score['low']:.3f} to {score['high']:.3f})"
    assert other.rows[0][other.columns.index("distances in")] == "pixels"
    assert difference.title.startswith("near minus far")
    assert [row[0] for row in difference.rows][:2] == ["dice_patient", "iou_patient"]


def test_command_writes_tables_numbers_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(kept(tmp_path / name, shift)) for name, shift in (("far", 2), ("near", 1), ("there", 0))]
    assert main(["compare", *runs, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "near minus far" in printed
    assert "there minus far" in printed
    values = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert values["scores"]["there"]["dice_patient"]["mean"] == 1
    assert values["differences"]["near"]["dice_patient"]["mean"] > 0
    assert (tmp_path / "out" / "comparison.png").stat().st_size > 5000
    assert (tmp_path / "out" / "comparison.md").read_text().count("\n| --- ") == 4


@pytest.mark.parametrize("names", [["far"], ["far", "far"]])
def test_a_comparison_takes_two(tmp_path: Path, names: list[str]) -> None:
    kept(tmp_path / "far", 2)
    with pytest.raises(UsageError, match="two or more"):
        read_models([tmp_path / name for name in names])


def test_run_that_was_not_evaluated_is_named_with_the_cure(tmp_path: Path) -> None:
    kept(tmp_path / "far", 2)
    (tmp_path / "new").mkdir()
    with pytest.raises(DataError, match="gliomask evaluate DATA --model"):
        read_models([tmp_path / "far", tmp_path / "new"])


def test_what_must_be_known_stands_below_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [kept(tmp_path / "far", 2), kept(tmp_path / "near", 1)]
    write_evaluation(evaluation(1), runs[1] / "test", {"caveats": ["the model has seen 6 of these patients"]})
    assert main(["compare", *map(str, runs), "--out", str(tmp_path / "out")]) == 0
    said = "near: the model has seen 6 of these patients"
    assert f"NOTE: {said}" in capsys.readouterr().out
    assert f"* {said}" in (tmp_path / "out" / "comparison.md").read_text()
    assert json.loads((tmp_path / "out" / "comparison.json").read_text())["caveats"] == [said]


def test_distances_are_compared_only_where_the_spacing_is_the_same() -> None:
    near, far = evaluation(1), evaluation(2)
    other = replace(far, patients=far.patients.assign(spacing="5 x 1 x 1"))
    assert "hd95_patient" in compare(near, far)
    assert "hd95_patient" not in compare(near, other)
    assert "dice_patient" in compare(near, other)


def test_one_evaluation_by_two_names_is_still_one(tmp_path: Path) -> None:
    run = kept(tmp_path / "far", 2)
    with pytest.raises(UsageError, match="all different"):
        read_models([run, run / "test"])


def test_different_rules_for_components_are_said(tmp_path: Path) -> None:
    runs = [kept(tmp_path / name, shift) for name, shift in (("a", 0), ("b", 1), ("c", 2))]
    assert caveats(read_models(runs)) == []
    for run, shift, fraction in ((runs[0], 0, 0.0), (runs[2], 2, 0.1)):
        write_evaluation(evaluation(shift), run / "test", {"smallest_component": fraction})
    assert caveats(read_models(runs[:2])) == []
    (said,) = caveats(read_models(runs))
    assert said.endswith("and the fraction differs: a 0, b unknown or 0, c 0.1")


def test_another_precision_is_said(tmp_path: Path) -> None:
    runs = [kept(tmp_path / name, shift) for name, shift in (("a", 0), ("b", 1))]
    write_evaluation(evaluation(1), runs[1] / "test", {"precision": "float32"})
    assert caveats(read_models(runs)) == []  # an earlier version computed in float32 and did not say so
    write_evaluation(evaluation(1), runs[1] / "test", {"precision": "int8"})
    assert caveats(read_models(runs)) == ["the networks were computed otherwise: a in float32, b in int8"]


def test_masks_of_another_program_have_no_precision(tmp_path: Path) -> None:
    runs = [kept(tmp_path / name, shift) for name, shift in (("a", 0), ("b", 1))]
    write_evaluation(evaluation(0), runs[0] / "test", {"precision": "int8", "model_sha256": ["0"]})
    write_evaluation(evaluation(1), runs[1] / "test", {"model_sha256": []})
    assert caveats(read_models(runs)) == []


def test_what_models_were_shown_is_said_where_it_differs(tmp_path: Path) -> None:
    runs = [kept(tmp_path / name, shift) for name, shift in (("a", 0), ("b", 1))]
    whole = {"flair_alone": False, "one_by_one": False, "flips": False}
    write_evaluation(evaluation(0), runs[0] / "test", {"view": whole})
    write_evaluation(evaluation(1), runs[1] / "test", {"view": whole})
    assert caveats(read_models(runs)) == []
    write_evaluation(evaluation(1), runs[1] / "test", {"view": whole | {"flair_alone": True, "flips": True}})
    (said,) = caveats(read_models(runs))
    assert said.endswith("a all sequences, whole volumes; b FLAIR alone, every slice mirrored as well")
