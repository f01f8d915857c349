"""Finished indexes kept on disk, so that unchanged folders are not read twice. Knows nothing of what is in an index."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gliomask.files import whole_file

_FORMAT = 5  # rises when the index is made or written in another way


def cache_folder() -> Path:
    """Return the folder for what can be made again: `GLIOMASK_CACHE` if set, else the platform's cache folder."""
    given = os.environ.get("GLIOMASK_CACHE")
    if given:
        return Path(given).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "gliomask" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "gliomask"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gliomask"


def signature(entries: Iterable[tuple[str, int, int]]) -> str:
    """Return a SHA-256 over the name, size in bytes and time stamp in ns of every file."""
    digest = hashlib.sha256(str(_FORMAT).encode())
    for entry in entries:
        digest.update(json.dumps(entry).encode())
    return digest.hexdigest()


def load_values(root: Path, sign: str) -> dict[str, Any] | None:
    """Return what was saved for a folder, or None if nothing was, the folder has changed, or the file is damaged.

    Parameters
    ----------
    root
        Folder that was indexed, absolute.
    sign
        Signature of its files.
    """
    try:
        kept = json.loads(_file(root).read_text(encoding="utf-8"))
        values = kept["index"]
        if kept["root"] == str(root) and kept["signature"] == sign and kept["checksum"] == _checksum(values):
            return dict(values)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None


def save_values(root: Path, sign: str, values: dict[str, Any]) -> None:
    """Keep the plain values of an index; where the cache folder cannot be written to, nothing is kept.

    Parameters
    ----------
    root
        Folder that was indexed, absolute.
    sign
        Signature of its files.
    values
        Plain values, ready for JSON.
    """
    kept = {"root": str(root), "signature": sign, "checksum": _checksum(values), "index": values}
    path = _file(root)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            partial.write_text(json.dumps(kept), encoding="utf-8")
    except OSError:
        return


def _file(root: Path) -> Path:
    return cache_folder() / "index" / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:24]}.json"


def _checksum(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
