"""Names of files as a browser sends them: which are taken, and where they go. Knows no disk."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from gliomask.errors import UploadError

LONGEST_NAME = 200
"""Bytes of a name in UTF-8; disks take 255, of which a file that is being written needs some."""
LONGEST_PATH = 1000
"""Bytes of a whole path in UTF-8."""
_DEEPEST = 32
_DRIVE = re.compile(r"[A-Za-z]:")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # devices of Windows
_NO_TEXT = {"Cc", "Cs"}  # control characters, halves of characters


def safe_path(name: str) -> PurePosixPath:
    """Return the path that a file of an upload is called by, which leads to nowhere but into the upload.

    Parameters
    ----------
    name
        As it was sent, with ``/`` between folders.

    Raises
    ------
    UploadError
        If it is empty, absolute, too long or too deep, names a device, or has ``..``, a drive, a backslash or a control
        character in it.
    """
    said = shown(name)
    if not name or len(name.encode("utf-8", "surrogatepass")) > LONGEST_PATH:
        raise UploadError(f"{said}: a path of no or too many letters; expected 1 to {LONGEST_PATH} bytes; rename it")
    if "\\" in name or any(unicodedata.category(letter) in _NO_TEXT for letter in name):
        raise UploadError(f"{said}: a backslash or a control character in a name; expected neither; rename it")
    parts = name.split("/")
    if len(parts) > _DEEPEST:
        raise UploadError(f"{said}: {len(parts)} folders deep; expected at most {_DEEPEST}; send a folder in it")
    for part in parts:
        if (found := _wrong(part)) is not None:
            raise UploadError(f"{said}: {found}; expected a path that leads into the upload; rename it")
    return PurePosixPath(*parts)


def shown(name: str) -> str:
    """Return how a name is told in messages: in one line, and not without end."""
    line = "".join("?" if unicodedata.category(letter) in _NO_TEXT else letter for letter in name)
    return line if len(line) <= LONGEST_NAME else f"{line[:LONGEST_NAME]}..."


def _wrong(part: str) -> str | None:
    """Return what is wrong with a name; None if nothing is."""
    if part in {"", ".", ".."}:
        return f"{part!r} as a name"
    if len(part.encode("utf-8")) > LONGEST_NAME:
        return f"a name of more than {LONGEST_NAME} bytes"
    if _DRIVE.match(part):
        return "a drive in it"
    return "the name of a device" if _RESERVED.fullmatch(part) else None
