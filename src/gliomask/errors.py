"""The errors of gliomask. Knows nothing of any other room.

    GliomaskError                 everything the package raises on purpose
    ├── UsageError                options that do not fit together             (exit status 2)
    ├── MissingExtraError         an optional dependency is not installed      (exit status 2)
    ├── DataError                 a file or folder is not what it should be    (exit status 1)
    │   ├── UnreadableImageError  one image file cannot be used
    │   ├── ResultExistsError     a result that is not to be replaced is there already
    │   └── SplitMismatchError    a split (or a run) that was made for other data
    ├── ModelFileError            an exported model or checkpoint that does not hold together
    ├── EngineError               a network that could not be computed
    ├── TrainingError             a training that cannot go on
    ├── UploadError               what was sent to the web page cannot be taken
    │   ├── UnknownUploadError    an upload that is not there, or no longer
    │   ├── UploadStateError      what is asked of an upload comes too early or too late
    │   ├── TooLargeError         more is sent than is taken
    │   └── NoRoomError           the disk is full
    └── WeightsError              pretrained weights that can neither be found nor downloaded

Every message says what came, what was expected and the cure, on one line.
"""

from __future__ import annotations

import errno
import os
from os.path import normpath
from pathlib import Path
from typing import NamedTuple

_OF_DISK = {errno.ENOSPC, errno.EROFS, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""Nothing but writing ends with these."""


class GliomaskError(Exception):
    """Base of everything that gliomask raises on purpose."""


class UsageError(GliomaskError):
    """Options that do not fit together."""


class MissingExtraError(GliomaskError):
    """An optional dependency is not installed.

    Parameters
    ----------
    package
        Name of the package that could not be imported.
    extra
        Extra of gliomask that installs it.
    otherwise
        What can be done without it, added to the message.
    """

    def __init__(self, package: str, extra: str, otherwise: str = "") -> None:
        super().__init__(f"{package} is not installed; it comes with: {install_command(extra)}{otherwise}")


def install_command(extra: str) -> str:
    """Return what installs an extra of gliomask, for messages."""
    return f"pip install -c constraints.txt '.[{extra}]', in gliomask's folder"


class DataError(GliomaskError):
    """A file or folder is not what it should be.

    Parameters
    ----------
    path
        The file or folder.
    found
        What came.
    expected
        What was expected.
    cure
        What the user can do about it.
    """

    def __init__(self, path: Path | str, found: str, expected: str, cure: str) -> None:
        super().__init__(f"{path}: {found}; expected {expected}; {cure}")
        self.path, self.found, self.expected, self.cure = str(path), found, expected, cure


class UnreadableImageError(DataError):
    """One image file cannot be used."""


class ResultExistsError(DataError):
    """A result that is not to be replaced is there already."""


class SplitMismatchError(DataError):
    """A split or a run that was made for other data."""


class ModelFileError(GliomaskError):
    """An exported model or a checkpoint that does not hold together."""


class EngineError(GliomaskError):
    """A network that could not be computed, for want of memory, say."""


class TrainingError(GliomaskError):
    """A training that cannot go on."""


class UploadError(GliomaskError):
    """What was sent to the web page cannot be taken."""


class UnknownUploadError(UploadError):
    """An upload that is not there, or no longer."""


class UploadStateError(UploadError):
    """What is asked of an upload comes too early or too late."""


class TooLargeError(UploadError):
    """More is sent than is taken."""


class NoRoomError(UploadError):
    """The disk is full."""


class WeightsError(GliomaskError):
    """Pretrained weights that can neither be found nor downloaded."""


class Failure(NamedTuple):
    """One of many inputs that has no result, and why; the others go on.

    Attributes
    ----------
    study
        Its name.
    reason
        The line about it.
    """

    study: str
    reason: str


def failure(name: str, error: Exception, out: Path) -> Failure:
    """Return what is told of a study that failed.

    Parameters
    ----------
    name
        Of the study.
    error
        A `GliomaskError`, an `OSError` or a `MemoryError`.
    out
        Folder of its results, which is to blame for an `OSError` unless that names a file elsewhere.
    """
    if isinstance(error, OSError):
        found = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename is not None else "")
        if error.errno not in _OF_DISK and _lies_elsewhere(error.filename, out):
            expected = "a file that may be read; check that it is still there, its permissions and the disk"
        else:
            expected = f"room and permission; look at {out}"
        return Failure(name, f"{name}: {found}; expected {expected}")
    if isinstance(error, MemoryError):
        said = "does not fit into memory; expected images of a head; check its size and spacing"
        return Failure(name, f"{name}: {said}")
    return Failure(name, f"{name}: {error}" if isinstance(error, EngineError) else str(error))


def _lies_elsewhere(file: object, folder: Path) -> bool:
    """Tell whether the file of an `OSError` is known and neither in a folder, nor one of those above it."""
    if not isinstance(file, str | bytes | os.PathLike):
        return False
    path, whole = (Path(normpath(Path(each).absolute())) for each in (os.fsdecode(file), folder))
    return path != whole and whole not in path.parents and path not in whole.parents
