"""The folder of a radiogenomic study: whose its summary and its page are. Quick to import; knows no numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gliomask.errors import UsageError
from gliomask.files import require_own_json

SUMMARY, PAGE = "summary.json", "report.html"
_KIND = "a radiogenomic study"


def require_own_folder(folder: Path) -> None:
    """Make sure that nothing but an earlier study is written over.

    Raises
    ------
    UsageError
        If the folder has a ``summary.json`` that is no study's, an evaluation's, say; or a page and none, which is
        that of a run.
    """
    require_own_json(folder / SUMMARY, _is_study, _KIND)
    if (folder / PAGE).exists() and not (folder / SUMMARY).exists():
        raise UsageError(f"{folder / PAGE} is not of {_KIND} and would be replaced; choose another --out")


def require_no_study(page: Path) -> None:
    """Make sure that another page is not written where a study has its own, be it written already or not.

    Raises
    ------
    UsageError
        If the file is called like a study's page and lies beside the summary of one.
    """
    try:
        known = json.loads((page.parent / SUMMARY).read_text(encoding="utf-8")) if page.name == PAGE else None
    except (OSError, ValueError):
        return
    if _is_study(known):
        raise UsageError(f"{page} is the page of {_KIND} and would be replaced; choose another --out")


def _is_study(known: Any) -> bool:
    return isinstance(known, dict) and "associations" in known
