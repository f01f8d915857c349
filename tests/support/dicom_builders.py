"""DICOM series made by the tests themselves, from an array and its affine. Knows nothing of what the tests prove."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

MR, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
ROOT = "1.2.826.0.1.3680043.8.498."
SECRETS = ("DOE^JANE", "PATIENT-4711", "19991231", ROOT)
"""What no message may show."""


def uid(*numbers: int) -> str:
    """Return an identifier that is the same for the same numbers."""
    return ROOT + ".".join(str(number + 1) for number in numbers)


def header(series: int = 1, patient: int = 0) -> Dataset:
    """Return what all images of a series share."""
    dataset = Dataset()
    dataset.PatientName = "DOE^JANE" if patient == 0 else f"DOE^JOHN{patient}"
    dataset.PatientID = f"PATIENT-{4711 + patient}"
    dataset.PatientBirthDate, dataset.PatientSex = "19991231", "F"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = "20200102"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = "101112"
    dataset.StudyID, dataset.AccessionNumber, dataset.ReferringPhysicianName = "1", "A1", ""
    dataset.Modality, dataset.Manufacturer, dataset.ManufacturerModelName = "MR", "Phantom", "One"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid(patient), uid(patient, series)
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = uid(patient, 99), ""
    dataset.SeriesNumber, dataset.SeriesDescription, dataset.ProtocolName = series, "Ax T2 FLAIR", ""
    dataset.PatientPosition, dataset.BodyPartExamined = "HFS", "BRAIN"
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "SE", "SK", ""
    dataset.MRAcquisitionType, dataset.MagneticFieldStrength = "2D", 3.0
    dataset.RepetitionTime, dataset.EchoTime, dataset.InversionTime = 9000.0, 120.0, 2500.0
    dataset.EchoTrainLength, dataset.FlipAngle, dataset.NumberOfAverages = 16, 150.0, 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
    return dataset


def geometry(affine: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the affine in LPS, and its directions."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    return lps, lps[:3, :3] / np.linalg.norm(lps[:3, :3], axis=0)


def numbers(values: Any) -> list[str]:
    """Return decimal strings of at most 16 characters."""
    return [f"{float(value):.12f}"[:16] for value in values]


def add_pixels(dataset: Dataset, pixels: NDArray[Any]) -> None:
    """Put (..., rows, columns) of 16 bits into a data set."""
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = np.ascontiguousarray(pixels).tobytes()


def save(path: Path, dataset: Dataset, kind: str, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Write a data set as a file, compressed if the transfer syntax asks for it."""
    dataset.SOPClassUID = UID(kind)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = UID(kind)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID or uid(0))
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if syntax != ExplicitVRLittleEndian:
        dataset.compress(syntax)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_series(
    folder: Path, array: NDArray[Any], affine: NDArray[np.float64], *, syntax: str = ExplicitVRLittleEndian,
    series: int = 1, patient: int = 0, **changes: Any,
) -> list[Path]:  # fmt: skip
    """Write (X, Y, Z) of 16 bits as a file a slice; file names say nothing of the order."""
    lps, directions = geometry(affine)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    paths = []
    for index in range(array.shape[2]):
        dataset = header(series, patient)
        dataset.SOPInstanceUID = uid(patient, series, index)
        dataset.InstanceNumber, dataset.AcquisitionNumber = index + 1, 1
        dataset.PixelSpacing = numbers([spacing[1], spacing[0]])
        dataset.SliceThickness, dataset.SpacingBetweenSlices = numbers([spacing[2]])[0], numbers([spacing[2]])[0]
        dataset.ImageOrientationPatient = numbers(directions[:, :2].T.ravel())
        dataset.ImagePositionPatient = numbers((lps @ [0, 0, index, 1])[:3])
        for name, value in changes.items():
            setattr(dataset, name, value)
        add_pixels(dataset, array[:, :, index].T)
        paths.append(save(folder / f"{(index * 7919) % 1009:04d}.dcm", dataset, MR, syntax))
    return paths


def item(**values: Any) -> Sequence:
    """Return a sequence of one item."""
    dataset = Dataset()
    for name, value in values.items():
        setattr(dataset, name, value)
    return Sequence([dataset])


def write_enhanced(
    path: Path, array: NDArray[Any], affine: NDArray[np.float64], *, slopes: tuple[float, float] = (1, 0),
    order: NDArray[Any] | None = None, syntax: str = ExplicitVRLittleEndian,
) -> Path:  # fmt: skip
    """Write (X, Y, Z) of 16 bits as one multi-frame file, the frames in any order."""
    lps, directions = geometry(affine)
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    order = np.arange(array.shape[2]) if order is None else order
    dataset = header()
    dataset.SOPInstanceUID, dataset.InstanceNumber, dataset.NumberOfFrames = uid(0, 1, 0), 1, len(order)
    dataset.ContentDate, dataset.ContentTime, dataset.AcquisitionDateTime = "20200102", "101112", "20200102101112"
    dataset.SharedFunctionalGroupsSequence = item(
        PixelMeasuresSequence=item(
            PixelSpacing=numbers([spacing[1], spacing[0]]), SliceThickness=numbers([spacing[2]])[0],
            SpacingBetweenSlices=numbers([spacing[2]])[0],
        ),
        PlaneOrientationSequence=item(ImageOrientationPatient=numbers(directions[:, :2].T.ravel())),
        PixelValueTransformationSequence=item(
            RescaleSlope=slopes[0], RescaleIntercept=slopes[1], RescaleType="US"
        ),
    )  # fmt: skip
    frames = []
    for number, index in enumerate(order.tolist()):
        position = item(ImagePositionPatient=numbers((lps @ [0, 0, index, 1])[:3]))
        content = item(StackID="1", InStackPositionNumber=number + 1, DimensionIndexValues=[1, number + 1])
        frames += list(item(PlanePositionSequence=position, FrameContentSequence=content))
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
    add_pixels(dataset, array.transpose(2, 1, 0)[order])
    return save(path, dataset, ENHANCED_MR, syntax)
