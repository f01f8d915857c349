"""Uploads without HTTP: what is taken, where it lies, how it is predicted, when it goes."""

from __future__ import annotations

import json
import logging
import os
import stat
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import block, full_disk, write_known_model, write_known_patient
from gliomask.errors import (
    Failure,
    NoRoomError,
    TooLargeError,
    UnknownUploadError,
    UploadError,
    UploadStateError,
)
from gliomask.files import whole_file
from gliomask.inference.predictor import Predictor
from gliomask.serve import jobs as jobs_module
from gliomask.serve.jobs import Jobs
from gliomask.serve.paths import LONGEST_NAME, safe_path
from gliomask.serve.told import pack, tell
from gliomask.serve.upload import Limits, State, Upload
from gliomask.serve.uploads import Uploads
from gliomask.studies.inputs import find_inputs

FOUND = np.stack([block(slice(4, 12), slice(6, 20)), block(slice(5, 10), slice(6, 16))])


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor.load(write_known_model(tmp_path_factory.mktemp("known")))


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path, Limits())


@pytest.fixture
def jobs(predictor: Predictor) -> Iterator[Jobs]:
    made = Jobs(predictor)
    yield made
    made.close()


def put(upload: Upload, name: str, *pieces: bytes, then: Callable[[], Any] | None = None) -> None:
    """Send a file, of unknown length if in several pieces; something happens before it is complete."""
    pieces = pieces or (b"content",)
    with upload.file(name, len(pieces[0]) if len(pieces) == 1 else None) as write:
        for piece in pieces:
            write(piece)
        if isinstance(error := None if then is None else then(), Exception):
            raise error


def put_slices(upload: Upload, folder: Path, top: str = "") -> None:
    for path in sorted(folder.iterdir()):
        put(upload, f"{top}{path.name}", path.read_bytes())


def wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not until():
        assert time.monotonic() < end
        time.sleep(0.01)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# --- names

BAD = [
    "", "/etc/passwd", "a//b", "..", "a/../b", "a/..", "./a", "a/.", "a/", "C:/x", "c:x", "a/C:", "a\\b", "..\\x",
    "a\0b", "a\nb", "a\x7f", "con", "a/NUL.tif", "com1.nii.gz", "x" * (LONGEST_NAME + 1), "ü" * 101, "a/" * 40 + "a",
    "/".join(["x" * 150] * 8), "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_names_that_lead_elsewhere_are_not_taken(uploads: Uploads, tmp_path: Path, name: str) -> None:
    upload = uploads.new()
    with pytest.raises(UploadError, match=r"; expected .*; "):
        put(upload, name)
    assert files_in(tmp_path) == set()


@pytest.mark.parametrize(
    "name", ["a", "a/b c/ü.nii.gz", ".hidden", "a..b", "console", "x" * LONGEST_NAME, "<img src=x>", "%2e%2e"]
)
def test_other_names_are_kept(name: str) -> None:
    assert str(safe_path(name)) == name


@given(st.text(max_size=40) | st.lists(st.sampled_from(["..", ".", "", "a", "/", "C:", "\\"])).map("/".join))
def test_whatever_is_taken_lies_below(name: str) -> None:
    try:
        path = safe_path(name)
    except UploadError:
        return
    assert Path(os.path.normpath(Path("/uploads/1") / path)).is_relative_to("/uploads/1")
    assert path.as_posix() == name


# --- files


def test_folders_are_kept_and_lone_files_lie_together(uploads: Uploads, tmp_path: Path) -> None:
    upload = uploads.new()
    for name in ("a/x.tif", "a/b/y.tif", "z.tif", "zz.tif"):
        put(upload, name)
    assert files_in(upload.folder) == {"folders/a/x.tif", "folders/a/b/y.tif", "upload-1/z.tif", "upload-1/zz.tif"}
    assert upload.inputs() == [upload.folder / "upload-1", upload.folder / "folders" / "a"]
    assert (upload.files, upload.size) == (4, 4 * len(b"content"))
    assert upload.folder.parent == tmp_path


def test_a_lone_file_is_searched_by_itself(uploads: Uploads) -> None:
    upload = uploads.new()
    put(upload, "t1.nii.gz")
    put(upload, ".DS_Store")
    assert upload.inputs() == [upload.folder / "upload-1" / "t1.nii.gz"]


def test_an_interrupted_file_leaves_nothing(uploads: Uploads) -> None:
    upload = uploads.new()
    with pytest.raises(ConnectionError):
        put(upload, "a/x.tif", b"some", then=ConnectionError)
    assert (files_in(upload.folder), upload.files, upload.size) == (set(), 0, 0)
    put(upload, "a/x.tif")


def test_nothing_is_replaced(uploads: Uploads) -> None:
    upload = uploads.new()
    put(upload, "a/x.tif")
    with pytest.raises(UploadError, match="sent already"):
        put(upload, "a/x.tif", b"other")
    for name in ("a", "a/x.tif/y"):
        with pytest.raises(UploadError, match=r"sent already|file and a folder"):
            put(upload, f"{name}" if "/" in name else f"{name}/x.tif/z")
    assert (upload.folder / "folders/a/x.tif").read_bytes() == b"content"


def test_of_two_of_one_name_at_once_one_is_taken(uploads: Uploads) -> None:
    upload = uploads.new()

    def second() -> None:
        with pytest.raises(UploadError, match="sent already"):
            put(upload, "x.tif", b"other")

    put(upload, "x.tif", then=second)
    assert (upload.files, upload.size) == (1, len(b"content"))
    upload.start()


def test_an_upload_stays_while_it_grows(tmp_path: Path) -> None:
    now = 0.0
    uploads = Uploads(tmp_path, Limits(seconds=100), clock=lambda: now)
    upload = uploads.new()
    with upload.file("long") as write:
        for _ in range(4):
            now += 90.0
            write(b"some")
            uploads.sweep()
    now += 100.0
    uploads.sweep()
    assert upload.gone


def test_too_much_is_refused_before_and_while_it_comes(tmp_path: Path) -> None:
    upload = Uploads(tmp_path, Limits(size=10, files=2)).new()
    with pytest.raises(TooLargeError, match=r"an upload of .* MiB or more; expected at most .* MiB"):
        put(upload, "a", b"x" * 11)
    with pytest.raises(TooLargeError):
        put(upload, "a", b"x" * 8, b"x" * 3)
    assert (files_in(tmp_path), upload.size) == (set(), 0)
    put(upload, "a", b"x" * 10)
    put(upload, "b", b"")
    with pytest.raises(TooLargeError, match="more than 2 files"):
        put(upload, "c", b"")


def test_a_full_disk_is_told(uploads: Uploads) -> None:
    upload = uploads.new()
    with full_disk(), pytest.raises(NoRoomError, match="no room left on the disk"):
        put(upload, "a", b"x" * 5000)
    assert (files_in(upload.folder), upload.size) == (set(), 0)
    upload = Uploads(upload.folder.parent, Limits(size=2**62)).new()
    with pytest.raises(NoRoomError), upload.file("a", 2**61):
        raise AssertionError("was begun")


def test_ids_are_not_guessed_and_folders_do_not_tell_them(uploads: Uploads) -> None:
    made = [uploads.new() for _ in range(20)]
    assert len({upload.id for upload in made}) == 20
    assert all(len(upload.id) >= 32 and upload.id not in str(upload.folder) for upload in made)
    with pytest.raises(UnknownUploadError):
        uploads.get("1")


# --- the end


def test_an_upload_goes_when_nobody_looks(tmp_path: Path) -> None:
    now = 0.0
    uploads = Uploads(tmp_path, Limits(seconds=100), clock=lambda: now)
    looked, left, busy = uploads.new(), uploads.new(), uploads.new()
    for upload in (looked, left, busy):
        put(upload, "a")
    busy.state = State.PREDICTING
    uploads.sweep()
    now = 60.0
    uploads.get(looked.id)
    now = 120.0
    uploads.sweep()
    assert files_in(tmp_path) == {"1/upload-1/a", "3/upload-3/a"}
    with pytest.raises(UnknownUploadError):
        uploads.get(left.id)
    busy.state = State.DONE
    now = 210.0
    uploads.sweep()
    assert files_in(tmp_path) == {"3/upload-3/a"}  # the hour of results begins when they are there
    now = 221.0
    uploads.sweep()
    assert files_in(tmp_path) == set()


def test_removal_is_at_once_also_of_what_is_being_sent(uploads: Uploads, tmp_path: Path) -> None:
    upload = uploads.new()
    put(upload, "a")
    with pytest.raises(UnknownUploadError):
        put(upload, "b", b"some", then=lambda: uploads.remove(upload.id))
    with pytest.raises(UnknownUploadError):
        put(upload, "b", b"some", b"more")
    assert list(tmp_path.iterdir()) == []
    for ask in (uploads.get, uploads.remove):
        with pytest.raises(UnknownUploadError):
            ask(upload.id)
    with pytest.raises(UnknownUploadError):
        put(upload, "c")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_begins_as_its_upload_goes_leaves_no_folder(
    uploads: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = uploads.new()

    def late(target: Path) -> Any:
        uploads.remove(upload.id)
        return whole_file(target)  # which makes folders that are not there

    monkeypatch.setattr("gliomask.serve.upload.whole_file", late)
    with pytest.raises(UnknownUploadError):
        put(upload, "a/b")
    assert list(tmp_path.iterdir()) == []


def test_there_are_not_more_uploads_than_are_allowed(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, Limits(uploads=2))
    first, _ = uploads.new(), uploads.new()
    with pytest.raises(UploadStateError, match="2 uploads are there"):
        uploads.new()
    uploads.remove(first.id)
    uploads.new()


# --- prediction


def test_studies_are_told_as_they_come_and_failures_with_their_reason(
    uploads: Uploads, jobs: Jobs, tmp_path: Path
) -> None:
    upload = uploads.new()
    put_slices(upload, write_known_patient(tmp_path / "data", "case", FOUND, None), "ward/case/")
    put(upload, "ward/broken.nii.gz", b"nothing")
    jobs.start(upload)
    wait(lambda: upload.state is State.DONE)
    told = tell(upload, 0)
    by_name = {study["name"]: study for study in told["studies"]}
    assert (told["done"], told["total"], told["error"]) == (2, 2, None)
    case = by_name["case"]
    assert (case["slices"], case["tumour_voxels"], case["parts"], case["empty"]) == (2, int(FOUND.sum()), 1, False)
    assert [file["name"] for file in case["files"] if file["kind"] == "mask"] == ["case_1_mask.tif", "case_2_mask.tif"]
    assert {file["kind"] for file in case["files"]} == {"mask", "picture", "contours", "animation", "preview"}
    assert by_name["broken"]["failed"].startswith("ward/broken.nii.gz: ")
    assert str(tmp_path) not in str(told)


def test_the_zip_holds_all_results_and_no_place_of_this_computer(uploads: Uploads, jobs: Jobs, tmp_path: Path) -> None:
    upload = uploads.new()
    put_slices(upload, write_known_patient(tmp_path / "data", "case", FOUND, None), "case/")
    with pytest.raises(UploadStateError):
        pack(upload)
    jobs.start(upload)
    wait(lambda: upload.state is State.DONE)
    with zipfile.ZipFile(pack(upload)) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    assert set(content) == files_in(upload.results)
    assert {"summary.csv", "summary.json", "case/case_1_mask.tif", "case/case.gif"} <= set(content)
    assert not [name for name, each in content.items() if str(tmp_path).encode() in each]
    (row,) = json.loads(content["summary.json"])
    assert (row["folder"], row["source"]) == ("case", "case")
    assert content["case/case_1_mask.tif"] == (upload.results / "case" / "case_1_mask.tif").read_bytes()


def test_the_zip_holds_no_place_that_json_writes_otherwise(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "größe").mkdir()
    upload = Uploads(tmp_path / "größe", Limits()).new()
    put_slices(upload, write_known_patient(tmp_path / "data", "case", FOUND, None), "case/")
    jobs.start(upload)
    wait(lambda: upload.state is State.DONE)
    with zipfile.ZipFile(pack(upload)) as archive:
        summary = json.loads(archive.read("case/summary.json"))
        (row,) = json.loads(archive.read("summary.json"))
    assert summary["folder"] == row["folder"] == "case"
    assert str(tmp_path) not in json.dumps([summary, row], ensure_ascii=False)


def test_uploads_wait_for_each_other_and_are_told_their_place(
    uploads: Uploads, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()

    def slow(*arguments: Any, **named: Any) -> Any:
        assert go.wait(30)
        return find_inputs(*arguments, **named)

    monkeypatch.setattr(jobs_module, "find_inputs", slow)
    made = [uploads.new() for _ in range(4)]
    for upload in made:
        put(upload, "broken.nii.gz")
        jobs.start(upload)
    wait(lambda: made[0].state is State.SEARCHING)
    assert [jobs.place(upload) for upload in made] == [0, 1, 2, 3]
    uploads.remove(made[1].id)
    assert [jobs.place(upload) for upload in made[2:]] == [1, 2]
    with pytest.raises(UploadStateError, match="already"):
        jobs.start(made[2])
    with pytest.raises(UploadStateError, match="send a new upload"):
        put(made[2], "late.nii.gz")
    go.set()
    wait(lambda: made[3].state is State.DONE)
    assert made[2].state is State.DONE
    assert not made[1].outcomes


def test_nothing_is_predicted_of_an_upload_that_is_not_complete(uploads: Uploads, jobs: Jobs) -> None:
    upload = uploads.new()
    with pytest.raises(UploadStateError, match="without files"):
        jobs.start(upload)
    with upload.file("a") as write:
        write(b"some")
        with pytest.raises(UploadStateError, match="still coming"):
            jobs.start(upload)


def test_removal_during_a_prediction_leaves_nothing(
    uploads: Uploads, jobs: Jobs, tmp_path: Path, slow_engine: float
) -> None:
    data, folder = tmp_path / "data", tmp_path / "all"
    folder.mkdir()
    here = Uploads(folder, Limits())
    first, second = here.new(), here.new()
    for number in range(4):
        put_slices(first, write_known_patient(data, f"case{number}", FOUND, None), f"case{number}/")
    put_slices(second, data / "case0", "case0/")
    jobs.start(first)
    jobs.start(second)
    wait(lambda: first.state is State.PREDICTING)
    here.remove(first.id)
    wait(lambda: second.state is State.DONE)
    assert len(first.outcomes) < 4
    assert {path.name for path in folder.iterdir()} == {second.folder.name}


def test_an_unexpected_error_ends_one_upload_and_names_nobody(
    uploads: Uploads, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Iterator[Any]:
        raise ValueError("Jane Doe")

    upload, other = uploads.new(), uploads.new()
    put(upload, "Jane.nii.gz")
    with monkeypatch.context() as patch, caplog.at_level(logging.DEBUG):
        patch.setattr(jobs_module, "predict_all", broken)
        jobs.start(upload)
        wait(lambda: upload.state is State.FAILED)
    assert "an unexpected error (ValueError at test_serve_uploads.py:" in str(upload.error)
    assert "an unexpected error (ValueError" in caplog.text
    assert "Jane" not in caplog.text + str(upload.error)
    put_slices(other, write_known_patient(tmp_path / "data", "case", FOUND, None))
    jobs.start(other)
    wait(lambda: other.state is State.DONE)


@pytest.mark.parametrize(("name", "content"), [(".DS_Store", b"x"), ("a/.DS_Store", b"x"), ("letter.pdf", b"x")])
def test_an_upload_without_images_says_what_was_expected(
    uploads: Uploads, jobs: Jobs, name: str, content: bytes
) -> None:
    upload = uploads.new()
    put(upload, name, content)
    jobs.start(upload)
    wait(lambda: upload.state in {State.DONE, State.FAILED})
    reasons = [each.reason for each in upload.outcomes if isinstance(each, Failure)]
    assert "expected" in (upload.error or reasons[0])


def test_a_zip_that_unpacks_to_too_much_is_not_unpacked(uploads: Uploads, jobs: Jobs, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(f"{number}.dcm", bytes(2**20))
    content = bytearray(bomb.read_bytes())
    for place in [at for at in range(len(content)) if content[at : at + 4] == b"PK\x01\x02"]:
        content[place + 24 : place + 28] = (2**31 - 1).to_bytes(4, "little")  # what the directory says of its size
    upload = uploads.new()
    put(upload, "bomb.zip", bytes(content))
    jobs.start(upload)
    wait(lambda: upload.state is State.DONE)
    (failed,) = tell(upload, 0)["studies"]
    assert failed["failed"].startswith("bomb.zip: a zip of 5 files that unpack to 10.0 GiB; expected at most")


def test_nobody_else_sees_the_folder_and_nothing_of_it_is_left(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("uvicorn", reason="the extra web is not installed")
    from gliomask.serve.server import server

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with server(predictor, "127.0.0.1", Limits()):
        (folder,) = tmp_path.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "left").write_bytes(b"x")
    assert not folder.exists()
