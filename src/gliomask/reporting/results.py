"""Writes everything about a predicted study: masks, probabilities, pictures. Knows nothing of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gliomask.errors import DataError, UsageError
from gliomask.evaluation.counts import count_slices
from gliomask.evaluation.scores import dice_pooled
from gliomask.inference.predictor import Predictor
from gliomask.inference.studies import Study
from gliomask.volumes.slices import write_mask, write_probabilities


@dataclass(frozen=True)
class Keep:
    """What to write beside the masks, and whether to replace what is there."""

    pictures: bool = True
    probabilities: bool = False
    overwrite: bool = False


def predict_study(study: Study, predictor: Predictor, out: Path, keep: Keep = Keep()) -> dict[str, Any]:
    """Predict one study and write its files to ``out/<study>/``.

    Returns
    -------
    dict
        study, folder, slices, tumour_pixels, and dice over all slices together (None without truth).

    Raises
    ------
    UsageError
        If the results would lie among the slices, where the masks would pass for truth or replace it.
    DataError
        If a slice or mask cannot be read, or a result exists already.
    """
    folder = out / study.name
    if folder.resolve() in {item.image.resolve().parent for item in study.slices}:
        raise UsageError(f"{folder} holds the slices themselves; expected another --out, where masks replace no truth")
    targets = [folder / f"{item.image.stem}_mask{item.image.suffix}" for item in study.slices]
    existing = next((target for target in targets if target.exists()), None)
    if existing is not None and not keep.overwrite:
        raise DataError(existing, "exists already", "a new file", "choose another --out, or give --overwrite")
    images = study.images()
    truth = study.truth((images.shape[1], images.shape[2]))
    prediction = predictor.predict(images)
    for item, target, mask, plane in zip(study.slices, targets, prediction.mask, prediction.probabilities, strict=True):
        write_mask(target, mask)
        if keep.probabilities:
            write_probabilities(folder / f"{item.image.stem}_probability.tif", plane)
    if keep.pictures:
        from gliomask.reporting.predictions import write_pictures  # noqa: PLC0415 - masks alone need no matplotlib

        write_pictures(folder, study.name, [item.image.stem for item in study.slices], images, truth, prediction)
    counts = None if truth is None else count_slices(prediction.mask, truth, study.name)
    return {
        "study": study.name,
        "folder": str(folder),
        "slices": len(images),
        "tumour_pixels": int(prediction.mask.sum()),
        "dice": None if counts is None else dice_pooled(counts),
    }
