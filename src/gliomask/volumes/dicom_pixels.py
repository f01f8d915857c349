"""The pixels of DICOM frames, decoded only once their size is known. Knows nothing of geometry."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliomask.errors import DataError, install_command
from gliomask.volumes.archive import Part, contents
from gliomask.volumes.dicom_headers import IMAGE, DicomFrame, damaged_dicom, quiet_pydicom
from gliomask.volumes.volume import MOST_VOXELS

_RLE = "1.2.840.10008.1.2.5"
_GREY = ("MONOCHROME1", "MONOCHROME2")
_NOT_FRAMES = (0xFFC4, 0xFFC8, 0xFFCC)  # among the JPEG markers that look like frame headers
_BOXES = 512  # bytes that may stand before a JPEG 2000 stream
_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"


def read_pixels(frames: Sequence[DicomFrame]) -> NDArray[Any]:
    """Decode frames of the same size.

    Returns
    -------
    numpy.ndarray
        (frames, rows, columns), in order; of the stored type where slope is 1 and intercept 0, else float32. Where the
        image is only padded, the smallest of the other values.

    Raises
    ------
    DataError
        If a file cannot be read or decoded, is no grey image, or is too large.
    """
    rows, columns = frames[0].shape
    _check_size(frames)
    plain = all(frame.slope == 1 and frame.intercept == 0 for frame in frames)
    planes: NDArray[Any] | None = None
    padded = np.zeros((len(frames), rows, columns), np.bool_)
    order = sorted(range(len(frames)), key=lambda number: (frames[number].part, frames[number].index))
    files = [list(numbers) for _, numbers in groupby(order, key=lambda number: frames[number].part)]
    parts = [frames[numbers[0]].part for numbers in files]
    for numbers, (part, content) in zip(files, contents(parts), strict=True):
        decoded, padding = _decode(part, content, (rows, columns))
        if planes is None:
            planes = np.empty((len(frames), rows, columns), decoded.dtype if plain else np.float32)
        if plain and decoded.dtype != planes.dtype:
            planes = planes.astype(np.promote_types(planes.dtype, decoded.dtype))
        for number in numbers:
            frame = frames[number]
            if frame.index >= len(decoded):
                raise DataError(str(part), "fewer frames than it says", IMAGE, "copy or export it again")
            stored = decoded[frame.index]
            if padding is not None:
                padded[number] = (stored >= padding[0]) & (stored <= padding[1])
            with np.errstate(all="ignore"):  # what overflows is found as infinite
                planes[number] = stored if plain else stored.astype(np.float64) * frame.slope + frame.intercept
    if planes is None:
        raise ValueError("expected at least one frame")
    if padded.any() and not padded.all():
        planes[padded] = planes[~padded].min()
    return planes


def _check_size(frames: Sequence[DicomFrame]) -> None:
    rows, columns = frames[0].shape
    if not 0 < len(frames) * rows * columns <= MOST_VOXELS:
        found = f"a series of {len(frames)} x {rows} x {columns} voxels"
        raise DataError(str(frames[0].part), found, f"1 to {MOST_VOXELS} voxels", "export it again, or crop it")


def _decode(part: Part, content: bytes, shape: tuple[int, int]) -> tuple[NDArray[Any], tuple[int, int] | None]:
    """Return (frames, rows, columns) of stored values, and the smallest and largest of those that only pad them."""
    from pydicom import dcmread  # noqa: PLC0415 - slow to import
    from pydicom.pixels import pixel_array  # type: ignore[attr-defined]  # noqa: PLC0415
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian  # noqa: PLC0415

    try:
        with quiet_pydicom():
            dataset = dcmread(io.BytesIO(content), force=True)
            if "TransferSyntaxUID" not in dataset.file_meta:  # without preamble: as it was read
                implicit = dataset.original_encoding[0]
                dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
            _check_image(part, dataset, shape)
            _check_compression(part, dataset, shape)
            decoded = np.asarray(pixel_array(dataset))
            return decoded[np.newaxis] if decoded.ndim == 2 else decoded, _padding(dataset, decoded.dtype)
    except DataError:
        raise
    except Exception as error:  # pydicom and its decoders raise nearly anything for broken files
        raise damaged_dicom(part, error) from error


def _padding(dataset: Any, stored: np.dtype[Any]) -> tuple[int, int] | None:
    """Return the range of padding (PS3.3 C.7.5.1.1.2); files may give -2000 for 63536, and the other way round."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    low, high = sorted(np.array([value, value if limit is None else limit], np.int64).astype(stored).tolist())
    return low, high


def _check_image(part: Part, dataset: Any, shape: tuple[int, int]) -> None:
    frames = int(dataset.get("NumberOfFrames") or 1)
    if (int(dataset.Rows), int(dataset.Columns)) != shape or not 0 < frames * shape[0] * shape[1] <= MOST_VOXELS:
        raise DataError(str(part), f"{frames} frames of {shape[0]} x {shape[1]} pixels", IMAGE, "export it again")
    kind, samples = str(dataset.PhotometricInterpretation), int(dataset.SamplesPerPixel)
    if kind not in _GREY or samples != 1:
        raise DataError(str(part), "a colour image", f"{IMAGE} in grey", "choose the original series")
    if kind == "MONOCHROME1":
        raise DataError(str(part), "an image with inverted grey values (MONOCHROME1)", IMAGE, "save it as MONOCHROME2")


def _check_compression(part: Part, dataset: Any, shape: tuple[int, int]) -> None:
    """Refuse what no decoder is there for, and frames whose own header declares another size: it would be allocated."""
    from pydicom.pixels import get_decoder  # type: ignore[attr-defined]  # noqa: PLC0415

    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return
    if not get_decoder(syntax).is_available:
        found = f"an image compressed as {syntax.name}, which needs python-gdcm"
        raise DataError(str(part), found, IMAGE, f"{install_command('dicom')}; or save it uncompressed")
    sizes = set(_stream_sizes(dataset.PixelData))
    if sizes != {shape} and syntax != _RLE:  # RLE has no header of its own
        raise DataError(str(part), "compressed pixels of another size than the image", IMAGE, "export it again")


def _stream_sizes(pixel_data: bytes) -> Iterator[tuple[int, int]]:
    """Yield rows and columns of each JPEG, JPEG-LS or JPEG 2000 stream that begins in an item of the pixel data."""
    at = 0
    while at + 8 <= len(pixel_data):
        length = struct.unpack_from("<I", pixel_data, at + 4)[0]
        item = memoryview(pixel_data)[at + 8 : at + 8 + length]
        if item[:2] == _JPEG:
            yield from _jpeg_sizes(item)
        elif (begin := bytes(item[:_BOXES]).find(_JPEG_2000)) >= 0:
            yield _jpeg_2000_size(item[begin:])
        at += 8 + length


def _jpeg_sizes(stream: memoryview) -> Iterator[tuple[int, int]]:
    """Yield what the frame headers say (ISO 10918-1 B.2.2, ISO 14495-1 C.2.2)."""
    at = 2
    while at + 9 <= len(stream):
        marker, length = struct.unpack_from(">HH", stream, at)
        if marker == 0xFFDA:  # the compressed data begin
            return
        if marker == 0xFFF7 or (0xFFC0 <= marker <= 0xFFCF and marker not in _NOT_FRAMES):
            rows, columns = struct.unpack_from(">HH", stream, at + 5)
            yield rows, columns
        at += 2 + max(length, 2)


def _jpeg_2000_size(stream: memoryview) -> tuple[int, int]:
    """Return what the SIZ segment says (ISO 15444-1 A.5.1)."""
    right, bottom, left, top = struct.unpack_from(">IIII", stream, 8)
    return bottom - top, right - left
