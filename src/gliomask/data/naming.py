"""Names of the Kaggle layout, parsed as a whole: patient, institution, slice number. Touches no files.

Patients of TCGA are known by their names alone. Any other name is a patient's where a folder and the slices in it share
it: ``P001/P001_1.tif``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PATIENT = r"(?P<patient>(?P<case>TCGA_(?P<institution>[A-Z0-9]{2})_[A-Z0-9]+)_[0-9]{8})"
_REST = r"_(?P<number>[0-9]+)(?P<mask>_mask)?\.(?i:tiff?|png)"
_PATIENT_NAME = re.compile(_PATIENT)
_TCGA_SLICE = re.compile(_PATIENT + _REST)
_ANY_SLICE = re.compile(r"(?P<patient>.+)" + _REST)
_BARCODE = re.compile(r"(?<![A-Z0-9])TCGA[-_]([A-Z0-9]{2})[-_]([A-Z0-9]{4})(?![A-Z0-9])", re.IGNORECASE)
_VISIT = r"[0-9][0-9.-]*|(ses|visit|session|study|exam|tp|v|t)[_-]?[0-9]+|baseline|follow-?up[0-9]*"
_ENTITY = r"(?!sub-)[A-Z]+-[A-Z0-9]+"
_OTHER_SCAN = re.compile(  # names of BIDS, and of BraTS since 2023; sub-cohort_P1 may be one of many
    r"(?P<numbered>(.+?_)?sub-(?=[A-Z]*[0-9])[A-Z0-9]+)(_.*)?"
    rf"|(?P<named>(.+?_)?sub-[A-Z]+)(_({_ENTITY}|{_VISIT}))*(_(FLAIR|T[12]w|anat))?"
    r"|(?P<brats>BraTS(-[A-Z]+)+-[0-9]{4,5})-[0-9]{1,3}(-.*)?",
    re.IGNORECASE,
)
_BESIDE = re.compile(r"\..*|data\.csv|volumes\.csv|README.*\.md|LICENSE.*", re.IGNORECASE)

EXPECTED = "<patient>_<number>.tif or <patient>_<number>_mask.tif (or .png) in a folder <patient>"
"""How a slice is to be named, for messages."""
UNKNOWN = "unknown"
"""Institution of patients whose names do not tell."""


@dataclass(frozen=True)
class SliceName:
    """What the name of a slice file says.

    Attributes
    ----------
    patient
        Patient name, e.g. ``TCGA_CS_4941_19960909`` or ``P001``.
    number
        Slice number as an integer: ``_3`` and ``_03`` are the same slice.
    is_mask
        Whether the file is the mask of the slice.
    """

    patient: str
    number: int
    is_mask: bool


def parse_slice_name(name: str, folder: str | None = None) -> SliceName | None:
    """Parse the name of a slice file; None if it is not one.

    Parameters
    ----------
    name
        Without folders.
    folder
        Name of the folder that it lies in, which is the patient's where that is none of TCGA; None if any will do.
    """
    match = _TCGA_SLICE.fullmatch(name) or _ANY_SLICE.fullmatch(name)
    if match is None:
        return None
    patient = match["patient"]
    if not (is_tcga(patient) or folder in {None, patient}):
        return None
    return SliceName(patient, int(match["number"]), match["mask"] is not None)


def is_tcga(name: str) -> bool:
    """Tell whether a name is that of a patient of TCGA, wherever it stands."""
    return _PATIENT_NAME.fullmatch(name) is not None


def is_public(name: str) -> bool:
    """Tell whether a name is that of a patient of TCGA who exists: `gliomask.volumes.phantom` counts from 9001."""
    match = _PATIENT_NAME.fullmatch(name)
    return match is not None and re.search("_9[0-9]{3}$", match["case"]) is None


def institution(patient: str) -> str:
    """Return the two letters after ``TCGA_`` in the name of a patient, `UNKNOWN` for other names."""
    match = _PATIENT_NAME.fullmatch(patient)
    return match["institution"] if match is not None else UNKNOWN


def person(patient: str) -> str:
    """Return who a patient is, which is what the `Patient` column of data.csv holds.

    The first three fields of a TCGA name, wherever they stand and however they are written, ``sub-...`` of BIDS and
    ``BraTS-GLI-00001`` of ``BraTS-GLI-00001-001``, so that somebody who was scanned twice is one person; any other name
    whole. Behind ``sub-`` stands a number, or else nothing follows but what BIDS has there and visits.

    >>> person("TCGA_CS_4941_19960909"), person("tcga-cs-4941 baseline"), person("sub-01_ses-2"), person("P_1")
    ('TCGA_CS_4941', 'TCGA_CS_4941', 'sub-01', 'P_1')
    >>> person("BraTS-GLI-00001-001"), person("sub-ann_ses-2"), person("sub-cohort_P_1")
    ('BraTS-GLI-00001', 'sub-ann', 'sub-cohort_P_1')
    """
    if (match := _PATIENT_NAME.fullmatch(patient)) is not None:
        return match["case"]
    if (other := _OTHER_SCAN.fullmatch(patient)) is not None:
        return other["numbered"] or other["named"] or other["brats"]
    barcode = _BARCODE.search(patient)
    return patient if barcode is None else f"TCGA_{barcode[1]}_{barcode[2]}".upper()


def known_as(patient: str) -> frozenset[str]:
    """Return under which names a model may tell that it has seen a patient.

    `person`, and any participant of TCGA in the name, as the archives write them, too.

    >>> sorted(known_as("tcga-cs-4941")), sorted(known_as("TCGA_CS_4941_FLAIR"))
    (['TCGA_CS_4941', 'tcga-cs-4941'], ['TCGA_CS_4941', 'TCGA_CS_4941_FLAIR'])
    """
    found = {f"TCGA_{match[1]}_{match[2]}".upper() for match in _BARCODE.finditer(patient)}
    return frozenset({person(patient)} | found | (set() if is_tcga(patient) else {patient}))


def persons(name: str) -> frozenset[str]:
    """Return whom a file or folder may be named after: itself, without a number behind it, and a person of TCGA in it.

    >>> sorted(persons("site1_TCGA_CS_4941_19960909_12"))
    ['TCGA_CS_4941', 'site1_TCGA_CS_4941_19960909', 'site1_TCGA_CS_4941_19960909_12']
    """
    return known_as(name) | {name, re.sub(r"_[0-9]+$", "", name)}


def may_lie_beside(name: str) -> bool:
    """Tell whether a file that is no slice is expected in a data set: tables, README*.md, LICENSE*, hidden files."""
    return _BESIDE.fullmatch(name) is not None
