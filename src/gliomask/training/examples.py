"""Slices of a run's training part as its network takes them, to learn the ranges of 8-bit integers from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gliomask.config import NormalisationName
from gliomask.data.cache import SliceCache
from gliomask.data.index import DatasetIndex
from gliomask.data.neighbours import SOURCES, read_slices
from gliomask.data.normalisation import IMAGENET_STATISTICS, normalise
from gliomask.models.catalogue import sees_neighbours
from gliomask.training.run_folder import RunFolder

MOST_EXAMPLES = 64


def examples(run: RunFolder, cache: SliceCache, index: DatasetIndex) -> NDArray[np.float32]:
    """Return training slices as network input: of each patient one with tumour and one without, 64 at most.

    Parameters
    ----------
    run
        Decides which slices, at random with its seed, and how they are normalised.
    cache
        The slices, at the run's image size.
    index
        The data that the run was trained on.

    Returns
    -------
    numpy.ndarray
        (S, C, size, size) float32, the input channels of the run's network.

    Raises
    ------
    SplitMismatchError
        If the run was trained on other data.
    """
    config = run.config()
    rows = run.split().positions(index, "train")
    neighbours = sees_neighbours(config.model.model)
    return choose_examples(cache, rows, normalisation=config.normalisation, seed=config.seed, neighbours=neighbours)


def choose_examples(
    cache: SliceCache, rows: NDArray[np.int64], *, normalisation: NormalisationName, seed: int, neighbours: bool
) -> NDArray[np.float32]:
    """Return some of these rows of a cache as network input, chosen and shaped as `examples` says."""
    random = np.random.default_rng(seed)
    patients, has_tumour = np.asarray(cache.patients)[rows], np.asarray(cache.tumour_pixels)[rows] > 0
    groups = [rows[(patients == one) & (has_tumour == kind)] for one in np.unique(patients) for kind in (True, False)]
    picked = np.array([random.choice(group) for group in groups if len(group)])
    chosen = np.sort(random.permutation(picked)[:MOST_EXAMPLES])
    images = read_slices(cache, chosen, neighbours=neighbours)
    statistics = np.asarray(cache.volume_statistics)[chosen]
    if normalisation == "imagenet":
        statistics = np.broadcast_to(IMAGENET_STATISTICS, statistics.shape)
    statistics = statistics[..., SOURCES[: images.shape[3]]]
    return np.concatenate([normalise(image[None], known) for image, known in zip(images, statistics, strict=True)])
