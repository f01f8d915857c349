"""Parts of a work on several machines: together they do everything once, and the table tells of all."""

from __future__ import annotations

import csv
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import block, write_known_model, write_known_patient
from gliomask.cli.app import main
from gliomask.errors import Failure, UsageError
from gliomask.inference.predictor import Predictor
from gliomask.results import batch, claim
from gliomask.results import table as table_part
from gliomask.results.batch import predict_all
from gliomask.results.claim import one_at_a_time
from gliomask.results.loaded import Keep
from gliomask.results.table import write_table
from gliomask.share import ALL, Share
from gliomask.studies.inputs import find_inputs

MASKS = Keep(pictures=False)
TUMOUR = np.stack([block(slice(4, 12), slice(6, 20)), block(slice(5, 10), slice(6, 16))])
PARTS = 3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_known_model(tmp_path_factory.mktemp("known")))


def incoming(root: Path, good: int = 7, bad: int = 4, *, broken: bool = True) -> Path:
    """Write patients who can be predicted, files that cannot be read, and one that the search tells of."""
    for number in range(good):
        write_known_patient(root, f"good{number}", np.roll(TUMOUR, number, axis=1), None)
    for number in range(bad):
        (root / f"bad{number}.nii.gz").write_bytes(b"no NIfTI")
    if broken:
        (root / "broken.zip").write_bytes(b"no zip")
    return root


def table(out: Path) -> dict[str, str]:
    with (out / "summary.csv").open(newline="", encoding="utf-8") as file:
        return {row["study"]: row["status"] for row in csv.DictReader(file)}


@given(st.lists(st.integers(), max_size=30), st.integers(1, 12))
def test_parts_are_everything_once_and_of_one_length(items: list[int], of: int) -> None:
    parts = [Share(number, of).mine(items) for number in range(1, of + 1)]
    assert sorted(item for part in parts for item in part) == sorted(items)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for number in range(1, of + 1):
        both = (*Share(number, of).mine(items), *Share(number, of).others(items))
        assert sorted(both) == sorted(items)


def test_all_is_one_part_of_one() -> None:
    assert ALL.mine("abc") == ("a", "b", "c")
    assert ALL.others("abc") == ()
    assert Share.read("1/1") == ALL


@pytest.mark.parametrize("text", ["0/3", "4/3", "0/0", "1", "1/", "/2", "a/b", "-1/2", "1/2/3", "1.0/2", "", "٢/٨"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected K/N with K from 1 to N"):
        Share.read(text)


@given(st.integers(1, 99), st.integers(0, 99))
def test_a_part_is_read_as_it_is_written(number: int, more: int) -> None:
    part = Share(number, number + more)
    assert Share.read(str(part)) == part


def test_parts_one_after_another_make_the_table_of_one_call(model: str, tmp_path: Path) -> None:
    data = incoming(tmp_path / "data")
    command = ["predict", str(data), "--model", model, "--no-pictures", "--quiet", "--out"]
    assert main([*command, str(tmp_path / "whole")]) == 1
    for number in range(1, PARTS + 1):
        main([*command, str(tmp_path / "parts"), "--part", f"{number}/{PARTS}"])
    whole = table(tmp_path / "whole")
    assert list(whole.values()).count("failed") == 5
    assert table(tmp_path / "parts") == whole
    for mask in sorted((tmp_path / "whole").glob("*/*.tif")):
        assert mask.read_bytes() == (tmp_path / "parts" / mask.parent.name / mask.name).read_bytes()
    assert main([*command, str(tmp_path / "parts")]) == 1
    assert table(tmp_path / "parts") == whole


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")
def test_parts_at_the_same_time_make_the_table_of_one_call(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, out, barrier = find_inputs(incoming(tmp_path / "data")), tmp_path / "out", Barrier(PARTS, timeout=60)
    rows_of, write = table_part._rows, table_part.write_table

    def slowly(*arguments: Any) -> list[dict[str, Any]]:
        rows = rows_of(*arguments)
        time.sleep(0.2)  # in which another call would read what this one is about to replace
        return rows

    def together(*arguments: Any) -> None:
        barrier.wait()
        write(*arguments)

    monkeypatch.setattr(table_part, "_rows", slowly)
    monkeypatch.setattr(batch, "write_table", together)

    def call(number: int) -> None:
        list(predict_all(found, Predictor.load(model), out, MASKS, Share(number, PARTS)))

    with ThreadPoolExecutor(PARTS) as pool:
        list(pool.map(call, range(1, PARTS + 1)))
    expected = {study.name: "failed" if "bad" in study.name else "done" for study in found.studies}
    assert table(out) == expected | {"broken.zip": "failed"}
    assert not list(out.glob(".*"))


def test_a_part_says_how_much_it_is_and_tells_its_failures_alone(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = incoming(tmp_path / "data", good=3, bad=2), tmp_path / "out"
    told = []
    for number in (1, 2):
        main(["predict", str(data), "--model", model, "--out", str(out), "--part", f"{number}/2"])
        printed = capsys.readouterr()
        assert printed.out.startswith(f"part {number}/2: {4 - number} of 5 studies\n")
        told += printed.err.splitlines()
    assert sorted(line.split(": ")[0].rpartition("/")[2] for line in told) == [
        "bad0.nii.gz",
        "bad1.nii.gz",
        "broken.zip",
    ]


def test_a_failure_in_the_first_part_is_in_the_table_and_once(model: str, tmp_path: Path) -> None:
    data = incoming(tmp_path / "data", good=3, bad=0, broken=False)
    for folder in ("x", "y"):
        (data / folder).mkdir()
        (data / folder / "scan.zip").write_bytes(b"no zip")
    for part in ("1/2", "2/2", "1/2", "1/2", "2/2"):
        main(["predict", str(data), "--model", model, "--out", str(tmp_path / "out"), "--no-pictures", "--part", part])
    rows = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [row["study"] for row in rows] == ["good0", "good1", "good2", "scan.zip", "scan.zip"]
    (tmp_path / "alone").mkdir()
    alone = incoming(tmp_path / "alone", good=0, bad=1, broken=False)
    main(["predict", str(alone), "--model", model, "--out", str(tmp_path / "new"), "--no-pictures", "--part", "1/2"])
    assert table(tmp_path / "new") == {"bad0": "failed"}


def test_a_part_without_studies_is_done(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = incoming(tmp_path / "data", good=1, bad=0, broken=False), tmp_path / "out"
    assert main(["predict", str(data), "--model", model, "--out", str(out), "--part", "2/2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"studies": [], "failed": 0, "errors": []}
    assert not out.exists()


def test_a_wrong_part_is_wrong_usage(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = incoming(tmp_path / "data", good=1, bad=0, broken=False)
    assert main(["predict", str(data), "--model", model, "--out", str(tmp_path / "out"), "--part", "3/2"]) == 2
    assert "part 3/2; expected K/N with K from 1 to N" in capsys.readouterr().err


def test_what_failed_elsewhere_stays_until_its_own_part_has_done_it(tmp_path: Path) -> None:
    def rows() -> list[str]:
        return [row["study"] for row in json.loads((tmp_path / "summary.json").read_text())]

    write_table(tmp_path, [], [Failure("a", "a: damaged"), Failure("b", "b: damaged")])
    write_table(tmp_path, [], [Failure("c", "c: damaged")], {"a", "b"})
    assert rows() == ["a", "b", "c"]
    write_table(tmp_path, [], [], {"b", "c"})
    assert rows() == ["b", "c"]
    write_table(tmp_path, [], [Failure("d", "d: damaged")])
    assert rows() == ["d"]


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")
def test_a_call_that_was_stopped_in_its_middle_does_not_stop_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "_PATIENCE", 0.1)
    with one_at_a_time(tmp_path / "mark"), one_at_a_time(tmp_path / "mark"):
        assert (tmp_path / "mark").is_file()
    assert not (tmp_path / "mark").exists()
