"""Leaves small components of a mask out. Knows no model: how small is small is told."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gliomask.volumes.box import bounding_box
from gliomask.volumes.components import label_components


def without_small(mask: NDArray[np.bool_], fraction: float) -> tuple[NDArray[np.bool_], int]:
    """Return a patient's mask without the components that are much smaller than its largest, and how many those were.

    Voxels that share a face, an edge or a corner are connected (26-connected in a volume, 8-connected in a slice).

    Parameters
    ----------
    mask
        (S, H, W) bool.
    fraction
        Components with fewer voxels than this fraction of the largest one's are left out: 0 keeps all, 1 none but the
        largest (all of them, where several are equally large).

    Returns
    -------
    tuple
        Mask of the same shape (the same array if nothing is left out), and the number of components left out.
    """
    if not fraction or not mask.any():
        return mask, 0
    box = bounding_box(mask)
    labels, count = label_components(mask[box])
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    kept = (sizes > 0) & (sizes >= fraction * sizes.max())
    left_out = count - int(kept.sum())
    if not left_out:
        return mask, 0
    large = np.zeros_like(mask)
    large[box] = kept[labels]
    return large, left_out
