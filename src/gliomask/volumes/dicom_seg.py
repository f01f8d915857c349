"""Masks as DICOM Segmentation objects that refer to the images they were computed from. Needs the extra ``dicom``.

Of the images, a segmentation repeats what the standard asks for: patient, study, frame of reference and geometry.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gliomask.errors import DataError, MissingExtraError
from gliomask.files import whole_file
from gliomask.volumes.archive import contents
from gliomask.volumes.dicom import DicomSeries
from gliomask.volumes.dicom_headers import quiet_pydicom

if TYPE_CHECKING:
    from pydicom import Dataset

LABEL = "FLAIR abnormality"
"""Label of the only segment."""

_SERIES_NUMBER = 9700
_SEG = "a DICOM segmentation of these images"


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
        If the mask is on another grid, the images lack something that a segmentation must repeat or lie in several
        multi-frame files, or the file cannot be written.
    """
    expected = (series.frames[0].shape[1], series.frames[0].shape[0], len(series.frames))
    if mask.dtype != np.bool_ or mask.shape != expected:
        found = f"an array {mask.shape} of {mask.dtype} to write"
        raise DataError(path, found, f"{expected} of bool", "bring it to the grid of the series first")
    sources, planes = _sources(series, mask)
    segmentation = _segmentation(series, sources, planes, (model, version))
    try:
        with whole_file(path) as partial:
            with quiet_pydicom():
                segmentation.save_as(partial)
            if not np.array_equal(read_dicom_seg(partial, series), mask):
                raise DataError(path, "a segmentation that does not come back as it was", _SEG, "report this")
    except OSError as error:
        found = f"cannot be written ({error.strerror or error})"
        raise DataError(path, found, "a folder that can be written to", "choose another") from error


def read_dicom_seg(path: Path, series: DicomSeries) -> NDArray[np.bool_]:
    """Read a segmentation of a series, by the references it holds.

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
            pixels = _by_source(hd.seg.segread(str(path)), series)
    except Exception as error:  # highdicom and pydicom raise nearly anything for other objects
        found = f"no segmentation of these images ({type(error).__name__})"
        raise DataError(path, found, _SEG, "check which series it belongs to") from error
    mask: NDArray[np.bool_] = pixels[..., 0].transpose(2, 1, 0) > 0
    return mask


def _by_source(segmentation: Any, series: DicomSeries) -> NDArray[Any]:
    """Return (frames, rows, columns, 1) in the order of the series."""
    instances = [frame.instance for frame in series.frames]
    if not {str(instance) for _, _, instance in segmentation.get_source_image_uids()} <= set(instances):
        raise ValueError("refers to other images")
    if any(frame.index for frame in series.frames):
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


def _sources(series: DicomSeries, mask: NDArray[np.bool_]) -> tuple[list[Dataset], NDArray[np.uint8]]:
    """Return the headers of the images, and for each of their frames its plane of the mask."""
    planes = mask.transpose(2, 1, 0).astype(np.uint8)
    parts = list(dict.fromkeys(frame.part for frame in series.frames))
    headers = _headers(parts)
    count = int(headers[0].get("NumberOfFrames") or 1)
    if "NumberOfFrames" not in headers[0]:
        return headers, planes
    if len(parts) > 1:
        cure = "write the mask as NIfTI"
        raise DataError(series.source, f"a series in {len(parts)} multi-frame files", "one multi-frame file", cure)
    every = np.zeros((count, *planes.shape[1:]), np.uint8)
    every[[frame.index for frame in series.frames]] = planes
    return headers, every


def _headers(parts: Sequence[Any]) -> list[Dataset]:
    from io import BytesIO  # noqa: PLC0415

    from pydicom import dcmread  # noqa: PLC0415 - slow to import

    with quiet_pydicom():
        return [dcmread(BytesIO(content), stop_before_pixels=True, force=True) for _, content in contents(parts)]


def _segmentation(
    series: DicomSeries, sources: list[Dataset], planes: NDArray[np.uint8], algorithm: tuple[str, str]
) -> Any:
    hd = _highdicom()
    from highdicom.sr.coding import CodedConcept  # noqa: PLC0415
    from pydicom.sr.codedict import codes  # noqa: PLC0415

    model, version = algorithm
    try:
        with quiet_pydicom():
            description = hd.seg.SegmentDescription(
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
            return hd.seg.Segmentation(
                source_images=sources,
                pixel_array=planes,
                segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
                segment_descriptions=[description],
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
                omit_empty_frames=bool(planes.any()),
                series_description=f"{LABEL} (gliomask)",
            )
    except Exception as error:  # highdicom raises nearly anything for images without what it must repeat
        found = f"images without what a segmentation must repeat ({type(error).__name__})"
        raise DataError(series.source, found, "complete MR images", "write the mask as NIfTI") from error
