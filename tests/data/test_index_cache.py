"""The fingerprint of data, and the index that is kept for it: used while nothing has changed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from builders import FIRST, make_mask, make_slice, tiny_dataset, write_patient
from gliomask.data.index import build_index
from gliomask.data.index_cache import cache_folder
from gliomask.errors import UnreadableImageError
from gliomask.volumes.slices import read_image, write_image, write_mask


def test_fingerprint_depends_on_pixels_and_on_nothing_else(tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "a", patients=2)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    mask = tmp_path / "b" / FIRST / f"{FIRST}_1_mask.tif"
    os.utime(mask, (0, 0))
    fingerprint = build_index(tmp_path / "a").fingerprint
    assert build_index(tmp_path / "b").fingerprint == fingerprint
    write_mask(mask, make_mask(1))
    assert build_index(tmp_path / "b").fingerprint != fingerprint


def test_fingerprint_changes_with_one_grey_value(tmp_path: Path) -> None:
    path = write_patient(tmp_path, FIRST) / f"{FIRST}_1.tif"
    before = build_index(tmp_path).fingerprint
    image = read_image(path)
    image[3, 4, 2] ^= 1
    write_image(path, image)
    assert build_index(tmp_path).fingerprint != before


def test_second_index_comes_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_dataset(tmp_path / "data", patients=2)
    first = build_index(tmp_path / "data")
    monkeypatch.setattr("gliomask.data.index.read_image", None)  # reading a single pixel would now fail
    assert build_index(tmp_path / "data") == first


def test_problems_are_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_dataset(tmp_path / "data", patients=2)

    def refuse(path: Path) -> NDArray[np.bool_]:
        raise UnreadableImageError(path, "permission denied", "a readable file", "change its permissions")

    with monkeypatch.context() as patch:
        patch.setattr("gliomask.data.index.read_mask", refuse)
        assert len(build_index(tmp_path / "data").problems) == 6
    assert build_index(tmp_path / "data").problems == ()  # though no file looks different from outside


def test_cache_is_not_used_for_changed_files_or_when_not_wanted(tmp_path: Path) -> None:
    folder = write_patient(tmp_path / "data", FIRST)
    first = build_index(tmp_path / "data")
    write_image(folder / f"{FIRST}_1.tif", make_slice(99))  # of the same size in bytes
    second = build_index(tmp_path / "data")
    assert second.fingerprint != first.fingerprint
    assert build_index(tmp_path / "data", use_cache=False) == second


@pytest.mark.parametrize(
    "damage", [lambda text: "", lambda text: text[:-20], lambda text: text.replace('"CS"', '"DU"')]
)
def test_damaged_cache_is_made_anew(tmp_path: Path, damage: Callable[[str], str]) -> None:
    tiny_dataset(tmp_path / "data", patients=2)
    first = build_index(tmp_path / "data")
    (kept,) = (cache_folder() / "index").iterdir()
    kept.write_text(damage(kept.read_text()))
    assert build_index(tmp_path / "data") == first
    assert json.loads(kept.read_text())["index"]["fingerprint"] == first.fingerprint


def test_cache_folder_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_patient(tmp_path / "data", FIRST)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("GLIOMASK_CACHE", str(tmp_path / "file"))
    assert build_index(tmp_path / "data").slice_count == 3
