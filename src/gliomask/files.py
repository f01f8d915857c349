"""Files that are whole or absent, and their checksums. Knows nothing of what is in them."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
        part.chmod(mode)  # some writers make files that only their owner can read
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 lower-case hexadecimal digits.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
