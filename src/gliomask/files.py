"""Files that are whole or absent, and their checksums. Knows nothing of what is in them."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gliomask.errors import UsageError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside a path; what was written there takes the path's place if nothing was raised.

    Whoever reads the path sees the old file or the new one, never a part. The folder is made if it is absent.

    Parameters
    ----------
    path
        Where the file belongs.

    Raises
    ------
    OSError
        If the folder cannot be made or written to.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        part.touch()
    except (FileNotFoundError, NotADirectoryError):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
    try:
        mode = part.stat().st_mode
        yield part
        if part.stat().st_mode != mode:  # some writers make files that only their owner can read
            part.chmod(mode)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def require_own_json(path: Path, is_own: Callable[[Any], bool], kind: str) -> None:
    """Make sure that a JSON file which is to be written replaces none but an earlier one of its kind.

    Parameters
    ----------
    path
        The file; it may be absent.
    is_own
        Is given what the file holds, None if it is no JSON, and tells whether it is of that kind.
    kind
        Whose file it should be, for the message: ``a radiogenomic study``.

    Raises
    ------
    UsageError
        If there is a file that is something else.
    """
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError):
        known = None
    if not is_own(known):
        raise UsageError(f"{path} is not of {kind} and would be replaced; choose another --out")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 lower-case hexadecimal digits.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
