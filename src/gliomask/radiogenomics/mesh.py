"""The surface of a mask as triangles, with its volume and its area. Knows no feature that is made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from skimage.measure import marching_cubes

from gliomask.radiogenomics.components import cropped

Spacing = tuple[float, float, float]
"""Distance of slices, rows and columns."""
VOXELS: Spacing = (1.0, 1.0, 1.0)
"""The spacing where none is known: lengths are in voxels, whose neighbours in all directions are 1 apart."""


@dataclass(frozen=True)
class Mesh:
    """A closed surface.

    Attributes
    ----------
    vertices
        (V, 3) float64, in units of the spacing; where the origin lies is not said.
    triangles
        (T, 3) int, rows of `vertices`.
    """

    vertices: NDArray[np.float64]
    triangles: NDArray[np.int32]

    @property
    def volume(self) -> float:
        """Enclosed volume: the signed tetrahedra from the origin to every triangle (IBSI, volume (mesh))."""
        a, b, c = self._corners()
        return float(abs(np.sum(a * np.cross(b, c))) / 6)

    @property
    def area(self) -> float:
        """Area of all triangles (IBSI, surface area (mesh))."""
        a, b, c = self._corners()
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)

    def hull(self) -> ConvexHull:
        """Return the convex hull of the vertices."""
        return ConvexHull(self.vertices)

    def _corners(self) -> NDArray[np.float64]:
        """Return (3, T, 3) the first, second and third corner of every triangle."""
        return self.vertices[self.triangles].transpose(1, 0, 2)


def surface_mesh(mask: NDArray[np.bool_], spacing: Spacing = VOXELS) -> Mesh:
    """Return the surface halfway between the voxels of a tumour and those around it.

    Marching cubes at 0.5, as in PyRadiomics and IBSI: vertices lie halfway between the centres of a voxel inside and
    its neighbour outside, so even a single voxel has a surface (an octahedron), and stretching an axis stretches the
    mesh.

    Parameters
    ----------
    mask
        (S, H, W) bool, not empty.
    spacing
        Distance of slices, rows and columns.
    """
    vertices, triangles, _, _ = marching_cubes(cropped(mask).astype(np.float32), 0.5)  # type: ignore[no-untyped-call]
    return Mesh(vertices.astype(np.float64) * spacing, triangles)
