"""Masks as DICOM Segmentation objects that refer to the images they were computed from. Needs the extra ``dicom``.

Of the images, a segmentation repeats what the standard asks for: patient, study, frame of reference and geometry. What
may be empty (type 2) may be absent from them. Images that do not name their frame of reference, as the standard has it
(PS3.3 C.7.4.1), get a name for it that all segmentations of the series share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gliomask.errors import DataError, MissingExtraError
from gliomask.files import whole_file
from gliomask.volumes.archive import contents
from gliomask.volumes.dicom import DicomSeries
from gliomask.volumes.dicom_headers import MULTI_FRAME, quiet_pydicom

if TYPE_CHECKING:
    from pydicom import Dataset

LABEL = "FLAIR abnormality"
"""Label of the only segment."""

_SERIES_NUMBER = 9700
_SEG = "a DICOM segmentation of these images"
_CURE = "write the mask as NIfTI"
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_REPEATED = (
    *_NEEDED, *_MAY_BE_EMPTY, "SpecificCharacterSet", "FrameOfReferenceUID", "PositionReferenceIndicator",
    "IssuerOfPatientID", "PatientAge", "PatientIdentityRemoved", "DeidentificationMethod", "StudyDescription",
    "Modality", "Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "InstitutionName",
    "Rows", "Columns", "LossyImageCompression", "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)  # fmt: skip


def write_dicom_seg(path: Path, mask: NDArray[np.bool_], series: DicomSeries, *, model: str, version: str) -> None:
    """Write a mask as a binary DICOM segmentation, and read it back before it takes its name.

    Frames without tumour are left out, as highdicom does by default; an empty mask is written with all of its frames.

    Parameters
    ----------
    path
        File to write, or to replace. The folder is made if it is absent.
    mask
        (X, Y, Z) bool on the grid of the series' volume.
    series
        What the mask was computed from; its headers are read again.
    model, version
        Name of the model and version of gliomask, which the object names as the algorithm.

    Raises
    ------
    MissingExtraError
        If highdicom is not installed.
    DataError
        If the mask is on another grid, or the images lack something that a segmentation must repeat or lie in several
        multi-frame files.
    OSError
        If the file cannot be written.
    """
    expected = (series.frames[0].shape[1], series.frames[0].shape[0], len(series.frames))
    if mask.dtype != np.bool_ or mask.shape != expected:
        found = f"an array {mask.shape} of {mask.dtype} to write"
        raise DataError(path, found, f"{expected} of bool", "bring it to the grid of the series first")
    segmentation = _segmentation(mask, series, model, version)
    with whole_file(path) as partial:
        with quiet_pydicom():
            segmentation.save_as(partial)
        if not np.array_equal(read_dicom_seg(partial, series), mask):
            raise DataError(path, "a segmentation that does not come back as it was", _SEG, "report this")


def read_dicom_seg(path: Path, series: DicomSeries, segments: Sequence[int] = ()) -> NDArray[np.bool_]:
    """Read a segmentation of a series, by the references it holds.

    Parameters
    ----------
    path
        The segmentation.
    series
        What it was drawn on.
    segments
        Numbers of the segments that count, from 1; all if there are none.

    Returns
    -------
    numpy.ndarray
        (X, Y, Z) bool on the grid of the series' volume; frames it does not hold are empty.

    Raises
    ------
    MissingExtraError
        If highdicom is not installed.
    DataError
        If the file is no segmentation, or of other images.
    """
    hd = _highdicom()
    try:
        with quiet_pydicom():
            segmentation = hd.seg.segread(str(path))
            pixels = _by_source(segmentation, series)
            wanted = [not segments or number in segments for number in segmentation.segment_numbers]
    except Exception as error:  # highdicom and pydicom raise nearly anything for other objects
        found = f"no segmentation of these images ({type(error).__name__})"
        raise DataError(path, found, _SEG, "check which series it belongs to") from error
    mask: NDArray[np.bool_] = np.any(pixels[..., wanted], axis=3, keepdims=True)[..., 0].transpose(2, 1, 0)
    return mask


def _by_source(segmentation: Any, series: DicomSeries) -> NDArray[Any]:
    """Return (frames, rows, columns, 1) in the order of the series."""
    instances = [frame.instance for frame in series.frames]
    if not {str(instance) for _, _, instance in segmentation.get_source_image_uids()} <= set(instances):
        raise ValueError("refers to other images")
    if any("ReferencedFrameNumber" in source for source in _named_sources(segmentation)):
        numbers = [frame.index + 1 for frame in series.frames]
        pixels = segmentation.get_pixels_by_source_frame(instances[0], numbers, assert_missing_frames_are_empty=True)
    else:
        pixels = segmentation.get_pixels_by_source_instance(instances, assert_missing_frames_are_empty=True)
    return np.asarray(pixels)


def _highdicom() -> Any:
    try:
        import highdicom  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError("highdicom", "dicom") from error
    return highdicom


def _segmentation(mask: NDArray[np.bool_], series: DicomSeries, model: str, version: str) -> Any:
    hd = _highdicom()
    try:
        with quiet_pydicom():
            segmentation = hd.seg.Segmentation(
                source_images=_sources(hd, series),
                pixel_array=mask.transpose(2, 1, 0).astype(np.uint8),
                segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
                segment_descriptions=[_segment(hd, model, version)],
                series_instance_uid=hd.UID(),
                series_number=_SERIES_NUMBER,
                sop_instance_uid=hd.UID(),
                instance_number=1,
                manufacturer="gliomask",
                manufacturer_model_name="gliomask",
                software_versions=version,
                device_serial_number="0",
                content_label="FLAIR",
                content_description=LABEL,
                omit_empty_frames=bool(mask.any()),
                series_description=f"{LABEL} (gliomask)",
            )
            for source in _named_sources(segmentation):
                if "ReferencedFrameNumber" in source:  # among the frames of the series; it counts those of the file
                    source.ReferencedFrameNumber = series.frames[source.ReferencedFrameNumber - 1].index + 1
            return segmentation
    except DataError:
        raise
    except Exception as error:  # highdicom raises nearly anything for images without what it must repeat
        found = f"images without what a segmentation must repeat ({type(error).__name__})"
        raise DataError(series.source, found, "complete MR images", _CURE) from error


def _segment(hd: Any, model: str, version: str) -> Any:
    from highdicom.sr.coding import CodedConcept  # noqa: PLC0415
    from pydicom.sr.codedict import codes  # noqa: PLC0415

    return hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=LABEL,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Neoplasm,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            f"gliomask {model}"[:64], codes.cid7162.ArtificialIntelligence, version
        ),
        anatomic_regions=[CodedConcept("12738006", "SCT", "Brain")],
    )


def _named_sources(segmentation: Any) -> Iterator[Any]:
    """Yield what each frame names as its source: an image, or a frame of one."""
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        for derivation in frame.DerivationImageSequence:
            yield from derivation.SourceImageSequence


def _sources(hd: Any, series: DicomSeries) -> list[Dataset]:
    """Return the headers of the images with all that is repeated of them; of a file of frames, those of the series."""
    from pydicom import dcmread  # noqa: PLC0415 - slow to import
    from pydicom.tag import Tag  # noqa: PLC0415

    parts = list(dict.fromkeys(frame.part for frame in series.frames))
    tags: list[Any] = [Tag(name) for name in _REPEATED]
    headers: list[Dataset] = []
    for _, content in contents(parts):
        headers.append(dcmread(BytesIO(content), stop_before_pixels=True, force=True, specific_tags=tags))
        _complete(headers[-1], series)
    if headers[0].SOPClassUID not in MULTI_FRAME:
        for image, frame in zip(headers, series.frames, strict=True):
            image.ImagePositionPatient = list(frame.position)
        return headers
    if len(parts) > 1:
        raise DataError(series.source, f"a series in {len(parts)} multi-frame files", "one multi-frame file", _CURE)
    _put_frames(hd, headers[0], series)
    return headers


def _complete(header: Dataset, series: DicomSeries) -> None:
    """Put in what must not be absent, and turn texts into Unicode, because highdicom refuses some character sets."""
    from pydicom.uid import generate_uid  # noqa: PLC0415

    lacking = [name for name in _NEEDED if not header.get(name)]
    if lacking:
        raise DataError(series.source, f"images without {lacking[0]}", "complete MR images", _CURE)
    header.decode()
    header.SpecificCharacterSet = "ISO_IR 192"
    for name in _MAY_BE_EMPTY:
        if not _is_valid(name, header.get(name)):
            setattr(header, name, "")
    first = series.frames[0]
    if not header.get("FrameOfReferenceUID"):
        header.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame of reference", first.series])
    header.ImageOrientationPatient = list(first.orientation)
    header.PixelSpacing = list(first.pixel_spacing)
    header.SpacingBetweenSlices = _step(series)
    header.SliceThickness = first.thickness or header.SpacingBetweenSlices


def _is_valid(name: str, value: Any) -> bool:
    """Tell whether a value that may be empty can be repeated as it is."""
    from pydicom.valuerep import DA, TM  # noqa: PLC0415

    if name == "PatientSex":
        return value in ("", "M", "F", "O")
    try:
        if name.endswith(("Date", "Time")):
            (DA if name.endswith("Date") else TM)(value)
    except ValueError:
        return False
    return value is not None


def _step(series: DicomSeries) -> float:
    """Return the distance between slices in mm."""
    first, last = series.frames[0], series.frames[-1]
    if len(series.frames) == 1:
        return first.step or 1.0
    return math.dist(first.position, last.position) / (len(series.frames) - 1)


def _put_frames(hd: Any, header: Dataset, series: DicomSeries) -> None:
    """Put the frames of the series into the header in place of those of the file, which may be of several series."""
    from pydicom import Dataset  # noqa: PLC0415

    shared = Dataset()
    shared.PlaneOrientationSequence = hd.PlaneOrientationSequence("PATIENT", header.ImageOrientationPatient)
    shared.PixelMeasuresSequence = hd.PixelMeasuresSequence(
        header.PixelSpacing, header.SliceThickness, header.SpacingBetweenSlices
    )
    header.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for frame in series.frames:
        place = Dataset()
        place.PlanePositionSequence = hd.PlanePositionSequence("PATIENT", frame.position)
        frames.append(place)
    header.PerFrameFunctionalGroupsSequence, header.NumberOfFrames = frames, len(frames)
