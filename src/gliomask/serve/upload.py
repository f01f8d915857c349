"""An upload: its files, how much is taken, and how far it is. Knows no HTTP and no model."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

from gliomask.errors import Failure, NoRoomError, TooLargeError, UnknownUploadError, UploadError, UploadStateError
from gliomask.files import whole_file
from gliomask.serve.paths import safe_path, shown

MEBI = 2**20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Limits:
    """How much is taken, and how long it is kept.

    Attributes
    ----------
    size
        Bytes of an upload.
    files
        Files of an upload.
    uploads
        Uploads that are there at a time.
    seconds
        An upload is removed when nobody has looked at it for so long.
    """

    size: int = 4096 * MEBI
    files: int = 50_000
    uploads: int = 100
    seconds: float = 3600.0


class State(StrEnum):
    """What becomes of an upload, in this order."""

    RECEIVING = "receiving"
    WAITING = "waiting"
    SEARCHING = "searching"
    PREDICTING = "predicting"
    DONE = "done"
    FAILED = "failed"


class Upload:
    """What was sent together, in a folder of its own: ``upload-1/`` (files alone), ``folders/``, ``results/``.

    Parameters
    ----------
    folder
        For all of its files; made when the first comes. Studies without a name of their own are called after it.
    limits
        How much is taken.

    Attributes
    ----------
    state, done, total
        How far it is; of ``total`` studies (or files looked at, while it is searched) so many are done.
    outcomes, told
        Of studies: what `gliomask.predict_all` yields, and what is told of each.
    error
        Why the whole of it failed, if it did.
    series
        Number or part of the description by which to choose the FLAIR series of DICOM; None: the descriptions tell.
    gone
        Whether it was removed: nobody waits for it any more.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.id = secrets.token_urlsafe(24)
        self.folder, self.results = folder, folder / "results"
        self._alone, self._folders = folder / f"upload-{folder.name}", folder / "folders"
        self.state, self.done, self.total = State.RECEIVING, 0, 0
        self.outcomes: list[dict[str, Any] | Failure] = []
        self.told: list[dict[str, Any]] = []
        self.error: str | None = None
        self.series: str | None = None
        self.gone = False
        self.size, self.files = 0, 0
        self._limits, self._lock, self._coming = limits, Lock(), set[Path]()

    @contextmanager
    def file(self, name: str, length: int | None = None) -> Iterator[Callable[[bytes], None]]:
        """Yield a function that writes a piece of a file; the file is there, whole, when the block has ended well.

        Parameters
        ----------
        name
            Its path, see `gliomask.serve.paths.safe_path`.
        length
            Bytes that are to come, if that is known: what is too much is refused before it comes.

        Raises
        ------
        UploadError
            If the name cannot be taken; its kinds: if the upload is no longer open or gone, or it is too much.
        """
        path = safe_path(name)
        target = (self._alone if len(path.parts) == 1 else self._folders) / path
        self._begin(target, path, length)
        taken = 0

        def write(piece: bytes) -> None:
            nonlocal taken
            self._take(len(piece))
            taken += len(piece)
            file.write(piece)

        whole = False
        try:
            with self._told(path), whole_file(target) as part, part.open("wb") as file:
                yield write
            whole = True
        finally:
            self._end(target, 0 if whole else taken, whole=whole)

    def start(self, series: str | None = None) -> None:
        """Take no more files; it waits for its prediction.

        Parameters
        ----------
        series
            See the class.

        Raises
        ------
        UploadStateError
            If that was asked for already, a file is still coming, or there is none.
        """
        with self._lock:
            if self.state is not State.RECEIVING:
                raise UploadStateError(f"this upload is {self.state} already; expected one start; send a new upload")
            if self._coming:
                raise UploadStateError(f"{len(self._coming)} file(s) still coming; expected all of them; wait for them")
            if not self.files:
                raise UploadStateError("an upload without files; expected slices, NIfTI or DICOM; send some first")
            self.state, self.series = State.WAITING, series

    def inputs(self) -> list[Path]:
        """Return what to search: each folder that was sent, and the files without one together (one: by itself)."""
        alone = [path for path in self._alone.glob("*") if not path.name.startswith(".")]
        return [*(alone if len(alone) == 1 else [self._alone] if alone else []), *sorted(self._folders.glob("*"))]

    def readable(self, text: str) -> str:
        """Return a text in which files are called as they were sent, and what can be done as the page calls it."""
        text = text.replace("(--series)", "(FLAIR series, below the buttons)")
        for place in (self._alone, self._folders, self.results):
            text = text.replace(f"{place}{os.sep}", "")
        return text.replace(f"{self.folder}{os.sep}", "")

    def fail(self, reason: str) -> None:
        """Take down why there is no result at all."""
        self.error, self.state = self.readable(reason), State.FAILED

    def erase(self) -> None:
        """Remove all files; may be called again while the last ones are still being written."""
        self.gone = True
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self, target: Path, path: PurePosixPath, length: int | None) -> None:
        with self._lock:
            self._check_open()
            if self.files + len(self._coming) >= self._limits.files:
                raise TooLargeError(
                    f"more than {self._limits.files} files; expected at most that; send several uploads"
                )
            if length is not None:
                self._check_size(self.size + length)
                if length > shutil.disk_usage(self.folder.parent).free:
                    raise _no_room(str(path))
            if target in self._coming or target.exists():
                raise UploadError(f"{path}: was sent already; expected each file once; rename one of them")
            self._coming.add(target)

    def _take(self, count: int) -> None:
        with self._lock:
            self._check_open()
            self._check_size(self.size + count)
            self.size += count

    def _end(self, target: Path, lost: int, *, whole: bool) -> None:
        with self._lock:
            self._coming.discard(target)
            self.size, self.files = self.size - lost, self.files + whole
        if self.gone:
            self.erase()

    def _check_open(self) -> None:
        if self.gone:
            raise unknown()
        if self.state is not State.RECEIVING:
            raise UploadStateError(f"this upload is {self.state} already; expected files before; send a new upload")

    def _check_size(self, size: int) -> None:
        if size > self._limits.size:
            found, expected = f"an upload of {_mebi(size)} MiB or more", f"at most {_mebi(self._limits.size)} MiB"
            raise TooLargeError(f"{found}; expected {expected}; send less at a time, or start with a larger --max-mb")

    @contextmanager
    def _told(self, path: PurePosixPath) -> Iterator[None]:
        """Turn what the disk says into what a user is told."""
        try:
            yield
        except OSError as error:
            if self.gone:
                raise unknown() from error
            if error.errno in _FULL:
                raise _no_room(str(path)) from error
            if error.errno in {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY}:
                said = f"{path}: a file and a folder of one name; expected different names; rename one of them"
                raise UploadError(said) from error
            raise


def unknown(found: str = "no such upload") -> UnknownUploadError:
    """Return what is said where an upload, or something of it, is not there."""
    return UnknownUploadError(f"{found}; expected one that was neither removed nor left alone for long; send it again")


def _no_room(name: str) -> NoRoomError:
    return NoRoomError(f"{shown(name)}: no room left on the disk; expected some; remove uploads, or make room")


def _mebi(size: int) -> str:
    return f"{size / MEBI:.0f}" if size >= 10 * MEBI else f"{size / MEBI:.3g}"
