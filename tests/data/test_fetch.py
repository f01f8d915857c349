"""Fetching links or copies what kagglehub downloads, and says what to do by hand where it cannot."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from builders import tiny_dataset
from gliomask.data.fetch import fetch
from gliomask.data.index import build_index
from gliomask.errors import DataError, MissingExtraError


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend that kagglehub downloads a tiny archive."""
    tiny_dataset(tmp_path / "download" / "kaggle_3m", patients=2)
    asked: list[str] = []

    def download(handle: str) -> str:
        asked.append(handle)
        assert handle == "mateuszbuda/lgg-mri-segmentation"
        return str(tmp_path / "download")

    monkeypatch.setitem(sys.modules, "kagglehub", SimpleNamespace(dataset_download=download))
    return tmp_path / "download"


def test_download_is_linked(tmp_path: Path, archive: Path) -> None:
    destination = tmp_path / "new" / "lgg"
    assert fetch(destination) == destination
    assert destination.resolve() == archive / "kaggle_3m"
    assert build_index(destination).slice_count == 6
    assert fetch(destination) == destination  # once more does no harm


def test_empty_folder_is_taken(tmp_path: Path, archive: Path) -> None:
    (tmp_path / "lgg").mkdir()
    assert build_index(fetch(tmp_path / "lgg")).slice_count == 6


@pytest.mark.parametrize("mounted", [False, True])
def test_a_folder_that_cannot_be_replaced_is_refused_before_the_download(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch, mounted: bool
) -> None:
    (tmp_path / "lgg").mkdir()
    monkeypatch.setattr("gliomask.data.fetch._download", lambda _: pytest.fail("downloaded"))
    if mounted:
        monkeypatch.setattr("os.path.ismount", lambda path: Path(path).name == "lgg")
    else:
        monkeypatch.chdir(tmp_path / "lgg")
    with pytest.raises(DataError, match=r"name one in it: .*kaggle_3m"):
        fetch(tmp_path / "lgg" if mounted else Path())
    assert (tmp_path / "lgg").is_dir()


def test_download_is_copied_where_links_are_not_allowed(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    destination = fetch(tmp_path / "lgg")
    assert not destination.is_symlink()
    assert build_index(destination).fingerprint == build_index(archive).fingerprint
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".part"]


def test_existing_files_are_never_replaced(tmp_path: Path, archive: Path) -> None:
    (tmp_path / "lgg").mkdir()
    (tmp_path / "lgg" / "mine.txt").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "lgg")
    for name in ("lgg", "link"):
        with pytest.raises(DataError, match="choose another name"):
            fetch(tmp_path / name)
    assert (tmp_path / "lgg" / "mine.txt").read_text() == "mine"


def test_failed_download_says_what_to_do_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: str) -> str:
        raise ConnectionError("no route\nto host")

    monkeypatch.setitem(sys.modules, "kagglehub", SimpleNamespace(dataset_download=fail))
    with pytest.raises(DataError, match="the download failed") as caught:
        fetch(tmp_path / "lgg")
    assert "no route to host" in str(caught.value)
    assert "kaggle.com/datasets/mateuszbuda/lgg-mri-segmentation" in caught.value.cure
    assert not (tmp_path / "lgg").exists()


def test_empty_download_is_an_error(tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nothing").mkdir()
    nothing = SimpleNamespace(dataset_download=lambda handle: str(tmp_path / "nothing"))
    monkeypatch.setitem(sys.modules, "kagglehub", nothing)
    with pytest.raises(DataError, match="left nothing"):
        fetch(tmp_path / "lgg")


def test_missing_kagglehub_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(MissingExtraError, match=r"\.\[fetch\]"):
        fetch(tmp_path / "lgg")
