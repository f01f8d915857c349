"""Trainings that take a second: tiny data, settings and network. Knows nothing of what the tests prove."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from builders import tiny_dataset
from gliomask.config import HardwareConfig, ModelConfig, OptimisationConfig, SplitConfig, TrainConfig
from gliomask.data.index import DatasetIndex, build_index
from gliomask.models import checkpoint, registry
from gliomask.models.padding import PaddedSegmenter
from gliomask.training import fit as fit_module
from gliomask.training.fit import FitOptions, fit
from gliomask.training.run_folder import RunFolder

QUIET = FitOptions(progress=False)
RESUME = FitOptions(resume=True, progress=False)


class TinyNet(PaddedSegmenter):
    """Two convolutions with batch norm between them; trained, saved and exported like any other network."""

    stride = 1

    def __init__(self) -> None:
        super().__init__()
        layers = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 1)
        self.layers = nn.Sequential(*layers)

    def segment(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits


class WideNet(TinyNet):
    """Three convolutions, so wide that a file of it is mostly weights; the middle one can become 8-bit integers."""

    def __init__(self) -> None:
        super().__init__()
        middle = nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()
        self.layers = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), *middle, nn.Conv2d(64, 1, 1))


def use_tiny_net(monkeypatch: pytest.MonkeyPatch, name: str = "unet", net: type[TinyNet] = TinyNet) -> None:
    """Let a name of the registry be that of the tiny network, or of another one of this module."""
    models = {**registry.MODELS, name: replace(registry.MODELS[name], build=lambda _: net())}
    monkeypatch.setattr(registry, "MODELS", models)
    monkeypatch.setattr(checkpoint, "MODELS", models)


def tiny_index(root: Path, patients: int = 5) -> DatasetIndex:
    """Write patients of four slices of 32 x 32 pixels and return their index."""
    tiny_dataset(root, patients=patients, slices=4, size=32)
    return build_index(root, use_cache=False)


def tiny_config(model: Any = "unet", seed: int = 0, **optimisation: Any) -> TrainConfig:
    """Return settings for an epoch of three batches on a CPU, in the default recipe's manner."""
    values: dict[str, Any] = {
        "epochs": 2,
        "batch_size": 4,
        "empty_ratio": 0.0,
        "average": 0.9,
        "keep": "best",
    } | optimisation
    return TrainConfig(
        seed=seed,
        image_size=32,
        model=ModelConfig(model=model),
        split=SplitConfig(split_seed=1),
        optimisation=OptimisationConfig(**values),
        hardware=HardwareConfig(accelerator="cpu", precision="float32"),
    )


def train(
    index: DatasetIndex, config: TrainConfig, path: Path, options: FitOptions = QUIET, *, exported: bool = False
) -> RunFolder:
    """Train, by default without the export, which takes longer than all the rest."""
    with pytest.MonkeyPatch.context() as patch:
        if not exported:
            patch.setattr(fit_module, "export", lambda *_: _NoContract())
        return fit(index, config, RunFolder(path), options)


class _NoContract:
    temperature = 1.0
    scores = {"validation_dice": 0.0}  # noqa: RUF012 - never changed


class Killed(BaseException):
    """The process is gone; nothing may catch this."""


def killed_at(call: int, of: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does what another does, until a call at which the process is gone."""
    calls = 0

    def dying(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Killed
        return of(*arguments, **named)

    return dying


def tensors_of(path: Path) -> dict[str, Tensor]:
    """Return every tensor of a safetensors file by name."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping


def same_tensors(one: Path, other: Path) -> bool:
    """Say whether two files hold the same tensors, bit by bit."""
    first, second = tensors_of(one), tensors_of(other)
    return set(first) == set(second) and all(torch.equal(first[name], second[name]) for name in first)


def metrics_but_time(run: RunFolder) -> list[dict[str, float]]:
    """Return metrics.csv without the column that tells how long an epoch took."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in run.metrics()]


def same_run(one: RunFolder, other: RunFolder) -> bool:
    """Say whether two runs learned the same, bit by bit: state, best weights and every number of the metrics."""
    equal = same_tensors(one.last, other.last) and same_tensors(one.best, other.best)
    return equal and metrics_but_time(one) == metrics_but_time(other) != []
