"""Where the images of a study lie, and so no result may go. Knows files, not what is in them."""

from __future__ import annotations

from pathlib import Path

from gliomask.studies.names import is_mask
from gliomask.studies.own_results import result_finder
from gliomask.studies.slices import Study
from gliomask.studies.volume import Source, VolumeStudy
from gliomask.volumes import nifti_file, slices
from gliomask.volumes.archive import Part, list_parts
from gliomask.volumes.dicom_headers import read_headers


def folders(study: Study | VolumeStudy) -> set[Path]:
    """Return the folders in which the images of a study lie."""
    return {path.parent for path in _files(study)}


def lies_in(study: Study | VolumeStudy, folder: Path) -> bool:
    """Tell whether images of a study, or masks beside its slices, lie in a folder or below it; links are followed."""
    real = folder.resolve()
    homes = {home.resolve() for home in folders(study)}  # few: to follow every link of every path takes long
    homes |= {path.resolve().parent for path in _files(study) if path.is_symlink()}
    return any(real in (home, *home.parents) for home in homes)


def looks_like_image(path: Path) -> bool:
    """Tell whether a file is one that could be predicted: by its name (and no mask's), or as DICOM by its beginning."""
    if path.name.startswith(".") or not path.is_file():
        return False
    if path.name.lower().endswith((*slices.SUFFIXES, *nifti_file.SUFFIXES)):
        return not is_mask(path)
    return not is_mask(path) and next(read_headers([Part(path)]), None) is not None


def _files(study: Study | VolumeStudy) -> set[Path]:
    if isinstance(study, Study):
        return {path for item in study.slices for path in (item.image, item.truth) if path is not None}
    return {path for source in (study.flair, study.pre, study.post) if source is not None for path in _of(source)}


def _of(source: Source) -> set[Path]:
    if not isinstance(source, Path):
        return {frame.part.path for series in source for frame in series.frames}
    if not source.is_dir():
        return {source}
    ours, anything = result_finder(), source / "image"  # the folder is taken even if all in it passes for a result
    return {anything, *(part.path for part in list_parts(source, []) if not ours(part.path))}
