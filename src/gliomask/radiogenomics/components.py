"""The largest component of a mask, and its cross-section with most tumour. Knows no feature and no spacing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gliomask.volumes.box import bounding_box
from gliomask.volumes.components import label_components


def check_mask(mask: NDArray[np.bool_]) -> None:
    """Refuse what is no volume.

    Raises
    ------
    ValueError
        If the mask is not (S, H, W) of bool.
    """
    if mask.ndim != 3 or mask.dtype != np.bool_:
        raise ValueError(f"a mask of shape {mask.shape} and type {mask.dtype}; expected (S, H, W) of bool")


def largest_components(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return the largest connected component as a mask of its own.

    Components of equal size are all returned, because no choice among them would survive turning the volume.

    Parameters
    ----------
    mask
        (S, H, W) or (H, W) bool.

    Returns
    -------
    list of numpy.ndarray
        Masks of the same shape; none if the mask is empty.
    """
    labels, count = label_components(mask)
    sizes = np.bincount(labels[mask], minlength=count + 1)
    return [labels == label for label in np.flatnonzero((sizes == sizes.max()) & (sizes > 0))]


def largest_cross_sections(mask: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """Yield the largest component, holes filled, of the slice with most tumour.

    One (H, W) mask as a rule; several where slices have the same tumour area or components the same size; none if the
    mask (S, H, W) is empty.
    """
    areas = mask.sum(axis=(1, 2))
    for number in np.flatnonzero((areas == areas.max()) & (areas > 0)):
        yield from (ndimage.binary_fill_holes(component) for component in largest_components(mask[number]))


def cropped(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the part of a mask that is not empty, with one voxel of background around it.

    Parameters
    ----------
    mask
        bool, any number of axes, not empty.
    """
    return np.pad(mask[bounding_box(mask)], 1)
