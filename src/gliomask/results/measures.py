"""What a summary says of a predicted mask: volume, components, diameter. Knows no files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gliomask.inference.predictor import Prediction
from gliomask.volumes.box import bounding_box
from gliomask.volumes.components import label_components

if TYPE_CHECKING:  # brings SciPy
    from gliomask.evaluation.surfaces import Spacing


@dataclass(frozen=True)
class Measures:
    """A mask in numbers; lengths and volumes are None where the spacing is not known."""

    tumour_voxels: int
    tumour_slices: int
    volume_ml: float | None
    components: int
    """Of the mask, 26-connected."""
    components_left_out: int
    """Small ones that the model found beside those, and that are not in the mask (see `Predictor`)."""
    largest_diameter_mm: float | None
    """Largest distance of two points of the surface of one component (PyRadiomics Maximum3DDiameter), never across a
    gap between two; 0 for an empty mask."""
    mean_probability: float | None
    """Over the voxels of the mask; None for an empty one."""

    def as_values(self) -> dict[str, Any]:
        """Return plain values, rounded to what they are worth."""
        rounded = {"volume_ml": 3, "largest_diameter_mm": 1, "mean_probability": 4}
        return {
            name: value if value is None or name not in rounded else round(value, rounded[name])
            for name, value in vars(self).items()
        }


def measure(prediction: Prediction, spacing: Spacing | None) -> Measures:
    """Measure a predicted mask.

    Parameters
    ----------
    prediction
        (S, H, W) mask and probabilities.
    spacing
        Distance of slices, rows and columns in mm, if it is known.
    """
    mask: NDArray[np.bool_] = prediction.mask
    voxels = int(mask.sum())
    if not voxels:
        nothing = None if spacing is None else 0.0
        return Measures(0, 0, nothing, 0, prediction.left_out, nothing, None)
    labels, count = label_components(mask[bounding_box(mask)])
    return Measures(
        voxels,
        int(mask.any(axis=(1, 2)).sum()),
        None if spacing is None else float(voxels * np.prod(spacing) / 1000),
        count,
        prediction.left_out,
        None if spacing is None else _diameter(labels, spacing),
        float(prediction.probabilities[mask].mean()),
    )


def _diameter(labels: NDArray[np.int32], spacing: Spacing) -> float:
    """Return the largest diameter of a component; those whose box is too small to have it are not looked at."""
    from scipy import ndimage  # noqa: PLC0415 - slow to import

    from gliomask.radiogenomics.descriptors import describe  # noqa: PLC0415 - slower still

    parts = [(_diagonal(box, spacing), number, box) for number, box in enumerate(ndimage.find_objects(labels), start=1)]
    largest = 0.0
    for diagonal, number, box in sorted(parts, key=lambda part: -part[0]):
        if diagonal > largest:
            largest = max(largest, describe(labels[box] == number, spacing).maximum_diameter)
    return largest


def _diagonal(box: tuple[slice, ...], spacing: Spacing) -> float:
    return float(np.linalg.norm([(side.stop - side.start) * step for side, step in zip(box, spacing, strict=True)]))
