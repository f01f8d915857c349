"""The public data set, by kagglehub. Knows nothing of what is in it beyond the name of its folder."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

from gliomask.errors import DataError, MissingExtraError

DATASET = "mateuszbuda/lgg-mri-segmentation"
"""Name of the data set on Kaggle."""

_FOLDER = "kaggle_3m"
_BY_HAND = f"download kaggle.com/datasets/{DATASET} in a browser, unzip it and pass the folder {_FOLDER}"


def fetch(destination: Path) -> Path:
    """Download the LGG data set (about 1 GB unpacked) and put its patient folders at `destination`.

    Where the system allows it, `destination` becomes a link into the download cache of kagglehub, otherwise a copy.

    Parameters
    ----------
    destination
        Folder to make; it may exist if it is empty, or if it is the link that an earlier call made.

    Returns
    -------
    Path
        `destination`.

    Raises
    ------
    MissingExtraError
        If kagglehub is not installed.
    DataError
        If there is something at `destination` already, or the download fails; it says what to do by hand.
    """
    destination = Path(destination)
    if not destination.is_symlink() and destination.exists() and not _is_empty_folder(destination):
        found = "exists and is not an empty folder"
        raise DataError(destination, found, "a new folder", "choose another name, or remove it")
    if destination.absolute() == Path.cwd() or os.path.ismount(destination):
        cure = f"name one in it: {destination / _FOLDER}"
        raise DataError(destination, "is the working folder or a mounted disk", "a new folder", cure)
    source = _download(destination)
    if destination.is_symlink():
        if destination.resolve() == source.resolve():
            return destination
        raise DataError(destination, "is a link to something else", "a new folder", "choose another name, or remove it")
    if destination.exists():
        destination.rmdir()
    destination.parent.mkdir(parents=True, exist_ok=True)
    try:
        destination.symlink_to(source.resolve(), target_is_directory=True)
    except OSError:  # Windows allows links only to some users
        _copy(source, destination)
    return destination


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _download(destination: Path) -> Path:
    try:
        import kagglehub  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError("kagglehub", "fetch", f"; or {_BY_HAND}") from error
    try:
        archive = Path(kagglehub.dataset_download(DATASET))
    except Exception as error:  # kagglehub passes on whatever its network layers raise
        detail = " ".join(str(error).split())[:200]
        found = f"the download failed ({type(error).__name__}: {detail})"
        raise DataError(destination, found, "a way to kaggle.com", _BY_HAND) from error
    source = archive / _FOLDER if (archive / _FOLDER).is_dir() else archive
    if not source.is_dir() or _is_empty_folder(source):
        raise DataError(source, "the download left nothing here", "the patient folders", _BY_HAND)
    return source


def _copy(source: Path, destination: Path) -> None:
    partial = destination.with_name(f".{destination.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        shutil.copytree(source, partial)
        partial.replace(destination)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
