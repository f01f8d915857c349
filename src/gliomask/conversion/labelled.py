"""A volume and its outline as slices of one size, as a network will see them. Writes no files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliomask.conversion.outlines import read_outline
from gliomask.data.head import head_window
from gliomask.data.resampling import SquareFit
from gliomask.errors import DataError
from gliomask.studies.volume import VolumeStudy

_FLAIR = 1
_CHANGED = 0.05
_MOST = 0.3
"""Part of what is not black; of the largest tumours of 94 public patients it is 0.04."""


@dataclass(frozen=True)
class LabelledSlices:
    """What is written of a patient.

    Attributes
    ----------
    images
        (S, size, size, 3) uint8, axial: pre-contrast T1, FLAIR, post-contrast T1.
    masks
        (S, size, size) bool.
    spacing
        Distance of slices, rows and columns in mm.
    sequences
        Which of pre, flair and post there were; FLAIR stands in for the others.
    left_out
        Blank slices at both ends that were left out.
    warnings
        What makes the patient less useful, one sentence each.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    spacing: tuple[float, float, float]
    sequences: tuple[str, ...]
    left_out: int
    warnings: tuple[str, ...]


def label(study: VolumeStudy, outline: Path, *, size: int, labels: Sequence[int] = ()) -> LabelledSlices:
    """Read a study and its outline, and make slices of them in the way in which `Predictor.predict` does.

    Turned to axial slices, scaled to grey levels, cut to the square around a head that is small in the image
    (`gliomask.data.head`), filled up to a square in space, and resized: images linearly; a pixel is tumour if at least
    half of it is.

    Parameters
    ----------
    study
        The volumes.
    outline
        NIfTI file of the outline.
    size
        Side of the slices in pixels.
    labels
        Which numbers in the outline are tumour; all above 0 if there are none.

    Raises
    ------
    DataError
        If a file cannot be read, or they do not lie in the same place.
    """
    found = study.read()
    drawn, said = read_outline(outline, labels, found.flair)
    images, masks = found.images, found.grid.slices(drawn)
    pixel = found.grid.spacing[1:]
    if not images[..., _FLAIR].any():
        raise DataError(found.flair.volume.source, "a volume in which nothing is to be seen", "FLAIR", "look at it")
    if (window := head_window(images, pixel)) is not None:
        outside = int(masks.sum()) - int(masks[:, *window].sum())
        said += (f"{outside} voxels of the outline lie outside of the head and are left out",) if outside else ()
        images, masks = images[:, *window], masks[:, *window]
        said += ("the head is small in the image: only the part around it is kept, enlarged",)
    share = int(masks.sum()) / int((images[..., _FLAIR] > 0).sum())
    if share > _MOST:
        said += (f"the outline covers {share:.0%} of what is not black; check that it is of a tumour, not the brain",)
    used = np.flatnonzero(images.any(axis=(1, 2, 3)) | masks.any(axis=(1, 2)))
    ends = slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(None)
    fit = SquareFit(images.shape[1], images.shape[2], size, pixel)
    rows, columns = fit.pixel_after
    written = fit.masks(masks[ends])
    millilitres = found.grid.spacing[0] / 1000
    before = int(masks.sum()) * pixel[0] * pixel[1] * millilitres
    after = int(written.sum()) * rows * columns * millilitres
    if abs(after - before) > _CHANGED * before:
        said += (f"of {before:.2f} ml of tumour {after:.2f} ml are left in slices of {size} pixels",)
    return LabelledSlices(
        images=fit.images(images[ends]),
        masks=written,
        spacing=(found.grid.spacing[0], rows, columns),
        sequences=found.sequences,
        left_out=len(images) - len(images[ends]),
        warnings=(*found.warnings, *said),
    )
