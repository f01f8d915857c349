"""Writes everything about a predicted study: masks, probabilities, pictures, summary. Knows no command line.

A study's folder is complete when it holds ``summary.json``, which is written last; until then it holds a hidden file
that says so, and a later run does the study anew (`gliomask.results.claim`):

===============================  ===========================================================================
``<slice>_mask<ending>``         of slices: a mask of each file, with its ending (TIFF or PNG) and as many pages
``<slice>_probability.tif``      of slices, on request: float32
``<study>_mask.nii.gz``          of volumes: the mask on the volume's own grid, uint8
``<study>_probability.nii.gz``   of volumes, on request: float32
``<study>_seg.dcm``              of DICOM: the mask as a DICOM segmentation (extra ``dicom``)
``*.png``, ``*.gif``             pictures, unless they are switched off
``summary.json``                 what was found, warnings, model, version, seconds
===============================  ===========================================================================
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence, Set
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gliomask import __version__
from gliomask.data.naming import persons
from gliomask.errors import DataError, ResultExistsError, UsageError
from gliomask.evaluation.counts import count_slices
from gliomask.evaluation.scores import dice_pooled
from gliomask.files import whole_file
from gliomask.inference.predictor import Prediction, Predictor
from gliomask.results.claim import claimed
from gliomask.results.loaded import MASKS_AND_PICTURES, Keep, Loaded, load_study
from gliomask.results.measures import measure
from gliomask.results.table import TABLE
from gliomask.studies.homes import lies_in, looks_like_image
from gliomask.studies.own_results import SUMMARY, read_result
from gliomask.studies.slices import Study
from gliomask.studies.volume import VolumeStudy

CROPPED = "the head is small in the image: only the part around it was looked at, enlarged"
NO_TUMOUR = "EMPTY MASK: no tumour found"
SEEN = "the model was trained or chosen on this patient: how well it does here says nothing of others"


def finished(study: Study | VolumeStudy, predictor: Predictor, out: Path, keep: Keep) -> dict[str, Any] | None:
    """Return the summary of a study that this model has done in an earlier run; None if it is still to be done.

    It is done if it was made from the same files, and all masks that its summary names are there.

    Raises
    ------
    UsageError
        If the results would lie among the images, where the masks would pass for truth or replace it; or the study's
        name is no name of a folder.
    ResultExistsError
        If there are results of other files, another model or other options than are asked for now.
    DataError
        If there is a summary.json of somebody else, or a file of the study cannot be read.
    """
    folder = out / study.name
    if study.name in {"", ".", "..", SUMMARY, TABLE}:
        raise UsageError(f"a study called {study.name!r}; expected a name for its folder of results; rename its file")
    if lies_in(study, folder):
        said = f"{folder} holds the images themselves; expected another --out, where masks replace no truth; choose one"
        raise UsageError(said)
    known = read_result(folder)
    if known is None and (folder / SUMMARY).exists():
        cure = "choose another --out, or move it away"
        raise DataError(folder / SUMMARY, "exists already and is no summary of a study", "a new file", cure)
    if keep.overwrite or known is None:
        return None
    if (different := next(_differences(known, study, predictor, keep), None)) is not None:
        raise _exists(folder / SUMMARY, f"exists already, made {different}")
    if not all((folder / name).is_file() for name in known["masks"]):
        return None
    return known | {"skipped": True, "folder": str(folder)}


def _differences(known: dict[str, Any], study: Study | VolumeStudy, predictor: Predictor, keep: Keep) -> Iterator[str]:
    """Yield how a result was made otherwise than it is asked for now; a summary may lack what is newer than it."""
    now = predictor.settings()
    if (before := _precision(known)) != now["precision"]:
        yield f"in {before}"
    if known["model_sha256"] != now["model_sha256"]:
        yield f"by {known.get('model')}"
    if known.get("input_sha256") != study.fingerprint():
        yield f"from other files (of {known.get('source')})"
    if isinstance(study, Study) and known.get("truth_sha256") != study.truth_fingerprint():
        yield "with other masks as the truth"
    yield from _other_settings(known, now)
    if (
        any("highdicom is not installed" in said for said in known.get("warnings", ()))
        and find_spec("highdicom") is not None
    ):
        yield "without a DICOM segmentation, whose extra was not installed"
    if lacking := [name for name in keep.extras() if name not in known.get("extras", ())]:
        yield f"without {' and '.join(lacking)}"


def _other_settings(known: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """Yield with which other settings of the predictor a result was made."""
    if bool(known.get("flips")) != now["flips"]:
        yield f"{'without' if now['flips'] else 'with'} --flips"
    if (smallest := known.get("smallest_component", 0.0)) != now["smallest_component"]:
        yield f"with --smallest-component {smallest:g}"
    for name in ("threshold", "temperature"):
        if (before := known.get(name, now[name])) != now[name]:
            yield f"with a {name} of {before:g}"


def _precision(known: dict[str, Any]) -> str:
    """Return in what a result was computed; an earlier version told it as a part of the engine's name alone."""
    return str(known.get("precision") or str(known.get("engine")).rpartition(", ")[2])


def predict_study(
    study: Study | VolumeStudy,
    predictor: Predictor,
    out: Path,
    keep: Keep = MASKS_AND_PICTURES,
) -> dict[str, Any]:
    """Predict one study and write its files to ``out/<study>/``; one that is done already is left alone.

    Parameters
    ----------
    study
        What to predict.
    predictor
        The model.
    out
        Folder of all results.
    keep
        What to write.

    Returns
    -------
    dict
        What ``summary.json`` holds: study, folder, source, input_sha256 and truth_sha256 (over the content of the files
        that were used), sequences (those that were there), masks and files (names of the masks, and of all that was
        written), slices, the values of `Measures`, dice over all slices together (None without truth),
        seen_in_training (whether the study is named after somebody the model was trained or chosen on; None if the
        model does not tell), spacing_mm, warnings, model, engine, what `Predictor.settings` says, extras (what was
        written beside the masks), version, seconds (also those of waiting for the network, where several studies are in
        hand); and skipped, whether it was done already.

    Raises
    ------
    UsageError
        If the results would lie among images, the study's own or others, where the masks would pass for truth or
        replace it; or the study's name is no name of a folder.
    ResultExistsError
        If a file exists already that is not to be replaced: a result, or one of somebody else with a name that a
        result may have; or another call is predicting the study.
    DataError
        If a file cannot be read or written, or there is a summary.json of somebody else.
    """
    if (known := finished(study, predictor, out, keep)) is not None:
        return known
    start, folder = time.perf_counter(), out / study.name
    loaded = load_study(study)
    with claimed(folder) as claim:
        if (known := finished(study, predictor, out, keep)) is not None:  # another call has done it meanwhile
            return known
        masks, others = loaded.targets(folder), _others(folder, study.name, loaded, keep)
        _require_no_images(folder, {*masks, *others})
        if not keep.overwrite:
            _require_new(folder, masks, others)
        claim.declare(path.name for path in (*masks, *others))
        _remove_earlier(folder)
        return _predict(study, predictor, folder, keep, loaded, start)


def _predict(
    study: Study | VolumeStudy, predictor: Predictor, folder: Path, keep: Keep, loaded: Loaded, start: float
) -> dict[str, Any]:
    """Write everything about a study that was read; its summary last."""
    pixel = (1.0, 1.0) if loaded.spacing is None else (loaded.spacing[1], loaded.spacing[2])
    prediction = predictor.predict(loaded.images, pixel=pixel)
    written = loaded.write(folder, prediction, keep, predictor.contract.name)
    seen = _seen(study.name, predictor)
    said = (
        *loaded.warnings,
        *written.problems,
        CROPPED if prediction.cropped else None,
        prediction.concern,
        NO_TUMOUR if prediction.is_empty else None,
        SEEN if seen else None,
    )
    files = [*written.files, *_draw(folder, study.name, loaded, prediction, keep)]
    counts = None if loaded.truth is None else count_slices(prediction.mask, loaded.truth, study.name)
    summary = {
        "study": study.name,
        "folder": str(folder),
        "source": loaded.source,
        "input_sha256": study.fingerprint(),
        "truth_sha256": study.truth_fingerprint() if isinstance(study, Study) else None,
        "sequences": list(loaded.sequences),
        "masks": [path.name for path in loaded.targets(folder) if path in written.files],
        "files": [path.name for path in files],
        "slices": len(loaded.images),
        **measure(prediction, loaded.spacing).as_values(),
        "dice": None if counts is None else dice_pooled(counts),
        "seen_in_training": seen,
        "spacing_mm": loaded.spacing,
        "warnings": [each for each in said if each is not None],
        "model": predictor.contract.name,
        "engine": predictor.engine.name,
        **predictor.settings(),
        "extras": keep.extras(),
        "version": __version__,
        "seconds": round(time.perf_counter() - start, 2),
        "skipped": False,
    }
    with whole_file(folder / SUMMARY) as part:
        part.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return summary


def _others(folder: Path, name: str, loaded: Loaded, keep: Keep) -> list[Path]:
    """Return the files that may be written beside masks."""
    others = loaded.probabilities(folder) if keep.probabilities else []
    if keep.pictures:
        from gliomask.reporting.predictions import picture_names  # noqa: PLC0415 - masks alone need no drawing

        others += [folder / each for each in picture_names(name, loaded.stems)]
    return [*others, *([_preview(folder, name)] if keep.preview else [])]


def _require_no_images(folder: Path, own: Set[Path]) -> None:
    """Make sure that a folder which is none of results holds no images, among which masks would pass for truth."""
    if read_result(folder) is not None:
        return
    images = (path for path in folder.iterdir() if path not in own and looks_like_image(path))
    if (image := next(images, None)) is not None:
        said = f"{folder} holds other images ({image.name}); expected another --out, where masks pass for no truth"
        raise UsageError(f"{said}; choose one")


def _require_new(folder: Path, masks: Sequence[Path], others: Sequence[Path]) -> None:
    """Make sure that nothing is written over but what an earlier prediction wrote beside masks."""
    ours = (read_result(folder) or {}).get("files", ())
    targets = [*masks, *(path for path in others if path.name not in ours)]
    if (existing := next((path for path in targets if path.exists()), None)) is not None:
        raise _exists(existing)


def _remove_earlier(folder: Path) -> None:
    """Remove what an earlier prediction wrote, its summary last but before anything new is written."""
    known = read_result(folder)
    if known is None:
        return
    for name in known.get("files", ()):
        if Path(name).name == name and (folder / name).is_file():  # nothing outside of the folder, whatever it says
            (folder / name).unlink()
    (folder / SUMMARY).unlink()


def _seen(name: str, predictor: Predictor) -> bool | None:
    cases = predictor.contract.training.get("cases")
    return None if cases is None else not persons(name).isdisjoint(cases)


def _draw(folder: Path, name: str, loaded: Loaded, prediction: Prediction, keep: Keep) -> list[Path]:
    """Draw what is asked for; return the files."""
    written = []
    if keep.pictures:
        from gliomask.reporting.predictions import write_pictures  # noqa: PLC0415 - masks alone need no drawing

        written += write_pictures(folder, name, loaded.stems, loaded.images, loaded.truth, prediction)
    if keep.preview:
        from gliomask.reporting.preview import write_preview  # noqa: PLC0415

        written.append(_preview(folder, name))
        write_preview(written[-1], name, loaded.images, prediction, loaded.spacing)
    return written


def _preview(folder: Path, name: str) -> Path:
    return folder / f"{name}_preview.png"


def _exists(path: Path, found: str = "exists already") -> ResultExistsError:
    return ResultExistsError(path, found, "a new file", "choose another --out, or give --overwrite")
