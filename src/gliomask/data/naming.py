"""Names of the Kaggle layout, parsed as a whole: patient, institution, slice number. Touches no files."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PATIENT = r"(?P<patient>(?P<case>TCGA_(?P<institution>[A-Z0-9]{2})_[A-Z0-9]+)_[0-9]{8})"
_PATIENT_NAME = re.compile(_PATIENT)
_SLICE_NAME = re.compile(_PATIENT + r"_(?P<number>[0-9]+)(?P<mask>_mask)?\.(?i:tiff?|png)")
_BESIDE = re.compile(r"\..*|data\.csv|README.*\.md|LICENSE.*", re.IGNORECASE)

EXPECTED = "TCGA_<institution>_<case>_<YYYYMMDD>_<number>.tif or ..._<number>_mask.tif (or .png)"
"""How a slice is to be named, for messages."""


@dataclass(frozen=True)
class SliceName:
    """What the name of a slice file says.

    Attributes
    ----------
    patient
        Patient name, e.g. ``TCGA_CS_4941_19960909``.
    number
        Slice number as an integer: ``_3`` and ``_03`` are the same slice.
    is_mask
        Whether the file is the mask of the slice.
    """

    patient: str
    number: int
    is_mask: bool


def parse_slice_name(name: str) -> SliceName | None:
    """Parse the name of a slice file, without folders; None if it is not one."""
    match = _SLICE_NAME.fullmatch(name)
    if match is None:
        return None
    return SliceName(match["patient"], int(match["number"]), match["mask"] is not None)


def is_patient_name(name: str) -> bool:
    """Tell whether a folder name is the name of a patient."""
    return _PATIENT_NAME.fullmatch(name) is not None


def institution(patient: str) -> str:
    """Return the two letters after ``TCGA_`` in the name of a patient.

    Raises
    ------
    ValueError
        If the name is not the name of a patient.
    """
    return _fields(patient)["institution"]


def case(patient: str) -> str:
    """Return the first three fields of a patient name, which are the `Patient` column of data.csv and name the person.

    Raises
    ------
    ValueError
        If the name is not the name of a patient.
    """
    return _fields(patient)["case"]


def may_lie_beside(name: str) -> bool:
    """Tell whether a file that is no slice is expected in a data set: data.csv, README*.md, LICENSE*, hidden files."""
    return _BESIDE.fullmatch(name) is not None


def _fields(patient: str) -> re.Match[str]:
    match = _PATIENT_NAME.fullmatch(patient)
    if match is None:
        raise ValueError(f"{patient!r} is not a patient name; expected TCGA_<institution>_<case>_<YYYYMMDD>")
    return match
