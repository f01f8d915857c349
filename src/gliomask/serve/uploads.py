"""All uploads that are there: found by an id that nobody guesses, removed when nobody looks. Knows no HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from gliomask.errors import UploadStateError
from gliomask.serve.upload import Limits, State, Upload, unknown


class Uploads:
    """All uploads that are there.

    Parameters
    ----------
    folder
        For the files of all of them.
    limits
        How much is taken, and how long it is kept.
    clock
        Returns seconds; tests have one of their own.
    """

    def __init__(self, folder: Path, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits, self._folder, self._clock, self._lock = limits, folder, clock, Lock()
        self._uploads: dict[str, Upload] = {}
        self._seen: dict[str, float] = {}
        self._sizes: dict[str, int] = {}
        self._count = 0

    def new(self) -> Upload:
        """Begin an upload.

        Raises
        ------
        UploadStateError
            If there are too many.
        """
        with self._lock:
            if len(self._uploads) >= self.limits.uploads:
                said = f"{len(self._uploads)} uploads are there; expected at most that; remove some"
                raise UploadStateError(said)
            self._count += 1
            upload = Upload(self._folder / str(self._count), self.limits)
            self._uploads[upload.id], self._seen[upload.id] = upload, self._clock()
        return upload

    def get(self, name: str) -> Upload:
        """Return an upload by its id; it counts as looked at.

        Raises
        ------
        UnknownUploadError
            If there is none.
        """
        with self._lock:
            if name not in self._uploads:
                raise unknown()
            self._seen[name] = self._clock()
            return self._uploads[name]

    def remove(self, name: str) -> None:
        """Remove an upload and its files at once; what is in hand of it is not waited for.

        Raises
        ------
        UnknownUploadError
            If there is none.
        """
        with self._lock:
            upload = self._uploads.pop(name, None)
            self._seen.pop(name, None)
        if upload is None:
            raise unknown()
        upload.erase()

    def sweep(self) -> None:
        """Remove uploads that nobody has looked at for long.

        One that waits or is predicted counts as looked at, and so does one that has grown since the last time.
        """
        with self._lock:
            now, busy = self._clock(), {State.WAITING, State.SEARCHING, State.PREDICTING}
            sizes = {name: upload.size for name, upload in self._uploads.items()}
            grown = {name for name, size in sizes.items() if size > self._sizes.get(name, 0)}
            self._seen |= {n: now for n, upload in self._uploads.items() if upload.state in busy or n in grown}
            self._sizes = sizes
            old = [name for name, seen in self._seen.items() if now - seen >= self.limits.seconds]
        for name in old:
            self.remove(name)

    def clear(self) -> None:
        """Remove all."""
        for name in list(self._uploads):
            self.remove(name)
