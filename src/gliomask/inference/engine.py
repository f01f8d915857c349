"""Runs an exported network with ONNX Runtime. Knows nothing of images, sizes or thresholds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from gliomask.errors import ModelFileError


class OnnxEngine:
    """One network, loaded once.

    Parameters
    ----------
    path
        ONNX file with input ``slices`` (B, 3, size, size) float32 and output ``logits`` (B, 1, size, size) float32.
    batch_size
        Slices computed at once.
    threads
        Processor threads; 0 takes one for each core.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, or has other inputs or outputs.
    """

    def __init__(self, path: Path, *, batch_size: int = 8, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        if not path.is_file():
            raise ModelFileError(f"{path}: no such file; expected an exported model; see `gliomask export`")
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime has an exception class for each of its status codes
            raise ModelFileError(
                f"{path}: ONNX Runtime cannot load it ({type(error).__name__}); expected a model that gliomask exported"
            ) from error
        names = [item.name for item in (*self._session.get_inputs(), *self._session.get_outputs())]
        if names != ["slices", "logits"]:
            raise ModelFileError(f"{path}: inputs and outputs are {names}; expected slices and logits; export again")
        self._batch_size = batch_size

    @property
    def image_size(self) -> int:
        """Side of the slices that the network takes, in pixels."""
        return int(self._session.get_inputs()[0].shape[3])

    def logits(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (S, size, size) float32 logits of (S, 3, size, size) float32 network input."""
        parts = [
            self._session.run(["logits"], {"slices": slices[start : start + self._batch_size]})[0][:, 0]
            for start in range(0, len(slices), self._batch_size)
        ]
        return np.concatenate(parts)
