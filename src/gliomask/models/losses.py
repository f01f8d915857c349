"""What training minimises. Knows nothing of networks, thresholds or scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from gliomask.config import LossName


def dice_loss(logits: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """Return the soft Dice loss over the whole batch.

    With probabilities p and truth t, summed over all slices and pixels together (so that slices without tumour count):
    1 - (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth), after Milletari et al., V-Net (2016).

    Parameters
    ----------
    logits
        Logits, any shape (B x 1 x H x W), any float type; computed in float32, also under autocast.
    target
        Truth of the same shape, 0 to 1 or bool.
    smooth
        Added above and below, so that an empty batch predicted empty has loss 0.

    Returns
    -------
    Tensor
        Scalar float32, 0 (perfect) to 1.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    _require_same_shape(logits, target)
    probabilities, truth = torch.sigmoid(logits.float()), target.float()
    overlap = (probabilities * truth).sum()
    return 1 - (2 * overlap + smooth) / (probabilities.sum() + truth.sum() + smooth)


def slice_dice_loss(logits: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """Return the mean over the slices with tumour of each one's soft Dice loss; 0 if no slice has any.

    In `dice_loss` a pixel of a large tumour counts as much as one of a small tumour; here it counts the less, the
    larger its slice's tumour is. Slices without tumour are left out: a few faint pixels would decide between 0 and 1.

    Parameters
    ----------
    logits
        (B, 1, H, W) logits, any float type; computed in float32, also under autocast.
    target
        Truth of the same shape, 0 to 1 or bool.
    smooth
        Added above and below, see `dice_loss`.

    Returns
    -------
    Tensor
        Scalar float32, 0 (perfect) to 1.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    _require_same_shape(logits, target)
    probabilities, truth = torch.sigmoid(logits.float()).flatten(1), target.float().flatten(1)
    overlap, area = (probabilities * truth).sum(dim=1), truth.sum(dim=1)
    loss = 1 - (2 * overlap + smooth) / (probabilities.sum(dim=1) + area + smooth)
    counts = (area > 0).float()
    return (loss * counts).sum() / counts.sum().clamp(min=1)


def bce_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return mean binary cross-entropy plus soft Dice loss, the loss of the original project.

    Parameters
    ----------
    logits
        Logits, any shape (B x 1 x H x W), any float type; computed in float32, also under autocast.
    target
        Truth of the same shape, 0 to 1 or bool.

    Returns
    -------
    Tensor
        Scalar float32, at least 0.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    _require_same_shape(logits, target)
    entropy = F.binary_cross_entropy_with_logits(logits.float(), target.float())
    return entropy + dice_loss(logits, target)


def bce_slice_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return mean binary cross-entropy plus the mean of `dice_loss` and `slice_dice_loss`.

    Parameters
    ----------
    logits
        (B, 1, H, W) logits, any float type; computed in float32, also under autocast.
    target
        Truth of the same shape, 0 to 1 or bool.

    Returns
    -------
    Tensor
        Scalar float32, at least 0.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    return bce_dice_loss(logits, target) + (slice_dice_loss(logits, target) - dice_loss(logits, target)) / 2


LOSSES: Mapping[LossName, Callable[[Tensor, Tensor], Tensor]] = {
    "bce-dice": bce_dice_loss,
    "bce-slice-dice": bce_slice_dice_loss,
}
"""What each setting minimises."""


def _require_same_shape(logits: Tensor, target: Tensor) -> None:
    if logits.shape != target.shape:
        raise ValueError(f"target of shape {tuple(target.shape)}; expected that of the logits, {tuple(logits.shape)}")
