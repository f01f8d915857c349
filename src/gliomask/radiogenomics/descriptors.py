"""Size and shape of a tumour as IBSI and PyRadiomics define them. Knows no patient and no statistics.

Image Biomarker Standardisation Initiative, reference manual, morphological features (doi:10.1148/radiol.2020191145,
arXiv:1612.07003); van Griethuysen et al. 2017, PyRadiomics, doi:10.1158/0008-5472.CAN-17-0339. All of the mask is
measured: several components are one region.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from gliomask.radiogenomics.components import check_mask
from gliomask.radiogenomics.mesh import VOXELS, Spacing, surface_mesh


@dataclass(frozen=True)
class Descriptors:
    """Size and shape; V and A are volume and area of the surface of `gliomask.radiogenomics.mesh`.

    Everything is NaN for an empty mask.
    """

    volume: float
    """V, in the spacing's unit cubed (IBSI volume (mesh))."""
    voxel_volume: float
    """Number of voxels times the volume of one (IBSI volume (voxel counting))."""
    surface: float
    """A, squared unit (IBSI surface area (mesh))."""
    sphericity: float
    """(36 pi V^2)^(1/3) / A: 1 for a ball, less for anything else."""
    compactness: float
    """36 pi V^2 / A^3 (IBSI compactness 2), the cube of sphericity."""
    elongation: float
    """Square root of second over first variance of the voxel centres along their principal axes: 1 is as broad as long.
    NaN for a single voxel, which has no axis."""
    flatness: float
    """Square root of third over first variance: 0 for a flat tumour, such as one in a single slice. NaN for a voxel."""
    maximum_diameter: float
    """Largest distance of two points of the surface (PyRadiomics Maximum3DDiameter)."""
    solidity: float
    """V over the volume of the surface's convex hull (IBSI volume density (convex hull)): 1 for convex tumours."""


def describe(mask: NDArray[np.bool_], spacing: Spacing = VOXELS) -> Descriptors:
    """Measure size and shape.

    Parameters
    ----------
    mask
        (S, H, W) bool.
    spacing
        Distance of slices, rows and columns.

    Raises
    ------
    ValueError
        If the mask is not (S, H, W) of bool.
    """
    check_mask(mask)
    if not mask.any():
        return Descriptors(*[math.nan] * 9)
    mesh = surface_mesh(mask, spacing)
    volume, area, hull = mesh.volume, mesh.area, mesh.hull()
    compactness = 36 * math.pi * volume**2 / area**3
    elongation, flatness = _axes_ratios(np.argwhere(mask) * np.asarray(spacing))
    return Descriptors(
        volume=volume,
        voxel_volume=float(np.count_nonzero(mask) * np.prod(spacing)),
        surface=area,
        sphericity=compactness ** (1 / 3),
        compactness=compactness,
        elongation=elongation,
        flatness=flatness,
        maximum_diameter=float(pdist(mesh.vertices[hull.vertices]).max()),
        solidity=volume / float(hull.volume),
    )


def _axes_ratios(centres: NDArray[np.float64]) -> tuple[float, float]:
    """Return elongation and flatness."""
    least, middle, most = np.clip(np.linalg.eigvalsh(np.cov(centres.T, bias=True)), 0, None)
    if most == 0:
        return math.nan, math.nan
    return math.sqrt(middle / most), math.sqrt(least / most)
