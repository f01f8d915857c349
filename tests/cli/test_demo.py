"""The demo does the whole road and says where to look. `make demo` runs it at its real size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from builders import short_phantoms
from gliomask.cli import app, demo
from tiny_runs import use_tiny_net


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the demo small: five short phantoms of 32 pixels, one short epoch, a tiny network."""
    use_tiny_net(monkeypatch)
    optimisation = replace(demo.DEMO.optimisation, epoch_slices=16)
    monkeypatch.setattr(demo, "DEMO", replace(demo.DEMO, image_size=32, optimisation=optimisation))
    monkeypatch.setattr(demo, "PHANTOMS", 5)
    monkeypatch.setattr(demo, "PHANTOM_SIZE", 32)
    with short_phantoms():
        yield


@pytest.mark.usefixtures("small")
def test_demo_makes_everything_and_can_be_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    command = ["demo", "--out", str(out), "--epochs", "1"]
    assert app.main(command) == 0
    said = capsys.readouterr().out
    for name in ("explore/distribution.png", "run/model.onnx", "run/test/patients.csv", "report.html"):
        assert (out / name).is_file(), name
    pictures = [line.strip() for line in said.partition("look at:")[2].splitlines() if line.strip()]
    assert all(Path(picture).exists() for picture in pictures)
    assert any(picture.endswith(".gif") for picture in pictures)
    assert app.main(command) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert app.main([*command, "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dice_patient"]["patients"] >= 1


@pytest.mark.usefixtures("small")
def test_demo_takes_a_folder(tmp_path: Path) -> None:
    data = tmp_path / "mine"
    assert app.main(["phantom", str(data), "--patients", "5", "--size", "32", "--seed", "7", "--quiet"]) == 0
    assert app.main(["demo", str(data), "--out", str(tmp_path / "demo"), "--epochs", "1", "--quiet"]) == 0
    names = {folder.name for folder in data.iterdir() if folder.is_dir()}
    predicted = {folder.name for folder in (tmp_path / "demo" / "predictions").iterdir()}
    assert predicted
    assert predicted <= names
    assert not (tmp_path / "demo" / "phantoms").exists()
