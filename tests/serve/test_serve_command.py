"""`gliomask serve` as it is started by a person: address, masks, the end, and what is left behind: nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import block, write_known_model, write_known_patient
from dicom_builders import write_series
from fresh import TRAINING, WITHOUT, run_fresh
from gliomask.cli import serve
from gliomask.cli.app import main
from places import ROOT
from serving import Client
from volume_pairs import save, scan, turned

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what a warning is about
FOUND = np.stack([block(slice(4, 12), slice(6, 20)), block(slice(5, 10), slice(6, 16))])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_known_model(tmp_path_factory.mktemp("known")))


@contextmanager
def started(*options: str, temporary: Path) -> Iterator[tuple[subprocess.Popen[str], Client]]:
    """Start the command; yield the process, when it has told its address, and what asks it."""
    call = [sys.executable, "-W", "error", "-m", "gliomask", "serve", "--port", "0", *options]
    environment = {**os.environ, "TMPDIR": str(temporary), "DISPLAY": "", "BROWSER": "false"}
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            found = None
            while found is None and (line := process.stdout.readline()):
                found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
            assert found is not None, process.communicate()
            yield process, Client(int(found[1]))
        finally:
            process.kill()


def ended(process: subprocess.Popen[str], by: signal.Signals) -> tuple[int, str, str]:
    process.send_signal(by)
    said, errors = process.communicate(timeout=60)
    return process.returncode, said, errors


def test_masks_are_those_of_predict_and_nothing_is_left(model: str, tmp_path: Path) -> None:
    """A NIfTI study with T1, a zip of DICOM and slices in folders, sent together; the masks are equal, bit for bit."""
    data, temporary = tmp_path / "data", tmp_path / "temporary"
    temporary.mkdir()
    values, _ = scan()
    for name in ("p1_flair.nii.gz", "p1_t1.nii.gz"):
        save(data / "p1" / name, *turned(values, (0, 1, 2), (-1, 1, 1)))
    write_series(tmp_path / "series", *turned(values, (0, 1, 2), (-1, -1, 1)))
    shutil.make_archive(str(data / "dicom"), "zip", tmp_path / "series")
    for name in ("s1", "s2"):
        write_known_patient(data / "slices", name, FOUND, None)
    with started("--model", model, "--no-browser", temporary=temporary) as (process, client):
        files = sorted(path for path in data.rglob("*") if path.is_file())
        upload = client.send(*((path.relative_to(data).as_posix(), path) for path in files))
        told = client.predict(upload)
        assert main(["predict", str(data), "--model", model, "--out", str(tmp_path / "out"), "--quiet"]) == 0
        expected = {path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("out/*/summary.json")}
        assert {study["name"] for study in told["studies"]} == set(expected) == {"p1_flair", "dicom", "s1", "s2"}
        for number, study in enumerate(told["studies"]):
            summary = expected[study["name"]]
            masks = [file["name"] for file in study["files"] if file["kind"] == "mask"]
            assert masks == summary["masks"]
            for name in (name for name in masks if not name.endswith(".dcm")):  # which holds the time it was made
                mask = (tmp_path / "out" / study["name"] / name).read_bytes()
                assert client.result(upload, number, told, name) == mask
            for value in ("volume_ml", "largest_diameter_mm", "slices", "sequences", "tumour_voxels", "warnings"):
                assert study[value] == summary[value], value
        assert len(list(temporary.iterdir())) == 1
        status, said, errors = ended(process, signal.SIGTERM)
    assert (status, errors) == (0, "")
    assert "ended; what was sent, and all results, are removed" in said
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked there")
def test_what_a_killed_one_left_is_removed_by_the_next_and_nothing_of_one_that_runs(model: str, tmp_path: Path) -> None:
    others = tmp_path / f"gliomask-serve-{socket.gethostname()}-patients"
    others.mkdir()
    with started("--model", model, "--no-browser", temporary=tmp_path) as (killed, first):
        first.put(first.new(), "a.png", b"an image")
        assert killed.poll() is None
    (left,) = set(tmp_path.iterdir()) - {others}
    assert [path.name for path in left.rglob("*.png")] == ["a.png"]
    with started("--model", model, "--no-browser", temporary=tmp_path) as (_, second):
        assert not left.exists()
        second.put(second.new(), "b.png", b"an image")
        with started("--model", model, "--no-browser", temporary=tmp_path) as (third, _):
            assert [path.name for path in tmp_path.rglob("*.png")] == ["b.png"]
            assert ended(third, signal.SIGTERM)[0] == 0
        assert [path.name for path in tmp_path.rglob("*.png")] == ["b.png"]
    assert others.exists()


def test_ctrl_c_ends_it_while_it_predicts_and_receives(model: str, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with started("--model", model, "--no-browser", "--quiet", "--json", temporary=temporary) as (process, client):
        upload = client.new()
        for number in range(8):
            for path in write_known_patient(tmp_path / "data", f"case{number}", FOUND, None).iterdir():
                client.put(upload, f"case{number}/{path.name}", path.read_bytes())
        assert client.ask("POST", f"/uploads/{upload}/predict").status == 202
        head = f"PUT /uploads/{client.new()}/files/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\nsome"
        with socket.create_connection(("127.0.0.1", client.port)) as connection:
            connection.sendall(head.encode())
            status, _, errors = ended(process, signal.SIGINT)
    assert (status, errors) == (0, "")
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
def test_a_second_signal_leaves_nothing(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with started("--no-browser", temporary=temporary) as (process, client):  # a network that takes its time
        upload = client.new()
        for number in range(6):
            for path in write_known_patient(tmp_path / "data", f"case{number}", FOUND, None).iterdir():
                client.put(upload, f"case{number}/{path.name}", path.read_bytes())
        client.ask("POST", f"/uploads/{upload}/predict")
        while client.ask("GET", f"/uploads/{upload}").json["state"] != "predicting":
            pass
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert any(line.startswith("ending, after the studies in hand") for line in process.stdout)
        status, said, _ = ended(process, signal.SIGINT)
    assert (status, said) == (0, "ended; what was sent, and all results, are removed\n")
    assert list(temporary.iterdir()) == []


def test_documented_calls_of_a_program_work_and_for_others_there_is_a_warning(model: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    examples = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / "web.md").read_text(), re.MULTILINE | re.DOTALL)
    (example,) = [each for each in examples if "curl" in each]
    save(tmp_path / "flair.nii.gz", *turned(scan()[0], (0, 1, 2), (-1, 1, 1)))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    options = ["--model", model, "--host", EVERYWHERE, "--no-browser"]
    with started(*options, temporary=temporary) as (process, client):
        call = [str(shutil.which("bash")), "-c", "set -e\n" + example.replace(":8765", f":{client.port}")]
        done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
        (folder,) = temporary.iterdir()
        assert list(folder.iterdir()) == []
        _, _, errors = ended(process, signal.SIGINT)
    shutil.unpack_archive(tmp_path / "results.zip", tmp_path / "results")
    assert (tmp_path / "results" / "flair" / "flair_mask.nii.gz").is_file()
    assert done.stderr == ""
    assert re.match(r"WARNING: --host 0\.0\.0\.0 lets others reach this page: there is no password", errors)


# --- options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--port", "70000"], "--port 70000; expected 0 to 65535"),
        (["--threads", "-1"], "--threads -1; expected a number of threads, or 0"),
        (["--max-mb", "0"], "--max-mb 0; expected a number of MiB, 1 or more"),
        (["--host", "host.invalid"], "cannot listen at host.invalid"),
        (["--port", "0", "--model", "none-such"], "none-such: no such model"),
    ],
)
def test_wrong_usage(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--no-browser", *options]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("gliomask serve: ")
    assert said in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_a_missing_extra_is_named(missing: str) -> None:
    lines, _ = run_fresh(["serve", "--no-browser"], before=WITHOUT.replace(str(TRAINING), str((missing,))))
    cure = "it comes with: pip install -c constraints.txt '.[web]', in gliomask's folder"
    assert lines[:2] == [f"gliomask serve: {missing} is not installed; {cure}", "status 2"]


@pytest.mark.parametrize(
    ("screen", "opened"), [({"DISPLAY": ":0"}, True), ({"WAYLAND_DISPLAY": "w"}, True), ({}, False)]
)
def test_browser_is_opened_where_there_is_a_screen(
    monkeypatch: pytest.MonkeyPatch, screen: dict[str, str], opened: bool
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(webbrowser, "open", asked.append)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in screen.items():
        monkeypatch.setenv(name, value)
    serve._open("http://127.0.0.1:1/")
    assert asked == (["http://127.0.0.1:1/"] if opened else [])
