"""Prediction reports to nobody: no host is looked up, nothing is connected to, no process started for it."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from builders import flair_of, write_known_model
from gliomask.models.runtimes import import_openvino

LISTEN = """
import sys
heard = []
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "os.fork", "os.posix_spawn", "subprocess.Popen"):
        heard.append(event)
sys.addaudithook(hook)
"""
REPORT = """
import concurrent.futures.thread as pool
pool._python_exit()  # what threads still do, is done
print("heard", heard)
"""


def listened(code: str, home: Path) -> str:
    """Run a program in a home of its own, outside of what looks like CI, and return the line that says what it did."""
    environment = {name: value for name, value in os.environ.items() if name not in {"CI", "TF_BUILD", "JENKINS_URL"}}
    done = subprocess.run(
        [sys.executable, "-c", LISTEN + code + REPORT],
        env={**environment, "HOME": str(home), "LOCALAPPDATA": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_prediction_reports_to_nobody(tmp_path: Path, engine: str) -> None:
    model, image, home = write_known_model(tmp_path), tmp_path / "slice.png", tmp_path / "home"
    home.mkdir()
    mask = np.zeros((1, 64, 64), np.bool_)
    mask[0, 10:20, 10:20] = True
    Image.fromarray(flair_of(mask)[0]).save(image)
    command = [
        *("predict", str(image), "--model", str(model), "--engine", engine),
        *("--out", str(tmp_path / "out"), "--no-pictures", "--quiet"),
    ]
    told = listened(f"from gliomask.cli.app import main\nassert main({command!r}) == 0\n", home)
    assert told == "heard []"
    assert not (home / "intel").exists()  # where OpenVINO keeps the identifier that it reports with
    assert (tmp_path / "out").is_dir()


def test_the_listener_hears(tmp_path: Path) -> None:
    told = listened("import os\nos.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)\n", tmp_path)
    assert told == "heard ['os.posix_spawn']"


def test_openvino_alone_would_report(tmp_path: Path) -> None:
    """The reason for all this; a version that no longer does it makes `import_openvino` needless."""
    if find_spec("openvino_telemetry") is None:
        pytest.skip("openvino_telemetry is not installed")
    stop = "def stop(event, arguments):\n    if event == 'os.fork':\n        raise OSError\nsys.addaudithook(stop)\n"
    assert "os.fork" in listened(stop + "import openvino\n", tmp_path)


@pytest.mark.parametrize("before", [{}, {"openvino_telemetry": ModuleType("openvino_telemetry")}])
def test_telemetry_is_as_it_was_afterwards(monkeypatch: pytest.MonkeyPatch, before: dict[str, ModuleType]) -> None:
    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)
    sys.modules.update(before)
    assert import_openvino().Core
    assert {name: module for name, module in sys.modules.items() if name == "openvino_telemetry"} == before
