"""What gliomask wrote in an earlier run, and so no input: told by what lies in a folder, wherever that is."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from gliomask.studies.names import whole_path

SUMMARY = "summary.json"
UNFINISHED = ".unfinished"
"""One of the two lies in the folder of every study."""
_KEYS = {"study", "masks", "model_sha256"}


def read_result(folder: Path) -> dict[str, Any] | None:
    """Return the summary of a study's folder; None if there is none, or it is somebody else's."""
    try:
        values = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) and values.keys() >= _KEYS else None


def result_finder() -> Callable[[Path], bool]:
    """Return what tells of a file whether it is a result: whether it lies in, or anywhere below, the folder of a study.

    It looks at each folder once.
    """

    @cache
    def holds_results(folder: Path) -> bool:
        if (folder / UNFINISHED).is_file() or read_result(folder) is not None:
            return True
        return folder.parent != folder and holds_results(folder.parent)

    return lambda path: holds_results(whole_path(path.parent))
