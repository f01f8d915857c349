"""Chooses the patients whose slices are shown; brings slices, truth and masks together. Knows no page, no model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gliomask.data.cache import read_patient
from gliomask.data.index import DatasetIndex, build_index
from gliomask.errors import DataError
from gliomask.evaluation.masks import MaskFolder
from gliomask.evaluation.scores import dice
from gliomask.reporting.look import FLAIR
from gliomask.reporting.report.pictures import crop_box, encode, grey, profile_path, svg_path
from gliomask.reporting.report.sources import Scored

BUDGET = 9_000_000
"""Characters that all pictures together may take, so that the page stays below 15 MB."""


@dataclass(frozen=True)
class SliceView:
    """One slice: its number, picture (a data address), outlines (SVG paths, empty without tumour), and its Dice."""

    number: int
    picture: str
    truth: str
    prediction: str
    dice: str


@dataclass(frozen=True)
class Case:
    """One patient of the viewer.

    Attributes
    ----------
    rank
        Why the patient is shown: best, median, worst, or only.
    patient, institution, dice
        Who, and the Dice over all scored slices.
    width, height
        Of the pictures, in pixels of the original slices.
    start
        Place of the slice that is shown first: the one with the largest true tumour, else the largest prediction.
    slices
        In order.
    truth_profile, prediction_profile
        Tumour area over the slices, as SVG paths in a box of (slices - 1) x 1.
    """

    rank: str
    patient: str
    institution: str
    dice: float
    width: int
    height: int
    start: int
    slices: tuple[SliceView, ...]
    truth_profile: str
    prediction_profile: str

    @property
    def first(self) -> SliceView:
        """The slice that is shown first."""
        return self.slices[self.start]

    def script_values(self) -> list[dict[str, Any]]:
        """Return what the page's script needs of every slice."""
        return [
            {"number": v.number, "picture": v.picture, "truth": v.truth, "prediction": v.prediction, "dice": v.dice}
            for v in self.slices
        ]


def choose_cases(patients: pd.DataFrame) -> list[tuple[str, str]]:
    """Choose the best, the median and the worst patient by Dice; fewer if there are fewer.

    Parameters
    ----------
    patients
        One row a patient, columns as in ``patients.csv``.

    Returns
    -------
    list of tuple
        Why and who, as in ``("best", "TCGA_CS_4941_19960909")``.
    """
    names = patients.sort_values(["dice", "patient"], ascending=[False, True])["patient"].tolist()
    if len(names) == 1:
        return [("only", names[0])]
    ends = [("best", names[0]), ("worst", names[-1])]
    return ends if len(names) == 2 else [ends[0], ("median", names[len(names) // 2]), ends[1]]


def read_cases(
    scored: Scored, data: Path | None = None, *, progress: Callable[[int, int], None] | None = None
) -> list[Case]:
    """Read the slices, truth and masks of the patients that are shown.

    Parameters
    ----------
    scored
        The evaluation.
    data
        Folder in the Kaggle layout; by default the one that was scored.
    progress
        Called with (slices done, slices) while the folder is read.

    Raises
    ------
    DataError
        If the folder, its slices or the masks are missing, cannot be read, or are not those that were scored.
    """
    index = build_index(_folder(scored, data), progress=progress)
    expected = str(scored.facts.get("data_fingerprint"))
    if index.fingerprint != expected:
        raise DataError(
            index.root, f"data with the fingerprint {index.fingerprint[:12]}",
            f"{expected[:12]}, which was scored", "give the folder that was scored with --data",
        )  # fmt: skip
    chosen = choose_cases(scored.evaluation.patients)
    return [_read_case(scored, index, rank, name, BUDGET // len(chosen)) for rank, name in chosen]


def _folder(scored: Scored, data: Path | None) -> Path:
    named = scored.facts.get("data")
    if data is None and not named:
        raise DataError(scored.folder, "names no folder of slices", "the data that was scored", "give it with --data")
    folder = Path(str(named)) if data is None else data
    if not folder.is_dir():
        raise DataError(folder, "no such folder", "the data that was scored", "give its place with --data")
    return folder


def _read_case(scored: Scored, index: DatasetIndex, rank: str, name: str, budget: int) -> Case:
    remarks = _remarks(scored, name)
    whole = index.patient(name)
    rows = np.flatnonzero([each.number in remarks for each in whole.slices])
    record = replace(whole, slices=tuple(whole.slices[row] for row in rows))
    images, truth = read_patient(index.root, record)
    prediction = MaskFolder(scored.masks).read(whole, rows)
    box = (slice(None), *crop_box(images, [truth, prediction]))
    pictures = encode(grey(images[..., FLAIR])[box], budget)
    views = [
        SliceView(each.number, picture, svg_path(true), svg_path(found), remarks[each.number])
        for each, picture, true, found in zip(record.slices, pictures, truth[box], prediction[box], strict=True)
    ]
    areas = np.stack([truth.sum(axis=(1, 2)), prediction.sum(axis=(1, 2))])
    profiles = areas / max(1, areas.max())
    patients = scored.evaluation.patients
    return Case(
        rank=rank,
        patient=name,
        institution=whole.institution,
        dice=float(patients.loc[patients["patient"] == name, "dice"].iloc[0]),
        width=box[2].stop - box[2].start,
        height=box[1].stop - box[1].start,
        start=int(areas[0 if areas[0].any() else 1].argmax()),
        slices=tuple(views),
        truth_profile=profile_path(profiles[0]),
        prediction_profile=profile_path(profiles[1]),
    )


def _remarks(scored: Scored, name: str) -> dict[int, str]:
    """Return what is said of each scored slice of a patient, by its number."""
    counts = scored.evaluation.counts
    rows: NDArray[np.bool_] = counts.patients == name
    values = dice(counts, empty=np.nan)[rows]
    numbers = scored.evaluation.numbers[rows].tolist()
    return {
        number: "no tumour, none found" if np.isnan(value) else f"Dice {value:.3f}"
        for number, value in zip(numbers, values, strict=True)
    }
