"""What all tests share: a cache folder of their own, and the real slices where they are at hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from PIL import ImageDraw

from gliomask.inference.engine import OnnxEngine
from places import PACKED, UNPACKED

if TYPE_CHECKING:
    from drawn import Word

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # tests say what the processor does, wherever they run
os.environ["COLUMNS"] = "80"

# a slow moment of the machine is no failure of a property; what must be fast is timed by tests of its own
settings.register_profile("gliomask", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gliomask")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("slices") and not UNPACKED.is_dir() and not PACKED.is_dir():
        pytest.skip("real LGG slices not found beside the project")


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> list[Word]:
    """Return a list that every text which Pillow draws is added to."""
    from drawn import Word

    found: list[Word] = []
    draw = ImageDraw.ImageDraw.text

    def text(self: Any, xy: Any, text: str, fill: Any = None, font: Any = None, **options: Any) -> None:
        box = self.textbbox(xy, text, font, anchor=options.get("anchor"), stroke_width=options.get("stroke_width", 0))
        found.append(Word(text, box, self.im.size))
        draw(self, xy, text, fill, font, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    return found


@pytest.fixture(scope="session", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep fixtures of whole modules away from the cache folder of the person who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLIOMASK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests away from the cache folder of the person who runs them."""
    monkeypatch.setenv("GLIOMASK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def slow_engine(monkeypatch: pytest.MonkeyPatch) -> float:
    """Let each call of a network take so many seconds more, and return them."""
    logits, seconds = OnnxEngine.logits, 0.3

    def slow(engine: OnnxEngine, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        time.sleep(seconds)
        return logits(engine, slices)

    monkeypatch.setattr(OnnxEngine, "logits", slow)
    return seconds


@pytest.fixture(scope="session")
def lgg_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with six real patients and data.csv; tests that use it are marked `slices`."""
    folder = tmp_path_factory.mktemp("lgg") / "kaggle_3m"
    if PACKED.is_dir():
        command = [sys.executable, str(PACKED / "unpack.py"), str(folder), "--patients", "6"]
        subprocess.run(command, check=True, capture_output=True)
        return folder
    folder.mkdir()
    for patient in sorted(UNPACKED.glob("TCGA_*"))[:6]:
        (folder / patient.name).symlink_to(patient, target_is_directory=True)
    shutil.copyfile(UNPACKED / "data.csv", folder / "data.csv")
    return folder
