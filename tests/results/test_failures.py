"""The line about a study that failed names the file that is to blame, and what to do about that one."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from builders import write_known_model
from gliomask.cli.app import main
from gliomask.errors import failure
from gliomask.volumes.nifti_image import read_nifti
from volume_pairs import convert, save, scan, write_pair

READ = "expected a file that may be read; check that it is still there, its permissions and the disk"


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOENT, errno.EIO])
@pytest.mark.parametrize("out", [Path("predictions/P1"), Path("in/../predictions/P1"), Path("/data/in/predictions/P1")])
def test_a_file_elsewhere_is_to_blame_itself(number: int, out: Path) -> None:
    for name in ("/data/in/P1.nii", "in/P1.nii", b"in/P1.nii", "predictions/P2/P2.nii"):
        error = OSError(number, os.strerror(number), name)
        assert failure("P1", error, out).reason == f"P1: {os.strerror(number)} ({name!s}); {READ}"


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (errno.EACCES, "predictions/P1/P1_mask.nii.gz"),
        (errno.EACCES, "predictions/P1"),
        (errno.EACCES, "predictions"),
        (errno.EEXIST, str(Path("predictions/P1/.unfinished").absolute())),
        (errno.ENOSPC, "/somewhere/P1.nii"),
        (errno.EIO, None),
    ],
)
def test_the_folder_of_the_results_is_to_blame_for_its_own(number: int, name: str | None) -> None:
    line = failure("P1", OSError(number, os.strerror(number), name), Path("predictions/P1")).reason
    assert line.endswith("; expected room and permission; look at predictions/P1")
    assert "None" not in line


def _out_of_reach(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Let a file be in a folder that may not be entered any more (a test may run as one who may enter everything)."""
    for name in ("open", "is_dir"):
        usual = getattr(Path, name)

        def refusing(self: Path, *more: Any, usual: Any = usual, **how: Any) -> Any:
            if self == path:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return usual(self, *more, **how)

        monkeypatch.setattr(Path, name, refusing)


def test_predict_and_convert_blame_an_input_that_is_out_of_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(write_known_model(tmp_path / "known"))
    flair = write_pair(tmp_path / "in")
    save(tmp_path / "more" / "P2-t2f.nii", scan(1)[0])

    def then_gone(path: Path) -> Any:
        with monkeypatch.context() as patch:
            if path == flair:
                _out_of_reach(patch, path)
            return read_nifti(path)

    monkeypatch.setattr("gliomask.studies.volume.read_nifti", then_gone)
    given = [str(tmp_path / "in"), str(tmp_path / "more")]
    assert main(["predict", *given, "--model", model, "--out", str(tmp_path / "out"), "--no-pictures"]) == 1
    assert capsys.readouterr().err == f"P1-t2f: Permission denied ({flair}); {READ}\n"
    assert convert(tmp_path / "in", "--out", tmp_path / "data") == 1
    assert capsys.readouterr().err == f"P1-t2f: Permission denied ({flair}); {READ}\n"


def test_convert_blames_a_full_disk_where_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = Path.write_text

    def full(self: Path, *more: Any, **how: Any) -> int:
        if self.suffix == ".json":
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return usual(self, *more, **how)

    monkeypatch.setattr(Path, "write_text", full)
    assert convert(write_pair(tmp_path / "in").parent, "--out", tmp_path / "out") == 1
    found = f"{tmp_path / 'out' / 'P1'}: cannot be written (No space left on device)"
    assert capsys.readouterr().err == f"{found}; expected room and permission; look at {tmp_path / 'out'}\n"
    assert list((tmp_path / "out").iterdir()) == []
