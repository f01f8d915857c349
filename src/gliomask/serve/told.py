"""What is told of an upload and its studies, as plain values; and all of its results in a zip. Knows no HTTP."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from gliomask.errors import Failure, UploadStateError
from gliomask.files import whole_file
from gliomask.results.study import NO_TUMOUR
from gliomask.serve.upload import State, Upload, unknown

_KEPT = ("slices", "sequences", "volume_ml", "largest_diameter_mm", "tumour_voxels", "tumour_slices", "dice", "seconds")
_TEXTS = {".json", ".csv"}
_PACKED = {".png", ".gif", ".gz"}


class Result(NamedTuple):
    """A file that was written about a study.

    Attributes
    ----------
    path
        Where it lies.
    kind
        mask, picture, contours, animation or preview.
    """

    path: Path
    kind: str


def tell(upload: Upload, place: int) -> dict[str, Any]:
    """Return what there is to say of an upload.

    Parameters
    ----------
    upload
        The upload.
    place
        How many others come before it.

    Returns
    -------
    dict
        id, state, place, done and total (studies; files, while it is searched), files, size (bytes), error, and studies
        (name and failed, or what the summary says, and files: name, kind, size in bytes, and the number by which each
        is asked for is its place in the list).
    """
    return {
        "id": upload.id,
        "state": upload.state,
        "place": place,
        "done": upload.done,
        "total": upload.total,
        "files": upload.files,
        "size": upload.size,
        "error": upload.error,
        "studies": list(upload.told),
    }


def result_file(upload: Upload, study: int, number: int) -> Result:
    """Return a file of a study; both are counted from 0.

    Raises
    ------
    UnknownUploadError
        If there is none.
    """
    files = results_of(upload, study) if study < len(upload.outcomes) else []
    if number >= len(files) or not files[number].path.is_file():
        raise unknown("no such result")
    return files[number]


def results_of(upload: Upload, study: int) -> list[Result]:
    """Return the files of a study, masks first; none if it failed."""
    outcome = upload.outcomes[study]
    if isinstance(outcome, Failure):
        return []
    folder, masks = upload.results / outcome["study"], set(outcome["masks"])
    return [Result(folder / name, "mask" if name in masks else _kind(name)) for name in outcome["files"]]


def pack(upload: Upload) -> Path:
    """Return a zip of all results: masks, pictures and tables, in which files are called as they were sent.

    Raises
    ------
    UploadStateError
        If it is not done.
    UnknownUploadError
        If it is removed meanwhile.
    """
    target = upload.folder / "results.zip"
    if upload.state is not State.DONE:
        raise UploadStateError(f"this upload is {upload.state}; expected one that is done; wait for its prediction")
    if target.is_file():
        return target
    files = sorted(path for path in upload.results.rglob("*") if path.is_file() and not path.name.startswith("."))
    try:
        with whole_file(target) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for path in files:
                _add(archive, upload, path)
    except FileNotFoundError as error:
        raise unknown() from error
    finally:
        if upload.gone:
            upload.erase()
    return target


def _add(archive: zipfile.ZipFile, upload: Upload, path: Path) -> None:
    name = path.relative_to(upload.results).as_posix()
    if path.suffix in _TEXTS:
        archive.writestr(name, _readable(upload, path))
    else:
        archive.write(path, name, zipfile.ZIP_STORED if path.suffix in _PACKED else None)


def _readable(upload: Upload, path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".json":
        return upload.readable(text)
    return json.dumps(_strings(json.loads(text), upload.readable), indent=2) + "\n"  # in which paths are escaped


def _strings(values: Any, change: Callable[[str], str]) -> Any:
    """Return JSON values with every text in them changed."""
    if isinstance(values, dict):
        return {name: _strings(value, change) for name, value in values.items()}
    if isinstance(values, list):
        return [_strings(value, change) for value in values]
    return change(values) if isinstance(values, str) else values


def study_of(upload: Upload, number: int) -> dict[str, Any]:
    """Return what there is to say of a study, once its files are there: `tell` asks no disk."""
    outcome = upload.outcomes[number]
    if isinstance(outcome, Failure):
        return {"name": upload.readable(outcome.study), "failed": upload.readable(outcome.reason)}
    files = [
        {"name": result.path.name, "kind": result.kind, "size": result.path.stat().st_size}
        for result in results_of(upload, number)
        if result.path.is_file()
    ]
    return {
        "name": outcome["study"],
        "failed": None,
        "source": upload.readable(outcome["source"]),
        "parts": outcome["components"],
        "left_out": outcome["components_left_out"],
        "empty": not outcome["tumour_voxels"],
        "warnings": [upload.readable(said) for said in outcome["warnings"] if said != NO_TUMOUR],
        **{name: outcome[name] for name in _KEPT},
        "files": files,
    }


def _kind(name: str) -> str:
    if name.endswith(".gif"):
        return "animation"
    kinds = {"_preview.png": "preview", "_prediction.png": "picture"}
    return next((kind for ending, kind in kinds.items() if name.endswith(ending)), "contours")
