"""One picture of a predicted volume: three planes through the tumour. Knows nothing of models or folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gliomask.inference.predictor import Prediction
from gliomask.reporting.figures import save_figure
from gliomask.reporting.look import FLAIR, PREDICTION, brightest, printable
from gliomask.reporting.style import new_figure, style

if TYPE_CHECKING:
    from gliomask.evaluation.surfaces import Spacing

_WIDTH, _HEIGHT = 9.6, 3.9
_PLANES = ("axial", "coronal", "sagittal")

_SIDES = {
    True: {False: ("right of the patient", "left"), True: ("front", "back")},
    False: {False: ("left of the picture", "right"), True: ("top of the picture", "bottom")},
}
"""What lies left and right in a drawn plane: whether it is known, then whether the plane is sagittal."""


def write_preview(
    path: Path, name: str, images: NDArray[np.uint8], prediction: Prediction, spacing: Spacing | None
) -> None:
    """Write the preview of a study as PNG.

    Parameters
    ----------
    path
        File to write.
    name
        Name of the study.
    images
        (S, H, W, 3) uint8 axial slices; of a volume upwards, in radiological display.
    prediction
        Of these slices.
    spacing
        Distance of slices, rows and columns in mm; if it is not known, as of pictures, voxels are drawn as cubes, and
        which side of the patient is which is not known either.
    """
    save_figure(preview_figure(name, images, prediction, spacing), path)


@style()
def preview_figure(name: str, images: NDArray[np.uint8], prediction: Prediction, spacing: Spacing | None) -> Figure:
    """Draw the three planes that cut most of the mask (through the middle where it is empty); see `write_preview`."""
    flair, mask = images[..., FLAIR], prediction.mask
    deep, tall, wide = (1.0, 1.0, 1.0) if spacing is None else spacing
    places = [_fullest(mask, axis) for axis in range(3)]
    figure = new_figure(_WIDTH, _HEIGHT)
    white = brightest(flair)
    for place, axis in enumerate((0, 1, 2)):
        axes = figure.add_subplot(1, 3, place + 1)
        plane, found = (np.take(each, places[axis], axis=axis) for each in (flair, mask))
        if axis:  # coronal and sagittal: slices run upwards
            plane, found = plane[::-1], found[::-1]
        aspect = {0: tall / wide, 1: deep / wide, 2: deep / tall}[axis]
        axes.imshow(plane, cmap="gray", vmin=0, vmax=white, aspect=aspect, interpolation="nearest")
        if found.any():
            axes.contour(found, levels=[0.5], colors=[PREDICTION.colour], linewidths=[PREDICTION.width])
        number = f"{places[axis] + 1} of {mask.shape[axis]}"
        axes.set_title(f"{_PLANES[axis]}, {('slice', 'row', 'column')[axis]} {number}")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel("  -  ".join(_SIDES[spacing is not None][axis == 2]), fontsize=7.5)
    scale = "" if spacing is not None else "; spacing not known, drawn as cubes"
    found_text = "no tumour found" if prediction.is_empty else f"threshold {prediction.threshold:g}"
    figure.suptitle(f"{printable(name)}: FLAIR and the predicted mask, {found_text}{scale}")
    return figure


def _fullest(mask: NDArray[np.bool_], axis: int) -> int:
    """Return the place along an axis where the mask is largest; the middle of an empty one."""
    others = tuple(each for each in range(3) if each != axis)
    sizes = mask.sum(axis=others)
    return int(sizes.argmax()) if sizes.any() else mask.shape[axis] // 2
