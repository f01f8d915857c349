"""ResNet and ResNeXt encoders under torchvision's parameter names. Knows nothing of decoders or weight files.

The layout "v1" (He et al. 2016, Keras) has the stride of a stage's first block on its first 1x1 convolution, "v1.5"
(torchvision) on the 3x3. Both have the same parameters, so weights of one load into the other without complaint and
predict worse: the layout is a setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gliomask.errors import UsageError

_PRETRAINED_INPUTS = 3


@dataclass(frozen=True)
class EncoderSize:
    """What distinguishes one ResNet from another."""

    blocks: tuple[int, int, int, int]
    """Blocks of the four stages."""
    bottleneck: bool
    """Blocks of 1x1, 3x3, 1x1 convolutions rather than two 3x3."""
    groups: int = 1
    """Groups of the 3x3 convolution of a bottleneck."""
    group_width: int = 64
    """Channels of one group in the first stage; doubles with each stage."""


ENCODER_SIZES: Mapping[str, EncoderSize] = MappingProxyType(
    {
        "resnet18": EncoderSize((2, 2, 2, 2), bottleneck=False),
        "resnet34": EncoderSize((3, 4, 6, 3), bottleneck=False),
        "resnet50": EncoderSize((3, 4, 6, 3), bottleneck=True),
        "resnext50_32x4d": EncoderSize((3, 4, 6, 3), bottleneck=True, groups=32, group_width=4),
    }
)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = _shortcut(inputs, planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return B x planes x H/stride x W/stride for B x inputs x H x W."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(x)) + shortcut, inplace=True)


class Bottleneck(nn.Module):
    """Convolutions 1x1, 3x3 (grouped in ResNeXt) and 1x1 around a shortcut."""

    expansion = 4

    def __init__(self, inputs: int, planes: int, stride: int, size: EncoderSize, stride_in_1x1: bool) -> None:
        super().__init__()
        width = planes * size.group_width // 64 * size.groups
        first, second = (stride, 1) if stride_in_1x1 else (1, stride)
        self.conv1 = nn.Conv2d(inputs, width, 1, stride=first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=second, padding=1, groups=size.groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, planes * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.downsample = _shortcut(inputs, planes * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Return B x 4*planes x H/stride x W/stride for B x inputs x H x W."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        return F.relu(self.bn3(self.conv3(x)) + shortcut, inplace=True)


class ResNetEncoder(nn.Module):
    """A ResNet without its classifier, with the feature maps of all its levels.

    Parameters
    ----------
    architecture
        One of `ENCODER_SIZES`.
    stride_in_1x1
        Layout v1 (true) or v1.5 (false) of bottleneck blocks; basic blocks have only one layout.
    stem_pool
        Whether the 3x3 max-pool follows the stem; without it every later level is twice as large.
    stages
        How many of the four stages there are, from the first on.
    inputs
        Input channels. Weights of those beyond the three that pretrained ones know are 0 at first, so that the network
        begins as one without them.

    Raises
    ------
    UsageError
        If the architecture is unknown.

    Notes
    -----
    Weights are random (He et al. 2015, fan-out); nothing is downloaded here. `widths` are the channels of the
    levels, one more than stages.
    """

    def __init__(
        self,
        architecture: str,
        *,
        stride_in_1x1: bool = False,
        stem_pool: bool = True,
        stages: int = 4,
        inputs: int = 3,
    ) -> None:
        super().__init__()
        if architecture not in ENCODER_SIZES:
            raise UsageError(f"unknown encoder {architecture!r}; expected one of {', '.join(ENCODER_SIZES)}")
        size = ENCODER_SIZES[architecture]
        self.architecture, self.stride_in_1x1, self.stem_pool = architecture, stride_in_1x1, stem_pool
        expansion = Bottleneck.expansion if size.bottleneck else BasicBlock.expansion
        self.widths = (64, *(planes * expansion for planes in (64, 128, 256, 512)[:stages]))
        self.inputs = inputs
        self.conv1 = nn.Conv2d(inputs, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        for number, width in enumerate(self.widths[:-1]):
            self.add_module(f"layer{number + 1}", _stage(size, number, width, stride_in_1x1))
        _initialise(self)
        nn.init.zeros_(self.conv1.weight[:, _PRETRAINED_INPUTS:])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps after the stem and after each stage.

        Parameters
        ----------
        x
            Normalised slices, B x inputs x H x W, float.

        Returns
        -------
        tuple of Tensor
            Maps with `widths` channels and strides 2, 4, 8, 16, 32 (2, 2, 4, 8, 16 without the stem's max-pool).
        """
        maps = [F.relu(self.bn1(self.conv1(x)), inplace=True)]
        x = F.max_pool2d(maps[0], 3, stride=2, padding=1) if self.stem_pool else maps[0]
        for number in range(1, len(self.widths)):
            x = self.get_submodule(f"layer{number}")(x)
            maps.append(x)
        return tuple(maps)


def with_inputs(weight: Tensor, inputs: int) -> Tensor:
    """Return the weights (outputs, C, k, k) of a first convolution for more input channels, which it does not heed."""
    return torch.cat([weight, weight.new_zeros(len(weight), inputs - weight.shape[1], *weight.shape[2:])], dim=1)


def _stage(size: EncoderSize, number: int, inputs: int, stride_in_1x1: bool) -> nn.Sequential:
    planes, stride = 64 << number, 1 if number == 0 else 2
    blocks: list[nn.Module] = []
    for index in range(size.blocks[number]):
        step = stride if index == 0 else 1
        if size.bottleneck:
            blocks.append(Bottleneck(inputs, planes, step, size, stride_in_1x1))
            inputs = planes * Bottleneck.expansion
        else:
            blocks.append(BasicBlock(inputs, planes, step))
            inputs = planes
    return nn.Sequential(*blocks)


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))


def _initialise(encoder: nn.Module) -> None:
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
