"""Files are whole or absent, and readable by those the user's umask lets read."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gliomask.files import drop_mark, remove_interrupted, take_mark, whole_file, whole_folder

posix = pytest.mark.skipif(sys.platform == "win32", reason="folders are not locked there")
_KILLED = """
import os, pathlib, signal, sys
from gliomask.files import whole_folder
with whole_folder(pathlib.Path(sys.argv[1])) as part:
    (part / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def fail() -> None:
        with whole_file(tmp_path / "a") as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_private_writer_does_not_make_a_private_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with whole_file(tmp_path / "new" / "a") as part:
        part.unlink()
        part.write_text("x")
        part.chmod(0o600)
    assert (tmp_path / "new" / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_disk_that_knows_no_permissions_can_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a network share of somebody else's, chmod is refused even where it would change nothing."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "chmod", refuse)
    with whole_file(tmp_path / "a") as part:
        part.write_text("x")
    assert (tmp_path / "a").read_text() == "x"


def test_a_folder_that_is_a_file_is_what_the_error_names(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="File exists") as caught, whole_file(tmp_path / "file" / "a"):
        pass
    assert caught.value.filename == str(tmp_path / "file")


def test_a_folder_is_whole_or_the_one_before_it(tmp_path: Path) -> None:
    def write(name: str, error: type[BaseException] | None = None) -> None:
        with whole_folder(tmp_path / "new" / "a") as part:
            (part / name).touch()
            if error is not None:
                raise error

    write("first")
    with pytest.raises(KeyboardInterrupt):
        write("half", KeyboardInterrupt)
    assert [path.name for path in (tmp_path / "new").rglob("*")] == ["a", "first"]
    write("second")
    assert [path.name for path in (tmp_path / "new").rglob("*")] == ["a", "second"]


@posix
def test_what_a_killed_process_left_is_removed_and_nothing_that_another_is_writing(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path / "a")], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    for name in (".mine.part", ".0123.part", f".{'0' * 32}"):
        (tmp_path / name).mkdir()
    before = {path.name for path in tmp_path.iterdir()} - {left.name}
    with whole_folder(tmp_path / "b") as part:
        remove_interrupted(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == before | {part.name}
    remove_interrupted(tmp_path / "nowhere")
    assert {path.name for path in tmp_path.iterdir()} == before | {"b"}


@posix
def test_a_mark_that_another_made_anew_is_left_to_it(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    first = take_mark(mark)
    assert first is not None
    assert take_mark(mark) is None
    mark.unlink()
    second = take_mark(mark)
    assert second is not None
    drop_mark(mark, first)
    assert take_mark(mark) is None
    drop_mark(mark, second)
    assert not mark.exists()
