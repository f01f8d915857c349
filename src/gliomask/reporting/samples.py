"""Pictures of a data set's slices: sequences, masks, heat map, augmentations. Knows nothing of models or PyTorch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gliomask.data import naming
from gliomask.data.index import DatasetIndex, PatientRecord, SliceRecord
from gliomask.errors import UsageError
from gliomask.reporting.look import FLAIR, TRUTH
from gliomask.reporting.style import HEAT, style
from gliomask.reporting.tiles import (
    Grid,
    add_fill,
    add_legend,
    add_note,
    add_outline,
    bare,
    show_slice,
    tile_figure,
)
from gliomask.volumes.slices import read_image, read_mask

Labelled = tuple[NDArray[np.uint8], NDArray[np.bool_]]
"""A slice (HxWx3 uint8) and its mask (HxW bool)."""
AugmentedSample = tuple[NDArray[np.uint8], NDArray[np.bool_], list[Labelled]]
"""A slice, its mask, and augmented versions of both."""

_SEQUENCES = (("pre", "T1 before contrast"), ("flair", "FLAIR"), ("post", "T1 after contrast"))
_MASK_ROWS, _MASK_COLUMNS = 4, 5


@dataclass(frozen=True)
class Heat:
    """Where tumours are.

    Attributes
    ----------
    count
        HxW int64: positive slices in which the pixel is tumour.
    slices
        Positive slices that were counted.
    left_out
        Positive slices of another size, which were not.
    """

    count: NDArray[np.int64]
    slices: int
    left_out: int


def choose_patients(index: DatasetIndex, count: int, seed: int) -> list[PatientRecord]:
    """Choose patients at random, those with tumour first, and return them by name."""
    order = np.random.default_rng(seed).permutation(len(index.patients))
    shuffled = [index.patients[place] for place in order]
    shuffled.sort(key=lambda patient: patient.tumour_pixels == 0)
    return sorted(shuffled[:count], key=lambda patient: patient.name)


def largest_slice(patient: PatientRecord) -> SliceRecord:
    """Return the slice with the largest tumour; without any tumour, the middle one."""
    if patient.tumour_pixels == 0:
        return patient.slices[len(patient.slices) // 2]
    return max(patient.slices, key=lambda record: record.tumour_pixels)


def read_labelled(index: DatasetIndex, record: SliceRecord) -> Labelled:
    """Read a slice and its mask.

    Raises
    ------
    UnreadableImageError
        If either cannot be read.
    """
    return read_image(index.root / record.image), read_mask(index.root / record.mask)


@style()
def samples_figure(index: DatasetIndex, *, seed: int = 0, patients: int = 6) -> Figure:
    """Draw the three sequences and the outlined tumour of some patients, at the slice with the largest tumour.

    Raises
    ------
    UnreadableImageError
        If a slice cannot be read.
    """
    chosen = choose_patients(index, patients, seed)
    grid = Grid(len(chosen), 4, (1.6, 1.6), left=0.45, top=0.7)
    figure, axes = tile_figure(grid, "Sequences and tumour outline of sample patients (slice with the largest tumour)")
    for row, patient in zip(axes, chosen, strict=True):
        record = largest_slice(patient)
        image, mask = read_labelled(index, record)
        for tile, channel in zip(row, (0, 1, 2, 1), strict=True):
            show_slice(tile, image[..., channel])
        for tile, (sequence, _) in zip(row, _SEQUENCES, strict=False):
            if sequence in patient.missing:
                add_note(tile, "missing: FLAIR in its place")
        add_outline(row[3], mask, TRUTH, width=0.65)
        add_note(row[3], f"{record.tumour_pixels:,} pixels")
        row[0].set_ylabel(f"{patient.name}\nslice {record.number}", fontsize=7)
    for tile, name in zip(axes[0], [*(name for _, name in _SEQUENCES), "FLAIR with outline"], strict=True):
        tile.set_title(name, fontsize=9)
    add_legend(figure, [TRUTH])
    return figure


@style()
def positive_masks_figure(index: DatasetIndex, *, seed: int = 0) -> Figure:
    """Draw tumours of as many patients as fit, filled and outlined, and a map of where the tumours of all slices are.

    Raises
    ------
    UnreadableImageError
        If a slice cannot be read.
    """
    chosen = [patient for patient in choose_patients(index, _MASK_ROWS * _MASK_COLUMNS, seed) if patient.tumour_pixels]
    tile = 1.35
    map_side = 4.2
    grid = Grid(_MASK_ROWS, _MASK_COLUMNS, (tile, tile), right=map_side + 1.5)
    figure, axes = tile_figure(grid, f"Positive slices of {len(chosen)} patients (the largest tumour area of each)")
    tiles = [place for row in axes for place in row]
    for place in tiles[len(chosen) :]:
        place.set_visible(False)
    for place, patient in zip(tiles, chosen, strict=False):
        image, mask = read_labelled(index, largest_slice(patient))
        show_slice(place, image[..., FLAIR])
        add_fill(place, mask, TRUTH)
        add_outline(place, mask, TRUTH, width=0.6)
        add_note(place, naming.person(patient.name).removeprefix("TCGA_"))
    width, height = grid.size
    left = grid.left + _MASK_COLUMNS * (tile + grid.gap) + 0.6
    bottom = (height - map_side) / 2 - 0.1
    rectangle = (left / width, bottom / height, map_side / width, map_side / height)
    _draw_heat(figure.add_axes(rectangle), heat_map(index))
    add_legend(figure, [TRUTH], centre=(left - 0.6) / (2 * width))
    return figure


def heat_map(index: DatasetIndex) -> Heat:
    """Count, for each pixel, the positive slices in which it is tumour; slices of the commonest size only.

    Raises
    ------
    UnreadableImageError
        If a mask cannot be read.
    """
    positive = [record for patient in index.patients for record in patient.slices if record.tumour_pixels]
    sizes = Counter((record.height, record.width) for record in positive)
    if not sizes:
        return Heat(np.zeros((1, 1), dtype=np.int64), 0, 0)
    size, slices = sizes.most_common(1)[0]
    count = np.zeros(size, dtype=np.int64)
    for record in positive:
        if (record.height, record.width) == size:
            count += read_mask(index.root / record.mask)
    return Heat(count, slices, len(positive) - slices)


def _draw_heat(axes: Axes, heat: Heat) -> None:
    if heat.slices == 0:
        bare(axes)
        axes.text(0.5, 0.5, "no positive slices", transform=axes.transAxes, ha="center", va="center")
        return
    shown = axes.imshow(100.0 * heat.count / heat.slices, cmap=HEAT, vmin=0.0)
    left_out = f"\n({heat.left_out:,} of another size left out)" if heat.left_out else ""
    axes.set_title(f"Where tumours are: sum of {heat.slices:,} masks{left_out}")
    axes.set_xlabel("Column (pixels)")
    axes.set_ylabel("Row (pixels)")
    bar = axes.figure.colorbar(shown, ax=axes, location="right", fraction=0.046, pad=0.03)
    bar.set_label("Positive slices with tumour here (%)")


@style()
def augmentation_sheet(samples: Sequence[AugmentedSample]) -> Figure:
    """Draw slices beside their augmented versions, with the outlines of the masks that were changed with them.

    Parameters
    ----------
    samples
        One tuple per row: the slice (HxWx3 uint8), its mask (HxW bool) and a list of (slice, mask) versions.

    Raises
    ------
    UsageError
        If there is no sample.
    """
    if not samples:
        raise UsageError("no sample to draw; expected at least one slice with its augmented versions")
    columns = 1 + max(len(versions) for _, _, versions in samples)
    figure, axes = tile_figure(
        Grid(len(samples), columns, (1.6, 1.6), top=0.7), "Augmentation: FLAIR slices and their random versions"
    )
    for row, (image, mask, versions) in zip(axes, samples, strict=True):
        for tile, (plane, outlined) in zip(row, [(image, mask), *versions], strict=False):
            show_slice(tile, plane[..., FLAIR])
            add_outline(tile, outlined, TRUTH, width=0.65)
    axes[0][0].set_title("original", fontsize=9)
    for number, tile in enumerate(axes[0][1:], start=1):
        tile.set_title(f"version {number}", fontsize=9)
    add_legend(figure, [TRUTH])
    return figure
