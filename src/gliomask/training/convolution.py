"""Gradients of 3x3 convolutions by matrix products, where the library's own are slow. Knows no network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

_SMALLEST_SIDE, _FEWEST_CHANNELS = 64, 16
"""Below these the library is about as fast: pixels of an image's side, channels that come in."""


def products_pay() -> bool:
    """Tell whether `ProductGradients` makes a training in float32 faster on this processor.

    With AVX2 alone, and images in channels-last memory, the library's gradient of the weights of a 3x3 convolution
    takes two to four times as long as the convolution itself (docs/performance.md). With AVX-512 that is not known.
    """
    return torch.backends.cpu.get_cpu_capability() == "AVX2"


class ProductGradients(TorchFunctionMode):
    """Inside of it, large 3x3 convolutions in float32 get the gradient of their weights by nine matrix products.

    The result is the library's but for rounding, and depends on nothing but the input and the number of threads. All
    other operations stay as they are.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Do what was asked for, convolutions by `_Convolution` where that is meant for them."""
        named = dict(kwargs or {})
        if func is torch.conv2d and (found := _suited(*args, **named)) is not None:
            return _Convolution.apply(*found)  # type: ignore[no-untyped-call]  # PyTorch has no types for it
        return func(*args, **named)


def _suited(  # noqa: PLR0913, PLR0917 - what `torch.conv2d` takes
    input: Tensor,  # noqa: A002 - PyTorch's name
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Tensor, Tensor, Tensor | None] | None:
    """Return images, weights and bias if this is a convolution to be done here."""
    usual = (stride, padding, dilation, groups) == ((1, 1), (1, 1), (1, 1), 1) and weight.shape[2:] == (3, 3)
    large = input.ndim == 4 and min(input.shape[2:]) >= _SMALLEST_SIDE and input.shape[1] >= _FEWEST_CHANNELS
    simple = input.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    learning = torch.is_grad_enabled() and weight.requires_grad
    return (input, weight, bias) if usual and large and simple and learning else None


class _Convolution(torch.autograd.Function):
    """A 3x3 convolution that keeps the size of images."""

    @staticmethod
    def forward(context: Any, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        context.save_for_backward(images, weight)
        return torch.conv2d(images, weight, bias, padding=1)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        images, weight = context.saved_tensors
        of_images, _, bias = context.needs_input_grad
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        backwards: Any = torch.ops.aten.convolution_backward
        rest = (None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, False, False])
        return (
            backwards(gradient, images, weight, *rest)[0] if of_images else None,
            _weight_gradient(images, gradient),
            gradient.sum((0, 2, 3)) if bias else None,
        )


def _weight_gradient(images: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient of (out, in, 3, 3) weights, from (N, in, H, W) images and the (N, out, H, W) gradient.

    With a frame of zeros, the pixels of an image follow each other in such a way that a neighbour is always equally
    many places away. So each of the nine is one product of two parts of the same two matrices, which are not copied.
    """
    width = images.shape[3] + 2
    found = images.new_zeros(3, 3, gradient.shape[1], images.shape[1])
    for image, wanted in zip(images, gradient, strict=True):
        pixels, centres = _framed(image), _framed(wanted)[width + 1 : -width - 1]
        for row, column in product(range(3), repeat=2):
            first = row * width + column
            found[row, column].addmm_(centres.t(), pixels[first : first + len(centres)])
    return found.permute(2, 3, 0, 1)


def _framed(image: Tensor) -> Tensor:
    """Return the pixels of a (C, H, W) image in a frame of zeros, as a matrix of ((H + 2) (W + 2), C)."""
    channels, height, width = image.shape
    framed = image.new_zeros(height + 2, width + 2, channels)
    framed[1:-1, 1:-1] = image.permute(1, 2, 0)
    return framed.view(-1, channels)
