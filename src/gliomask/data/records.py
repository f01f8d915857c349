"""What an index consists of: slices, patients, problems; and the same as plain values. Touches no files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gliomask.errors import DataError


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a data set.

    Attributes
    ----------
    path
        File or folder, relative to the root of the index, with forward slashes.
    found, expected, cure
        What came, what was expected, and what the user can do about it.
    """

    path: str
    found: str
    expected: str
    cure: str


@dataclass(frozen=True)
class SliceRecord:
    """One usable slice: paths relative to the root of the index, size and tumour area in pixels."""

    number: int
    image: str
    mask: str
    height: int
    width: int
    tumour_pixels: int


@dataclass(frozen=True)
class PatientRecord:
    """One patient with at least one usable slice.

    Attributes
    ----------
    name
        Patient name, e.g. ``TCGA_CS_4941_19960909``.
    institution
        Two letters, e.g. ``CS``, in names of TCGA; for others the column ``institution`` of data.csv, or ``unknown``.
    slices
        Usable slices by rising number.
    missing
        Sequences that equal FLAIR in every slice: a subset of ``("pre", "post")``.
    clinical
        Columns of data.csv that are not blank, as text; empty if the patient has no row.
    spacing
        Distance of slices, rows and columns in mm, from volumes.csv; None if it does not tell.
    """

    name: str
    institution: str
    slices: tuple[SliceRecord, ...]
    missing: tuple[str, ...]
    clinical: dict[str, str]
    spacing: tuple[float, float, float] | None = None

    @property
    def tumour_pixels(self) -> int:
        """Tumour pixels over all slices."""
        return sum(record.tumour_pixels for record in self.slices)

    @property
    def tumour_slices(self) -> int:
        """Slices with at least one tumour pixel."""
        return sum(record.tumour_pixels > 0 for record in self.slices)


@dataclass(frozen=True)
class DatasetIndex:
    """What is in a folder and what is wrong with it.

    Attributes
    ----------
    root
        The folder, absolute.
    patients
        Patients by name.
    problems
        Everything that is wrong, by path.
    fingerprint
        SHA-256 over patients, slice numbers and pixels of all usable slices: the same for the same data in another
        place, another when one pixel differs.
    """

    root: Path
    patients: tuple[PatientRecord, ...]
    problems: tuple[Problem, ...]
    fingerprint: str

    @property
    def slice_count(self) -> int:
        """Usable slices."""
        return sum(len(patient.slices) for patient in self.patients)

    @property
    def tumour_slice_count(self) -> int:
        """Usable slices with tumour."""
        return sum(patient.tumour_slices for patient in self.patients)

    def patient(self, name: str) -> PatientRecord:
        """Return the patient of that name.

        Raises
        ------
        DataError
            If there is none.
        """
        if name not in self._by_name:
            raise DataError(self.root, f"no usable patient {name}", "a patient of the index", "run gliomask index")
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, PatientRecord]:
        return {patient.name: patient for patient in self.patients}


def to_values(index: DatasetIndex) -> dict[str, Any]:
    """Return everything but the root as nested plain values, ready for JSON."""
    return {
        "patients": [dataclasses.asdict(patient) for patient in index.patients],
        "problems": [dataclasses.asdict(problem) for problem in index.problems],
        "fingerprint": index.fingerprint,
    }


def from_values(root: Path, values: Mapping[str, Any]) -> DatasetIndex:
    """Build the index that `to_values` was given.

    Raises
    ------
    KeyError, TypeError
        If the values are something else.
    """
    return DatasetIndex(
        root=root,
        patients=tuple(_patient(patient) for patient in values["patients"]),
        problems=tuple(Problem(**problem) for problem in values["problems"]),
        fingerprint=values["fingerprint"],
    )


def _patient(values: Mapping[str, Any]) -> PatientRecord:
    slices = tuple(SliceRecord(**record) for record in values["slices"])
    spacing = None if values["spacing"] is None else tuple(values["spacing"])
    return PatientRecord(**{**values, "slices": slices, "missing": tuple(values["missing"]), "spacing": spacing})
