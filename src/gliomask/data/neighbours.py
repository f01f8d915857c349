"""What a network that is not content with one slice sees besides (2.5D): FLAIR of the slices below and above.

NumPy. One definition for training and for prediction. Knows nothing of networks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gliomask.data.cache import SliceCache, read_rows

_FLAIR = 1
SOURCES = (0, 1, 2, _FLAIR, _FLAIR)
"""For every input channel, the sequence that it shows: pre-contrast T1, FLAIR, post-contrast T1, FLAIR, FLAIR."""


def neighbour_rows(patients: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the slices below and above.

    Parameters
    ----------
    patients
        (N,) int64: whose slice it is; slices of a patient follow each other in order.

    Returns
    -------
    tuple
        Two (N,) int64; at the ends of a patient's slices, the row itself.
    """
    rows = np.arange(len(patients))
    below, above = np.maximum(rows - 1, 0), np.minimum(rows + 1, len(rows) - 1)
    same = [patients[other] == patients for other in (below, above)]
    return np.where(same[0], below, rows), np.where(same[1], above, rows)


def read_slices(cache: SliceCache, rows: NDArray[np.int64], *, neighbours: bool) -> NDArray[np.uint8]:
    """Return slices of a cache, (B, size, size, 3) uint8, or (B, size, size, 5) with their neighbours' FLAIR."""
    images = read_rows(cache.images, rows)
    if not neighbours:
        return images
    around = (read_rows(cache.images, near[rows])[..., _FLAIR, None] for near in neighbour_rows(cache.patients))
    return np.concatenate([images, *around], axis=3)


def with_neighbours(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (S, 5, H, W) network input of a stack (S, 3, H, W) float32; the outermost slices are their own neighbours.

    So is a slice that is alone.
    """
    flair = planes[:, _FLAIR, None]
    below, above = np.concatenate([flair[:1], flair[:-1]]), np.concatenate([flair[1:], flair[-1:]])
    return np.concatenate([planes, below, above], axis=1)
