"""Phantoms: simulated patients that look, on disk and on screen, like the public LGG set. Knows nothing of training.

Everything else works on them exactly as on real patients, so it can be tried and tested where no patient data may go.
The same seed gives the same bytes (with the same NumPy and SciPy on the same kind of processor), and patient k does not
depend on how many patients are made.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliomask.errors import DataError, UsageError
from gliomask.volumes.phantom_fields import Array, Frame, smooth_step
from gliomask.volumes.phantom_head import Head, Slice, draw_head, frame_of, tissues
from gliomask.volumes.phantom_lesion import (
    Tumour,
    draw_tumour,
    drop_crumbs,
    tumour_depth,
    tumour_fraction,
    white_matter_lesions,
)
from gliomask.volumes.phantom_record import LAST_NUMBER, check_number, draw_clinical, patient_name, write_table
from gliomask.volumes.phantom_scan import Lesions, Scan, acquire, draw_scan
from gliomask.volumes.slices import write_image, write_mask

_FEWEST_SLICES = 8
_MOST_SLICES = 200
_SMALLEST_SIZE = 32
_MOST_WORKERS = 8


@dataclass(frozen=True)
class PhantomPatient:
    """One simulated patient."""

    name: str
    """Such as TCGA_DU_9001_19990101."""
    image: NDArray[np.uint8]
    """(S, H, W, 3), from the skull base upwards; pre-contrast T1, FLAIR, post-contrast T1."""
    mask: NDArray[np.bool_]
    """(S, H, W), the abnormality on FLAIR; empty on the first and the last slice."""
    clinical: dict[str, str | int | float]
    """Columns of the clinical table without `Patient`; missing values are empty strings."""


@dataclass(frozen=True)
class _Plan:
    """Everything about a patient that is drawn before a pixel is computed, so that it is the same at every size."""

    name: str
    head: Head
    tumour: Tumour
    scan: Scan
    load: float
    levels: NDArray[np.float64]
    clinical: dict[str, str | int | float]


def simulate_patient(number: int, *, seed: int, size: int = 256, slices: int | None = None) -> PhantomPatient:
    """Simulate one patient.

    Parameters
    ----------
    number
        Which patient, 1 to 999; with `seed` it decides everything, and head and tumour are the same at every size.
    seed
        Seed of the data set, 0 or more.
    size
        Side of the slices in pixels, at least 32.
    slices
        Number of slices, 8 to 200; drawn between 20 and 40 if None.

    Raises
    ------
    UsageError
        If `number`, `seed`, `size` or `slices` is out of its range.
    """
    check_number(number)
    _check(seed, size, slices)
    plan = _draw(number, seed, slices)
    noise = np.random.default_rng([seed, number, 1])
    frames = [frame_of(plan.head, float(level), size) for level in plan.levels]
    anatomy, depths, fraction = _anatomy(plan, frames)
    image = np.stack(
        [
            acquire(plan.scan, frame, part, _lesions(plan, frame, part, depth, share), noise)
            for frame, part, depth, share in zip(frames, anatomy, depths, fraction, strict=True)
        ]
    )
    return PhantomPatient(plan.name, image, fraction >= 0.5, plan.clinical)


def _check(seed: int, size: int, slices: int | None) -> None:
    if seed < 0:
        raise UsageError(f"seed is {seed}; expected 0 or more")
    if size < _SMALLEST_SIZE:
        raise UsageError(f"size is {size}; expected at least {_SMALLEST_SIZE}")
    if slices is not None and not _FEWEST_SLICES <= slices <= _MOST_SLICES:
        raise UsageError(f"slices is {slices}; expected {_FEWEST_SLICES} to {_MOST_SLICES}")


def _draw(number: int, seed: int, slices: int | None) -> _Plan:
    rng = np.random.default_rng([seed, number, 0])
    name = patient_name(number, rng)
    age = int(np.clip(rng.normal(43, 13), 20, 75))
    count = int(rng.integers(20, 41))
    bottom, top = rng.uniform(-0.06, 0.0), rng.uniform(1.0, 1.06)
    wear = float(np.clip((age - 20) / 55 + rng.normal(0, 0.15), 0, 1))
    head, tumour, scan = draw_head(rng, wear), draw_tumour(rng), draw_scan(rng)
    clinical = draw_clinical(rng, {"side": tumour.side, "lobe": tumour.lobe, "age": age})
    load = float(np.clip(wear + rng.normal(0, 0.3), 0.1, 1))
    return _Plan(name, head, tumour, scan, load, np.linspace(bottom, top, slices or count), clinical)


def _anatomy(plan: _Plan, frames: list[Frame]) -> tuple[list[Slice], list[Array], Array]:
    """Return, for every slice, its tissue, the depth in the tumour and the (H, W) fraction of tumour."""
    anatomy, depths, fractions = [], [], []
    for frame in frames:
        depth = tumour_depth(plan.tumour, frame)
        part = tissues(plan.head, frame, smooth_step(depth / 0.06 + 0.5))
        anatomy.append(part)
        depths.append(depth)
        fractions.append(tumour_fraction(plan.tumour, depth, part))
    fraction = np.stack(fractions)
    fraction[[0, -1]] = 0
    return anatomy, depths, drop_crumbs(fraction)


def _lesions(plan: _Plan, frame: Frame, anatomy: Slice, depth: Array, share: Array) -> Lesions:
    bright = white_matter_lesions(anatomy, frame, plan.load) * (1 - share)
    return Lesions(plan.tumour, share, depth, np.asarray(bright, dtype=np.float32))


def write_phantoms(
    out: Path,
    *,
    patients: int,
    seed: int = 0,
    size: int = 256,
    on_patient: Callable[[str], None] | None = None,
) -> tuple[str, ...]:
    """Write simulated patients in the layout of the public set, with `data.csv`.

    A patient's folder appears under its name only once it is complete.

    Parameters
    ----------
    out
        Folder to make; may exist if it is empty.
    patients
        How many, 1 to 999.
    seed, size
        As in `simulate_patient`.
    on_patient
        Called with the name of each patient, in order, once it is written.

    Returns
    -------
    tuple of str
        The names of the patients.

    Raises
    ------
    UsageError
        If `patients`, `seed` or `size` is out of its range.
    DataError
        If `out` is a file or holds something, or cannot be written to.
    """
    if not 1 <= patients <= LAST_NUMBER:
        raise UsageError(f"patients is {patients}; expected 1 to {LAST_NUMBER}")
    _check(seed, size, None)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(out, "already there and not empty", "a new or an empty folder", "choose another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        return _write_phantoms(out, patients, seed, size, on_patient)
    except OSError as error:
        found = f"cannot be written to ({error.strerror or error})"
        raise DataError(out, found, "a folder that can be written to", "choose another folder") from error


def _write_phantoms(
    out: Path, patients: int, seed: int, size: int, on_patient: Callable[[str], None] | None
) -> tuple[str, ...]:
    def make(number: int) -> tuple[str, dict[str, str | int | float]]:
        patient = simulate_patient(number, seed=seed, size=size)
        _write_patient(out, patient)
        return patient.name, patient.clinical

    rows = []
    # threads, because NumPy and SciPy let go of the interpreter and a process would have to be started first
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_WORKERS)) as pool:
        for row in pool.map(make, range(1, patients + 1)):
            rows.append(row)
            if on_patient is not None:
                on_patient(row[0])
    write_table(out / "data.csv", rows)
    return tuple(name for name, _ in rows)


def _write_patient(out: Path, patient: PhantomPatient) -> None:
    partial = out / f".{patient.name}.partial"
    partial.mkdir()
    try:
        for number, (image, mask) in enumerate(zip(patient.image, patient.mask, strict=True), start=1):
            stem = f"{patient.name}_{number}"
            write_image(partial / f"{stem}.tif", image)
            write_mask(partial / f"{stem}_mask.tif", mask)
        partial.rename(out / patient.name)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
