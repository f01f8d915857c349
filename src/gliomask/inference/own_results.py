"""Which files of a folder are results of an earlier run, and so no input. Knows nothing of what is in them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

SUMMARY = "summary.json"
UNFINISHED = ".unfinished"
"""One of the two lies in the folder of every study."""


def results_in(folder: Path, results: Path | None) -> Callable[[Path], bool]:
    """Return what tells of a file in a folder whether it is a result.

    Parameters
    ----------
    folder
        What is searched for input.
    results
        Where results go. Inside the folder, all that lies in it is a result. At or above the folder it may hold
        anything: what lies in the folder of a study, which is known by the files that only such a folder has.
    """
    if results is None:
        return lambda path: False
    out = results.resolve()
    inside = folder.resolve() in out.parents

    @cache
    def holds_results(where: Path) -> bool:
        real = where.resolve()
        if inside or real == out or out not in real.parents:
            return inside and out in (real, *real.parents)
        study = out / real.relative_to(out).parts[0]
        return any((study / mark).is_file() for mark in (SUMMARY, UNFINISHED))

    return lambda path: holds_results(path.parent)
