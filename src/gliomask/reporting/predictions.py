"""The pictures of a predicted study: the 2x2 picture, contour pages, the GIF. Knows nothing of models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliomask.evaluation.counts import count_slices
from gliomask.evaluation.scores import dice
from gliomask.inference.predictor import Prediction
from gliomask.reporting.canvas import save_png
from gliomask.reporting.gif import write_gif
from gliomask.reporting.pages import contour_pages
from gliomask.reporting.panels import prediction_picture


def picture_names(name: str, stems: Sequence[str]) -> list[str]:
    """Return the names that pictures of a study may have; `write_pictures` takes some of them."""
    pages = [f"{name}_contours_{page}.png" for page in range(1, len(stems) + 1)]
    return [*(f"{each}_prediction.png" for each in stems), *pages, f"{name}.gif"]


def write_pictures(
    folder: Path,
    name: str,
    stems: Sequence[str],
    images: NDArray[np.uint8],
    truth: NDArray[np.bool_] | None,
    prediction: Prediction,
) -> list[Path]:
    """Write the pictures of a study.

    Parameters
    ----------
    folder
        Where to.
    name
        Name of the study.
    stems
        Name of each slice.
    images
        (S, H, W, 3) uint8.
    truth
        (S, H, W) bool, or None.
    prediction
        Of these slices.

    Returns
    -------
    list of Path
        ``<slice>_prediction.png`` for the slice with most tumour (in the truth if there is some) and, for more than one
        slice, ``<name>_contours_<page>.png`` and ``<name>.gif``.
    """
    shown = truth if truth is not None and truth.any() else prediction.mask  # in a healthy patient the false alarm
    number = int(shown.sum(axis=(1, 2)).argmax())
    picture = prediction_picture(
        images[number],
        None if truth is None else truth[number],
        prediction.probabilities[number],
        prediction.mask[number],
        title=stems[number],
        dice=None if truth is None else float(dice(count_slices(prediction.mask, truth, name))[number]),
        threshold=prediction.threshold,
    )
    written = [folder / f"{stems[number]}_prediction.png"]
    save_png(picture, written[0])
    if len(images) > 1:
        for count, page in enumerate(contour_pages(images, truth, prediction.mask, title=name), start=1):
            written.append(folder / f"{name}_contours_{count}.png")
            save_png(page, written[-1])
        written.append(folder / f"{name}.gif")
        write_gif(written[-1], images, truth, prediction.mask, caption=name)
    return written
