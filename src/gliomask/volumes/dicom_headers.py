"""What a DICOM file says of its images before a pixel is read. Knows nothing of series as volumes.

Identifiers are compared, never shown: no error repeats a value of the file, nor a decoder's message that might.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from gliomask.errors import DataError
from gliomask.volumes.archive import Part, contents, contents_or_errors
from gliomask.volumes.silence import muted, shared

IMAGE = "an MR image in DICOM"
"""Words for errors."""

MULTI_FRAME = ("1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4")
"""Enhanced MR, legacy converted enhanced MR."""

_STARTS = ((b"DICM", 128), (b"\x08\0", 0), (b"\x02\0", 0))  # after a preamble; without one, the first group
_KINDS, _KINDS_WITHIN = b"1.2.840.10008.", 1024  # what classes begin with; it tells a file without preamble
_HEADER = 2**17
"""Bytes in which nearly any header ends (128 KiB); more of a file is read only where it does not."""
_SUFFIXES = (".dcm", ".ima")
_NO_CONTRAST = {"", "no", "n", "none", "no contrast", "without"}
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_SINGLE_FRAME = "1.2.840.10008.5.1.4.1.1.4"  # MR Image Storage
_META_CLASS, _META_SYNTAX, _AFTER_META = 0x00020002, 0x00020010, 0x00030000
_PIXEL_DATA = 0x7FE00010
_TAGS = (
    "SpecificCharacterSet",
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "PatientID",
    "PatientName", "SeriesNumber", "SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName",
    "ImageType", "Rows", "Columns", "NumberOfFrames", "PixelSpacing", "ImageOrientationPatient",
    "ImagePositionPatient", "SpacingBetweenSlices", "SliceThickness", "RescaleSlope", "RescaleIntercept",
    "InstanceNumber", "ImagesInAcquisition", "ContrastBolusAgent", "ContrastBolusAgentSequence",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip

Vector = tuple[float, ...]


@dataclass(frozen=True)
class DicomFrame:
    """One image with a place in space: a file, or a frame of a multi-frame file.

    Attributes
    ----------
    part, index
        The file, and which of its frames, from 0.
    instance, series, study, patient, frame_of_reference
        Identifiers, for comparison only.
    number, description
        Of the series; the description joins those of series, protocol and sequence.
    shape
        Rows and columns.
    pixel_spacing, orientation, position
        Distance between rows and between columns in mm, direction of a row and of a column, and centre of the first
        pixel, in LPS.
    spacing, thickness
        Distance between slices, and thickness of the slice, as the header has them, in mm; None if it has not.
    slope, intercept
        Turn stored values into those that count.
    place, acquired
        Number of the image in its series, and how many images were acquired with it; None if the file does not say.
    has_contrast
        Whether a contrast agent is named.
    """

    part: Part
    index: int
    instance: str = field(repr=False)
    series: str = field(repr=False)
    study: str = field(repr=False)
    patient: tuple[str, str] = field(repr=False)
    frame_of_reference: str | None = field(repr=False)
    number: int | None
    description: tuple[str, ...]
    shape: tuple[int, int]
    pixel_spacing: Vector
    orientation: Vector
    position: Vector
    spacing: float | None
    thickness: float | None
    slope: float
    intercept: float
    place: int | None = None
    acquired: int | None = None
    has_contrast: bool = False

    @property
    def step(self) -> float | None:
        """How far the next slice should be away, in mm: the distance between slices, else their thickness."""
        return self.spacing or self.thickness


def read_headers(
    parts: Iterable[Part], on_file: Callable[[Part], object] = lambda _: None
) -> Iterator[tuple[Part, tuple[DicomFrame, ...] | DataError]]:
    """Read what the DICOM files among these say of their frames, or why they cannot; foreign files are passed over.

    Parameters
    ----------
    parts
        The files.
    on_file
        Called with each of them, foreign or not, once, when it is looked at.
    """
    files = left = list(parts)
    for start, at in _STARTS:
        foreign = []
        for part, content in contents_or_errors(left, start, at, most=_HEADER):
            if left is files:
                on_file(part)
            if isinstance(content, DataError):
                yield part, content
            elif content and (at or _KINDS in content[:_KINDS_WITHIN]):
                yield part, _frames_or_error(part, content)
            else:
                foreign.append(part)
        left = foreign
    for part in left:
        if str(part).lower().endswith(_SUFFIXES):
            found = "no DICOM file in spite of its name, or empty, or damaged at its start"
            yield part, DataError(str(part), found, IMAGE, "copy it again, or move it away")


def _frames_or_error(part: Part, beginning: bytes) -> tuple[DicomFrame, ...] | DataError:
    """Read the header; where it is longer than the beginning of its file, in the whole file."""
    try:
        return read_frames(part, beginning)
    except DataError as error:
        if len(beginning) < _HEADER:
            return error
    try:
        _, content = next(contents([part]))
        return read_frames(part, content)
    except DataError as error:
        return error


def read_frames(part: Part, content: bytes) -> tuple[DicomFrame, ...]:
    """Return the frames of a file; none if it is another object than an MR image, or a localiser.

    Parameters
    ----------
    part
        For errors and for later reading.
    content
        The file, which begins like a DICOM file; its pixels may be left out.

    Raises
    ------
    DataError
        If the file is damaged, cut off before its pixels, packed as a whole ("deflated"), or lacks its identifiers
        or its place in space.
    """
    try:
        with quiet_pydicom():
            kind, is_packed = _meta(content)
            if kind and not _is_image(kind):
                return ()
            if not is_packed:
                return _frames(part, *_header(content))
    except DataError:
        raise
    except Exception as error:  # pydicom raises nearly anything for broken files; its words may repeat values
        raise damaged_dicom(part, error) from error
    cure = "save it in another transfer syntax"
    raise DataError(str(part), "a DICOM file that is packed as a whole (deflated)", IMAGE, cure)


def damaged_dicom(part: Part, error: Exception) -> DataError:
    """Return the error for a file that pydicom could not make sense of, without the words of pydicom."""
    found = f"a damaged DICOM file, or one without its place in space ({type(error).__name__})"
    return DataError(str(part), found, IMAGE, "copy or export it again")


@shared
@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom and highdicom from warning about, logging, or checking values that are not used."""
    from pydicom.config import disable_value_validation  # noqa: PLC0415 - slow to import

    with muted("pydicom", "highdicom"), warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def _meta(content: bytes) -> tuple[str, bool]:
    """Return an object's class and whether its elements are packed, from the file's first group, which never is."""
    from pydicom.filereader import data_element_generator  # noqa: PLC0415

    start = 132 if content[128:132] == b"DICM" else 0
    group = data_element_generator(
        io.BytesIO(content[start:]), False, True, lambda tag, _vr, _length: tag >= _AFTER_META
    )
    values = {int(element.tag): bytes(element.value or b"").rstrip(b"\0 ") for element in group}
    return values.get(_META_CLASS, b"").decode("ascii", "replace"), values.get(_META_SYNTAX) == _DEFLATED


def _is_image(kind: str) -> bool:
    return kind == _SINGLE_FRAME or kind in MULTI_FRAME


def _header(content: bytes) -> tuple[Any, bool]:
    """Return the elements that count, and whether there are pixels behind them."""
    from pydicom.filereader import read_partial  # noqa: PLC0415
    from pydicom.tag import Tag  # noqa: PLC0415

    reached = False

    def at_pixels(tag: int, _vr: str | None, _length: int) -> bool:
        nonlocal reached
        reached = reached or tag == _PIXEL_DATA
        return tag >= _PIXEL_DATA

    tags: Any = [Tag(name) for name in _TAGS]
    return read_partial(io.BytesIO(content), at_pixels, force=True, specific_tags=tags), reached


def _frames(part: Part, dataset: Any, has_pixels: bool) -> tuple[DicomFrame, ...]:
    kind = str(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID") or "")
    if kind and not _is_image(kind):
        return ()
    if not kind or not has_pixels:
        raise DataError(str(part), "a damaged or cut-off DICOM file", IMAGE, "copy or export it again")
    if "LOCALIZER" in [str(word).upper() for word in dataset.get("ImageType") or ()]:
        return ()
    if kind in MULTI_FRAME:
        return _multi_frame(part, dataset)
    if (count := int(dataset.get("NumberOfFrames") or 1)) != 1:
        found = f"{count} frames in an MR object of the kind that holds one image"
        raise DataError(str(part), found, IMAGE, "export it again, as single images or as enhanced MR")
    return (_frame(part, 0, *[dataset] * 5),)


def _multi_frame(part: Part, dataset: Any) -> tuple[DicomFrame, ...]:
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [{}])[0]
    frames = dataset.PerFrameFunctionalGroupsSequence
    if len(frames) != int(dataset.NumberOfFrames):
        raise DataError(str(part), "a damaged file: its frames are not as many as it says", IMAGE, "export it again")

    def group(frame: Any, name: str, needed: bool = True) -> Any:
        sequence = frame.get(name) or shared.get(name)
        if not sequence and needed:
            raise DataError(str(part), f"frames without {name}", IMAGE, "export it again, with its geometry")
        return sequence[0] if sequence else {}

    return tuple(
        _frame(
            part, index, dataset,
            group(frame, "PixelMeasuresSequence"), group(frame, "PlaneOrientationSequence"),
            group(frame, "PlanePositionSequence"), group(frame, "PixelValueTransformationSequence", needed=False),
        )
        for index, frame in enumerate(frames)
    )  # fmt: skip


def _frame(  # noqa: PLR0913, PLR0917 - the five places where an enhanced object keeps them
    part: Part, index: int, dataset: Any, measures: Any, orientation: Any, position: Any, transformation: Any
) -> DicomFrame:
    spacing, thickness = measures.get("SpacingBetweenSlices"), measures.get("SliceThickness")
    slope, intercept = transformation.get("RescaleSlope"), transformation.get("RescaleIntercept")
    number = dataset.get("SeriesNumber")
    named = ("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName")
    return DicomFrame(
        part=part,
        index=index,
        instance=_identifier(part, dataset, "SOPInstanceUID"),
        series=_identifier(part, dataset, "SeriesInstanceUID", may_be_empty=True),
        study=str(dataset.get("StudyInstanceUID") or ""),
        patient=(str(dataset.get("PatientID") or ""), str(dataset.get("PatientName") or "")),
        frame_of_reference=str(dataset.get("FrameOfReferenceUID") or "") or None,
        number=None if number is None else int(number),
        description=tuple(str(dataset.get(name) or "") for name in named),
        shape=(int(dataset.Rows), int(dataset.Columns)),
        pixel_spacing=_vector(measures.PixelSpacing, 2),
        orientation=_vector(orientation.ImageOrientationPatient, 6),
        position=_vector(position.ImagePositionPatient, 3),
        spacing=abs(float(spacing)) if spacing else None,
        thickness=abs(float(thickness)) if thickness else None,
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        place=_count(dataset, "InstanceNumber"),
        acquired=_count(dataset, "ImagesInAcquisition"),
        has_contrast=_names_contrast(dataset),
    )


def _names_contrast(dataset: Any) -> bool:
    agent = str(dataset.get("ContrastBolusAgent") or "").strip().lower()
    return bool(dataset.get("ContrastBolusAgentSequence")) or agent not in _NO_CONTRAST


def _identifier(part: Part, dataset: Any, name: str, *, may_be_empty: bool = False) -> str:
    """Return an identifier that has to be there."""
    value = str(dataset.get(name) or "").strip()
    if not value and not (may_be_empty and name in dataset):
        raise DataError(str(part), f"an image without {name}", IMAGE, "export it again, with identifiers of its own")
    return value


def _count(dataset: Any, name: str) -> int | None:
    """Return a number that is good to know, or None if it is absent or none."""
    try:
        return int(dataset.get(name))
    except (TypeError, ValueError):
        return None


def _vector(values: Any, length: int) -> Vector:
    vector = tuple(float(value) for value in values)
    if len(vector) != length:
        raise ValueError(f"{len(vector)} numbers instead of {length}")
    return vector
