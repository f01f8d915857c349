"""Files that belong together, in a folder or in a zip, read without unpacking to disk. Knows not what is in them."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from stat import S_ISREG

from gliomask.errors import DataError

LARGEST_FILE = 2**29
"""Larger files (512 MiB) are not read."""

_LARGEST_ZIP = 2**31  # bytes of all members together, unpacked
_MOST_MEMBERS = 50_000
_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"


@dataclass(frozen=True, order=True)
class Part:
    """One file: alone on the disk, or a member of a zip."""

    path: Path
    member: str = ""

    def __str__(self) -> str:
        """Return the name that errors show."""
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    @property
    def folder(self) -> PurePosixPath:
        """Where the file lies; a zip counts as a folder."""
        return (PurePosixPath(self.path.as_posix()) / self.member).parent


def is_zip(path: Path) -> bool:
    """Tell whether a file begins like a zip.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    return _start(path, len(_ZIP)) in (_ZIP, _EMPTY_ZIP)


def list_parts(path: Path, errors: list[DataError] | None = None) -> list[Part]:
    """List the files of a folder (to any depth) or a zip, or the file alone; hidden ones are passed over.

    Links are followed; of a folder that can be reached in several ways, the files are listed once.

    Parameters
    ----------
    path
        Folder, zip or file.
    errors
        Takes what of a folder cannot be read: a folder in it, a link that leads nowhere. Without it, that is raised.

    Raises
    ------
    DataError
        If it does not exist or may not be read, or a zip is damaged, encrypted, or declares more than 2 GiB,
        50000 members or a place outside of itself.
    """
    if not path.is_dir():
        return _list_zip(path) if is_zip(path) else [Part(path)]
    refused: list[DataError] = []
    parts = _list_folder(path, refused)
    if errors is None and refused:
        raise refused[0]
    if errors is not None:
        errors += refused
    return parts


def _list_folder(folder: Path, errors: list[DataError]) -> list[Part]:
    def refuse(error: OSError) -> None:
        errors.append(_unreadable(error.filename or folder, error))

    parts: list[Part] = []
    seen = set(folder.resolve().parents)  # a link to one of these leads round and round
    waiting = [folder]
    while waiting:  # what links lead to comes last, so that a folder is listed at its own place
        for where, folders, files in os.walk(waiting.pop(0), onerror=refuse):
            here = Path(where)
            if (real := here.resolve()) in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            waiting += [here / name for name in folders if (here / name).is_symlink()]
            parts += _list_files([here / name for name in sorted(files) if not name.startswith(".")], errors)
    return parts


def _list_files(paths: list[Path], errors: list[DataError]) -> list[Part]:
    """List the files of one folder; those that are not there or out of reach make one error together."""
    parts: list[Part] = []
    lost: list[tuple[Path, OSError]] = []
    for path in paths:
        try:
            if S_ISREG(path.stat().st_mode):  # pipes and the like would be waited for
                parts.append(Part(path))
        except OSError as error:
            lost.append((path, error))
    if lost:
        first, reason = lost[0]
        if isinstance(reason, FileNotFoundError):
            more = f" (one of {len(lost)} in its folder)" if len(lost) > 1 else ""
            found = f"a link that leads nowhere{more}"
            errors.append(DataError(first, found, "a file", "fetch what it stands for, or remove it"))
        else:
            errors.append(_unreadable(first, reason))
    return parts


def _list_zip(path: Path) -> list[Part]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
    except Exception as error:  # BadZipFile, NotImplementedError, struct.error, UnicodeDecodeError, ...
        raise DataError(path, "a damaged or cut-off zip", "a zip of images", "copy or pack it again") from error
    _check_members(path, members)
    names = (member.filename for member in members)
    return [Part(path, name) for name in sorted(names) if not PurePosixPath(name).name.startswith(".")]


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    size = sum(member.file_size for member in members)
    if len(members) > _MOST_MEMBERS or size > _LARGEST_ZIP:
        found = f"a zip of {len(members)} files that unpack to {size / 2**30:.1f} GiB"
        expected = f"at most {_MOST_MEMBERS} files and {_LARGEST_ZIP / 2**30:.0f} GiB"
        raise DataError(path, found, expected, "give the folder it was made of, if you trust it")
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if not name.parts or name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
            found = "a zip with a member whose name leads out of it or nowhere"
            raise DataError(path, found, "names inside of it", "do not trust it; pack the images again")
        if member.flag_bits & 1:
            raise DataError(path, "an encrypted zip", "a zip without password", "unpack it and give the folder")


def contents(parts: Iterable[Part]) -> Iterator[tuple[Part, bytes]]:
    """Read files one after the other; a zip is opened once for all of its members that follow each other.

    Raises
    ------
    DataError
        If a file cannot be read, is damaged in its zip, or is larger than `LARGEST_FILE`.
    """
    for part, content in contents_or_errors(parts):
        if isinstance(content, DataError):
            raise content
        yield part, content


def contents_or_errors(
    parts: Iterable[Part], start: bytes = b"", at: int = 0, *, most: int | None = None
) -> Iterator[tuple[Part, bytes | DataError]]:
    """Read files as `contents` does, but give the error of one that cannot be read, and go on.

    Parameters
    ----------
    parts
        What to read.
    start, at
        Files that do not hold these bytes at this place are not read further: their content is empty.
    most
        Bytes to read of each file at most; all if it is not given.
    """
    with ExitStack() as stack:
        opened: tuple[Path, zipfile.ZipFile] | None = None
        for part in parts:
            try:
                if part.member and (opened is None or opened[0] != part.path):
                    stack.close()
                    opened = part.path, stack.enter_context(_open_zip(part.path))
                content = _read(part, opened[1] if opened and part.member else None, (start, at), most)
            except DataError as error:
                yield part, error
            else:
                yield part, content


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except Exception as error:
        raise DataError(path, "a damaged or cut-off zip", "a zip of images", "copy or pack it again") from error


def _read(part: Part, archive: zipfile.ZipFile | None, begins: tuple[bytes, int], most: int | None) -> bytes:
    start, at = begins
    try:
        with part.path.open("rb") if archive is None else archive.open(part.member) as file:
            begin = file.read(at + len(start))
            if begin[at:] != start:
                return b""
            content = begin + file.read(max(0, (LARGEST_FILE + 1 if most is None else most) - len(begin)))
    except OSError as error:
        raise _unreadable(part, error) from error
    except Exception as error:  # BadZipFile, zlib.error, EOFError, NotImplementedError (a rare way of packing), ...
        raise DataError(str(part), "a damaged file in a zip", "an image", "copy or pack it again") from error
    if len(content) > LARGEST_FILE:
        raise DataError(str(part), "a file of more than 512 MiB", "an image", "give the images alone")
    return content


def _start(path: Path, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Part | Path | str, error: OSError) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(str(path), "does not exist", "a file or folder", "check the path")
    found = f"cannot be read ({error.strerror or type(error).__name__})"
    return DataError(str(path), found, "a file or folder that may be read", "change its permissions, or copy it again")
