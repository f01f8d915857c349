"""The full state of a training in one safetensors file: tensors as tensors, everything else as JSON in its header.

Takes the place of Lightning's pickled checkpoints. Written under a temporary name and renamed, so a kill leaves the
state before. Knows nothing of what the state means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gliomask.errors import ModelFileError
from gliomask.models.tensors import write_tensors

_KEY = "gliomask_training_state"


def encode(value: Any, tensors: dict[str, Tensor], name: str = "") -> Any:
    """Turn nested state into JSON values, putting its tensors into ``tensors``.

    Raises
    ------
    TypeError
        If the state holds anything but tensors, numbers, strings, None, lists, tuples and mappings.
    """
    if isinstance(value, Tensor):
        name = f"{len(tensors)}{name}"  # keys 1 and "1", or "a/b" and "b" in "a", would have the same name
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [encode(item, tensors, f"{name}/{number}") for number, item in enumerate(value)]}
    if isinstance(value, Mapping):
        items = [[encode(key, tensors), encode(item, tensors, f"{name}/{key}")] for key, item in value.items()]
        return {"mapping": items}
    raise TypeError(f"{name} is a {type(value).__name__}, which a training state cannot hold")


def decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Undo `encode`."""
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "mapping":
        return {decode(key, tensors): decode(item, tensors) for key, item in content}
    items = [decode(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Write nested state to one file.

    Raises
    ------
    TypeError
        If the state holds something that is neither a tensor nor a plain value.
    OSError
        If the file cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    header = json.dumps(encode(dict(state), tensors))
    write_tensors(tensors, path, {_KEY: header})


def load_state(path: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Read what `save_state` wrote.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, or holds something else.
    """
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            header = (file.metadata() or {})[_KEY]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        state: dict[str, Any] = decode(json.loads(header), tensors)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ModelFileError(
            f"{path}: not a training state ({error}); expected last.safetensors of a run; train anew without --resume"
        ) from error
    return state


class SafetensorsCheckpointIO(CheckpointIO):
    """Lets Lightning save and load its checkpoints through `save_state` and `load_state`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint; ``storage_options`` is not used."""
        save_state(checkpoint, Path(path))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint to the CPU; Lightning moves it to where it belongs."""
        return load_state(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)
