"""Masks of any program as files, found by patient and written so that they are found again. Knows no scores.

For a patient, either one volume ``<patient>.nii.gz`` (or ``.nii``, with ``_mask``, ``_seg`` or ``_pred`` before the
ending), or one file a slice, ``<patient>_<number>_mask.png`` (or ``.tif``, ``.tiff``, with or without ``_mask``).
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliomask.data import naming
from gliomask.data.records import PatientRecord
from gliomask.errors import DataError, UnreadableImageError
from gliomask.volumes.nifti import MaskVolume, read_mask_volume
from gliomask.volumes.slices import read_image, read_mask, write_mask

_VOLUME_NAME = re.compile(r"(?P<patient>.+?)(?:_mask|_seg|_pred)?\.(?i:nii(?:\.gz)?)")


@dataclass(frozen=True)
class _Files:
    """What is named like a mask of one patient: volumes, and by slice number the files with and without ``_mask``."""

    volumes: list[Path] = field(default_factory=list)
    masks: defaultdict[int, list[Path]] = field(default_factory=lambda: defaultdict(list))
    plain: defaultdict[int, list[Path]] = field(default_factory=lambda: defaultdict(list))

    def slice_masks(self, number: int) -> list[Path]:
        """Return the files that claim to be the mask of a slice.

        A file without ``_mask`` that is an RGB image is the slice itself. Any other beside a ``_mask`` file leaves
        open which of the two is meant: taking the truth for a prediction would be a perfect score, so both are named.
        """
        masks = self.masks.get(number, [])
        return [*masks, *(path for path in self.plain.get(number, []) if not _is_slice(path))]

    def any_slice_mask(self) -> Path | None:
        """Return a file that claims to be the mask of a slice, if there is one."""
        if self.masks:
            return self.masks[min(self.masks)][0]
        return next((path for number in sorted(self.plain) for path in self.slice_masks(number)), None)


_NOTHING = _Files()


@dataclass(frozen=True)
class MaskFolder:
    """Masks below a folder, at any depth. The folder is searched once, when the first patient is asked for.

    Hidden files, slices of other patients and files with other names are left alone.

    Parameters
    ----------
    root
        The folder.

    Raises
    ------
    DataError
        If it is no folder.
    """

    root: Path
    turned: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    """Names of the patients read so far whose volume was turned as its header says."""

    def __post_init__(self) -> None:
        """Check that the folder is there."""
        if not self.root.is_dir():
            found = "a file" if self.root.exists() else "no such folder"
            raise DataError(self.root, found, "a folder of masks", "check the path")

    def read(self, patient: PatientRecord, rows: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
        """Read the mask of a patient, or of some of its slices.

        Parameters
        ----------
        patient
            Its slices are expected, and no others: a volume has them by rising number.
        rows
            (N,) int64: which of the patient's slices, counted from 0 in their order; all if None. A volume has to hold
            the others as well, files of one slice need not be there for them.

        Returns
        -------
        numpy.ndarray
            (S, H, W) bool, or (N, H, W).

        Raises
        ------
        DataError
            If there is no mask, a slice has none, there are two for one slice or patient, or a file cannot be used or
            has another size.
        """
        files = self._of(patient)
        single = files.any_slice_mask()
        candidates = [*files.volumes, *([single] if single is not None else [])]
        if len(candidates) > 1:
            raise _ambiguous(candidates, f"patient {patient.name}")
        if not candidates:
            raise self._absent(patient)
        if not files.volumes:
            return self._read_slices(files, patient if rows is None else _part(patient, rows))
        volume = _read_volume(files.volumes[0], patient)
        if volume.is_turned:
            self.turned.add(patient.name)
        return volume.mask if rows is None else volume.mask[rows]

    def spacing(self, patient: PatientRecord) -> tuple[float, float, float] | None:
        """Return the distance between slices, rows and columns in mm, if the mask is a volume that says so.

        Raises
        ------
        DataError
            If the volume cannot be used.
        """
        volumes = self._of(patient).volumes
        return read_mask_volume(volumes[0]).spacing if len(volumes) == 1 else None

    def missing(self, patients: Iterable[PatientRecord]) -> list[str]:
        """Return the names of the patients that have no mask at all, in the order given.

        Raises
        ------
        DataError
            If a folder cannot be listed.
        """
        files = ((patient.name, self._of(patient)) for patient in patients)
        return [name for name, found in files if not found.volumes and found.any_slice_mask() is None]

    def _of(self, patient: PatientRecord) -> _Files:
        return self._by_patient.get(patient.name, _NOTHING)

    @cached_property
    def _by_patient(self) -> dict[str, _Files]:
        found: defaultdict[str, _Files] = defaultdict(_Files)
        for path in _files_below(self.root):
            volume = _VOLUME_NAME.fullmatch(path.name)
            name = naming.parse_slice_name(path.name)
            if volume is not None:
                found[volume["patient"]].volumes.append(path)
            elif name is not None:
                files = found[name.patient]
                (files.masks if name.is_mask else files.plain)[name.number].append(path)
        return dict(found)

    def _read_slices(self, files: _Files, patient: PatientRecord) -> NDArray[np.bool_]:
        candidates = {record.number: files.slice_masks(record.number) for record in patient.slices}
        lost = [number for number, paths in candidates.items() if not paths]
        if lost:
            shown = ", ".join(map(str, lost[:6])) + (", ..." if len(lost) > 6 else "")
            raise DataError(
                self.root,
                f"no mask for {len(lost)} slice(s) of {patient.name}: {shown}",
                f"{patient.name}_<number>_mask.png (or .tif) for each of its {len(candidates)} slices",
                "write the missing masks, empty ones (all zeros) included; with one channel, or _mask in the name, "
                "since an RGB image without it is taken for the slice itself",
            )
        planes = []
        for record in patient.slices:
            path, *others = candidates[record.number]
            if others:
                raise _ambiguous([path, *others], f"slice {record.number} of {patient.name}")
            plane = read_mask(path)
            if plane.shape != (record.height, record.width):
                raise DataError(
                    path,
                    f"a mask of {plane.shape[0]} x {plane.shape[1]} pixels",
                    f"{record.height} x {record.width} as its slice",
                    "make the mask on the grid of the slice",
                )
            planes.append(plane)
        return np.stack(planes)

    def _absent(self, patient: PatientRecord) -> DataError:
        return DataError(
            self.root,
            f"no mask of {patient.name}",
            f"{patient.name}.nii.gz, or {patient.name}_<number>_mask.png (or .tif) for each slice",
            "give a mask that is empty as a file of zeros: a file that is absent may have been forgotten",
        )


def write_masks(folder: Path, patient: PatientRecord, rows: NDArray[np.int64], mask: NDArray[np.bool_]) -> None:
    """Write masks of slices as ``<folder>/<patient>/<patient>_<number>_mask.png``, where `MaskFolder` finds them.

    Parameters
    ----------
    folder
        Made if it is absent; other files in it stay.
    patient
        Whose slices they are.
    rows
        (N,) int64: which of the patient's slices, counted from 0 in their order.
    mask
        (N, H, W) bool.

    Raises
    ------
    ValueError
        If the mask does not have the size of these slices.
    UnreadableImageError
        If a file cannot be written.
    """
    slices = [patient.slices[row] for row in rows]
    sizes = {(record.height, record.width) for record in slices}
    if mask.shape[:1] != rows.shape or not sizes <= {mask.shape[1:]}:
        raise ValueError(f"a mask of shape {mask.shape} for {len(rows)} slices of size {sorted(sizes)}")
    for record, plane in zip(slices, mask, strict=True):
        write_mask(folder / patient.name / f"{patient.name}_{record.number}_mask.png", plane)


def _part(patient: PatientRecord, rows: NDArray[np.int64]) -> PatientRecord:
    return replace(patient, slices=tuple(patient.slices[row] for row in rows))


def _read_volume(path: Path, patient: PatientRecord) -> MaskVolume:
    volume = read_mask_volume(path)
    mask = volume.mask
    size = (patient.slices[0].height, patient.slices[0].width)
    if mask.shape != (len(patient.slices), *size):
        raise DataError(
            path,
            f"a volume of {mask.shape[0]} slices of {mask.shape[1]} x {mask.shape[2]} pixels",
            f"{len(patient.slices)} of {size[0]} x {size[1]}, the usable slices of {patient.name}",
            "make the mask on the grid of the slices, or give it as one file a slice",
        )
    return volume


def _is_slice(path: Path) -> bool:
    """Tell whether a file is an RGB image, and not a mask that was saved as one."""
    try:
        pixels = read_image(path)
    except UnreadableImageError:
        return False
    top = pixels.max()
    return top == 0 or bool(((pixels > 0) & (pixels < top)).any())


def _files_below(root: Path) -> Iterator[Path]:
    """Yield the files below a folder by name, links followed, each folder once, hidden ones left out."""
    seen: set[Path] = set()
    for name, folders, files in os.walk(root, onerror=_refuse, followlinks=True):
        folder = Path(name)
        if folder.resolve() in seen:  # a link in a circle, or a second way to the same files
            folders.clear()
            continue
        seen.add(folder.resolve())
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        yield from (folder / each for each in sorted(files) if not each.startswith("."))


def _refuse(error: OSError) -> None:
    found = f"a folder that cannot be listed ({error.strerror})"
    raise DataError(error.filename, found, "a readable folder", "change its permissions") from error


def _ambiguous(candidates: list[Path], owner: str) -> DataError:
    first, second, *_ = candidates
    found = f"one of {len(candidates)} candidates for the mask of {owner}, with {second}"
    return DataError(first, found, "one mask", "move away what is not to be scored")
