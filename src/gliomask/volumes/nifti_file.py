"""NIfTI files, whole and checked before nibabel sees them. Knows nothing of what the voxels mean."""

from __future__ import annotations

import gzip
import io
import math
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

from gliomask.errors import DataError
from gliomask.files import whole_file
from gliomask.volumes.silence import muted, shared
from gliomask.volumes.volume import MOST_VOXELS

SUFFIXES = (".nii", ".nii.gz")
"""File name endings (in lower case) that are read and written."""

_GZIP = b"\x1f\x8b"
_LARGEST_HEADER = 2**20  # bytes before the voxels, extensions included
_CHUNK = 2**20
_LEVEL = 6  # gzip's own default; 9 takes longer for the same size
_PADDING = 2**16  # bytes that may follow the voxels


def check_name(path: Path, expected: str) -> None:
    """Refuse a name with another ending.

    Raises
    ------
    DataError
        If the name does not end in .nii or .nii.gz.
    """
    if not path.name.lower().endswith(SUFFIXES):
        cure = "convert or rename the file"
        raise DataError(path, f"a name ending in {path.suffix!r}", f"{expected}, in .nii or .nii.gz", cure)


def load_nifti(path: Path, expected: str) -> Any:
    """Read a file to its end (which compares a packed file's checksum), taking no more memory than its header declares.

    Parameters
    ----------
    path
        NIfTI-1 or NIfTI-2 in one file, ``.nii`` or ``.nii.gz``.
    expected
        Words for errors.

    Returns
    -------
    nibabel.Nifti1Image or nibabel.Nifti2Image
        Its voxels not yet scaled; nibabel is typed only in part. nibabel mends a header: ``extra["pixdim"]`` is the
        pixdim of the file.

    Raises
    ------
    DataError
        If the file cannot be read, is no NIfTI, is cut off or damaged, or declares more than `MOST_VOXELS` voxels.
    """
    check_name(path, expected)
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP
            raw.seek(0)
            file: Any = gzip.GzipFile(fileobj=raw) if packed else raw
            with in_silence():
                return _parse(path, expected, file)
    except DataError:
        raise
    except OSError as error:
        if isinstance(error, gzip.BadGzipFile):
            raise damaged(path, expected, error) from error
        found, cure = _reason(path, error)
        raise DataError(path, found, expected, cure) from error
    except Exception as error:  # EOFError, zlib.error, HeaderDataError, ...
        raise damaged(path, expected, error) from error


def _parse(path: Path, expected: str, file: IO[bytes]) -> Any:
    from nibabel.nifti1 import Nifti1Image  # noqa: PLC0415 - slow to import
    from nibabel.nifti2 import Nifti2Image  # noqa: PLC0415

    start = file.read(540)
    if not start:
        raise DataError(path, "an empty file (0 bytes)", expected, "copy or write it again")
    if start[344:347] == b"n+1":
        kind: Any = Nifti1Image
    elif start[4:7] == b"n+2":
        kind = Nifti2Image
    else:
        raise DataError(path, "no NIfTI in one file, or damaged at its start", expected, "convert it, or copy it again")
    header = start[: kind.header_class.template_dtype.itemsize]  # without the extensions, which lie behind it
    size = _declared(path, expected, kind.header_class.from_fileobj(io.BytesIO(header)))
    content = io.BytesIO()
    content.write(start)
    while (left := size + _PADDING - content.tell()) > 0 and (chunk := file.read(min(_CHUNK, left))):
        content.write(chunk)
    if content.tell() < size:
        raise DataError(path, "a damaged or cut-off file", expected, "copy or write it again")
    if file.read(1):
        found = "a damaged file (it goes on after the voxels that its header declares)"
        raise DataError(path, found, expected, "write it again")
    content.seek(0)
    image = kind.from_stream(content)
    image.extra["pixdim"] = kind.header_class.from_fileobj(io.BytesIO(header), check=False)["pixdim"]
    return image


def _declared(path: Path, expected: str, header: Any) -> int:
    """Return the bytes of the file up to the last voxel, as the header has it."""
    shape = [int(length) for length in header.get_data_shape()]
    voxels = math.prod(shape)
    if min(shape, default=0) < 0 or voxels > MOST_VOXELS:
        found = f"a header that declares {' x '.join(map(str, shape))} voxels"
        raise DataError(path, found, f"{expected}, of at most {MOST_VOXELS} voxels", "copy it again, or crop it")
    offset = float(header["vox_offset"])
    if not 0 <= offset <= _LARGEST_HEADER:
        raise DataError(path, "a damaged header (its voxels begin nowhere)", expected, "copy or write it again")
    return int(offset) + voxels * int(header.get_data_dtype().itemsize)


def write_content(path: Path, content: bytes) -> None:
    """Write a file whole, packed if its name ends in .gz; the same content makes the same file.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    if path.name.lower().endswith(".gz"):
        content = gzip.compress(content, _LEVEL, mtime=0)
    try:
        with whole_file(path) as partial:
            partial.write_bytes(content)
    except OSError as error:
        found = f"cannot be written ({error.strerror or error})"
        raise DataError(path, found, "a folder that can be written to", "choose another") from error


def _reason(path: Path, error: OSError) -> tuple[str, str]:
    """Say in plain words why a file could not be read, and what to do."""
    if isinstance(error, FileNotFoundError):
        return "no such file", "check the name"
    if path.is_dir():
        return "a folder", "give the name of a file"
    return f"a file that cannot be read ({error.strerror or error})", "change its permissions, or copy it again"


def damaged(path: Path, expected: str, error: Exception) -> DataError:
    """Return the error for a file that a decoder could not make sense of."""
    detail = " ".join(str(error).split())[:100] or type(error).__name__
    return DataError(path, f"a damaged or cut-off file ({detail})", expected, "copy or write it again")


@shared
def in_silence() -> AbstractContextManager[None]:
    """Keep nibabel from telling stderr what it mends in a header (its own suppressor leaves the root logger)."""
    return muted("nibabel.global")
