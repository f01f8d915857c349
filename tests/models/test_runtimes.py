"""Prediction reports to nobody: nothing is kept about the machine, no host asked for, no process started for it."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from builders import SIDE, flair_of, write_known_model
from gliomask.models.runtimes import import_openvino

TELEMETRY = "openvino_telemetry"
LISTEN = """
import sys
heard, stopping = [], False
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "os.fork", "os.posix_spawn", "subprocess.Popen"):
        heard.append(event)
        if stopping:
            raise OSError("stopped")
sys.addaudithook(hook)
"""
REPORT = """
import concurrent.futures.thread as pool
pool._python_exit()  # what threads still do, is done
print("heard", heard)
"""


def listened(code: str, home: Path) -> str:
    """Run a program in a home of its own, outside of what looks like CI, and return the line that says what it did."""
    quiet = {"CI", "TF_BUILD", "JENKINS_URL", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_DATA_HOME"}
    environment = {name: value for name, value in os.environ.items() if name not in quiet}
    done = subprocess.run(
        [sys.executable, "-c", LISTEN + code + REPORT],
        env={**environment, "HOME": str(home), "LOCALAPPDATA": str(home), "GLIOMASK_CACHE": str(home.parent / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_prediction_reports_to_nobody(tmp_path: Path, home: Path, engine: str) -> None:
    """Native code is not heard; but what it would report with, an identifier of the machine, it keeps in the home."""
    model, image = write_known_model(tmp_path), tmp_path / "slice.png"
    mask = np.zeros((1, SIDE, SIDE), np.bool_)
    mask[0, 10:20, 10:20] = True
    Image.fromarray(flair_of(mask)[0]).save(image)
    command = [
        *("predict", str(image), "--model", str(model), "--engine", engine),
        *("--out", str(tmp_path / "out"), "--no-pictures", "--quiet"),
    ]
    told = listened(f"from gliomask.cli.app import main\nassert main({command!r}) == 0\n", home)
    assert told == "heard []"
    assert list(home.iterdir()) == []
    assert (tmp_path / "out").is_dir()


def test_export_reports_to_nobody(tmp_path: Path, home: Path) -> None:
    model = write_known_model(tmp_path)
    code = f"""
from pathlib import Path
import numpy as np
from gliomask.models.int8 import quantise
import gliomask.training.export
assert quantise(Path({str(model)!r}).read_bytes(), np.ones((2, 3, {SIDE}, {SIDE}), np.float32))
assert "onnxruntime" in sys.modules
"""
    assert listened(code, home) == "heard []"
    assert list(home.iterdir()) == []


def test_the_listener_hears(home: Path) -> None:
    told = listened("import subprocess\nsubprocess.run([sys.executable, '-c', ''])\n", home)
    assert "subprocess.Popen" in told


def test_openvino_alone_would_report(home: Path) -> None:
    """The reason for all this; a version that no longer does it makes `import_openvino` needless."""
    if find_spec(TELEMETRY) is None:
        pytest.skip(f"{TELEMETRY} is not installed")
    assert listened("stopping = True\nimport openvino\n", home) != "heard []"


@pytest.mark.parametrize("before", [None, ModuleType(TELEMETRY)])
def test_telemetry_is_as_it_was_afterwards(monkeypatch: pytest.MonkeyPatch, before: ModuleType | None) -> None:
    monkeypatch.setitem(sys.modules, TELEMETRY, before or ModuleType(TELEMETRY))
    if before is None:
        monkeypatch.delitem(sys.modules, TELEMETRY)
    assert import_openvino().Core
    assert sys.modules.get(TELEMETRY) is before
    assert (TELEMETRY in sys.modules) == (before is not None)


def test_two_threads_may_import_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that takes long to import and looks for its telemetry, as OpenVINO does."""
    (tmp_path / "openvino.py").write_text(
        "import time\ntime.sleep(0.2)\ntry:\n    import openvino_telemetry\n    QUIET = False\n"
        "except ImportError:\n    QUIET = True\n"
    )
    (tmp_path / "openvino_telemetry.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("openvino", TELEMETRY):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.delitem(sys.modules, name)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: import_openvino(), range(2)))
    assert [package.QUIET for package in found] == [True, True]
    assert TELEMETRY not in sys.modules
