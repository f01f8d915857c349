"""The contract of every network: slices of any size in, logits of the same size out. Knows no architecture."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn
from torch.nn import functional as F

from gliomask.errors import UsageError

_SEQUENCES = 3
MINIMUM_SIDE = 32
"""Smallest height and width in pixels that any network takes; the same for all, whatever their stride."""


def padding_of(side: int, stride: int) -> tuple[int, int]:
    """Return how many pixels to add before and after a side.

    The padded side is the next multiple of the stride, and at least two strides long, so that the deepest level has
    more than one pixel and batch norm can be trained even on a single slice.

    Parameters
    ----------
    side
        Height or width in pixels.
    stride
        Pixels of the input for each pixel of the deepest level.

    Returns
    -------
    tuple of int
        Pixels before and after; they differ by at most one.
    """
    missing = max(-(-side // stride), 2) * stride - side
    return missing // 2, missing - missing // 2


class PaddedSegmenter(nn.Module):
    """A network that segments slices of any size of at least 32 x 32 pixels.

    The slice is padded with zeros (whose backward pass is deterministic, unlike that of reflection) on both sides to a
    multiple of the network's stride, and the logits are cropped back. Subclasses set `stride` and write `segment`.
    """

    stride: int
    """Pixels of the input for each pixel of the deepest level."""
    inputs: int = 3
    """Input channels C: pre-contrast T1, FLAIR, post-contrast T1; and FLAIR of the slices below and above where it is
    5."""
    stride_in_1x1: bool = False
    """Whether the encoder, if there is one, has the v1 layout (see `gliomask.models.resnet`)."""

    @property
    def neighbours(self) -> bool:
        """Whether it sees FLAIR of the slices below and above, too."""
        return self.inputs > _SEQUENCES

    @abstractmethod
    def segment(self, x: Tensor) -> Tensor:
        """Return the logits of slices whose sides are multiples of the stride.

        Parameters
        ----------
        x
            Normalised slices, B x C x H x W, float.

        Returns
        -------
        Tensor
            Logits, B x 1 x H x W.
        """

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of slices of any size.

        Parameters
        ----------
        x
            Normalised slices, B x C x H x W, float; H and W at least 32.

        Returns
        -------
        Tensor
            Logits, B x 1 x H x W.

        Raises
        ------
        UsageError
            If the input has another number of axes or channels, or a side is below 32 pixels.
        """
        _require_slices(x, self.inputs)
        height, width = x.shape[-2:]
        (top, bottom), (left, right) = padding_of(height, self.stride), padding_of(width, self.stride)
        if top == bottom == left == right == 0:
            return self.segment(x)
        logits = self.segment(F.pad(x, (left, right, top, bottom)))
        return logits[..., top : top + height, left : left + width]


def _require_slices(x: Tensor, inputs: int) -> None:
    if x.ndim != 4 or x.shape[1] != inputs:
        raise UsageError(f"input of shape {tuple(x.shape)}; expected batch x {inputs} channels x height x width")
    if min(x.shape[-2:]) < MINIMUM_SIDE:
        raise UsageError(
            f"slices of {x.shape[-2]} x {x.shape[-1]} pixels; expected at least {MINIMUM_SIDE} x {MINIMUM_SIDE}; "
            "resize them to a larger image size"
        )
