"""The two splits that `gliomask leak` compares: which slices they share and which they swap. Knows no seed, no person.

Both score the same slices, validate on the same patients and train on as many slices with and without tumour. By
patient, nothing of the scored patients is trained on. By slice, the other half of their slices is, in place of as many
slices of the other patients.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from gliomask.data.records import DatasetIndex, PatientRecord
from gliomask.errors import DataError

BY_PATIENT, BY_SLICE = "leak-by-patient", "leak-by-slice"
SHARE = 0.25
"""Share of the people who are scored."""

_Entries = tuple[str, ...]


def leak_parts(
    index: DatasetIndex, *, tested: Collection[str], validated: Collection[str], generator: np.random.Generator
) -> dict[str, dict[str, _Entries]]:
    """Return the parts of both splits.

    Parameters
    ----------
    index
        The data.
    tested
        Patients who are scored, on a random half of their slices: of those with tumour and of those without.
    validated
        Patients who are validated on, in both splits.
    generator
        Source of chance.

    Returns
    -------
    dict
        By kind, the entries (``PATIENT/number``) of ``train``, ``validation`` and ``test``.

    Raises
    ------
    DataError
        If the other patients have too few slices for as many to make room.
    """
    test, shared, removed = set[str](), set[str](), set[str]()
    others = [patient for patient in index.patients if patient.name not in {*tested, *validated}]
    for tumour in (True, False):
        swapped = []
        for patient in (patient for patient in index.patients if patient.name in tested):
            half, other_half = _halves(_slices([patient], tumour=tumour), generator)
            test.update(half)
            swapped += other_half
        available = _slices(others, tumour=tumour)
        if len(available) < len(swapped):
            raise DataError(
                index.root,
                f"{len(available)} slices {'with' if tumour else 'without'} tumour in patients who are not scored",
                f"at least {len(swapped)}, to make room for as many of those who are",
                "add patients, or choose another --split-seed",
            )
        removed.update(_drawn(available, len(swapped), generator))
        shared.update(swapped)
    trained = {entry for tumour in (True, False) for entry in _slices(others, tumour=tumour)}
    validation = set(_slices((index.patient(name) for name in validated), tumour=None))
    return {
        kind: {part: _ordered(index, entries) for part, entries in parts.items()}
        for kind, parts in (
            (BY_PATIENT, {"train": trained, "validation": validation, "test": test}),
            (BY_SLICE, {"train": trained - removed | shared, "validation": validation, "test": test}),
        )
    }


def entry(patient: str, number: int) -> str:
    """Return how a split names a single slice."""
    return f"{patient}/{number}"


def _slices(patients: Iterable[PatientRecord], *, tumour: bool | None) -> list[str]:
    """Return the slices with tumour, without, or (None) all."""
    return [
        entry(patient.name, record.number)
        for patient in patients
        for record in patient.slices
        if tumour is None or (record.tumour_pixels > 0) == tumour
    ]


def _halves(entries: Sequence[str], generator: np.random.Generator) -> tuple[list[str], list[str]]:
    """Divide entries at random; of an odd number, the first half gets one more."""
    half = _drawn(entries, (len(entries) + 1) // 2, generator)
    return half, [entry for entry in entries if entry not in half]


def _drawn(entries: Sequence[str], count: int, generator: np.random.Generator) -> list[str]:
    return [entries[place] for place in generator.permutation(len(entries))[:count]]


def _ordered(index: DatasetIndex, entries: Collection[str]) -> _Entries:
    return tuple(entry for entry in _slices(index.patients, tumour=None) if entry in entries)
