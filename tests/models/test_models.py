"""One contract that every network meets, and the sizes and costs that are known of them."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import gliomask.models.catalogue
from gliomask.config import ModelName
from gliomask.errors import UsageError
from gliomask.models.catalogue import ALIASES, CATALOGUE, resolve_name
from gliomask.models.encoder_unet import EncoderUNet, OriginalResNeXtUNet
from gliomask.models.losses import bce_dice_loss
from gliomask.models.padding import PaddedSegmenter, padding_of
from gliomask.models.registry import MODELS, build_model, model_spec
from gliomask.models.resnet import ENCODER_SIZES, ResNetEncoder

SIZES = [(64, 64), (32, 48), (50, 70), (45, 37)]
CLASSIFIER_PARAMETERS = 2048 * 1000 + 1000

every_network = pytest.mark.parametrize("name", MODELS)


@cache
def built(name: str) -> PaddedSegmenter:
    torch.manual_seed(0)
    return build_model(name)


def network(name: str) -> PaddedSegmenter:
    return copy.deepcopy(built(name))


def slices(height: int = 32, width: int = 32, count: int = 2, inputs: int = 3) -> Tensor:
    return torch.randn(count, inputs, height, width, generator=torch.Generator().manual_seed(1))


def gradients_of(model: PaddedSegmenter) -> list[Tensor | None]:
    x = slices(45, 37, inputs=model.inputs)
    loss = bce_dice_loss(model(x), (x[:, :1] > 1).float())
    loss.backward()  # type: ignore[no-untyped-call]
    return [parameter.grad for parameter in model.parameters()]


@pytest.fixture
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


# --- the contract


@every_network
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_logits_have_the_size_of_the_slice(name: str, height: int, width: int) -> None:
    with torch.no_grad():
        logits = built(name).eval()(slices(height, width, inputs=CATALOGUE[name].inputs))
    assert logits.shape == (2, 1, height, width)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


@every_network
def test_a_batch_is_predicted_as_its_slices_are(name: str) -> None:
    model, batch = built(name).eval(), slices(45, 37, inputs=CATALOGUE[name].inputs)
    with torch.no_grad():
        together, apart = model(batch), torch.cat([model(one[None]) for one in batch])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5 * float(together.abs().max()))
    assert not torch.allclose(together[0], together[1])


@every_network
def test_gradients_reach_every_parameter(name: str) -> None:
    model = network(name).train()
    gradients = gradients_of(model)
    for (key, _), gradient in zip(model.named_parameters(), gradients, strict=True):
        assert gradient is not None, key
        assert gradient.isfinite().all(), key
        assert gradient.any(), key


@every_network
@pytest.mark.usefixtures("deterministic")
def test_training_steps_are_bit_equal(name: str) -> None:
    first, second = (gradients_of(network(name).train()) for _ in range(2))
    assert all(a is not None and b is not None and torch.equal(a, b) for a, b in zip(first, second, strict=True))


@every_network
def test_the_smallest_single_slice_can_be_trained_on(name: str) -> None:
    assert network(name).train()(slices(count=1, inputs=CATALOGUE[name].inputs)).isfinite().all()


@every_network
def test_same_seed_gives_same_weights(name: str) -> None:
    torch.manual_seed(0)
    again = MODELS[name].build(False)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), built(name).parameters(), strict=True))


@every_network
def test_slices_that_do_not_fit_are_refused_with_the_rule(name: str) -> None:
    with pytest.raises(UsageError, match=r"31 x 64 pixels; expected at least 32 x 32"):
        built(name)(slices(31, 64, inputs=CATALOGUE[name].inputs))
    with pytest.raises(UsageError, match=f"{CATALOGUE[name].inputs} channels"):
        built(name)(torch.zeros(1, 1, 64, 64))


# --- padding


class FirstChannel(PaddedSegmenter):
    stride = 16

    def segment(self, x: Tensor) -> Tensor:
        assert x.shape[-2] % 16 == 0
        assert x.shape[-1] % 16 == 0
        return x[:, :1]


@settings(deadline=None)
@given(height=st.integers(32, 80), width=st.integers(32, 80))
def test_padding_puts_every_pixel_back_in_its_place(height: int, width: int) -> None:
    x = slices(height, width, 1)
    assert torch.equal(FirstChannel()(x), x[:, :1])


@settings(deadline=None)
@given(side=st.integers(32, 600), stride=st.sampled_from([8, 16, 32]))
def test_padding_is_symmetric_and_least(side: int, stride: int) -> None:
    before, after = padding_of(side, stride)
    padded = side + before + after
    assert padded % stride == 0
    assert 0 <= after - before <= 1
    assert before + after < stride or padded == 2 * stride


# --- the originals, written out a second time


@torch.no_grad()
def test_original_unet_is_the_recipe_written_out() -> None:
    model, x = built("original-unet").eval(), slices(64, 48)
    weights = dict(model.named_parameters())

    def twice(x: Tensor, block: str) -> Tensor:
        for layer in (0, 2):
            x = F.relu(F.conv2d(x, weights[f"{block}.{layer}.weight"], weights[f"{block}.{layer}.bias"], padding=1))
        return x

    def larger(x: Tensor) -> Tensor:
        return F.interpolate(x, size=(2 * x.shape[2], 2 * x.shape[3]), mode="bilinear", align_corners=True)

    c1 = twice(x, "down.0")
    c2 = twice(F.max_pool2d(c1, 2), "down.1")
    c3 = twice(F.max_pool2d(c2, 2), "down.2")
    c4 = twice(F.max_pool2d(c3, 2), "down.3")
    u3 = twice(torch.cat([larger(c4), c3], 1), "up.0")
    u2 = twice(torch.cat([larger(u3), c2], 1), "up.1")
    u1 = twice(torch.cat([larger(u2), c1], 1), "up.2")
    torch.testing.assert_close(model(x), F.conv2d(u1, weights["head.weight"], weights["head.bias"]))


@torch.no_grad()
def test_original_resnext_adds_its_skips() -> None:
    model, x = network("original-resnext").eval(), slices(64, 48)
    assert isinstance(model, OriginalResNeXtUNet)
    _, e1, e2, e3, e4 = model.encoder(x)
    d4 = model.up[0](e4) + e3
    d3 = model.up[1](d4) + e2
    d2 = model.up[2](d3) + e1
    torch.testing.assert_close(model(x), model.head(model.up[3](d2)))


@torch.no_grad()
def test_bottleneck_is_the_block_written_out() -> None:
    block = network("resnext50").eval().get_submodule("encoder.layer2.0")
    x, state = torch.randn(1, 256, 8, 8), dict(block.named_parameters())

    def normalised(x: Tensor, conv: str, **options: int) -> Tensor:
        x = F.conv2d(x, state[f"{conv}.weight"], **options)  # type: ignore[call-overload]
        normal: Tensor = x / (1 + 1e-5) ** 0.5  # a fresh batch norm
        return normal

    inner = F.relu(normalised(x, "conv1"))
    inner = F.relu(normalised(inner, "conv2", stride=2, padding=1, groups=32))
    expected = F.relu(normalised(inner, "conv3") + normalised(x, "downsample.0", stride=2))
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-4)


# --- known sizes and costs


def gflop(model: nn.Module, side: int) -> float:
    """Count two operations for each weight and each position that it is applied to."""
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        positions = output if isinstance(layer, nn.Conv2d) else inputs[0]
        total += 2 * layer.weight.numel() * positions.shape[0] * positions.shape[2] * positions.shape[3]

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    model(torch.empty(1, getattr(model, "inputs", 3), side, side, device="meta"))
    return total / 1e9


def millions(model: nn.Module) -> float:
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


def on_meta(name: str) -> PaddedSegmenter:
    with torch.device("meta"):
        return MODELS[name].build(False)


@pytest.mark.parametrize(
    ("name", "side", "expected"),
    [
        ("original-unet", 256, 84.8),
        ("original-unet", 128, 21.2),
        ("original-resnext", 256, 98.2),
        ("original-resnext", 128, 24.5),
        ("unet", 256, 24.1),
    ],
)
def test_costs_are_those_measured_on_the_originals(name: str, side: int, expected: float) -> None:
    assert round(gflop(on_meta(name), side), 1) == expected


@pytest.mark.parametrize(("stem_pool", "expected"), [(False, 43.3), (True, 11.0)])
def test_stem_pool_quarters_the_cost_of_the_encoder(stem_pool: bool, expected: float) -> None:
    with torch.device("meta"):
        encoder = ResNetEncoder("resnext50_32x4d", stem_pool=stem_pool)
    assert round(gflop(encoder, 256), 1) == expected
    assert round(millions(encoder), 1) == 23.0


def test_parameter_counts_are_those_of_the_originals() -> None:
    assert round(millions(on_meta("unet")), 2) == 7.76
    assert round(millions(on_meta("original-unet")), 2) == 7.78
    with_unused_classifier = millions(on_meta("original-resnext")) + CLASSIFIER_PARAMETERS / 1e6
    assert round(with_unused_classifier, 1) == 33.0


@every_network
def test_the_catalogue_tells_size_and_cost(name: str) -> None:
    assert round(millions(on_meta(name)), 2) == CATALOGUE[name].parameters_millions
    assert gflop(on_meta(name), 256) == pytest.approx(CATALOGUE[name].gflop, abs=0.051)


# --- names


def test_names_are_those_of_the_configuration() -> None:
    assert {*CATALOGUE, *ALIASES} == set(get_args(ModelName))
    assert list(MODELS) == list(CATALOGUE)


def test_short_name_means_the_same_network() -> None:
    assert resolve_name("resnext") == "resnext50"
    assert model_spec("resnext") is MODELS["resnext50"]


def test_unknown_name_never_falls_back() -> None:
    with pytest.raises(UsageError, match=r"unknown model 'u-net'; expected one of unet, original-unet, .*resnext$"):
        build_model("u-net")


def test_catalogue_and_contract_need_no_torch() -> None:
    code = (
        "import sys; import gliomask.models.catalogue, gliomask.models.contract; "
        "sys.exit(bool({'torch', 'safetensors', 'numpy'} & set(sys.modules)))"
    )
    source = Path(gliomask.models.catalogue.__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(source)}, check=False)
    assert result.returncode == 0


# --- encoders


def torchvision_shapes(blocks: tuple[int, ...], bottleneck: bool, grouped: bool = False) -> dict[str, tuple[int, ...]]:
    """Write down torchvision's parameter names and shapes of a ResNet without classifier."""
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(conv: str, norm: str, *shape: int) -> None:
        shapes[f"{conv}.weight"] = shape
        for kind in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{kind}"] = shape[:1]
        shapes[f"{norm}.num_batches_tracked"] = ()

    convolution("conv1", "bn1", 64, 3, 7, 7)
    inputs = 64
    for stage, (count, planes) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True), 1):
        width, outputs = planes * (2 if grouped else 1), planes * (4 if bottleneck else 1)
        for block in range(count):
            at = f"layer{stage}.{block}."
            if bottleneck:
                convolution(f"{at}conv1", f"{at}bn1", width, inputs, 1, 1)
                convolution(f"{at}conv2", f"{at}bn2", width, width // 32 if grouped else width, 3, 3)
                convolution(f"{at}conv3", f"{at}bn3", outputs, width, 1, 1)
            else:
                convolution(f"{at}conv1", f"{at}bn1", planes, inputs, 3, 3)
                convolution(f"{at}conv2", f"{at}bn2", planes, planes, 3, 3)
            if block == 0 and (stage > 1 or bottleneck):
                convolution(f"{at}downsample.0", f"{at}downsample.1", outputs, inputs, 1, 1)
            inputs = outputs
    return shapes


@pytest.mark.parametrize(
    ("architecture", "expected", "tensors"),
    [
        ("resnet18", torchvision_shapes((2, 2, 2, 2), False), 120),
        ("resnet34", torchvision_shapes((3, 4, 6, 3), False), 216),
        ("resnet50", torchvision_shapes((3, 4, 6, 3), True), 318),
        ("resnext50_32x4d", torchvision_shapes((3, 4, 6, 3), True, grouped=True), 318),
    ],
)
def test_parameter_names_are_torchvisions(
    architecture: str, expected: dict[str, tuple[int, ...]], tensors: int
) -> None:
    with torch.device("meta"):
        state = ResNetEncoder(architecture).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == expected
    assert len(state) == tensors


@pytest.mark.parametrize("stride_in_1x1", [False, True])
def test_place_of_the_stride(stride_in_1x1: bool) -> None:
    with torch.device("meta"):
        encoder = ResNetEncoder("resnet50", stride_in_1x1=stride_in_1x1)
    strides = {name: layer.stride for name, layer in encoder.named_modules() if isinstance(layer, nn.Conv2d)}
    strided = {name for name, stride in strides.items() if stride == (2, 2)}
    inner = "conv1" if stride_in_1x1 else "conv2"
    expected = {f"layer{stage}.0.{layer}" for stage in (2, 3, 4) for layer in (inner, "downsample.0")}
    assert strided == {"conv1", *expected}


@pytest.mark.parametrize("architecture", ENCODER_SIZES)
@pytest.mark.parametrize(("stem_pool", "strides"), [(True, (2, 4, 8, 16, 32)), (False, (2, 2, 4, 8, 16))])
def test_encoder_returns_five_levels(architecture: str, stem_pool: bool, strides: tuple[int, ...]) -> None:
    with torch.device("meta"):
        encoder = ResNetEncoder(architecture, stem_pool=stem_pool)
        maps = encoder(torch.empty(1, 3, 64, 96))
    assert [level.shape for level in maps] == [
        (1, width, 64 // stride, 96 // stride) for width, stride in zip(encoder.widths, strides, strict=True)
    ]


def test_encoders_that_do_not_fit_the_decoder_are_refused() -> None:
    with torch.device("meta"):
        with pytest.raises(UsageError, match="stem_pool=True"):
            EncoderUNet(ResNetEncoder("resnet18", stem_pool=False))
        with pytest.raises(UsageError, match="stem_pool=False"):
            OriginalResNeXtUNet(ResNetEncoder("resnext50_32x4d"))
        with pytest.raises(UsageError, match="widths"):
            OriginalResNeXtUNet(ResNetEncoder("resnet18", stem_pool=False))
        with pytest.raises(UsageError, match="unknown encoder 'resnet99'"):
            ResNetEncoder("resnet99")
