"""Finds the studies among DICOM files: whose they are, which belong together, and what they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from itertools import groupby
from os.path import commonpath
from pathlib import Path, PurePosixPath

from gliomask.errors import DataError
from gliomask.studies.names import place_of, stem, whole_path
from gliomask.studies.volume import Placed, VolumeStudy
from gliomask.volumes.archive import Part
from gliomask.volumes.dicom import group_series
from gliomask.volumes.dicom_headers import DicomFrame

Headers = Sequence[tuple[Part, tuple[DicomFrame, ...] | DataError]]


def dicom_studies(source: Path, headers: Headers, series: str | None, errors: list[DataError]) -> Placed:
    """Put DICOM files together to studies; one that cannot be used spoils its folder, which is left out.

    Parameters
    ----------
    source
        What the user named: the files, or the folder or zip they lie in.
    headers
        Of each file, or why it cannot be used (`gliomask.volumes.dicom_headers.read_headers`).
    series
        Number or part of the description by which to choose the FLAIR series.
    errors
        Takes what cannot be used.

    Returns
    -------
    list of tuple
        Studies and their places, in the order of the places; FLAIR is chosen when one is read.
    """
    spoilt: dict[PurePosixPath, DataError] = {}
    frames: list[DicomFrame] = []
    for part, read in headers:
        if isinstance(read, DataError):
            spoilt.setdefault(part.folder, read)
        else:
            frames += read
    images = Counter(frame.part.folder for frame in frames) if spoilt else Counter()
    errors += [_with_folder(error, images[folder]) for folder, error in spoilt.items()]
    ordered = sorted(frames, key=lambda frame: (frame.study, frame.part))
    studies = [list(group) for _, group in groupby(ordered, key=lambda frame: frame.study)]
    alone = len(studies) == 1 and set(spoilt) <= {frame.part.folder for frame in frames}
    studies = [kept for study in studies if (kept := [one for one in study if one.part.folder not in spoilt])]
    if alone:
        return _studies_of(source, place_of(source), studies, series, errors)
    found: Placed = []
    for place, sharing in groupby(sorted(studies, key=_common), key=_common):
        found += _studies_of(source, place, list(sharing), series, errors)
    return found


def _with_folder(error: DataError, others: int) -> DataError:
    """Say what is left out with a file: it may be one of their slices."""
    if not others:
        return error
    cure = f"{error.cure}; {others} other image(s) of its folder are left out with it"
    return DataError(error.path, error.found, error.expected, cure)


def _studies_of(
    source: Path, place: PurePosixPath, studies: list[list[DicomFrame]], series: str | None, errors: list[DataError]
) -> Placed:
    """Return the studies whose files lie in one place, which are those of one patient."""
    if len({frame.patient for study in studies for frame in study}) > 1:
        errors.append(DataError(str(place), "images of several patients", "one patient", "make a folder for each"))
        return []
    name = stem(place_of(whole_path(place)))  # ".." is no name
    names = [name + (f"_{_digest(study)}" if len(studies) > 1 else "") for study in studies]
    return [
        (VolumeStudy(name, tuple(group_series(source, study)), series=series), place)
        for name, study in zip(names, studies, strict=True)
    ]


def _digest(study: Sequence[DicomFrame]) -> str:
    """Return what tells a study from others of the patient, and is the same whichever others lie there."""
    return sha256(study[0].study.encode()).hexdigest()[:8]


def _common(frames: Sequence[DicomFrame]) -> PurePosixPath:
    """Return the deepest folder (or zip, or the only file) that holds them all."""
    parts = {frame.part for frame in frames}
    if len(parts) == 1 and not next(iter(parts)).member:
        return place_of(next(iter(parts)).path)
    return PurePosixPath(commonpath([part.folder for part in parts]))
