"""Score masks on the patients of an index, whoever made them. Knows how results are gathered, not what a score is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gliomask.data.cache import read_patient
from gliomask.data.index import DatasetIndex, PatientRecord
from gliomask.errors import DataError
from gliomask.evaluation.calibration import count_probabilities
from gliomask.evaluation.counts import count_slices, join
from gliomask.evaluation.lesions import count_lesions
from gliomask.evaluation.masks import MaskFolder, write_masks
from gliomask.evaluation.results import Evaluation, PatientResult, collect
from gliomask.evaluation.surfaces import Spacing, surface_scores
from gliomask.inference.predictor import Predictor

__all__ = [
    "GivenMasks",
    "MaskSource",
    "PredictedMasks",
    "Segmentation",
    "View",
    "evaluate",
    "has_no_gap",
    "patients_at",
]

_Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Segmentation:
    """Masks of a patient, (S, H, W) bool, and their probabilities, (S, H, W) float32, if there are any."""

    mask: NDArray[np.bool_]
    probabilities: NDArray[np.float32] | None


class MaskSource(Protocol):
    """Anything that has a mask for a patient."""

    def segment(self, patient: PatientRecord, images: NDArray[np.uint8]) -> Segmentation:
        """Return the masks of all slices of a patient, whose images are (S, H, W, 3) uint8."""

    def spacing(self, patient: PatientRecord) -> Spacing | None:
        """Return the distance of slices, rows and columns in mm, if it is known."""

    def remarks(self) -> list[str]:
        """Return what a reader of the scores must know of the masks so far, one sentence each."""


@dataclass(frozen=True)
class View:
    """What a model gets to see of a patient, to learn what it does with less.

    Attributes
    ----------
    flair_alone
        Pre- and post-contrast T1 are replaced by FLAIR.
    one_by_one
        Every slice is predicted by itself, so that nothing is known of the volume's grey values.
    """

    flair_alone: bool = False
    one_by_one: bool = False


class PredictedMasks:
    """Masks that models make.

    Parameters
    ----------
    predictor_of
        Returns the model for a patient: the same for all, or the one of a cross-validation that has not seen it.
    view
        What the models get to see.
    """

    def __init__(self, predictor_of: Callable[[PatientRecord], Predictor], view: View = View()) -> None:
        self._predictor_of, self._view = predictor_of, view

    def segment(self, patient: PatientRecord, images: NDArray[np.uint8]) -> Segmentation:
        """Predict a patient."""
        predictor = self._predictor_of(patient)
        if self._view.flair_alone:
            images = images[..., 1:2].repeat(3, axis=3)
        stacks = images[:, np.newaxis] if self._view.one_by_one else [images]
        found = [predictor.predict(stack) for stack in stacks]
        return Segmentation(
            np.concatenate([each.mask for each in found]), np.concatenate([each.probabilities for each in found])
        )

    def spacing(self, _: PatientRecord) -> Spacing | None:
        """Return None: slices in TIFF and PNG files do not tell."""
        return None

    def remarks(self) -> list[str]:
        """Return nothing."""
        return []


class GivenMasks:
    """Masks that another program made.

    Parameters
    ----------
    folder
        Where they lie.
    """

    def __init__(self, folder: MaskFolder) -> None:
        self._folder = folder

    def segment(self, patient: PatientRecord, _: NDArray[np.uint8]) -> Segmentation:
        """Read a patient's masks."""
        return Segmentation(self._folder.read(patient), None)

    def spacing(self, patient: PatientRecord) -> Spacing | None:
        """Return what the file says, if it says anything."""
        return self._folder.spacing(patient)

    def remarks(self) -> list[str]:
        """Tell of volumes that were turned."""
        turned = len(self._folder.turned)
        return [f"volumes that were turned to axial slices, as their headers say: {turned}"] if turned else []


def evaluate(
    source: Predictor | MaskSource,
    index: DatasetIndex,
    positions: NDArray[np.int64] | None = None,
    *,
    spacing: Spacing | None = None,
    masks_to: Path | None = None,
    progress: _Progress | None = None,
) -> Evaluation:
    """Predict patients (or read their masks), count, and measure.

    A patient's volume is always predicted whole; where only some of its slices are to be scored (a split by slice),
    only those are counted, and neither surface distances nor lesions are measured; nor where slices are missing.

    Parameters
    ----------
    source
        The model, or whatever else has masks.
    index
        The data.
    positions
        Slices to score, as row numbers in the order of the index; all if None.
    spacing
        Distance of slices, rows and columns in mm. If None, what the source or the index (volumes.csv) knows of every
        patient; where one is not known, distances are in pixels for all.
    masks_to
        Folder in which the masks are kept, if they are to be.
    progress
        Called with (patients done, patients).

    Raises
    ------
    DataError
        If there is nothing to score, or a file has changed since it was indexed.
    OSError
        If masks cannot be kept.
    """
    chosen = np.arange(index.slice_count) if positions is None else positions
    selected = list(_select(index, chosen))
    if not selected:
        raise DataError(
            index.root, "no slice to score", "at least one patient in the subset", "choose another --subset"
        )
    masks = PredictedMasks(lambda _: source) if isinstance(source, Predictor) else source
    spacings = [spacing or masks.spacing(patient) or patient.spacing for patient, _ in selected]
    if any(known is None for known in spacings):
        spacings = [None] * len(selected)
    counts, results = [], []
    for done, ((patient, rows), known) in enumerate(zip(selected, spacings, strict=True), start=1):
        images, truth = read_patient(index.root, patient)
        found = masks.segment(patient, images)
        counts.append(count_slices(found.mask[rows], truth[rows], patient.name))
        results.append(_measure(patient, rows, found, truth, known))
        if masks_to is not None:
            write_masks(masks_to, patient, rows, found.mask[rows])
        if progress is not None:
            progress(done, len(selected))
    return collect(join(counts), results)


def patients_at(index: DatasetIndex, positions: NDArray[np.int64]) -> list[PatientRecord]:
    """Return the patients with slices at these positions, in the order of the index."""
    return [patient for patient, _ in _select(index, positions)]


def has_no_gap(patient: PatientRecord) -> bool:
    """Say whether the slice numbers rise by one: only then are slices that follow each other neighbours in space."""
    numbers = [record.number for record in patient.slices]
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _measure(
    patient: PatientRecord,
    rows: NDArray[np.int64],
    found: Segmentation,
    truth: NDArray[np.bool_],
    spacing: Spacing | None,
) -> PatientResult:
    numbers = tuple(patient.slices[row].number for row in rows)
    whole = len(rows) == len(truth) and has_no_gap(patient)
    return PatientResult(
        patient,
        numbers,
        surface_scores(found.mask, truth, spacing=spacing) if whole else None,
        count_lesions(found.mask, truth) if whole else None,
        None if found.probabilities is None else count_probabilities(found.probabilities[rows], truth[rows]),
        spacing,
    )


def _select(index: DatasetIndex, positions: NDArray[np.int64]) -> Iterator[tuple[PatientRecord, NDArray[np.int64]]]:
    """Yield each patient with slices to score, and which of its slices those are."""
    wanted = np.zeros(index.slice_count, bool)
    wanted[positions] = True
    start = 0
    for patient in index.patients:
        rows = np.flatnonzero(wanted[start : start + len(patient.slices)])
        start += len(patient.slices)
        if len(rows):
            yield patient, rows
