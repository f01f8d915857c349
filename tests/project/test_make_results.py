"""docs/make_results.py: the page holds what the runs hold, and says how it was made."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from gliomask.config import ModelConfig, OptimisationConfig, SplitConfig, TrainConfig, save_config
from gliomask.training.run_folder import RunFolder
from results_page import SCRIPT, make_results
from shifted import kept


def test_page_holds_the_tables_the_command_and_the_leak(tmp_path: Path) -> None:
    runs = [str(kept(tmp_path / name, shift)) for name, shift in (("far", 2), ("near", 1))]
    leak = tmp_path / "leak"
    leak.mkdir()
    (leak / "leak.md").write_text("What leaked.\n")
    (leak / "leak.png").write_bytes(b"picture")
    make_results("--pair", *runs, "--leak", str(leak), "--out", str(tmp_path / "docs"))
    page = (tmp_path / "docs" / "results.md").read_text()
    assert f"docs/make_results.py --pair {runs[0]} {runs[1]} --leak {leak}" in page
    assert "near minus far" in page
    assert "What leaked." in page
    for picture in ("comparison.png", "leak.png"):
        assert f"results/{picture})" in page
        assert (tmp_path / "docs" / "results" / picture).is_file()


def test_page_without_a_leak_does_not_mention_it(tmp_path: Path) -> None:
    runs = [str(kept(tmp_path / name, shift)) for name, shift in (("far", 2), ("near", 1))]
    make_results("--pair", *runs, "--out", str(tmp_path / "docs"))
    assert "The leak" not in (tmp_path / "docs" / "results.md").read_text()


def test_page_links_those_of_earlier_days(tmp_path: Path) -> None:
    runs = [str(kept(tmp_path / name, shift)) for name, shift in (("far", 2), ("near", 1))]
    make_results("--pair", *runs, "--out", str(tmp_path / "docs"))
    assert "Earlier" not in (tmp_path / "docs" / "results.md").read_text()
    for day in (1, 2):
        old = f"# Results\n\n## Score {day}\n\n## Leak\n\n## Earlier pages\n"
        (tmp_path / "docs" / f"results-2026-01-0{day}.md").write_text(old)
    make_results("--pair", *runs, "--out", str(tmp_path / "docs"))
    page = (tmp_path / "docs" / "results.md").read_text()
    newer, older = (page.index(f"(results-2026-01-0{day}.md): Score {day}; Leak\n") for day in (2, 1))
    assert newer < older


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (TrainConfig(), "20 epochs, last kept, loss bce-dice, schedule one-cycle, auto, seed 0, split by patient; "),
        (
            TrainConfig(
                model=ModelConfig(weights="runs/before"),
                split=SplitConfig(split="fold", validation=False),
                optimisation=OptimisationConfig(epochs=4, loss="bce-slice-dice", start_share=0.5, lr_scheduler="none"),
            ),
            "last kept (with 0.5 of the weights before), loss bce-slice-dice, schedule none, auto, seed 0, ",
        ),
        (TrainConfig(optimisation=OptimisationConfig(keep="best")), "20 epochs, best kept, loss bce-dice, "),
    ],
)
def test_a_line_says_how_a_run_was_trained(config: TrainConfig, told: str, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    save_config(config, run.config_file)
    run.environment_file.write_text('{"git_commit": "0123456789abcdef"}')
    line = runpy.run_path(str(SCRIPT))["_origin_of"](tmp_path)
    assert told in line
    assert ("split by fold, without validation; " in line) is not config.split.validation
    assert line.endswith("commit 0123456789ab")


def test_each_pair_has_its_own_tables_and_figure(tmp_path: Path) -> None:
    far, near, middle = (str(kept(tmp_path / name, shift)) for name, shift in (("far", 2), ("near", 1), ("middle", 3)))
    make_results("--pair", far, near, "--pair", far, middle, "--out", str(tmp_path / "docs"))
    page = (tmp_path / "docs" / "results.md").read_text()
    assert "near minus far" in page
    assert "middle minus far" in page
    pictures = [tmp_path / "docs" / name / "comparison.png" for name in ("results", "results/2")]
    assert pictures[0].read_bytes() != pictures[1].read_bytes()
    assert all(f"({picture.relative_to(tmp_path / 'docs')})" in page for picture in pictures)
