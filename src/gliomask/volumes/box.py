"""The smallest box around a mask: what is done in it alone costs a small part of what it costs in the whole volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Return the smallest box that holds a mask: a slice for each of its axes, of length 0 if it is empty."""
    box = []
    for axis in range(mask.ndim):
        used = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        box.append(slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 0))
    return tuple(box)
