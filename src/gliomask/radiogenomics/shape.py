"""The three shape features of the radiogenomic studies of lower-grade glioma. Knows no patient and no statistics.

ASD and MF look at the outline of the tumour in the slice that has most of it, BEVR at the whole tumour (Buda, Saha,
Mazurowski 2019, doi:10.1016/j.compbiomed.2019.05.002; Mazurowski et al. 2017, doi:10.1007/s11060-017-2420-1). The
definitions leave open how a boundary is read from pixels. Here it is the curve, or surface, halfway between pixels
inside and outside. All three numbers have no unit, and none changes when the volume is moved, turned by 90 degrees, or
its slices are put in reverse order; BEVR does not depend on the spacing either.

Where slices have the same tumour area, or components the same size, a feature is the mean over them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from skimage.measure import find_contours

from gliomask.radiogenomics.components import check_mask, cropped, largest_components, largest_cross_sections
from gliomask.radiogenomics.ellipsoid import TOLERANCE, enclosing_ellipsoid
from gliomask.radiogenomics.mesh import VOXELS, Spacing, surface_mesh

BINS = 10
"""Angular bins of ASD; MF's moving average spans a tenth of the boundary."""
SHORTEST = 30
"""Points of the shortest boundary that ASD and MF are defined for: three in a bin, three under the moving average."""


def asd(mask: NDArray[np.bool_], spacing: Spacing = VOXELS) -> float:
    """Return the angular standard deviation: how ragged the outline is within narrow angles.

    Distances from the centroid to the points of the boundary, divided by their mean, are sorted into ten equal bins of
    the angle; ASD is the mean of the (population) standard deviations within the bins. A point on the edge of two bins
    is in both. Bins without points, which outlines have that do not surround their centroid, are left out. A quarter
    turn moves a bin by two and a half, so ASD is the mean of two: with the first bin beginning at an axis, and half a
    bin further.

    Parameters
    ----------
    mask
        (S, H, W) bool.
    spacing
        Distance of slices, rows and columns.

    Returns
    -------
    float
        0 for a circle; NaN if the mask is empty or a boundary has fewer than `SHORTEST` points.

    Raises
    ------
    ValueError
        If the mask is not (S, H, W) of bool.
    """
    return _mean(_angular_deviation(*boundary) for boundary in _boundaries(mask, spacing))


def mf(mask: NDArray[np.bool_], spacing: Spacing = VOXELS) -> float:
    """Return the margin fluctuation: how far the outline strays from a smoothed copy of itself.

    Distances from the centroid to the points of the boundary, in their order and divided by their mean, less their
    moving average over the largest odd number of points within a tenth of the boundary (odd, so that neither sense of
    going round is preferred; the last point is followed by the first); MF is the (population) standard deviation.

    Parameters and exceptions are those of `asd`.

    Returns
    -------
    float
        0 for a circle; NaN if the mask is empty or a boundary has fewer than `SHORTEST` points.
    """
    return _mean(_fluctuation(distances) for distances, _ in _boundaries(mask, spacing))


def bevr(mask: NDArray[np.bool_], *, tolerance: float = TOLERANCE) -> float:
    """Return the bounding ellipsoid volume ratio: how much of its smallest enclosing ellipsoid a tumour fills.

    Volume within the surface of the largest 26-connected component over the volume of the minimum-volume ellipsoid
    around that surface (`gliomask.radiogenomics.ellipsoid`). Stretching an axis stretches both alike, so there is no
    spacing to give. A tumour in a single slice, or of a single voxel, has a surface and hence a value.

    Parameters
    ----------
    mask
        (S, H, W) bool.
    tolerance
        Of the ellipsoid's volume; BEVR is too small by that part at most.

    Returns
    -------
    float
        Above 0 and at most 1, which an ellipsoid comes close to; NaN if the mask is empty.

    Raises
    ------
    ValueError
        If the mask is not (S, H, W) of bool.
    """
    check_mask(mask)
    return _mean(ellipsoid_ratio(component, tolerance=tolerance) for component in largest_components(mask))


def ellipsoid_ratio(mask: NDArray[np.bool_], *, tolerance: float = TOLERANCE) -> float:
    """Return the ratio of `bevr` for all voxels of a mask that is not empty, connected or not."""
    mesh = surface_mesh(mask)
    return mesh.volume / enclosing_ellipsoid(mesh.vertices, tolerance=tolerance).volume


def _boundaries(mask: NDArray[np.bool_], spacing: Spacing) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yield distances from the centroid, divided by their mean, and angles (turns) of the points of each boundary."""
    check_mask(mask)
    for section in largest_cross_sections(mask):
        plane = cropped(section)
        # without holes, and one component: one closed curve
        (outline,) = find_contours(plane.astype(np.float64), 0.5, fully_connected="high")  # type: ignore[no-untyped-call]
        rows, columns = ((outline[:-1] - np.argwhere(plane).mean(axis=0)) * spacing[1:]).T
        distances = np.hypot(rows, columns)
        yield distances / distances.mean(), np.arctan2(rows, columns) / (2 * np.pi)


def _angular_deviation(distances: NDArray[np.float64], turns: NDArray[np.float64]) -> float:
    if len(distances) < SHORTEST:
        return float("nan")
    found = []
    for shift in (0.0, 0.5):
        places = np.round(turns * BINS + shift, 9)
        upper, lower = (np.asarray(place, np.int64) % BINS for place in (np.floor(places), np.ceil(places) - 1))
        bins = np.union1d(upper, lower)  # a point on an edge is in both
        found.append(np.mean([distances[(upper == each) | (lower == each)].std() for each in bins]))
    return float(np.mean(found))


def _fluctuation(distances: NDArray[np.float64]) -> float:
    if len(distances) < SHORTEST:
        return float("nan")
    window = (len(distances) // BINS - 1) | 1
    return float((distances - uniform_filter1d(distances, window, mode="wrap")).std())


def _mean(values: Iterator[float]) -> float:
    found = list(values)
    return float(np.mean(found)) if found else float("nan")
