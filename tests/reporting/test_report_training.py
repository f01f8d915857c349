"""The page of a run says how it was trained: which epoch was kept, from what it went on, in which folds."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest

from gliomask.cli.report import main
from gliomask.config import SplitConfig
from gliomask.data.index import DatasetIndex
from gliomask.errors import DataError, UsageError
from gliomask.evaluation.results import find_evaluation
from gliomask.reporting.report import page as page_module
from gliomask.reporting.report.curves import kept_epoch
from gliomask.reporting.report.drawings import training_drawings
from gliomask.reporting.report.provenance import training_rows, training_table
from gliomask.reporting.report.sources import read_scored, read_trainings
from report_runs import six_patients, write_run, write_scored


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> DatasetIndex:
    return six_patients(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, index: DatasetIndex) -> Path:
    folder = write_run(tmp_path_factory.mktemp("runs") / "tiny", index, SplitConfig())
    write_scored(folder / "test", index)
    return folder


@pytest.mark.parametrize(
    ("keep", "epoch", "told"),
    [("best", 2, "the epoch with the highest validation Dice"), ("last", 3, "the last epoch")],
)
def test_the_epoch_that_was_kept_is_marked_and_said(run: Path, keep: str, epoch: int, told: str) -> None:
    first = read_trainings(run)[0]
    config = first.config | {"optimisation": first.config["optimisation"] | {"keep": keep}}
    metrics = [{"epoch": float(number), "val_dice": dice} for number, dice in enumerate((0.2, 0.6, 0.4))]
    training = replace(first, config=config, metrics=metrics)
    assert kept_epoch(training) == (epoch, metrics[epoch - 1]["val_dice"])
    (drawing,) = training_drawings([training])
    assert f"The weights of {told}" in drawing.caption


def test_a_training_that_goes_on_says_from_what(run: Path) -> None:
    first = read_trainings(run)[0]
    scored = read_scored(run / "test")
    assert ("Encoder weights", "none") in training_rows([first], scored)
    config = first.config | {
        "model": first.config["model"] | {"weights": "runs/before"},
        "optimisation": first.config["optimisation"] | {"start_share": 0.5, "keep": "last"},
    }
    going_on = replace(
        first, config=config, metrics=[{"epoch": 0.0, "train_loss": 1.0}, {"epoch": 1.0, "train_loss": 0.9}]
    )
    assert ("Goes on from", "runs/before; what is kept holds 0.5 of it") in training_rows([going_on], scored)
    assert [row.kept for row in training_table([going_on])] == ["2"]  # without validation the last one
    going_on = replace(going_on, metrics=[{"epoch": 0.0, "val_dice": 0.5}])
    (drawing,) = training_drawings([going_on])
    assert "The weights of the last epoch, in a mean with those it began with, are kept" in drawing.caption


def test_folds_are_told_apart(tmp_path: Path, index: DatasetIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "patient_drawings", lambda _: [])
    monkeypatch.setattr(page_module, "calibration_drawings", lambda _: [])
    for fold in (1, 0):
        write_run(
            tmp_path / "cv" / f"fold{fold}", index, SplitConfig(split="fold", folds=2, fold=fold), epochs=2 + fold
        )
    write_scored(tmp_path / "cv" / "out-of-fold", index, subset="out-of-fold", split="fold")
    assert main([str(tmp_path / "cv"), "--quiet"]) == 0
    text = (tmp_path / "cv" / "report.html").read_text(encoding="utf-8")
    assert re.findall(r'<th scope="row">(fold\d)</th>', text) == ["fold0", "fold1"]
    assert "fold0: 2 of 20; fold1: 3 of 20" in text
    assert "2 folds" in text


def test_a_run_that_is_not_evaluated_says_how(tmp_path: Path, index: DatasetIndex) -> None:
    run = write_run(tmp_path / "run", index, SplitConfig())
    with pytest.raises(DataError, match="gliomask evaluate DATA --model"):
        find_evaluation(run)
    with pytest.raises(DataError, match="no fold0"):
        read_trainings(tmp_path)
    with pytest.raises(UsageError, match="neither a run nor --evaluation"):
        main([])


def test_a_damaged_table_of_epochs_is_named(tmp_path: Path, index: DatasetIndex) -> None:
    run = write_run(tmp_path / "run", index, SplitConfig())
    with (run / "metrics.csv").open("a", newline="") as file:
        csv.writer(file).writerow(["3", "half a row"])
    with pytest.raises(DataError, match="not a table of numbers"):
        read_trainings(run)
