"""Slices decoded once: uint8 arrays on disk, memory-mapped and shared by every process that reads them.

A cache is complete or absent: it is built in a folder of its own and renamed when it is whole, so neither a kill nor
a second process building the same one can leave half a cache behind. Knows nothing of PyTorch.
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from gliomask.data.head import head_window
from gliomask.data.index import DatasetIndex, PatientRecord
from gliomask.data.index_cache import cache_folder
from gliomask.data.normalisation import channel_statistics
from gliomask.data.resampling import SquareFit
from gliomask.errors import DataError
from gliomask.volumes.slices import read_image, read_mask

_FORMAT = 2  # rises when slices are brought to a size in another way
_ABANDONED_SECONDS = 24 * 3600


@dataclass(frozen=True)
class SliceCache:
    """Every usable slice of a data set at one size, in the order of the index.

    Parameters
    ----------
    images
        (N, size, size, 3) uint8, memory-mapped.
    masks
        (N, size, size) uint8, 0 or 1, memory-mapped.
    volume_statistics, slice_statistics
        (N, 2, 3) float32: means and standard deviations of the bright voxels of the slice's volume, and of the slice.
    patients
        (N,) int64: row of the slice's patient in the index.
    tumour_pixels
        (N,) int64: pixels of tumour in the slice at this size.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    volume_statistics: NDArray[np.float32]
    slice_statistics: NDArray[np.float32]
    patients: NDArray[np.int64]
    tumour_pixels: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self.images)

    @property
    def size(self) -> int:
        """Side of a slice in pixels."""
        return int(self.images.shape[1])


def read_rows(array: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return rows of an array of the cache, as ``array[rows]`` would.

    Rows of a mapped file are read from the file. Through the mapping, every page that was ever looked at would count
    as memory of this process: a set of 100,000 slices would seem to fill the machine within an epoch.

    Parameters
    ----------
    array
        (N, ...) uint8, mapped or in memory.
    rows
        (B,) row numbers.

    Returns
    -------
    NDArray[np.uint8]
        (B, ...), in memory.

    Raises
    ------
    DataError
        If the file has become shorter.
    """
    if not isinstance(array, np.memmap) or array.filename is None or not isinstance(array.base, mmap):
        return array[rows]  # also of a part of a mapped array, whose place in the file is not known
    found = np.empty((len(rows), *array.shape[1:]), np.uint8)
    length = found[:1].nbytes
    with open(array.filename, "rb", buffering=0) as file:  # noqa: PTH123 - the name may be anything that open takes
        for target, row in zip(found, rows.tolist(), strict=True):
            file.seek(array.offset + row * length)
            if file.readinto(target.data) != length:
                raise DataError(
                    str(array.filename), "cut short", "a cache as it was written", "delete it and start again"
                )
    return found


def read_patient(root: Path, patient: PatientRecord) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Read a patient's slices and masks from their files.

    Returns
    -------
    tuple
        (S, H, W, 3) uint8 and (S, H, W) bool, in the order of the slice numbers.

    Raises
    ------
    UnreadableImageError
        If a file has changed since it was indexed.
    """
    images = np.stack([read_image(root / record.image) for record in patient.slices])
    masks = np.stack([read_mask(root / record.mask) for record in patient.slices])
    return images, masks


def open_cache(index: DatasetIndex, size: int, *, progress: Callable[[int, int], None] | None = None) -> SliceCache:
    """Open the cache of an index at one size; build it first where there is none.

    Parameters
    ----------
    index
        What to decode; its fingerprint names the cache, so changed data makes a new one.
    size
        Side in pixels that slices are brought to.
    progress
        Called with (patients done, patients) while building.

    Raises
    ------
    DataError
        If the index has no slices, or the cache folder cannot be written.
    """
    if not index.slice_count:
        raise DataError(index.root, "no usable slice", "slices with masks", "see `gliomask index` for what is wrong")
    folder = cache_folder() / "slices" / f"{index.fingerprint[:24]}-{size}-v{_FORMAT}"
    existed = folder.is_dir()
    cache = _load(folder)
    if cache is None:
        try:
            if existed:  # and is damaged, since folders appear whole
                shutil.rmtree(folder)
            _build(index, size, folder, progress)
        except OSError as error:
            raise DataError(
                folder, f"cannot be written ({error})", "a writable folder with space", "set GLIOMASK_CACHE"
            ) from error
        cache = _load(folder)
    if cache is None:
        raise DataError(
            folder, "cannot be read back", "a cache as it was written", "set GLIOMASK_CACHE to a sound disk"
        )
    return cache


def _load(folder: Path) -> SliceCache | None:
    """Open a complete cache; None if there is none, or it was damaged."""

    def array(name: str) -> Any:
        return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    try:
        count = json.loads((folder / "cache.json").read_text())["slices"]
        cache = SliceCache(
            images=array("images"),
            masks=array("masks"),
            volume_statistics=array("volume_statistics"),
            slice_statistics=array("slice_statistics"),
            patients=array("patients"),
            tumour_pixels=array("tumour_pixels"),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return cache if {len(value) for value in vars(cache).values()} == {count} else None


def _build(index: DatasetIndex, size: int, folder: Path, progress: Callable[[int, int], None] | None) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    partial = folder.with_name(f"{folder.name}.part-{uuid.uuid4().hex}")
    partial.mkdir()
    try:
        _fill(index, size, partial, progress)
        (partial / "cache.json").write_text(
            json.dumps({"fingerprint": index.fingerprint, "size": size, "slices": index.slice_count})
        )
        try:
            partial.rename(folder)
        except OSError:
            if not (folder / "cache.json").is_file():
                raise
            # another process finished the same cache first: both are equal, keep that one
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _fill(index: DatasetIndex, size: int, folder: Path, progress: Callable[[int, int], None] | None) -> None:
    count = index.slice_count
    volume_statistics = np.empty((count, 2, 3), np.float32)
    slice_statistics = np.empty((count, 2, 3), np.float32)
    patients = np.empty(count, np.int64)
    tumour_pixels = np.empty(count, np.int64)
    start = 0
    with (
        _new_array(folder / "images.npy", (count, size, size, 3)) as image_file,
        _new_array(folder / "masks.npy", (count, size, size)) as mask_file,
    ):
        for row, patient in enumerate(index.patients):
            if patient.slices:
                images, masks = _at_size(index.root, patient, size)
                image_file.write(images.tobytes())
                mask_file.write(masks.tobytes())
                here = slice(start, start + len(images))
                volume_statistics[here] = channel_statistics(images)
                slice_statistics[here] = [channel_statistics(image) for image in images]
                patients[here] = row
                tumour_pixels[here] = masks.sum(axis=(1, 2), dtype=np.int64)
                start = here.stop
            if progress is not None:
                progress(row + 1, len(index.patients))
    np.save(folder / "volume_statistics.npy", volume_statistics)
    np.save(folder / "slice_statistics.npy", slice_statistics)
    np.save(folder / "patients.npy", patients)
    np.save(folder / "tumour_pixels.npy", tumour_pixels)


def _at_size(root: Path, patient: PatientRecord, size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return (S, size, size, 3) slices and (S, size, size) masks, 0 or 1, of a patient."""
    images, masks = read_patient(root, patient)
    window = head_window(images)  # as in prediction: a network is shown heads of the usual size
    if window is not None:
        images, masks = images[:, *window], masks[:, *window]
    fit = SquareFit(images.shape[1], images.shape[2], size)
    return fit.images(images), fit.masks(masks).astype(np.uint8)


@contextmanager
def _new_array(path: Path, shape: tuple[int, ...]) -> Iterator[BinaryIO]:
    """Open an array of bytes to be written row by row: through a mapping, a full disk would kill the process."""
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)), "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        yield file


def _sweep(parent: Path) -> None:
    """Remove what killed builders left behind more than a day ago."""
    for leftover in parent.glob("*.part-*"):
        try:
            abandoned = time.time() - leftover.stat().st_mtime > _ABANDONED_SECONDS
        except FileNotFoundError:
            continue
        if abandoned:
            shutil.rmtree(leftover, ignore_errors=True)
