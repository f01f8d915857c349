"""U-Nets on a ResNet encoder: the original project's and our own. Knows nothing of where weights come from."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gliomask.errors import UsageError
from gliomask.models.padding import PaddedSegmenter
from gliomask.models.resnet import ResNetEncoder


class EncoderUNet(PaddedSegmenter):
    """U-Net on a ResNet encoder, decoder widths 128-64-48-32-16 (64-48-32-16 on one of three stages).

    Each decoder block doubles the size (nearest neighbour, whose backward pass is deterministic), concatenates the
    skip and applies two 3x3 convolutions with batch norm; a 3x3 convolution gives the logit at full size.

    Parameters
    ----------
    encoder
        Encoder with its stem's max-pool.

    Raises
    ------
    UsageError
        If the encoder has no stem pool.
    """

    widths = (128, 64, 48, 32, 16)

    def __init__(self, encoder: ResNetEncoder) -> None:
        super().__init__()
        _require_stem_pool(encoder, wanted=True)
        self.encoder = encoder
        self.inputs, self.stride_in_1x1 = encoder.inputs, encoder.stride_in_1x1
        self.stride = 2 ** len(encoder.widths)
        widths = self.widths[-len(encoder.widths) :]
        below = (encoder.widths[-1], *widths[:-1])
        skips = (*encoder.widths[-2::-1], 0)
        self.up = nn.ModuleList(_DecoderBlock(b + s, width) for b, s, width in zip(below, skips, widths, strict=True))
        self.head = nn.Conv2d(self.widths[-1], 1, 3, padding=1)

    def segment(self, x: Tensor) -> Tensor:
        """Return B x 1 x H x W logits; sides are multiples of the encoder's stride, 32 or 16."""
        *skips, x = self.encoder(x)
        for block in self.up:
            x = block(x, skips.pop() if skips else None)
        logits: Tensor = self.head(x)
        return logits


class OriginalResNeXtUNet(PaddedSegmenter):
    """ResNeXt-UNet of the original project: ResNeXt50-32x4d without stem pool, skips added. 30.95 M parameters.

    The original counts 33.0 M, because it keeps the encoder's classifier (2048 x 1000 + 1000), which no slice passes
    through.

    Parameters
    ----------
    encoder
        ResNeXt50-32x4d (any bottleneck encoder fits) without its stem's max-pool.

    Raises
    ------
    UsageError
        If the encoder has a stem pool, or other widths than 64-256-512-1024-2048.
    """

    stride = 16
    widths = (1024, 512, 256, 256)

    def __init__(self, encoder: ResNetEncoder) -> None:
        super().__init__()
        _require_stem_pool(encoder, wanted=False)
        if encoder.widths != (64, 256, 512, 1024, 2048):
            raise UsageError(
                f"encoder of widths {encoder.widths}; expected those of a bottleneck ResNet such as resnext50_32x4d"
            )
        self.encoder = encoder
        self.stride_in_1x1 = encoder.stride_in_1x1
        below = (encoder.widths[-1], *self.widths[:-1])
        self.up = nn.ModuleList(_squeezed_upsampling(i, o) for i, o in zip(below, self.widths, strict=True))
        self.head = nn.Sequential(
            nn.Conv2d(self.widths[-1], 128, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(128, 1, 3, padding=1)
        )

    def segment(self, x: Tensor) -> Tensor:
        """Return B x 1 x H x W logits; sides are multiples of 16."""
        _, *skips, x = self.encoder(x)
        for block in self.up:
            x = block(x)
            if skips:
                x = x + skips.pop()
        logits: Tensor = self.head(x)
        return logits


class _DecoderBlock(nn.Module):
    """Double the size, concatenate the skip, convolve twice."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = x if skip is None else torch.cat([x, skip], dim=1)
        result: Tensor = self.convolutions(x)
        return result


def _squeezed_upsampling(inputs: int, outputs: int) -> nn.Sequential:
    """Double the size in a quarter of the channels: 1x1, transposed 4x4, 1x1."""
    quarter = inputs // 4
    return nn.Sequential(
        nn.Conv2d(inputs, quarter, 1),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(quarter, quarter, 4, stride=2, padding=1),
        nn.Conv2d(quarter, outputs, 1),
        nn.ReLU(inplace=True),
    )


def _require_stem_pool(encoder: ResNetEncoder, *, wanted: bool) -> None:
    if encoder.stem_pool is not wanted:
        raise UsageError(f"encoder with stem_pool={encoder.stem_pool}; expected stem_pool={wanted}")
