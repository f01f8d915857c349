"""What slices look like in a few numbers, and how far that is from the slices a model was trained on. Pure NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliomask.data.normalisation import BRIGHT_FRACTION, high_percentile

FEATURES = ("area", "symmetry", "contrast", "roughness", "border")
"""Share of bright pixels; correlation with the mirror image; deviation of the bright pixels over their mean; mean step
between neighbouring bright pixels over their mean; share of the outermost pixels that are bright."""
_FLAIR = 1
_LEAST_AREA = 0.05
_SLICE_PERCENTILE = 99.0
_STACK_MARGIN = 1.5


def describe(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Describe slices by their FLAIR.

    Parameters
    ----------
    images
        (S, H, W, 3) uint8; squares, as a network takes them.

    Returns
    -------
    numpy.ndarray
        (N, 5) float64, columns `FEATURES`; slices with next to nothing in them are left out.
    """
    found = [values for image in images if (values := _describe(image[..., _FLAIR])) is not None]
    return np.array(found, np.float64).reshape(-1, len(FEATURES))


def training_looks(stacks: Iterable[NDArray[np.uint8]]) -> dict[str, Any]:
    """Describe the slices of training patients, ready for JSON.

    Parameters
    ----------
    stacks
        (S, H, W, 3) uint8 of each patient; one is looked at at a time.

    Returns
    -------
    dict
        ``mean`` (5) and ``inverse_covariance`` (5 x 5) of the features over slices; ``slice_limit``, the 99th
        percentile of the slices' Mahalanobis distances; ``stack_limit``, half as much again as the largest median
        distance of a patient. Empty where too few slices hold anything.
    """
    features = [describe(stack) for stack in stacks]
    together = np.concatenate(features) if features else np.zeros((0, len(FEATURES)))
    if len(together) <= 2 * len(FEATURES):
        return {}
    inverse = np.linalg.pinv(np.cov(together.T)).astype(np.float64)
    mean = together.mean(axis=0)
    distances = [_distances(each, mean, inverse) for each in features if len(each)]
    return {
        "features": list(FEATURES),
        "mean": mean.tolist(),
        "inverse_covariance": inverse.tolist(),
        "slice_limit": float(np.percentile(np.concatenate(distances), _SLICE_PERCENTILE)),
        "stack_limit": _STACK_MARGIN * max(float(np.median(each)) for each in distances),
    }


def unlike(images: NDArray[np.uint8], looks: Mapping[str, Any]) -> str | None:
    """Say how slices differ from the training slices, in a sentence; None if they do not, or nothing is known of those.

    Parameters
    ----------
    images
        (S, H, W, 3) uint8; squares, as a network takes them. Of a stack, the median slice counts.
    looks
        What `training_looks` returned.
    """
    if not looks:
        return None
    features = describe(images)
    if not len(features):
        return "there is next to nothing in the image"
    mean, inverse = np.array(looks["mean"]), np.array(looks["inverse_covariance"])
    distance = float(np.median(_distances(features, mean, inverse)))
    limit = float(looks["slice_limit" if len(features) == 1 else "stack_limit"])
    if distance <= limit:
        return None
    return (
        f"does not look like the brain MR slices the model was trained on (distance {distance:.1f}, expected at most "
        f"{limit:.1f})"
    )


def _distances(
    features: NDArray[np.float64], mean: NDArray[np.float64], inverse: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the Mahalanobis distance of each row."""
    away = features - mean
    return np.asarray(np.sqrt(np.maximum(((away @ inverse) * away).sum(axis=1), 0)), np.float64)


def _describe(flair: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    bright = flair > BRIGHT_FRACTION * high_percentile(flair)
    if bright.mean() < _LEAST_AREA:
        return None
    plane = flair.astype(np.float64)
    values = plane[bright]
    level = values.mean()
    steps = np.abs(np.concatenate([np.diff(plane, axis=axis)[_both(bright, axis)] for axis in (0, 1)]))
    edge = np.concatenate([bright[0], bright[-1], bright[:, 0], bright[:, -1]])
    return np.array(
        [
            bright.mean(),
            _symmetry(plane),
            values.std() / level,
            steps.mean() / level if len(steps) else 0.0,
            edge.mean(),
        ]
    )


def _both(bright: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Return where a pixel and its next neighbour are both bright."""
    return bright[1:] & bright[:-1] if axis == 0 else bright[:, 1:] & bright[:, :-1]


def _symmetry(plane: NDArray[np.float64]) -> float:
    """Return the correlation of a slice with its mirror image."""
    away = plane - plane.mean()
    size = (away * away).sum()
    return float((away * away[:, ::-1]).sum() / size) if size else 0.0
