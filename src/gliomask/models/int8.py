"""An exported network with 8-bit integers inside, for processors that multiply those fastest. Knows no run folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator
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
    which see the image and make the logits, stay in float32.

    Parameters
    ----------
    exported
        An ONNX file of float32, input ``slices``.
    examples
        (S, 3, size, size) float32, network input like that which is to come.

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
            return small.read_bytes()
    except Exception as error:  # the quantiser has no exception class of its own
        raise ModelFileError(
            f"the network cannot be quantised ({type(error).__name__}: {error}); expected an exported network"
        ) from error
    finally:
        logger.setLevel(level)


def _batches(examples: NDArray[np.float32]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(examples), _AT_ONCE):
        yield {"slices": examples[start : start + _AT_ONCE]}
