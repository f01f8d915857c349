"""A volume: an array with its place in the patient, and the way to axial slices and back. Knows no file format.

The frame is RAS: x grows towards the patient's right, y towards anterior, z towards superior, in mm. (DICOM's frame,
LPS, turns the first two round.) Orientation codes name the direction in which an index grows, as in nibabel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from functools import cached_property
from itertools import permutations
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from gliomask.errors import DataError

Frame = Literal["RAS", "LPS"]
Plane = Literal["axial", "sagittal", "coronal"]
Affine = NDArray[np.float64]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns positions in LPS into positions in RAS; it is its own inverse."""

MOST_VOXELS = 2**26
"""Readers refuse larger volumes (than 512 x 512 x 256) before they take any memory."""

_SMALLEST_VOXEL, _LARGEST_VOXEL = 0.05, 50.0  # mm, along any axis
_EXPECTED = "a volume with a position in space"
_PLANES: tuple[Plane, Plane, Plane] = ("sagittal", "coronal", "axial")
_SIDES = ("LR", "PA", "IS")  # of the patient's axes: where they fall, and where they grow
_THICKER = 1.5  # slices are thicker than pixels from here on; up to here any plane cuts the volume about equally well
_MOST_OBLIQUE = 30.0  # degrees
_MOST_SHEARED = 0.5  # degrees
_SMALLEST_HEAD = 120.0  # mm from side to side and from front to back
_LOWEST_HEAD = 100.0  # mm from the lowest slice to the highest, each with its thickness

_Value = TypeVar("_Value", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels and where they lie.

    Parameters
    ----------
    array
        (X, Y, Z), integers, floats or bool, all finite.
    affine
        (4, 4): array indices to mm in `frame`; kept as float64 in RAS.
    frame
        Frame of `affine` as it is given, "RAS" (NIfTI) or "LPS" (DICOM).
    source
        What errors name: the file or folder it came from.
    frame_of_reference
        Identifier of the scanner's coordinate system, where the format has one (DICOM).

    Raises
    ------
    DataError
        If the array is not 3-D, empty, not of real numbers or has NaN or infinite values, or the affine is not finite
        or not invertible.
    """

    array: NDArray[Any]
    affine: Affine
    frame: InitVar[Frame]
    source: str = "volume"
    frame_of_reference: str | None = None

    def __post_init__(self, frame: Frame) -> None:
        """Check, and bring the affine to RAS."""
        affine = np.array(self.affine, np.float64)
        _check_array(self.array, self.source)
        _check_affine(affine, self.source)
        if frame not in ("RAS", "LPS"):
            raise ValueError(f"frame is {frame!r}; expected 'RAS' or 'LPS'")
        if frame == "LPS":
            affine = LPS_TO_RAS @ affine
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between voxels along the three array axes, in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return x, y, z

    @cached_property
    def world_axes(self) -> tuple[int, int, int]:
        """For each array axis the axis of the patient (0 x, 1 y, 2 z) that it follows most; all three differ.

        Of the six ways to pair them, the one with the largest sum of cosines.
        """
        cosines = np.abs(self._directions)
        a, b, c = max(permutations(range(3)), key=lambda axes: sum(cosines[axes[array], array] for array in range(3)))
        return a, b, c

    @cached_property
    def orientation(self) -> str:
        """Three letters: towards which side of the patient each array index grows, such as "LPS"."""
        grows = [bool(self._directions[world, array] > 0) for array, world in enumerate(self.world_axes)]
        return "".join(_SIDES[world][towards] for world, towards in zip(self.world_axes, grows, strict=True))

    @cached_property
    def obliquity(self) -> float:
        """Largest angle between an array axis and the axis of the patient that it follows, in degrees."""
        cosines = [abs(self._directions[world, array]) for array, world in enumerate(self.world_axes)]
        return float(np.degrees(np.arccos(np.clip(min(cosines), 0, 1))))

    @cached_property
    def shear(self) -> float:
        """How far the array axes are from right angles, in degrees: the tilt of a gantry, for one."""
        cosines = np.abs(self._directions.T @ self._directions - np.eye(3))
        return float(np.degrees(np.arcsin(np.clip(cosines.max(), 0, 1))))

    @cached_property
    def plane(self) -> Plane | None:
        """Plane of the slices, None if no spacing is 1.5 times the other two: then any plane cuts it equally well."""
        thickest = int(np.argmax(self.spacing))
        if max(self.spacing) < _THICKER * sorted(self.spacing)[1]:
            return None
        return _PLANES[self.world_axes[thickest]]

    @cached_property
    def _directions(self) -> Affine:
        return np.asarray(self.affine[:3, :3] / np.asarray(self.spacing), np.float64)


def _check_array(array: NDArray[Any], source: str) -> None:
    if array.ndim != 3 or array.size == 0:
        found = f"an array of {' x '.join(map(str, array.shape)) or 'no dimensions'}"
        raise DataError(source, found, "three dimensions (X, Y, Z)", "choose one volume of it")
    if array.dtype.kind not in "biuf":
        raise DataError(source, f"values of type {array.dtype}", "real numbers", "save it as integers or floats")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        count = int(array.size - np.count_nonzero(np.isfinite(array)))
        raise DataError(
            source, f"{count} voxel(s) that are NaN or infinite", "finite values", "replace them, by 0 outside the head"
        )


def _check_affine(affine: Affine, source: str) -> None:
    cure = "write its geometry again, from the original images"
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise DataError(source, "an affine that is no 4 x 4 matrix of finite numbers", _EXPECTED, cure)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    flat = lengths.min() < 1e-4 or lengths.max() > 1e4
    if flat or abs(np.linalg.det(affine[:3, :3] / lengths)) < 1e-3 or affine[3].tolist() != [0, 0, 0, 1]:
        raise DataError(source, "an affine that cannot be inverted (axes of length 0 or in one plane)", _EXPECTED, cure)


def check_spacing(lengths: Sequence[float], source: str) -> None:
    """Refuse voxels of a size that no image of a head has.

    Parameters
    ----------
    lengths
        Distance between voxels along the array axes, in mm.
    source
        What the error names.

    Raises
    ------
    DataError
        If one is less than 0.05 or more than 50 mm.
    """
    if not _SMALLEST_VOXEL <= min(lengths) <= max(lengths) <= _LARGEST_VOXEL:
        found = f"voxels of {' x '.join(f'{length:.3g}' for length in lengths)} mm"
        cure = "write its geometry again, from the original images"
        raise DataError(source, found, f"lengths of {_SMALLEST_VOXEL} to {_LARGEST_VOXEL} mm", cure)


def concerns(volume: Volume) -> tuple[str, ...]:
    """Say what about the geometry makes a prediction less trustworthy, one sentence each; nothing if all is well."""
    said = []
    if volume.plane not in (None, "axial"):
        step = max(volume.spacing)
        said.append(f"{volume.plane} acquisition with slices {step:.3g} mm apart; the model knows axial slices")
    if volume.obliquity > _MOST_OBLIQUE:
        said.append(f"slices turned by {volume.obliquity:.0f} degrees; the model knows axial slices")
    if volume.shear > _MOST_SHEARED:
        said.append(f"axes {volume.shear:.1f} degrees off right angles (a tilted acquisition); nothing is straightened")
    sizes = dict(zip(volume.world_axes, np.multiply(volume.spacing, volume.array.shape).tolist(), strict=True))
    if min(sizes[0], sizes[1]) < _SMALLEST_HEAD:
        said.append(f"a field of view of {sizes[0]:.0f} x {sizes[1]:.0f} mm in axial plane; a head may be cut off")
    if sizes[2] < _LOWEST_HEAD and volume.array.shape[volume.world_axes.index(2)] > 1:
        said.append(f"slices cover {sizes[2]:.0f} mm from bottom to top; part of the brain may be missing")
    return tuple(said)


@dataclass(frozen=True)
class AxialGrid:
    """How axial slices lie in a volume: which axes, and which of them are turned round.

    Parameters
    ----------
    axes
        Array axes of the volume that become slice, row and column.
    flips
        Whether each of the three is turned round.
    shape
        (X, Y, Z) of the volume.
    spacing
        Distance between slices, rows and columns in mm.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]

    @classmethod
    def of(cls, volume: Volume) -> AxialGrid:
        """Return the grid on which the volume's axial slices look like the slices the models were trained on.

        Slices go from inferior to superior, rows from anterior to posterior, columns from the patient's right to the
        left: the radiological display, with the nose above and the patient's left on the right of the image.
        """
        worlds = [volume.world_axes.index(world) for world in (2, 1, 0)]
        letters = [volume.orientation[axis] for axis in worlds]
        slices, rows, columns = worlds
        flips = letters[0] != "S", letters[1] != "P", letters[2] != "L"
        x, y, z = volume.array.shape
        steps = volume.spacing
        return cls((slices, rows, columns), flips, (x, y, z), (steps[slices], steps[rows], steps[columns]))

    def slices(self, array: NDArray[_Value]) -> NDArray[_Value]:
        """Bring an array on the volume's grid (X, Y, Z) to axial slices (S, H, W), as a view of it.

        Raises
        ------
        ValueError
            If the array has another shape than the volume.
        """
        if array.shape != self.shape:
            raise ValueError(f"the array is {array.shape}, not {self.shape}")
        return array.transpose(self.axes)[self._turned]

    def back(self, stack: NDArray[_Value]) -> NDArray[_Value]:
        """Bring axial slices (S, H, W) to the volume's own grid (X, Y, Z), voxel for voxel.

        Raises
        ------
        ValueError
            If the stack is not on this grid.
        """
        expected = tuple(self.shape[axis] for axis in self.axes)
        if stack.shape != expected:
            raise ValueError(f"the stack is {stack.shape}, not {expected}")
        first, second, third = np.argsort(self.axes).tolist()
        return stack[self._turned].transpose(first, second, third)

    @property
    def _turned(self) -> tuple[slice, slice, slice]:
        a, b, c = (slice(None, None, -1 if flip else 1) for flip in self.flips)
        return a, b, c


def to_axial(volume: Volume) -> tuple[NDArray[Any], AxialGrid]:
    """Return the volume's axial slices (S, H, W), a view, and the grid whose `back` brings a result home.

    Axes are exchanged and turned round; nothing is interpolated, so an oblique volume stays oblique. That rows run from
    front to back and slices upwards can be seen in the public slices. Which side is the patient's left can not; but in
    their clinical table 47 of 47 tumours of laterality 1 lie on the right half of the image and 43 of 44 of laterality
    3 on the left, and the table numbers its words by the alphabet (left, midline, right).
    """
    grid = AxialGrid.of(volume)
    return grid.slices(volume.array), grid
