"""The two U-Nets that start from nothing: the original project's and Buda's. Knows nothing of pretrained encoders."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gliomask.models.padding import PaddedSegmenter


class OriginalUNet(PaddedSegmenter):
    """U-Net of the original project: 64-128-256-512, no normalisation, bilinear upsampling. 7.78 M parameters.

    Upsampling is parameter-free (factor 2, corners aligned) and its result is concatenated with the skip as it is.
    """

    stride = 8
    widths = (64, 128, 256, 512)

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, *self.widths[:-1])
        self.down = nn.ModuleList(_double_conv(i, o) for i, o in zip(inputs, self.widths, strict=True))
        skips = self.widths[-2::-1]
        below = self.widths[:0:-1]
        self.up = nn.ModuleList(_double_conv(b + s, s) for b, s in zip(below, skips, strict=True))
        self.head = nn.Conv2d(self.widths[0], 1, 1)

    def segment(self, x: Tensor) -> Tensor:
        """Return B x 1 x H x W logits; sides are multiples of 8."""
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for block in self.up:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = block(torch.cat([x, skips.pop()], dim=1))
        logits: Tensor = self.head(x)
        return logits


class UNet(PaddedSegmenter):
    """U-Net of Buda, Saha and Mazurowski (2019): 32-64-128-256, bottleneck 512, batch norm. 7.76 M parameters.

    Upsampling is a 2x2 transposed convolution with stride 2, whose result is concatenated with the skip.

    References
    ----------
    Buda M, Saha A, Mazurowski MA. Association of genomic subtypes of lower-grade gliomas with shape features
    automatically extracted by a deep learning algorithm. Computers in Biology and Medicine 109 (2019).
    """

    stride = 16
    widths = (32, 64, 128, 256, 512)

    def __init__(self) -> None:
        super().__init__()
        inputs = (3, *self.widths[:-1])
        self.down = nn.ModuleList(_double_conv_norm(i, o) for i, o in zip(inputs, self.widths, strict=True))
        skips = self.widths[-2::-1]
        below = self.widths[:0:-1]
        self.grow = nn.ModuleList(nn.ConvTranspose2d(b, s, 2, stride=2) for b, s in zip(below, skips, strict=True))
        self.up = nn.ModuleList(_double_conv_norm(2 * s, s) for s in skips)
        self.head = nn.Conv2d(self.widths[0], 1, 1)

    def segment(self, x: Tensor) -> Tensor:
        """Return B x 1 x H x W logits; sides are multiples of 16."""
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for grow, block in zip(self.grow, self.up, strict=True):
            x = block(torch.cat([grow(x), skips.pop()], dim=1))
        logits: Tensor = self.head(x)
        return logits


def _double_conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.ReLU(inplace=True),
    )


def _double_conv_norm(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
