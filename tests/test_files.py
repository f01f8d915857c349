"""Files are whole or absent, and readable by those the user's umask lets read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gliomask.files import whole_file


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
