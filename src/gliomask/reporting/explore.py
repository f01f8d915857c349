"""Describes a data set in figures, a table and a summary. Knows nothing of models; callers bring the augmentation."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliomask.data.index import DatasetIndex, index_table
from gliomask.errors import DataError
from gliomask.files import require_own_json, whole_file
from gliomask.reporting.charts import distribution_figure, institutions_figure, patients_figure, tumour_size_figure
from gliomask.reporting.figures import save_figure
from gliomask.reporting.samples import (
    AugmentedSample,
    Labelled,
    augmentation_sheet,
    choose_patients,
    largest_slice,
    positive_masks_figure,
    read_labelled,
    samples_figure,
)

__all__ = ["Augment", "augmentation_sheet", "explore", "summarise", "write_augmentations"]

Augment = Callable[[NDArray[np.uint8], NDArray[np.bool_]], Sequence[Labelled]]
"""Turns a slice (HxWx3 uint8) and its mask (HxW bool) into random versions of both."""


def explore(index: DatasetIndex, out: Path, *, augmented: Augment | None = None, seed: int = 0) -> list[Path]:
    """Write the figures of a data set, its table of patients and its summary.

    Parameters
    ----------
    index
        The data set.
    out
        Folder to write to; made if need be.
    augmented
        If given, is called for a few slices, and their versions are drawn as well.
    seed
        Chooses the patients that are shown.

    Returns
    -------
    list of Path
        The files, in the order written.

    Raises
    ------
    DataError
        If the index holds no patient, or a slice that is shown cannot be read.
    UsageError
        If the folder has a ``summary.json`` that is of something else: of an evaluation, say.
    """
    if not index.patients:
        raise DataError(
            index.root, "no patients", "folders of slices and masks", "check the folder with: gliomask index"
        )
    require_own_json(
        out / "summary.json", lambda known: isinstance(known, dict) and "tumour_voxels_per_patient" in known,
        "an exploration",
    )  # fmt: skip
    drawings: dict[str, Callable[[], Any]] = {
        "distribution.png": lambda: distribution_figure(index),
        "patients.png": lambda: patients_figure(index),
        "institutions.png": lambda: institutions_figure(index),
        "tumour_size.png": lambda: tumour_size_figure(index),
        "samples.png": lambda: samples_figure(index, seed=seed),
        "positive_masks.png": lambda: positive_masks_figure(index, seed=seed),
    }
    for name, draw in drawings.items():
        save_figure(draw(), out / name)
    written = [out / name for name in drawings]
    if augmented is not None:
        write_augmentations(_augmented_samples(index, augmented, seed), out / "augmentations.png")
        written.append(out / "augmentations.png")
    with whole_file(out / "patients.csv") as temporary:
        index_table(index).to_csv(temporary, index=False)
    with whole_file(out / "summary.json") as temporary:
        temporary.write_text(json.dumps(summarise(index), indent=2) + "\n", encoding="utf-8")
    return [*written, out / "patients.csv", out / "summary.json"]


def write_augmentations(samples: Sequence[AugmentedSample], path: Path) -> None:
    """Write slices beside their augmented versions as one PNG.

    Raises
    ------
    UsageError
        If there is no sample.
    """
    save_figure(augmentation_sheet(samples), path)


def summarise(index: DatasetIndex) -> dict[str, Any]:
    """Count what a data set holds.

    Returns
    -------
    dict
        Plain values, ready for JSON. `positive` and `negative` are slices with and without tumour. Quartiles (minimum,
        q1, median, q3, maximum; None if there is no tumour) are over the patients, or slices, that have tumour.
        `missing` counts patients whose sequence was replaced by FLAIR.
    """
    volumes = [patient.tumour_pixels for patient in index.patients if patient.tumour_pixels]
    areas = [record.tumour_pixels for patient in index.patients for record in patient.slices if record.tumour_pixels]
    return {
        "fingerprint": index.fingerprint,
        "patients": len(index.patients),
        "patients_with_tumour": len(volumes),
        "slices": index.slice_count,
        "positive": index.tumour_slice_count,
        "negative": index.slice_count - index.tumour_slice_count,
        "tumour_voxels_per_patient": _quartiles(volumes),
        "tumour_pixels_per_positive_slice": _quartiles(areas),
        "missing": {name: sum(name in patient.missing for patient in index.patients) for name in ("pre", "post")},
        "institutions": _institutions(index),
        "problems": len(index.problems),
    }


def _quartiles(values: Sequence[int]) -> dict[str, float] | None:
    if not values:
        return None
    names = ("minimum", "q1", "median", "q3", "maximum")
    return dict(zip(names, np.percentile(values, (0, 25, 50, 75, 100)).tolist(), strict=True))


def _institutions(index: DatasetIndex) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for patient in sorted(index.patients, key=lambda patient: patient.institution):
        entry = counts.setdefault(patient.institution, {"patients": 0, "slices": 0, "positive": 0})
        entry["patients"] += 1
        entry["slices"] += len(patient.slices)
        entry["positive"] += patient.tumour_slices
    return counts


def _augmented_samples(index: DatasetIndex, augmented: Augment, seed: int) -> list[AugmentedSample]:
    samples: list[AugmentedSample] = []
    for patient in choose_patients(index, 4, seed):
        image, mask = read_labelled(index, largest_slice(patient))
        samples.append((image, mask, list(augmented(image, mask))))
    return samples
