"""From a network's name to the network. Knows nothing of data, training or files of trained models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from types import MappingProxyType

from gliomask.errors import UsageError
from gliomask.models.catalogue import CATALOGUE, ModelCard, resolve_name
from gliomask.models.encoder_unet import EncoderUNet, OriginalResNeXtUNet
from gliomask.models.padding import PaddedSegmenter
from gliomask.models.resnet import ResNetEncoder, with_inputs
from gliomask.models.unet import OriginalUNet, UNet
from gliomask.models.weights import EncoderWeights, encoder_state


@dataclass(frozen=True)
class ModelSpec(ModelCard):
    """A network's card, and how it is built."""

    build: Callable[[bool], PaddedSegmenter]
    """Makes the network with random weights; the argument is `stride_in_1x1`, which only ResNet encoders heed."""


def build_model(name: str, *, encoder_weights: str = "none") -> PaddedSegmenter:
    """Build a network, with random weights or a pretrained encoder.

    Parameters
    ----------
    name
        Name or short name of the catalogue.
    encoder_weights
        ``none``, ``imagenet`` or a file, see `gliomask.models.weights.encoder_state`. Networks without a ResNet
        encoder accept ``imagenet``, which does not apply to them (a recipe sets it for all its networks), and refuse a
        file.

    Returns
    -------
    PaddedSegmenter
        In training mode; B x C x H x W normalised slices (C: the card's `inputs`) to B x 1 x H x W logits.

    Raises
    ------
    UsageError
        If the name is unknown, or a file of encoder weights is given to a network without encoder.
    WeightsError
        If the weights cannot be had or do not fit.
    """
    spec = model_spec(name)
    weights = _encoder_weights(spec, encoder_weights)
    if weights is None:
        return spec.build(False)
    model = spec.build(weights.stride_in_1x1)
    encoder = model.get_submodule("encoder")
    wanted = encoder.state_dict().keys()  # the file holds the whole encoder; not every network takes all stages
    found = {name: weights.tensors[name] for name in wanted}
    found["conv1.weight"] = with_inputs(found["conv1.weight"], spec.inputs)
    encoder.load_state_dict(found, strict=True)
    return model


def model_spec(name: str) -> ModelSpec:
    """Return the specification of a network for its name or short name.

    Raises
    ------
    UsageError
        If there is no such network.
    """
    return MODELS[resolve_name(name)]


def _encoder_weights(spec: ModelSpec, source: str) -> EncoderWeights | None:
    if spec.pretrained_architecture is not None:
        return encoder_state(spec.pretrained_architecture, source)
    if source not in {"none", "imagenet"}:
        raise UsageError(f"encoder weights {source} for {spec.name}, which has no pretrained encoder; leave them out")
    return None


def _unet(_stride_in_1x1: bool) -> PaddedSegmenter:
    return UNet()


def _original_unet(_stride_in_1x1: bool) -> PaddedSegmenter:
    return OriginalUNet()


def _original_resnext(stride_in_1x1: bool) -> PaddedSegmenter:
    return OriginalResNeXtUNet(ResNetEncoder("resnext50_32x4d", stride_in_1x1=stride_in_1x1, stem_pool=False))


def _encoder_unet(architecture: str, stride_in_1x1: bool, stages: int = 4, inputs: int = 3) -> PaddedSegmenter:
    return EncoderUNet(ResNetEncoder(architecture, stride_in_1x1=stride_in_1x1, stages=stages, inputs=inputs))


_BUILDERS: Mapping[str, Callable[[bool], PaddedSegmenter]] = MappingProxyType(
    {
        "unet": _unet,
        "original-unet": _original_unet,
        "original-resnext": _original_resnext,
        "resnet18": partial(_encoder_unet, "resnet18"),
        "resnet34": partial(_encoder_unet, "resnet34"),
        "resnet50": partial(_encoder_unet, "resnet50"),
        "resnet50-s16": partial(_encoder_unet, "resnet50", stages=3),
        "resnet50-s16-2.5d": partial(_encoder_unet, "resnet50", stages=3, inputs=5),
        "resnext50": partial(_encoder_unet, "resnext50_32x4d"),
    }
)
MODELS: Mapping[str, ModelSpec] = MappingProxyType(
    {name: ModelSpec(**asdict(card), build=_BUILDERS[name]) for name, card in CATALOGUE.items()}
)
"""Every network by its full name, in the catalogue's order."""
