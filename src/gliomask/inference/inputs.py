"""Finds what to predict among slices, NIfTI and DICOM, and brings a volume to what a predictor takes.

Knows files and geometry, not models. Slices are the affair of `gliomask.inference.studies`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from os.path import commonpath
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from gliomask.data.greyscale import to_channels
from gliomask.errors import DataError
from gliomask.inference.studies import Study, find_studies, is_mask, slices_in_folder
from gliomask.volumes import nifti_file, slices
from gliomask.volumes.archive import Part, is_zip, list_parts
from gliomask.volumes.dicom import DicomImage, DicomSeries, choose_flair, find_series, group_series
from gliomask.volumes.dicom_headers import DicomFrame, read_headers
from gliomask.volumes.nifti_image import NiftiImage, read_nifti
from gliomask.volumes.resample import resample
from gliomask.volumes.volume import AxialGrid, Volume, concerns, to_axial

_READABLE = "slices (TIFF, PNG), NIfTI or DICOM"
_BIDS = re.compile(r"(?P<subject>sub-[^_]+(_ses-[^_]+)?)(?P<entities>(_[a-z]+-[^_]+)*)_(?P<suffix>[A-Za-z0-9]+)")
_RESULTS = re.compile(r".*[_-](mask|seg|label|labels|probabilities|probs|dseg)")
_FLAIR = re.compile(r"flair", re.IGNORECASE)
_ELSEWHERE = ("derivatives", "sourcedata")  # of a BIDS data set

Source = Path | tuple[DicomSeries, ...]


@dataclass(frozen=True)
class VolumeInput:
    """A volume, ready for a predictor, and the way back.

    Attributes
    ----------
    flair
        As it was read: its volume, and the header or the series that results need.
    images
        (S, H, W, 3) uint8, axial: pre-contrast T1, FLAIR, post-contrast T1.
    grid
        Its `back` brings (S, H, W) to the volume's own grid; its `spacing` tells whether pixels are square.
    warnings
        What makes a prediction less trustworthy, one sentence each.
    """

    flair: NiftiImage | DicomImage
    images: NDArray[np.uint8]
    grid: AxialGrid
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class VolumeStudy:
    """A patient's FLAIR volume, perhaps with T1 before and after contrast; nothing is read before `read`.

    Attributes
    ----------
    name
        For the results.
    flair, pre, post
        NIfTI file, DICOM folder or zip, or the series that were found.
    series
        Number or part of the description by which to choose the FLAIR series.
    notes
        What was noticed while searching.
    """

    name: str
    flair: Source = field(repr=False)
    pre: Source | None = None
    post: Source | None = None
    series: str | None = None
    notes: tuple[str, ...] = ()

    def read(self) -> VolumeInput:
        """Read the volumes, bring the others to FLAIR's grid, and all to axial grey levels.

        Raises
        ------
        DataError
            If a file cannot be read, no single series is FLAIR, or the volumes do not lie in the same place.
        """
        flair = _image(self.flair, self.series)
        stack, grid = to_axial(flair.volume)
        pre, post = (self._other(source, flair.volume, grid) for source in (self.pre, self.post))
        said = (*self.notes, *flair.warnings, *concerns(flair.volume))
        return VolumeInput(flair, to_channels(stack, pre, post), grid, said)

    @staticmethod
    def _other(source: Source | None, flair: Volume, grid: AxialGrid) -> NDArray[np.generic] | None:
        if source is None:
            return None
        return grid.slices(resample(_image(source, None, only=True).volume, flair).array)


@dataclass(frozen=True)
class Inputs:
    """What was found, and what could not be used; the first may be predicted whatever the second holds."""

    studies: tuple[Study | VolumeStudy, ...]
    errors: tuple[DataError, ...] = ()


def find_inputs(paths: Iterable[Path], *, results: Path | None = None, series: str | None = None) -> Inputs:
    """Find the studies in files, folders (searched to any depth) and zips.

    * Slices: see `gliomask.inference.studies.find_studies`.
    * NIfTI: a file is a study. In a folder with files named FLAIR those alone are; names that end like masks (_mask,
      _seg, ...) are passed over. In BIDS, T1w and ce-..._T1w of the same subject and session are taken as T1 before and
      after contrast, and derivatives are passed over.
    * DICOM: all series of a study make one, in a folder, in a zip or among the files named; FLAIR is chosen when it is
      read. It is called after the input if that holds no other, else after its folder.

    Parameters
    ----------
    paths
        What the user names.
    results
        Folder of results, which are never input.
    series
        Number or part of the description by which to choose the FLAIR series in DICOM.

    Returns
    -------
    Inputs
        One study for each result, in order. Names of volumes differ from each other: where two would be the same, the
        folders they lie in are put before them.
    """
    errors: list[DataError] = []
    found: _Found = []
    given = list(paths)
    masks = [path for path in given if path.suffix.lower() in slices.SUFFIXES and is_mask(path) and path.is_file()]
    loose = [path for path in given if _is_loose(path)]
    for path in given:
        try:
            if path.is_dir():
                found += _in_folder(path, results, series, errors)
            elif path in loose:
                found += _loose(loose, series, errors) if path == loose[0] else []
            elif path not in masks or len(masks) == len(given):
                found += _file(path)
        except DataError as error:
            errors.append(error)
    return Inputs(tuple(_with_own_names(found)), tuple(errors))


def named_study(
    flair: Path, pre: Path | None = None, post: Path | None = None, *, series: str | None = None
) -> VolumeStudy:
    """Return the study of volumes that the user names one by one: NIfTI files, DICOM folders or zips."""
    return VolumeStudy(_stem(_place(flair)), flair, pre, post, series)


_Found = list[tuple[Study | VolumeStudy, PurePosixPath]]


def _image(source: Source, series: str | None, *, only: bool = False) -> NiftiImage | DicomImage:
    """Read a NIfTI file or the one series that is asked for; the only one need not be called FLAIR."""
    if isinstance(source, Path) and source.name.lower().endswith(nifti_file.SUFFIXES):
        return read_nifti(source)
    found = find_series(source) if isinstance(source, Path) else list(source)
    named = isinstance(source, Path) and series is None
    if len(found) == 1 and (only or named):
        return found[0].read()
    if only:
        listed = ", ".join(str(one) for one in found[:12])
        raise DataError(found[0].source, f"{len(found)} series: {listed}", "one", "give the folder of one series")
    return choose_flair(found, series).read()


def _is_loose(path: Path) -> bool:
    """Tell whether it is a file that could be one of several of a DICOM series."""
    known = path.name.lower().endswith((*nifti_file.SUFFIXES, *slices.SUFFIXES))
    return not known and path.is_file()


def _loose(paths: Sequence[Path], series: str | None, errors: list[DataError]) -> _Found:
    """Put DICOM files together that are named one by one (as by a shell, for ``folder/*``); zips go by themselves."""
    zips: list[Path] = []
    parts: list[Path] = []
    for path in paths:
        try:
            (zips if is_zip(path) else parts).append(path)
        except DataError as error:
            errors.append(error)
    found: _Found = []
    for path in zips:
        found += _zip(path, series, errors, needed=True)
    headers = list(read_headers([Part(path) for path in parts]))
    foreign = sorted({Part(path) for path in parts} - {part for part, _ in headers})
    errors += [DataError(part.path, "none of these", _READABLE, "check the path, or convert it") for part in foreign]
    common = Path(commonpath([path.parent for path in parts])) if len(parts) > 1 else Path(*parts)
    before = len(errors)
    found += _dicom(common, headers, series, errors)
    if headers and not found and len(errors) == before:
        errors.append(DataError(common, "no MR image in DICOM (another object, or a localiser)", _READABLE, "check it"))
    return found


def _zip(path: Path, series: str | None, errors: list[DataError], *, needed: bool = False) -> _Found:
    before = len(errors)
    try:
        found = _dicom(path, list(read_headers(list_parts(path))), series, errors)
        if needed and not found and len(errors) == before:
            errors.append(DataError(path, "a zip without MR images in DICOM", _READABLE, "check the path"))
    except DataError as error:
        errors.append(error)
        return []
    return found


def _file(path: Path) -> _Found:
    if not path.is_file():
        raise DataError(path, "does not exist", _READABLE, "check the path")
    if path.suffix.lower() in slices.SUFFIXES:
        return [(study, _place(path)) for study in find_studies([path])]
    return [(VolumeStudy(_stem(_place(path)), path), _place(path))]


def _in_folder(folder: Path, results: Path | None, series: str | None, errors: list[DataError]) -> _Found:
    before = len(errors)
    inner = results.resolve() if results is not None else None
    parts = [part for part in list_parts(folder) if inner is None or inner not in part.path.resolve().parents]
    found: _Found = [(study, _place(study.slices[0].image)) for study in slices_in_folder(folder, results)]
    found += _nifti(folder, [part.path for part in parts if part.path.name.lower().endswith(nifti_file.SUFFIXES)])
    others = [part for part in parts if not part.path.name.lower().endswith((*slices.SUFFIXES, *nifti_file.SUFFIXES))]
    zips = [part.path for part in others if part.path.suffix.lower() == ".zip"]
    found += _dicom(folder, list(read_headers(part for part in others if part.path not in zips)), series, errors)
    for path in zips:
        found += _zip(path, series, errors)
    if not found and len(errors) == before:
        raise DataError(folder, f"no {_READABLE} in it", "images to predict", "check the path")
    return found


def _place(path: Path) -> PurePosixPath:
    return PurePosixPath(path.as_posix())


def _stem(name: PurePosixPath) -> str:
    """Return a name without the endings of images and archives."""
    return re.sub(r"(\.nii(\.gz)?|\.zip|\.dcm)$", "", name.name, flags=re.IGNORECASE) or "study"


def _nifti(top: Path, paths: Sequence[Path]) -> _Found:
    found: _Found = []
    images = [path for path in paths if not _RESULTS.fullmatch(_stem(_place(path)).lower())]
    for folder, files in groupby(images, key=lambda path: path.parent):
        here = list(files)
        if set(_ELSEWHERE) & set(folder.relative_to(top).parts):
            continue
        bids = {path: match for path in here if (match := _BIDS.fullmatch(_stem(_place(path))))}
        flairs = [path for path in here if _FLAIR.search(path.name)]
        for path in flairs or [path for path in here if path not in bids]:
            is_bids = path in bids and bids[path]["suffix"] == "FLAIR"
            found.append((_bids_study(path, bids) if is_bids else VolumeStudy(_stem(_place(path)), path), _place(path)))
    return found


def _bids_study(flair: Path, bids: dict[Path, re.Match[str]]) -> VolumeStudy:
    """Add the T1 volumes of the subject and session, where there is one of a kind."""
    subject = bids[flair]["subject"]
    t1 = [path for path, match in bids.items() if (match["subject"], match["suffix"]) == (subject, "T1w")]
    with_contrast = [path for path in t1 if "_ce-" in path.name]
    without = [path for path in t1 if path not in with_contrast]
    notes = [
        f"{len(paths)} T1 volumes {kind} contrast; none of them is used"
        for kind, paths in (("before", without), ("after", with_contrast))
        if len(paths) > 1
    ]
    pre, post = (paths[0] if len(paths) == 1 else None for paths in (without, with_contrast))
    return VolumeStudy(_stem(_place(flair)).removesuffix("_FLAIR"), flair, pre, post, notes=tuple(notes))


_Headers = Sequence[tuple[Part, tuple[DicomFrame, ...] | DataError]]


def _dicom(source: Path, headers: _Headers, series: str | None, errors: list[DataError]) -> _Found:
    """Put DICOM files together to studies; one that cannot be used spoils its folder, which is left out."""
    spoilt: dict[PurePosixPath, DataError] = {}
    frames: list[DicomFrame] = []
    for part, read in headers:
        if isinstance(read, DataError):
            spoilt.setdefault(part.folder, read)
        else:
            frames += read
    errors += spoilt.values()
    ordered = sorted(frames, key=lambda frame: (frame.study, frame.part))
    studies = [list(group) for _, group in groupby(ordered, key=lambda frame: frame.study)]
    alone = len(studies) == 1 and set(spoilt) <= {frame.part.folder for frame in frames}
    studies = [kept for study in studies if (kept := [one for one in study if one.part.folder not in spoilt])]
    if alone:
        return _studies_of(source, _place(source), studies, series, errors)
    found: _Found = []
    for place, sharing in groupby(sorted(studies, key=_common), key=_common):
        found += _studies_of(source, place, list(sharing), series, errors)
    return found


def _studies_of(
    source: Path, place: PurePosixPath, studies: list[list[DicomFrame]], series: str | None, errors: list[DataError]
) -> _Found:
    """Return the studies whose files lie in one place, which are those of one patient."""
    if len({frame.patient for study in studies for frame in study}) > 1:
        errors.append(DataError(str(place), "images of several patients", "one patient", "make a folder for each"))
        return []
    names = [_stem(place) + (f"_{number}" if len(studies) > 1 else "") for number in range(1, len(studies) + 1)]
    return [
        (VolumeStudy(name, tuple(group_series(source, study)), series=series), place)
        for name, study in zip(names, studies, strict=True)
    ]


def _common(frames: Sequence[DicomFrame]) -> PurePosixPath:
    """Return the deepest folder (or zip, or the only file) that holds them all."""
    parts = {frame.part for frame in frames}
    if len(parts) == 1 and not next(iter(parts)).member:
        return _place(next(iter(parts)).path)
    return PurePosixPath(commonpath([part.folder for part in parts]))


def _with_own_names(found: _Found) -> list[Study | VolumeStudy]:
    """Put folders before names that several volumes share, as many as it takes."""
    volumes = [(study, place) for study, place in found if isinstance(study, VolumeStudy)]
    names = {id(study): [study.name] for study, _ in volumes}
    above = {id(study): [part for part in place.parent.parts if part != "/"] for study, place in volumes}
    while longer := [key for key in _shared(names) if above[key]]:
        for key in longer:
            names[key].insert(0, above[key].pop())
    return [
        replace(study, name="_".join(names[id(study)])) if isinstance(study, VolumeStudy) else study
        for study, _ in found
    ]


def _shared(names: dict[int, list[str]]) -> list[int]:
    counts = Counter("_".join(parts) for parts in names.values())
    return [key for key, parts in names.items() if counts["_".join(parts)] > 1]
