"""Weights in and out of an exported file: half the size for shipping, and back into a network. Knows no run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from gliomask.errors import ModelFileError, UsageError
from gliomask.files import file_sha256
from gliomask.models.catalogue import resolve_name
from gliomask.models.padding import PaddedSegmenter
from gliomask.models.registry import model_spec
from gliomask.models.resnet import with_inputs
from gliomask.models.trained import contract_of, find_model

_HALF = ".float16"
_FIRST = "encoder.conv1.weight"


def halve(exported: bytes) -> bytes:
    """Return an exported network whose convolution weights are kept as float16, about half the size.

    The runtime turns them into float32 once, when it loads the file; it computes as before.

    Parameters
    ----------
    exported
        An ONNX file of float32.
    """
    model = onnx.load_from_string(exported)
    weights, casts = [], []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.ndim == 4:
            weights.append(numpy_helper.from_array(values.astype(np.float16), tensor.name + _HALF))
            casts.append(helper.make_node("Cast", [tensor.name + _HALF], [tensor.name], to=TensorProto.FLOAT))
        else:
            weights.append(tensor)
    nodes = [*casts, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(weights)
    model.graph.node.extend(nodes)
    halved: bytes = model.SerializeToString()
    return halved


def load_trained(source: Path | str, architecture: str) -> PaddedSegmenter:
    """Rebuild a trained network to train on, from its exported file alone.

    Parameters
    ----------
    source
        A model as for `gliomask.models.trained.find_model`.
    architecture
        Name of the network that is to be trained, of `gliomask.models.catalogue`.

    Returns
    -------
    PaddedSegmenter
        In training mode; float32, also where the file holds half precision.

    Raises
    ------
    UsageError
        If there is no such model, or it is another network, and not what a 2.5D network is without neighbours.
    ModelFileError
        If the file is damaged or lacks weights, or its model.json is of other ones.
    """
    path, contract, spec = find_model(source), contract_of(source), model_spec(architecture)
    own = resolve_name(contract.architecture)
    if own not in {spec.name, spec.single}:
        raise UsageError(f"{source} is a {own}, not a {spec.name}; expected --model {own}")
    if file_sha256(path) != contract.onnx_sha256:
        raise ModelFileError(f"{path}: its model.json is of other weights; expected files that were exported together")
    stride_in_1x1 = bool(contract.training.get("stride_in_1x1", False))
    trained = model_spec(own).build(stride_in_1x1)
    _read_weights(path, trained)
    if own == spec.name:
        return trained
    model, state = spec.build(stride_in_1x1), trained.state_dict()
    state[_FIRST] = with_inputs(state[_FIRST], spec.inputs)
    model.load_state_dict(state, strict=True)
    return model


def _read_weights(path: Path, net: nn.Module) -> None:
    """Load the weights of an exported file into a network of the same kind.

    Batch norm's counter of batches, which an exported file does not hold, starts at 0.

    Raises
    ------
    ModelFileError
        If the file cannot be read, or lacks a weight or holds one of another shape.
    """
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's own class is no part of its interface
        raise ModelFileError(f"{path}: not an ONNX file ({type(error).__name__}); copy or export it again") from error
    found = {tensor.name.removesuffix(_HALF): tensor for tensor in model.graph.initializer}
    state: dict[str, Any] = {}
    for name, tensor in net.state_dict().items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.zeros_like(tensor)
        elif name not in found or tuple(found[name].dims) != tuple(tensor.shape):
            raise ModelFileError(f"{path}: lacks {name} of shape {tuple(tensor.shape)}; export the model again")
        else:
            state[name] = torch.from_numpy(numpy_helper.to_array(found[name]).astype(np.float32))
    net.load_state_dict(state, strict=True)
