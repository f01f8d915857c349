"""One call at a time writes the folder of a study, and the next one knows what it left; or the table of all.

Knows no studies or models.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gliomask.errors import ResultExistsError
from gliomask.files import drop_mark, take_mark
from gliomask.studies.own_results import UNFINISHED, read_result

_PATIENCE = 30.0


class Claim:
    """A folder that this call alone writes; `claimed` makes it."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.is_declared = False

    def declare(self, names: Iterable[str]) -> None:
        """Write down which files are about to be written, so that a call after an interruption can remove them."""
        os.ftruncate(self._handle, 0)
        os.lseek(self._handle, 0, os.SEEK_SET)
        os.write(self._handle, json.dumps(sorted(names)).encode())
        self.is_declared = True


@contextmanager
def claimed(folder: Path) -> Iterator[Claim]:
    """Make a folder, keep other calls out of it, and remove what an interrupted one left.

    Until the end the folder holds the file `UNFINISHED`, which stays if something is raised after `Claim.declare`; if
    something is raised before, nothing of the claim stays.

    Parameters
    ----------
    folder
        Folder of a study's results.

    Raises
    ------
    ResultExistsError
        If another call is writing it. (On Windows, and on disks that know no locks, nobody is kept out.)
    OSError
        If it cannot be written to.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / UNFINISHED
    handle = _opened(mark)
    claim = Claim(handle)
    try:
        if read_result(folder) is None:
            _remove_leftovers(folder, handle)
        yield claim
    except BaseException:
        if claim.is_declared:
            os.close(handle)
        else:
            drop_mark(mark, handle)
            if is_new:
                with suppress(OSError):  # somebody else's file is in it
                    folder.rmdir()
        raise
    drop_mark(mark, handle)


@contextmanager
def one_at_a_time(mark: Path) -> Iterator[None]:
    """Keep other calls, also of other machines that share the disk, out of a block that takes moments.

    Parameters
    ----------
    mark
        File to lock, which is there while the block runs. Whoever holds it is waited for, but not longer than half a
        minute: a call that was stopped in its middle must not stop all others.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    mark.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + _PATIENCE
    while (handle := take_mark(mark)) is None and time.monotonic() < end:
        time.sleep(0.02)
    try:
        yield
    finally:
        if handle is not None:
            drop_mark(mark, handle)


def _opened(mark: Path) -> int:
    """Open the mark of a folder and lock it; the lock ends with the process, however that ends."""
    if (handle := take_mark(mark)) is None:
        found = "is being written by another call"
        raise ResultExistsError(mark.parent, found, "one at a time", "wait for it, or choose another --out")
    return handle


def _remove_leftovers(folder: Path, handle: int) -> None:
    try:
        names = json.loads(os.read(handle, os.fstat(handle).st_size))
    except ValueError:  # an empty file: nothing was written yet
        return
    for path in list(folder.iterdir()):
        of = path.name[1:].rpartition(".part")[0].rpartition(".")[0] if path.name.startswith(".") else path.name
        if of in names and path.is_file():
            path.unlink()
