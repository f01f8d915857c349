"""How much work a training step is: floating-point operations and bytes, counted rather than timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.plain import loss_of

_FREE = {
    "view",
    "_unsafe_view",
    "detach",
    "t",
    "transpose",
    "expand",
    "slice",
    "select",
    "alias",
    "permute",
    "as_strided",
}


def flops_of(step: Callable[[], object]) -> int:
    """Return the floating-point operations of a step: convolutions and matrix products, a multiply-add is two."""
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def flops_per_image(net: nn.Module, size: int) -> int:
    """Return the operations of a forward and a backward pass over one image."""
    return flops_of(_step(net, size, 1, torch.float32))


def bytes_per_image(net: nn.Module, size: int, batch: int) -> float:
    """Return the bytes that forward and backward pass read and write for an image in bfloat16, operation by operation.

    Every operation reads its inputs and writes its result once: nothing is fused, nothing stays in a processor's cache.
    """
    traffic = _Traffic()
    with traffic:
        _step(net, size, batch, torch.bfloat16)()
    return traffic.bytes / batch


def _step(net: nn.Module, size: int, batch: int, dtype: torch.dtype) -> Callable[[], None]:
    """Return a step that is only counted: on PyTorch's device without memory, nothing is computed."""
    net = net.to("meta", dtype)
    images = torch.empty(batch, getattr(net, "inputs", 3), size, size, device="meta", dtype=dtype)
    truth = torch.empty(batch, 1, size, size, device="meta")

    def step() -> None:
        loss_of(net(images).float(), truth).backward()  # type: ignore[no-untyped-call]

    return step


class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes of the inputs and outputs of all operations."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes: int = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ not in _FREE:
            self.bytes += sum(_size(value) for value in (*args, *(kwargs or {}).values(), result))
        return result


def _size(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, (list, tuple)):
        return sum(_size(part) for part in value)
    return 0
