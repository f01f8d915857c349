"""Files and folders that are whole or absent, locks, and checksums. Knows nothing of what is in them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gliomask.errors import UsageError

if sys.platform != "win32":
    import fcntl

_PART = re.compile(r"\.[0-9a-f]{32}\.part")


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


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside a path; it takes the place of what is there if nothing was raised.

    Of a process that is killed it stays, hidden, until `remove_interrupted`.

    Parameters
    ----------
    path
        Where the folder belongs.

    Raises
    ------
    OSError
        If the folder cannot be made, or what is there cannot be removed.
    """
    part, handle = locked_folder(lambda: _part_in(path.parent))
    try:
        yield part
        if path.exists():
            shutil.rmtree(path)
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    finally:
        if handle is not None:
            os.close(handle)


def remove_interrupted(folder: Path) -> None:
    """Remove what `whole_folder` left in a folder when its process was killed.

    What a process that is alive is writing stays, and all of it where that cannot be known (`remove_left`).
    """
    remove_left(part for part in folder.glob(".*.part") if _PART.fullmatch(part.name))


def locked_folder(make: Callable[[], Path]) -> tuple[Path, int | None]:
    """Make a folder that is locked before `remove_left` could take it for one that was left.

    Parameters
    ----------
    make
        Makes an empty folder of a name that is new, and returns it.

    Returns
    -------
    tuple of Path and (int or None)
        The folder, and the handle that has the lock, for `os.close`; None on Windows, where folders have none.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    while True:
        folder = make()
        if sys.platform == "win32":
            return folder, None
        with suppress(FileNotFoundError):  # another call was faster, and removed it
            handle = os.open(folder, os.O_RDONLY)
            if lock(handle) is not False and is_there(folder, handle):
                return folder, handle
            os.close(handle)


def remove_left(folders: Iterable[Path]) -> None:
    """Remove folders of `locked_folder` that processes which were killed have left.

    Those of processes that are alive stay, and so does all on Windows and on disks without locks.
    """
    for folder in folders:
        if sys.platform == "win32":
            return
        with suppress(OSError):  # no folder, or another call removes it
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if lock(handle):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(handle)


def lock(handle: int) -> bool | None:
    """Lock an opened file or folder, without waiting; the lock ends with the process, however that ends.

    Returns
    -------
    bool or None
        Whether it is locked by this handle now, or by another; None where there are no locks.
    """
    if sys.platform != "win32":
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a disk without locks
            return None
        return True
    return None


def is_there(path: Path, handle: int) -> bool:
    """Tell whether a path still leads to what was opened there."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def take_mark(mark: Path) -> int | None:
    """Open and lock a file that says that something is in hand; the lock ends with the process, however that ends.

    Returns
    -------
    int or None
        What `drop_mark` takes; None if another process has it. (On Windows, and on disks that know no locks, nobody is
        kept out.)

    Raises
    ------
    OSError
        If it cannot be written.
    """
    while True:
        handle = os.open(mark, os.O_RDWR | os.O_CREAT, 0o666)
        is_mine = lock(handle) is not False
        if is_mine and is_there(mark, handle):
            return handle
        os.close(handle)
        if not is_mine:
            return None
        # another call had it, and removed it before it let go


def drop_mark(mark: Path, handle: int) -> None:
    """Remove the mark, if it is still the one that was taken, and let go of it.

    It goes before the lock does, or the next call's mark would go; on Windows, what is open cannot be removed.
    """
    is_mine = is_there(mark, handle)
    if sys.platform == "win32":
        os.close(handle)
    try:
        if is_mine:
            with suppress(OSError):  # a mark that nobody holds keeps nobody out
                mark.unlink()
    finally:
        if sys.platform != "win32":
            os.close(handle)


def _part_in(folder: Path) -> Path:
    part = folder / f".{uuid.uuid4().hex}.part"
    part.mkdir(parents=True)
    return part


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
