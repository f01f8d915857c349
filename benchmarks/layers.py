"""Convolutions and memory-bound layers alone: contiguous or channels last, float32 or bfloat16.

python -m benchmarks.layers
python -m benchmarks.layers --size 64 --channels 128 --deterministic on
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.measure import seconds_of
from benchmarks.report import Table, finish, milliseconds, say

_LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
_FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Shape:
    """The input that every layer gets: (batch, channels, size, size)."""

    batch: int
    channels: int
    size: int


Layer = Callable[[Tensor], Tensor]


def layers(channels: int) -> dict[str, nn.Module | Layer]:
    """Return what is measured, by name; each takes (B, channels, H, W)."""
    return {
        "convolution 3x3": nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        "batch norm": nn.BatchNorm2d(channels),
        "ReLU": nn.ReLU(),
        "batch norm, ReLU in place": nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True)),
        "max pool 2x2": nn.MaxPool2d(2),
        "concat with itself": lambda x: torch.cat([x, x], dim=1),
        "upsampling, bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True),
        "upsampling, nearest": lambda x: F.interpolate(x, scale_factor=2, mode="nearest"),
        "transposed convolution 2x2": nn.ConvTranspose2d(channels, channels // 2, 2, stride=2),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table and write the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--size", type=int, default=128, help="side of the input in pixels")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each cell, about")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--deterministic",
        choices=["off", "on", "unfilled"],
        default="off",
        help="PyTorch's deterministic algorithms; unfilled: without filling fresh memory with NaN",
    )
    parser.add_argument("--out", type=Path, help="JSON file to write; by default in benchmarks/results")
    options = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    shape = Shape(options.batch_size, options.channels, options.size)
    with determinism(options.deterministic):
        found = {name: measure(name, shape, options.device, options.seconds) for name in layers(shape.channels)}
    rows = tuple((name, *(milliseconds(value) for value in times.values())) for name, times in found.items())
    title = f"Forward and backward in ms, input {shape.batch} x {shape.channels} x {shape.size} x {shape.size}"
    table = Table(title, ("layer", *next(iter(found.values()))), rows)
    finish("layers", out=options.out, settings=vars(options), results={"seconds": found}, tables=[table])
    return 0


def measure(name: str, shape: Shape, device: str, seconds: float) -> dict[str, float]:
    """Return the seconds of a layer's forward and backward pass in every layout and format."""
    times = {}
    for layout, memory in _LAYOUTS.items():
        for number_format, dtype in _FORMATS.items():
            made = layers(shape.channels)[name]
            layer = made.to(device, memory_format=memory) if isinstance(made, nn.Module) else made  # type: ignore[call-overload]  # PyTorch's annotations lack it
            images = torch.randn(shape.batch, shape.channels, shape.size, shape.size, device=device)
            images = images.to(dtype=dtype, memory_format=memory).requires_grad_()
            step = _step(layer, images, dtype)
            times[f"{layout}, {number_format}"] = seconds_of(step, budget=seconds, device=device)
    say(f"{name}: {', '.join(f'{where} {milliseconds(value)} ms' for where, value in times.items())}")
    return times


def _step(layer: Layer, images: Tensor, dtype: torch.dtype) -> Callable[[], None]:
    """Return one forward and backward pass, under autocast in bfloat16 as in training."""
    device = images.device.type

    def forward() -> Any:
        with torch.autocast(device, dtype, enabled=dtype is torch.bfloat16):
            return layer(images)

    gradient = torch.ones_like(forward())

    def step() -> None:
        images.grad = None
        forward().backward(gradient)

    return step


@contextmanager
def determinism(how: str) -> Iterator[None]:
    """Turn PyTorch's deterministic algorithms on or off, and back."""
    before = torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    try:
        torch.use_deterministic_algorithms(how != "off", warn_only=True)
        memory.fill_uninitialized_memory = how != "unfilled"
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        memory.fill_uninitialized_memory = filled


if __name__ == "__main__":
    raise SystemExit(main())
