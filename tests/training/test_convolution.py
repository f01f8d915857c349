"""Gradients by matrix products are those of the library, and only where they are meant to be."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gliomask.data.index import DatasetIndex
from gliomask.training import convolution
from gliomask.training import module as module_part
from gliomask.training.convolution import ProductGradients
from tiny_runs import tiny_config, tiny_index, train, use_tiny_net

Gradients = tuple[Tensor, ...]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Return the shapes of images whose gradient was computed here; any size and number of channels may be."""
    found: list[tuple[int, ...]] = []
    compute = convolution._weight_gradient

    def heard(images: Tensor, gradient: Tensor) -> Tensor:
        found.append(tuple(images.shape))
        return compute(images, gradient)

    monkeypatch.setattr(convolution, "_weight_gradient", heard)
    monkeypatch.setattr(convolution, "_SMALLEST_SIDE", 3)
    monkeypatch.setattr(convolution, "_FEWEST_CHANNELS", 1)
    return found


def gradients(net: nn.Module, images: Tensor, *, by_products: bool) -> Gradients:
    """Return the output of a network and the gradients of images, weights and bias."""
    images = images.clone().requires_grad_()
    if by_products:
        with ProductGradients():
            found = net(images)
    else:
        found = net(images)
    factors = torch.randn(found.shape, generator=torch.Generator().manual_seed(1), dtype=found.dtype)
    return (found, *torch.autograd.grad((found * factors).sum(), [images, *net.parameters()]))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("shape", [(1, 1, 3, 3), (3, 5, 8, 13), (2, 4, 17, 6)])
def test_gradients_are_those_of_the_library(
    calls: list[tuple[int, ...]], shape: tuple[int, ...], layout: Any, bias: bool
) -> None:
    torch.manual_seed(0)
    net: Any = nn.Conv2d(shape[1], 6, 3, padding=1, bias=bias)
    net = net.to(memory_format=layout)
    images = torch.randn(shape).contiguous(memory_format=layout)
    expected, found = (gradients(net, images, by_products=each) for each in (False, True))
    assert calls == [shape]
    assert torch.equal(found[0], expected[0])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("net", "dtype"),
    [
        (nn.Conv2d(4, 4, 1), torch.float32),
        (nn.Conv2d(4, 4, 3), torch.float32),
        (nn.Conv2d(4, 4, 3, padding=1, stride=2), torch.float32),
        (nn.Conv2d(4, 4, 3, padding=1, groups=2), torch.float32),
        (nn.Conv2d(4, 4, 3, padding=2, dilation=2), torch.float32),
        (nn.ConvTranspose2d(4, 4, 3, padding=1), torch.float32),
        (nn.Conv2d(4, 4, 3, padding=1), torch.float64),
    ],
)
def test_other_convolutions_are_left_to_the_library(
    calls: list[tuple[int, ...]], net: nn.Module, dtype: torch.dtype
) -> None:
    images, net = torch.randn(2, 4, 9, 9, dtype=dtype), net.to(dtype)
    for one, other in zip(*(gradients(net, images, by_products=each) for each in (False, True)), strict=True):
        assert torch.equal(one, other)
    assert not calls


@pytest.mark.parametrize(("channels", "side"), [(15, 64), (16, 63)])
def test_small_ones_are_left_to_the_library(channels: int, side: int) -> None:
    net = nn.Conv2d(channels, 2, 3, padding=1)
    for size, suited in ((side, False), (64, channels == 16)):
        with ProductGradients():
            found = net(torch.randn(1, channels, size, size))
        assert ("_Convolution" in type(found.grad_fn).__name__) == suited


def test_frozen_weights_and_lower_precision_are_left_to_the_library(calls: list[tuple[int, ...]]) -> None:
    net, images = nn.Conv2d(4, 4, 3, padding=1), torch.randn(1, 4, 9, 9)
    with ProductGradients(), torch.autocast("cpu", torch.bfloat16):
        net(images).sum().backward()
    with ProductGradients(), torch.no_grad():
        net(images)
    net.requires_grad_(requires_grad=False)
    with ProductGradients():
        net(images.requires_grad_()).sum().backward()
    assert not calls


def test_a_training_learns_the_same(
    calls: list[tuple[int, ...]], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_tiny_net(monkeypatch)
    folder = tmp_path_factory.mktemp("runs")
    index: DatasetIndex = tiny_index(folder / "data")
    runs = []
    for pays in (False, True):
        monkeypatch.setattr(module_part, "products_pay", lambda pays=pays: pays)
        runs.append(train(index, tiny_config(epochs=2), folder / str(pays)))
        assert bool(calls) == pays
    losses = [[row["train_loss"] for row in run.metrics()] for run in runs]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize(("capability", "pays"), [("AVX2", True), ("AVX512", False), ("DEFAULT", False)])
def test_it_is_for_processors_with_avx2_alone(capability: str, pays: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert convolution.products_pay() == pays
