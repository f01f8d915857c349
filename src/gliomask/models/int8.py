"""An exported network with 8-bit integers inside, for processors that multiply those fastest. Knows no run folder."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from gliomask.errors import ModelFileError
from gliomask.models.runtimes import import_onnxruntime

__all__ = ["quantise"]

_AT_ONCE = 4


def quantise(exported: bytes, examples: NDArray[np.float32]) -> bytes:
    """Return an exported network that computes with 8-bit integers, a quarter of the size.

    Static quantisation after training (Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference): weights symmetric, a scale for each output channel; activations with the range
    that they have on the examples. Weights use 7 of the 8 bits, so that two products always fit into the 16 bits in
    which processors without VNNI add them up: the network answers alike on all. The first and the last convolution,
    which see the image and make the logits, stay in float32. What a convolution adds to a shortcut is not rounded
    before the sum: OpenVINO never rounds it, and ONNX Runtime is to make the same mask.

    Parameters
    ----------
    exported
        An ONNX file of float32, input ``slices``.
    examples
        (S, C, size, size) float32, network input like that which is to come.

    Raises
    ------
    ModelFileError
        If the file is damaged, or the network cannot be quantised.
    """
    import_onnxruntime()
    from onnxruntime.quantization import (  # noqa: PLC0415 - not before the line above
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # the package has no types
        batches = _batches(examples)

        def get_next(self) -> dict[str, Any] | None:
            return next(self.batches, None)

    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # the quantiser warns of what has been done: folding before it
    try:
        with TemporaryDirectory() as folder:
            whole, folded, small = (Path(folder) / f"{name}.onnx" for name in ("whole", "folded", "small"))
            whole.write_bytes(exported)
            quant_pre_process(whole, folded, skip_symbolic_shape=True)
            convolutions = [node.name for node in onnx.load(folded).graph.node if node.op_type == "Conv"]
            quantize_static(
                folded,
                small,
                Reader(),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=True,
                calibrate_method=CalibrationMethod.MinMax,
                nodes_to_exclude=[convolutions[0], convolutions[-1]] if convolutions else [],
            )
            network = onnx.load(small)
            _add_unrounded(network.graph)
            return bytes(network.SerializeToString())
    except Exception as error:  # the quantiser has no exception class of its own
        raise ModelFileError(
            f"the network cannot be quantised ({type(error).__name__}: {error}); expected an exported network"
        ) from error
    finally:
        logger.setLevel(level)


def _add_unrounded(graph: onnx.GraphProto) -> None:
    """Leave out the rounding to 8 bits between a convolution and an addition, for one term of each."""
    maker = {output: node for node in graph.node for output in node.output}
    takers = Counter(name for node in graph.node for name in node.input)
    for addition in [node for node in graph.node if node.op_type == "Add"]:
        for position, term in enumerate(addition.input):
            rounding = _rounding(maker, term)
            if rounding and takers[term] == 1:
                addition.input[position] = rounding[0].input[0]
                for node in rounding:
                    graph.node.remove(node)
                break
    used = {name for node in graph.node for name in node.input}
    for constant in [each for each in graph.initializer if each.name not in used]:
        graph.initializer.remove(constant)


def _rounding(maker: Mapping[str, onnx.NodeProto], term: str) -> list[onnx.NodeProto]:
    """Return the two nodes that round what a convolution gave before it is called `term`; none if it is not so."""
    found: list[onnx.NodeProto] = []
    for kind in ("DequantizeLinear", "QuantizeLinear", "Conv"):
        node = maker.get(term)
        if node is None or node.op_type != kind:
            return []
        found.insert(0, node)
        term = node.input[0]
    return found[1:]


def _batches(examples: NDArray[np.float32]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(examples), _AT_ONCE):
        yield {"slices": examples[start : start + _AT_ONCE]}
