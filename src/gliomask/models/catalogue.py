"""Which networks there are and what to call them: a listing without PyTorch. Knows nothing of how they are built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gliomask.errors import UsageError


@dataclass(frozen=True)
class ModelCard:
    """What a listing says about a network."""

    name: str
    """Name on the command line."""
    summary: str
    """One line for a reader who chooses."""
    parameters_millions: float
    """Trainable parameters in millions, to two decimals."""
    gflop: float
    """Cost of a 256 x 256 slice, forward, in GFLOP: convolutions only, multiply and add counted as two."""
    pretrained_architecture: str | None
    """ResNet whose weights its encoder can start from, or None."""
    single: str | None = field(default=None, kw_only=True)
    """Of a network that sees FLAIR of the slices below and above, too (2.5D): the network that it is without them, from
    a trained one of which it can start. None for a network of single slices."""

    @property
    def inputs(self) -> int:
        """Input channels: three sequences, and two neighbours' FLAIR in 2.5D."""
        return 3 if self.single is None else 5


# The original project counts 33.0 M parameters in its ResNeXt-UNet: 2.05 M are of the encoder's classifier, never used.
_CARDS = (
    ModelCard("unet", "U-Net of Buda et al. 2019: 32 to 512 channels, batch norm", 7.76, 24.1, None),
    ModelCard("original-unet", "U-Net of the original project: 64 to 512 channels, bilinear", 7.78, 84.8, None),
    ModelCard(
        "original-resnext", "ResNeXt50 U-Net of the original project: no stem pool", 30.95, 98.2, "resnext50_32x4d"
    ),
    ModelCard("resnet18", "U-Net on a ResNet18 encoder: the cheapest", 12.52, 8.5, "resnet18"),
    ModelCard("resnet34", "U-Net on a ResNet34 encoder", 22.63, 13.4, "resnet34"),
    ModelCard("resnet50", "U-Net on a ResNet50 encoder", 27.81, 17.0, "resnet50"),
    ModelCard("resnet50-s16", "U-Net on a ResNet50 encoder without its last stage", 9.67, 14.0, "resnet50"),
    ModelCard(
        "resnet50-s16-2.5d",
        "resnet50-s16 that sees FLAIR of the slices below and above, too",
        9.68,
        14.2,
        "resnet50",
        single="resnet50-s16",
    ),
    ModelCard("resnext50", "U-Net on a ResNeXt50-32x4d encoder", 27.28, 17.3, "resnext50_32x4d"),
)
CATALOGUE: Mapping[str, ModelCard] = MappingProxyType({card.name: card for card in _CARDS})
"""Every network by its name."""
ALIASES: Mapping[str, str] = MappingProxyType({"resnext": "resnext50"})
"""Short names."""


def resolve_name(name: str) -> str:
    """Return the full name of a network for its name or short name.

    Raises
    ------
    UsageError
        If there is no such network; the names that exist are listed.
    """
    full = ALIASES.get(name, name)
    if full not in CATALOGUE:
        raise UsageError(f"unknown model {name!r}; expected one of {', '.join((*CATALOGUE, *ALIASES))}")
    return full


def sees_neighbours(name: str) -> bool:
    """Say whether a network, by its name or short name, sees FLAIR of the slices below and above, too.

    Raises
    ------
    UsageError
        If there is no such network.
    """
    return CATALOGUE[resolve_name(name)].single is not None
