"""The documentation is true: its commands parse, its quick tour runs, its tables name what exists."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import nibabel
import numpy as np
import pytest

import gliomask
from builders import short_phantoms, write_known_model
from gliomask.cli import app
from gliomask.data.cache import read_patient
from gliomask.data.index import build_index
from gliomask.inference.inputs import Inputs, find_inputs
from tiny_runs import use_tiny_net

ROOT = Path(__file__).resolve().parent.parent
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
    _, command, *arguments = shlex.split(line.partition("  #")[0])
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
    """With a tiny network of the same name and short patients; the example's loop over them makes one round."""

    def first(paths: Sequence[Path]) -> Inputs:
        found = find_inputs(paths)
        return replace(found, studies=found.studies[:1])

    monkeypatch.setattr(gliomask, "find_inputs", first)
    use_tiny_net(monkeypatch, "resnet18")
    monkeypatch.chdir(tmp_path)
    (tour,) = blocks("console")
    with short_phantoms():
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
    assert [folder.name for folder in (tmp_path / "masks").iterdir()] == [names["study"].name]


def test_volumes_with_outlines_become_a_data_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "own-data.md").read_text()
    (lines,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    outline = np.zeros((40, 48, 6), np.uint8)
    outline[10:20, 12:30, 2:4] = 1
    head = np.random.default_rng(0).integers(50, 100, outline.shape) + 100 * outline
    affine = np.diag([-4.0, -4.0, 5.0, 1.0])  # to the left and to the front, as scanners and dcm2niix write it
    for name, array in (("flair", head.astype(np.int16)), ("tumour", outline)):
        nibabel.save(nibabel.Nifti1Image(array, affine), tmp_path / f"{name}.nii.gz")  # type: ignore[no-untyped-call]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.py").write_text(lines)
    runpy.run_path(str(tmp_path / "example.py"))
    index = build_index(Path("mydata"))
    assert (index.problems, [patient.name for patient in index.patients], index.slice_count) == ((), ["P001"], 6)
    images, masks = read_patient(index.root, index.patients[0])
    assert masks.any(axis=(1, 2)).tolist() == [False, False, True, True, False, False]
    assert masks.sum() == outline.sum()
    assert images[masks].min() > images[~masks].max()  # the outline lies on what it was drawn around


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
