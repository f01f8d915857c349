"""The documentation is true: its commands parse, its quick tour runs, its tables name what exists."""

from __future__ import annotations

import os
import re
import runpy
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from builders import write_known_model
from gliomask.cli import app
from places import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
README = PAGES[0].read_text()


class ParsedError(Exception):
    """Raised in place of running a command whose options were accepted."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def documented_commands() -> list[str]:
    indented = (line for page in PAGES for line in page.read_text().splitlines() if line.startswith("    "))
    lines = {line.strip() for line in (*indented, *"\n".join(blocks("console")).splitlines())}
    return sorted(line for line in lines if line.startswith("gliomask "))


@pytest.mark.parametrize("line", documented_commands())
def test_documented_command_is_accepted(
    line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in re.findall(r"\$(SLURM_\w+)", line):
        monkeypatch.setenv(name, "3")
    _, command, *arguments = shlex.split(os.path.expandvars(line.partition("  #")[0]))
    module = import_module(f"gliomask.cli.{command}")
    monkeypatch.chdir(tmp_path)  # no run of the reader's own is looked at
    for source in re.findall(r"--from (runs/\S+)", line):  # of which the network is read
        write_known_model(Path(source))

    def parsed(*_: object) -> None:
        raise ParsedError

    monkeypatch.setattr(module, "Printer", parsed)
    with pytest.raises(ParsedError):
        module.main(arguments)
    assert capsys.readouterr().err == ""


def test_quick_tour_runs_as_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tour,) = blocks("console")
    for line in tour.splitlines():
        assert app.main([*shlex.split(line)[1:], "--quiet"]) == 0, line
    assert (tmp_path / "explore" / "distribution.png").is_file()
    assert (tmp_path / "runs" / "first" / "test" / "summary.json").is_file()
    assert len(list((tmp_path / "predictions").rglob("*.gif"))) == 6
    (example,) = blocks("python")
    (tmp_path / "example.py").write_text(example)
    names = runpy.run_path(str(tmp_path / "example.py"))
    assert names["prediction"].mask.shape == names["truth"].shape
    assert names["scores"]["dice_patient"]["patients"] == 1  # of the test part


def test_nothing_is_left_to_be_filled_in() -> None:
    assert not [page.name for page in PAGES if re.search(r"PLACEHOLDER|TODO|XXX", page.read_text())]


def test_commands_table_lists_every_command() -> None:
    table = README.partition("## Commands")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `gliomask ([a-z]+)", table, flags=re.MULTILINE)) == set(app.COMMANDS)


def test_links_and_pictures_exist() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_modules_named_in_the_architecture_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    modules = re.findall(r"`([\w/]+\.py)`", text)
    assert len(modules) > 10
    for module in modules:
        assert (ROOT / "src" / "gliomask" / module).is_file() or (ROOT / module).is_file(), module
