"""Finds what to predict: slices, NIfTI and DICOM, in what a user names. Reads no more than that takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from os.path import commonpath
from pathlib import Path, PurePosixPath

from gliomask.errors import DataError
from gliomask.share import Share
from gliomask.studies.dicom import Headers, dicom_studies
from gliomask.studies.homes import folders, lies_in
from gliomask.studies.lone_masks import LoneMasks, lone_masks, mask_error
from gliomask.studies.names import is_mask, own_names, place_of, short, stem, whole_path
from gliomask.studies.nifti import ELSEWHERE, nifti_studies, other_sequence
from gliomask.studies.own_results import result_finder
from gliomask.studies.slices import Study, named_slices, stacks
from gliomask.studies.unread import Unread, is_other_image, unread_images
from gliomask.studies.volume import Placed, VolumeStudy
from gliomask.volumes import nifti_file, slices
from gliomask.volumes.archive import Part, is_zip, list_parts
from gliomask.volumes.dicom_headers import read_headers

_READABLE = "slices (TIFF, PNG), NIfTI or DICOM"


@dataclass(frozen=True)
class Inputs:
    """What was found, and what could not be used; the first may be predicted whatever the second holds."""

    studies: tuple[Study | VolumeStudy, ...]
    errors: tuple[DataError, ...] = ()

    def mine(self, part: Share) -> Inputs:
        """Return one part of it."""
        return Inputs(part.mine(self.studies), part.mine(self.errors))

    def others(self, part: Share) -> Inputs:
        """Return what the other parts have."""
        return Inputs(part.others(self.studies), part.others(self.errors))


class _Search:
    """What a search for studies is told, and what it takes down: errors, and how far it is.

    Parameters
    ----------
    series, progress
        As `find_inputs`.
    """

    def __init__(self, series: str | None, progress: Callable[[int, int], None] | None) -> None:
        self.series, self.errors = series, list[DataError]()
        self._progress, self._done, self._known = progress, 0, 0

    def headers(self, parts: Iterable[Part]) -> Headers:
        """Look at files, and return the headers of those that are DICOM, or why they cannot be used."""
        files = list(parts)
        self._known += len(files)
        return list(read_headers(files, self._looked_at))

    def _looked_at(self, _: Part) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._known)


def find_inputs(
    paths: Path | str | Iterable[Path | str],
    *,
    results: Path | None = None,
    series: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Inputs:
    """Find the studies in files, folders (searched to any depth) and zips.

    * Slices: see `gliomask.studies.slices.find_studies`.
    * NIfTI: a file is a study. In a folder with files named FLAIR those alone are; names that end like masks (_mask,
      _seg, ...) are passed over, but told where they can be of no image (`gliomask.studies.lone_masks`). T1 before
      and after contrast of the same subject are taken with it, in BIDS (T1w and ce-..._T1w) and in BraTS (t1n and t1c,
      t1 and t1ce); derivatives are passed over. T1 and T2 are no FLAIR.
    * DICOM: all series of a study make one, in a folder, in a zip or among the files named; FLAIR is chosen when it is
      read, and T1 before and after contrast with it. It is called after the input if that holds no other, else after
      its folder.

    Parameters
    ----------
    paths
        What the user names: one, or several.
    results
        Folder of results, which must not lie where the images do. Results of an earlier run are never input, wherever
        they lie.
    series
        Number or part of the description by which to choose the FLAIR series in DICOM.
    progress
        Called with (files looked at, files known so far) while files are read that may be DICOM, of which a large
        folder takes minutes. More become known with each input and each zip.

    Returns
    -------
    Inputs
        One study for each result, in order. Their names differ: where two would be the same, the folders they lie in
        are put before them (`gliomask.studies.names.own_names`).
    """
    search = _Search(series, progress)
    found: _Found = []
    several = (paths,) if isinstance(paths, Path | str) else paths
    given = list({whole_path(path): path for path in map(Path, several)}.values())
    masks = [path for path in given if _is_image(path) and is_mask(path)]
    planes = [path for path in given if path.suffix.lower() in slices.SUFFIXES and _is_file(path) and path not in masks]
    loose = [path for path in given if _is_loose(path)]
    lone = _lone_among(given, masks)
    for path in given:
        try:
            if path.is_dir():
                found += _in_folder(path, search)
            elif path in loose:
                found += _loose(loose, search) if path == loose[0] else []
            elif path in planes:
                found += _placed(named_slices(planes, search.errors)) if path == planes[0] else []
            elif path not in masks:
                found.append(_volume(path))
            elif path in lone:
                raise mask_error(path)
        except DataError as error:
            search.errors.append(error)
        except OSError as error:  # a folder that may not be entered, a disk that is gone
            seen = f"cannot be looked at ({error.strerror})"
            search.errors.append(DataError(path, seen, _READABLE, "check its permissions and the disk"))
    studies = _with_own_folders(found, results, search.errors)
    return Inputs(studies, tuple(search.errors))


_Found = list[tuple[Study | VolumeStudy, PurePosixPath]]


def _lone_among(given: Sequence[Path], masks: Sequence[Path]) -> set[Path]:
    """Return the masks among files that are named one by one of which no image is named."""
    if not masks:
        return set()
    whole = {whole_path(path): path for path in masks}
    others = [whole_path(path) for path in given if path not in masks]
    images = [path if is_other_image(path.name) else path / "image" for path in others]
    top = Path(commonpath([path.parent for path in (*whole, *images)]))
    return {whole[path] for lone in lone_masks(top, list(whole), images).values() for path in lone.files}


def _is_image(path: Path) -> bool:
    return path.name.lower().endswith((*nifti_file.SUFFIXES, *slices.SUFFIXES)) and _is_file(path)


def _is_file(path: Path) -> bool:
    """Tell whether it is a file; no where that cannot be seen, which is said later."""
    try:
        return path.is_file()
    except OSError:
        return False


def _is_loose(path: Path) -> bool:
    """Tell whether it is a file that could be one of several of a DICOM series."""
    return _is_file(path) and not _is_image(path)


def _loose(paths: Sequence[Path], search: _Search) -> Placed:
    """Put DICOM files together that are named one by one (as by a shell, for ``folder/*``); zips go by themselves."""
    errors = search.errors
    zips: list[Path] = []
    parts: list[Path] = []
    for path in paths:
        try:
            (zips if is_zip(path) else parts).append(path)
        except DataError as error:
            errors.append(error)
    found: Placed = []
    for path in zips:
        found += _zip(path, search, needed=True)
    if len({path.is_absolute() for path in parts}) > 1:  # which have no folder in common
        parts = [whole_path(path) for path in parts]
    headers = search.headers(Part(path) for path in parts)
    foreign = sorted({Part(path) for path in parts} - {part for part, _ in headers})
    errors += [DataError(part.path, "none of these", _READABLE, "check the path, or convert it") for part in foreign]
    common = Path(commonpath([path.parent for path in parts])) if len(parts) > 1 else Path(*parts)
    before = len(errors)
    found += dicom_studies(common, headers, search.series, errors)
    if headers and not found and len(errors) == before:
        errors.append(DataError(common, "no MR image in DICOM (another object, or a localiser)", _READABLE, "check it"))
    return found


def _zip(path: Path, search: _Search, *, needed: bool = False) -> Placed:
    errors, before = search.errors, len(search.errors)
    try:
        parts = list_parts(path)
        found = dicom_studies(path, search.headers(parts), search.series, errors)
        images = sum(is_other_image(part.member) for part in parts)
        is_none = not is_zip(path)
        if (needed or images or is_none) and not found and len(errors) == before:
            said = f"a zip of {images} image(s) that are not DICOM" if images else "a zip without MR images in DICOM"
            cure = "unpack it and give the folder" if images else "check the path"
            if is_none:
                said, cure = "no zip, whatever its name says", "copy it again"
            errors.append(DataError(path, said, "a zip of MR images in DICOM", cure))
    except DataError as error:
        errors.append(error)
        return []
    return found


def _placed(studies: Iterable[Study]) -> _Found:
    return [(study, place_of(study.slices[0].image)) for study in studies]


def _volume(path: Path) -> tuple[VolumeStudy, PurePosixPath]:
    if not path.is_file():
        raise DataError(path, "does not exist", _READABLE, "check the path")
    other = other_sequence(path)
    notes = () if other is None else (f"its name says {other}; it is taken for FLAIR",)
    return VolumeStudy(stem(place_of(path)), path, notes=notes), place_of(path)


def _in_folder(folder: Path, search: _Search) -> _Found:
    errors, before = search.errors, len(search.errors)
    ours = result_finder()
    parts = [part for part in list_parts(folder, errors) if not ours(part.path)]
    found = _placed(stacks((part.path for part in parts), errors))
    volumes = [part.path for part in parts if part.path.name.lower().endswith(nifti_file.SUFFIXES)]
    found += nifti_studies(folder, volumes, errors)
    others = [part for part in parts if not part.path.name.lower().endswith((*slices.SUFFIXES, *nifti_file.SUFFIXES))]
    zips = [part.path for part in others if part.path.suffix.lower() == ".zip"]
    headers = search.headers(part for part in others if part.path not in zips)
    found += dicom_studies(folder, headers, search.series, errors)
    for path in zips:
        found += _zip(path, search)
    unread = unread_images(part.path for part in sorted({*others} - {part for part, _ in headers}))
    lone = _lone_in(folder, (part.path for part in parts), [part for part, _ in headers])
    found = [(_with_notes(study, unread, lone), place) for study, place in found]
    used = {path for study, _ in found for path in folders(study)}
    errors += [files.error() for path, files in lone.items() if path not in used]
    alone = {path: files for path, files in unread.items() if path not in used}
    errors += [files.error(path) for path, files in alone.items() if files.volumes or not found]
    if not found and len(errors) == before:
        raise DataError(folder, f"no {_READABLE} in it", "images to predict", "check the path")
    return found


def _lone_in(folder: Path, paths: Iterable[Path], dicom: Iterable[Part]) -> dict[Path, LoneMasks]:
    """Return the masks in a folder that can be of none of the images in it."""
    masks, images = list[Path](), {part.path.parent / "image" for part in dicom}
    for path in paths:
        if path.suffix.lower() == ".zip" or (is_other_image(path.name) and not is_mask(path)):
            images.add(path)
        elif is_other_image(path.name) and not set(ELSEWHERE) & set(path.relative_to(folder).parts):
            masks.append(path)
    return lone_masks(folder, masks, images)


def _with_notes(study: Study | VolumeStudy, *unread: Mapping[Path, Unread | LoneMasks]) -> Study | VolumeStudy:
    """Note which files beside a study's own are not read."""
    notes = [
        f"beside it lie {files[path].said}, which are not read"
        for files in unread
        for path in folders(study)
        if path in files
    ]
    return replace(study, notes=(*study.notes, *notes)) if notes else study


def _with_own_folders(found: _Found, results: Path | None, errors: list[DataError]) -> tuple[Study | VolumeStudy, ...]:
    """Name studies so that each has its own folder for results; those for which that fails are left out."""
    once = list({(study.name, whole_path(place)): (study, place) for study, place in found}.values())
    names = own_names([(study.name, place) for study, place in once])
    if results is not None:
        names = [short(name) for name in names]
    counts = Counter(names)
    studies: list[Study | VolumeStudy] = []
    for name, (study, place) in zip(names, once, strict=True):
        if counts[name] > 1:
            said, expected = (
                f"{name} is the name of several studies",
                "a name of its own, because results go to OUT/NAME",
            )
            errors.append(DataError(str(place), said, expected, "predict it by itself, with its own --out"))
        elif results is not None and lies_in(study, results / name):
            said = f"its results would go to {results / name}, which holds the images themselves"
            errors.append(DataError(str(place), said, "another --out, where masks replace no truth", "choose one"))
        else:
            studies.append(replace(study, name=name))
    return tuple(studies)
