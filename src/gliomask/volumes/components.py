"""Connected components of a mask: what the whole project means by one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gliomask.volumes.box import bounding_box


def label_components(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Label the connected components of a mask.

    Voxels (pixels) that share a face, an edge or a corner are connected: 26-connected in a volume, 8-connected in a
    slice.

    Parameters
    ----------
    mask
        (S, H, W) or (H, W) bool.

    Returns
    -------
    tuple
        int32 of the same shape, 0 outside the mask and 1, 2, ... in its components, in no particular order; and how
        many components there are.
    """
    from scipy import ndimage  # noqa: PLC0415 - slow to import

    labels, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
    return labels, int(count)


def count_components(mask: NDArray[np.bool_]) -> int:
    """Return how many components a mask has, connected as in `label_components`."""
    return label_components(mask[bounding_box(mask)])[1]
