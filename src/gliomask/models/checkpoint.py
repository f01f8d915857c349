"""A trained network as one safetensors file that rebuilds itself. Knows nothing of optimisers, data or ONNX."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from gliomask.errors import ModelFileError, UsageError
from gliomask.models.catalogue import resolve_name
from gliomask.models.padding import PaddedSegmenter
from gliomask.models.registry import MODELS
from gliomask.models.tensors import write_tensors

FORMAT_VERSION = 1
_KEY = "gliomask"
_CURE = "export or train the model again"


def save_weights(path: Path, model: nn.Module, *, name: str, extra: Mapping[str, Any]) -> None:
    """Write a network's weights and what is needed to rebuild it.

    Parameters
    ----------
    path
        File to write, ``*.safetensors``; appears only when it is whole.
    model
        The network itself, on any device (not a compiled, averaged or distributed wrapper of it).
    name
        Its name or short name in the catalogue.
    extra
        Anything else that is JSON: settings, epoch, scores.

    Raises
    ------
    UsageError
        If the name is unknown.
    ValueError
        If the network is not the one of that name, so that the file could never be loaded, or `extra` is not JSON.
    OSError
        If the file cannot be written.
    """
    name, stride_in_1x1 = resolve_name(name), bool(getattr(model, "stride_in_1x1", False))
    state = model.state_dict()
    problem = _misfit(state, _skeleton(name, stride_in_1x1).state_dict())
    if problem:
        raise ValueError(f"the network to save is not {name}: {problem}")
    metadata = {"format_version": FORMAT_VERSION, "model": name, "stride_in_1x1": stride_in_1x1, "extra": dict(extra)}
    try:
        text = json.dumps(metadata, allow_nan=False)
    except TypeError as error:
        raise ValueError(f"extra is not JSON: {error}") from error
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    write_tensors(tensors, path, {_KEY: text})


def load_model(path: Path) -> tuple[PaddedSegmenter, dict[str, Any]]:
    """Rebuild the network of a file that `save_weights` wrote, without network access or pickle.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    model
        In evaluation mode, on the CPU.
    metadata
        ``format_version`` (int), ``model`` (full name), ``stride_in_1x1`` (bool) and ``extra`` (dict).

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, foreign, of a newer format, or does not hold every tensor of its network.
    """
    metadata, tensors = _read(path)
    model = _skeleton(metadata["model"], metadata["stride_in_1x1"])
    problem = _misfit(tensors, model.state_dict())
    if problem:
        raise ModelFileError(f"{path}: not the weights of {metadata['model']} ({problem}); {_CURE}")
    model.load_state_dict(tensors, strict=True, assign=True)
    return model.eval(), metadata


def _skeleton(name: str, stride_in_1x1: bool) -> PaddedSegmenter:
    """Build a network without memory for its weights, and without drawing random numbers."""
    with torch.device("meta"):
        return MODELS[name].build(stride_in_1x1)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file; expected the weights of a trained model; check the path")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = _checked_metadata(path, file.metadata() or {})
            # copies: tensors of an open file are views of it, and would change with it
            tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path}: damaged or not a safetensors file ({error}); {_CURE}") from error
    return metadata, tensors


def _checked_metadata(path: Path, stored: Mapping[str, str]) -> dict[str, Any]:
    try:
        metadata = json.loads(stored.get(_KEY, "null"))
    except ValueError as error:
        raise ModelFileError(f"{path}: its metadata is not JSON ({error}); {_CURE}") from error
    if not isinstance(metadata, dict):
        raise ModelFileError(
            f"{path}: a safetensors file without gliomask's metadata; expected the weights of a trained model "
            "(encoder weights belong to --encoder-weights)"
        )
    if metadata.get("format_version") != FORMAT_VERSION:
        version = metadata.get("format_version")
        raise ModelFileError(f"{path}: format version {version!r}; expected {FORMAT_VERSION}; upgrade gliomask")
    kinds = {"model": str, "stride_in_1x1": bool, "extra": dict}
    for field, kind in kinds.items():
        if not isinstance(metadata.get(field), kind):
            raise ModelFileError(f"{path}: {field} is {metadata.get(field)!r}; expected {kind.__name__}; {_CURE}")
    try:
        metadata["model"] = resolve_name(metadata["model"])
    except UsageError as error:
        raise ModelFileError(f"{path}: {error}; upgrade gliomask") from error
    return metadata


def _misfit(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str | None:
    """Say how the first tensor differs in name, shape or type, or None if all agree."""
    for key in sorted({*found, *expected}):
        if key not in found or key not in expected:
            return f"{key} is {'missing' if key in expected else 'unexpected'}"
        if (found[key].shape, found[key].dtype) != (expected[key].shape, expected[key].dtype):
            return f"{key} is {tuple(found[key].shape)} {found[key].dtype}, not {tuple(expected[key].shape)} float32"
    return None
