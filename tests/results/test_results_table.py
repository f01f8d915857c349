"""The table in the folder of results: all studies, those that failed, those of earlier calls. No file is lost by it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from gliomask.errors import DataError, Failure
from gliomask.results.table import require_own_table, write_table


def study(out: Path, name: str, **values: Any) -> dict[str, Any]:
    """Write the summary of a study, as `predict_study` does, and return it."""
    summary = {
        "study": name, "masks": [f"{name}_mask.nii.gz"], "warnings": ["one", "two"], "spacing_mm": [5.0, 0.9, 0.9],
        "model_sha256": "0", "skipped": False, **values,
    }  # fmt: skip
    (out / name).mkdir(parents=True, exist_ok=True)
    (out / name / "summary.json").write_text(json.dumps(summary))
    return summary


def table(out: Path) -> list[dict[str, str]]:
    with (out / "summary.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_table_has_what_is_there_and_what_failed(tmp_path: Path) -> None:
    write_table(tmp_path, [study(tmp_path, "b")], [Failure("c", "c.nii: damaged")])
    write_table(tmp_path, [study(tmp_path, "a")], [])
    rows = table(tmp_path)
    assert [(row["study"], row["status"]) for row in rows] == [("a", "done"), ("b", "done")]  # c may be mended now
    assert (rows[1]["masks"], rows[1]["warnings"], rows[1]["spacing_mm"]) == (
        "b_mask.nii.gz",
        "one; two",
        "5 x 0.9 x 0.9",
    )
    write_table(tmp_path, [], [Failure("b", "b.nii: damaged")])
    assert [(row["study"], row["status"], row["error"]) for row in table(tmp_path)] == [
        ("a", "done", ""),
        ("b", "failed", "b.nii: damaged"),
        ("b", "done", ""),  # its earlier result is there all the same
    ]
    assert [row["study"] for row in json.loads((tmp_path / "summary.json").read_text())] == ["a", "b", "b"]
    require_own_table(tmp_path)


def test_folders_that_hold_something_else_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    for content in ("[1]", "no JSON", '{"study": "x"}'):
        (tmp_path / "notes" / "summary.json").write_text(content)
        write_table(tmp_path, [study(tmp_path, "a")], [])
        assert [row["study"] for row in table(tmp_path)] == ["a"]


def test_names_that_are_no_text_are_written(tmp_path: Path) -> None:
    write_table(tmp_path, [study(tmp_path, "a", source=b"M\xfcller".decode("utf-8", "surrogateescape"))], [])
    assert table(tmp_path)[0]["source"] == "M\\udcfcller"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("summary.csv", "mine"),
        ("summary.csv", ""),
        ("summary.json", "{}"),
        ("summary.json", "mine"),
        ("summary.json", "[1]"),
    ],
)
def test_a_file_of_somebody_else_is_not_written_over(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match="exists already and is no table of results"):
        require_own_table(tmp_path)
