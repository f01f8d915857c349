"""The temperature that makes a network's probabilities mean what they say. Knows nothing of run folders."""

from __future__ import annotations

from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

from gliomask.config import NormalisationName
from gliomask.data.augmentation import prepare
from gliomask.data.batches import CachedBatches, EvaluationPlans
from gliomask.data.cache import SliceCache
from gliomask.models.padding import PaddedSegmenter

LIMITS = (0.1, 10.0)
"""Temperatures that are tried."""
_BATCH = 16
_MOST = 1024
"""Slices that are looked at; of more, every so-many-th is."""


@torch.no_grad()
def network_temperature(
    net: PaddedSegmenter, cache: SliceCache, positions: NDArray[np.int64], normalisation: NormalisationName
) -> float | None:
    """Fit the temperature of a network on the slices with tumour among some that it was not trained on.

    Parameters
    ----------
    net
        Returns (B, 1, H, W) logits; in evaluation mode, on the CPU.
    cache
        Slices at the network's size.
    positions
        (N,) int64 rows of the cache, of a validation part.
    normalisation
        The network's.

    Returns
    -------
    float or None
        See `fit_temperature`; None where no slice has tumour.
    """
    chosen = positions[cache.tumour_pixels[positions] > 0]
    if not len(chosen):
        return None
    chosen = chosen[:: ceil(len(chosen) / _MOST)]
    batches, logits, targets = CachedBatches(cache, normalisation, neighbours=net.neighbours), [], []
    for plan in EvaluationPlans(chosen, batch_size=_BATCH):
        batch = batches[plan]
        inputs, truth = prepare(batch.images, batch.masks, statistics=batch.volume_statistics)
        logits.append(net(inputs.contiguous(memory_format=torch.channels_last)).float().flatten())
        targets.append(truth.flatten())
    return fit_temperature(torch.cat(logits), torch.cat(targets))


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """Return the T for which sigmoid(logits / T) has the smallest binary cross-entropy (Guo et al. 2017, section 4.2).

    Masks at threshold 0.5 do not depend on it.

    Parameters
    ----------
    logits
        (N,) float32.
    targets
        (N,) float32, 0 or 1.

    Returns
    -------
    float
        Between `LIMITS`.
    """

    def loss(log_temperature: float) -> float:
        scaled = logits / float(np.exp(log_temperature))
        return float(F.binary_cross_entropy_with_logits(scaled, targets))

    low, high = np.log(LIMITS)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-3}).x))
