"""How many lesions were found, and how many invented. Knows no patients and no distances.

Whole-patient Dice is blind to a small lesion beside a large one; counting lesions is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliomask.evaluation.counts import check_masks
from gliomask.volumes.components import label_components


@dataclass(frozen=True)
class LesionCounts:
    """Counts of lesions of a patient, or of several: ``+`` adds them up."""

    truth: int
    """Lesions there are."""
    found: int
    """Of these, lesions that the prediction touches."""
    missed: int
    """Of these, lesions that it does not touch."""
    invented: int
    """Components of the prediction that touch no lesion."""

    def __post_init__(self) -> None:
        """Check that the counts belong together.

        Raises
        ------
        ValueError
            If a count is negative, or found and missed do not add up to the lesions there are.
        """
        if min(self.truth, self.found, self.missed, self.invented) < 0:
            raise ValueError(f"{self}; expected counts of 0 or more")
        if self.truth != self.found + self.missed:
            raise ValueError(f"{self}; expected found and missed to add up to truth")

    def __add__(self, other: LesionCounts) -> LesionCounts:
        """Return the counts of both together."""
        return LesionCounts(
            self.truth + other.truth,
            self.found + other.found,
            self.missed + other.missed,
            self.invented + other.invented,
        )


def count_lesions(prediction: NDArray[np.bool_], truth: NDArray[np.bool_], *, smallest: int = 1) -> LesionCounts:
    """Count the lesions of the truth that a prediction finds and misses, and those that it invents.

    A lesion is a connected component: voxels that share a face, an edge or a corner (26-connected; 8-connected in a
    single slice). It is found if one of its voxels is predicted. One component of the prediction may find several
    lesions, and a lesion is found once, however many components touch it.

    Parameters
    ----------
    prediction, truth
        (S, H, W) bool.
    smallest
        Components of fewer voxels than this are not counted, neither as a lesion nor as an invention. They keep their
        voxels: a small predicted component that touches a lesion finds it, and a predicted component that touches a
        lesion too small to be counted is not invented.

    Returns
    -------
    LesionCounts

    Raises
    ------
    ValueError
        If the masks are not two equal (S, H, W) of bool, or `smallest` is below 1.
    """
    check_masks(prediction, truth)
    if smallest < 1:
        raise ValueError(f"smallest is {smallest}; expected 1 voxel or more")
    lesions, found = _components(truth, prediction, smallest)
    blobs, real = _components(prediction, truth, smallest)
    return LesionCounts(lesions, found, lesions - found, blobs - real)


def _components(mask: NDArray[np.bool_], other: NDArray[np.bool_], smallest: int) -> tuple[int, int]:
    """Return how many components of a mask have at least `smallest` voxels, and how many of these touch the other."""
    labels, count = label_components(mask)
    counted = np.bincount(labels[mask], minlength=count + 1) >= smallest
    touched = np.bincount(labels[mask & other], minlength=count + 1) > 0
    return int(counted.sum()), int((counted & touched).sum())
