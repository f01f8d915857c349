"""Runs an exported network: ONNX Runtime, or OpenVINO where it is installed. Knows nothing of images or thresholds."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from gliomask.config import DeviceName, EngineName, PredictionPrecision
from gliomask.errors import MissingExtraError, ModelFileError, UsageError

INPUT, OUTPUT = "slices", "logits"


class Engine(Protocol):
    """A network, loaded once.

    Its input is (B, 3, size, size) float32, its output (B, 1, size, size) float32.
    """

    @property
    def name(self) -> str:
        """Name and precision, for a summary."""

    @property
    def image_size(self) -> int:
        """Side of the slices that the network takes, in pixels."""

    def logits(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (S, size, size) float32 logits of (S, 3, size, size) float32 network input."""


def load_engine(
    path: Path,
    engine: EngineName = "auto",
    *,
    precision: PredictionPrecision = "auto",
    device: DeviceName = "cpu",
    batch_size: int = 8,
    threads: int = 0,
) -> Engine:
    """Load an exported network.

    Parameters
    ----------
    path
        ONNX file with input ``slices`` (B, 3, size, size) float32 and output ``logits`` (B, 1, size, size) float32.
    engine
        ``auto`` takes OpenVINO where it is installed and the processor multiplies matrices of bfloat16 (AMX or
        AVX-512), which it then uses; ONNX Runtime everywhere else, and where float32 is asked for. See
        docs/prediction.md.
    precision
        ``float32`` keeps OpenVINO from bfloat16. ``int8`` says that the file is a network with 8-bit integers
        (`gliomask.models.int8`), for the processor; what is left of it in float32 stays that.
    device
        ``cuda`` needs ONNX Runtime's GPU package in place of the ordinary one.
    batch_size
        Slices computed at once.
    threads
        Processor threads; 0 takes one for each core.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, or has other inputs or outputs.
    MissingExtraError
        If OpenVINO is asked for and not installed.
    UsageError
        If there is no such engine, or the device is not to be had.
    """
    if engine not in get_args(EngineName):
        raise UsageError(f"engine {engine!r}; expected one of {', '.join(get_args(EngineName))}")
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file; expected an exported model; see `gliomask export`")
    if device == "cuda":
        if engine == "openvino":
            raise UsageError("OpenVINO does not compute on CUDA devices; expected --engine onnxruntime")
        if precision == "int8":
            raise UsageError("8-bit integers are for the processor; expected no --precision int8 with --device cuda")
        return OnnxEngine(path, provider=_cuda_provider(), batch_size=batch_size, threads=threads)
    if engine == "openvino" or (engine == "auto" and precision != "float32" and _openvino_has_bfloat16()):
        return OpenVinoEngine(path, precision=precision, batch_size=batch_size, threads=threads)
    return OnnxEngine(path, precision=precision, batch_size=batch_size, threads=threads)


class OnnxEngine:
    """ONNX Runtime; see `load_engine`."""

    def __init__(
        self,
        path: Path,
        *,
        precision: PredictionPrecision = "auto",
        provider: str = "CPUExecutionProvider",
        batch_size: int = 8,
        threads: int = 0,
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=[provider])
        except Exception as error:  # the runtime has an exception class for each of its status codes
            raise ModelFileError(
                f"{path}: ONNX Runtime cannot load it ({type(error).__name__}); expected a model that gliomask exported"
            ) from error
        if provider not in self._session.get_providers():  # it goes on without a word on the processor
            raise UsageError(
                "ONNX Runtime found no CUDA device that it can use; expected driver, CUDA and cuDNN of its version"
            )
        _check_names(path, [item.name for item in (*self._session.get_inputs(), *self._session.get_outputs())])
        device = "cuda" if provider.startswith("CUDA") else "cpu"
        self.name = f"ONNX Runtime, {device}, {'int8' if precision == 'int8' else 'float32'}"
        self.image_size = int(self._session.get_inputs()[0].shape[3])
        self._batch_size = batch_size

    def logits(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (S, size, size) float32 logits of (S, 3, size, size) float32 network input."""
        parts = [
            self._session.run([OUTPUT], {INPUT: slices[start : start + self._batch_size]})[0][:, 0]
            for start in range(0, len(slices), self._batch_size)
        ]
        return np.concatenate(parts)


class OpenVinoEngine:
    """OpenVINO on the processor, in bfloat16 where the processor multiplies matrices of it; see `load_engine`."""

    def __init__(
        self, path: Path, *, precision: PredictionPrecision = "auto", batch_size: int = 8, threads: int = 0
    ) -> None:
        core = _openvino_core()
        bfloat16 = precision == "auto" and _has_bfloat16(core)
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
            **({"INFERENCE_NUM_THREADS": threads} if threads else {}),
        }
        try:
            compiled = core.compile_model(path, "CPU", settings)
        except RuntimeError as error:
            raise ModelFileError(
                f"{path}: OpenVINO cannot load it ({type(error).__name__}); expected a model that gliomask exported"
            ) from error
        _check_names(path, [port.get_any_name() for port in (*compiled.inputs, *compiled.outputs)])
        self.name = f"OpenVINO, cpu, {'bfloat16' if bfloat16 else 'int8' if precision == 'int8' else 'float32'}"
        self.image_size = int(compiled.inputs[0].get_partial_shape()[3].get_length())
        self._request, self._batch_size = compiled.create_infer_request(), batch_size

    def logits(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (S, size, size) float32 logits of (S, 3, size, size) float32 network input."""
        parts = [
            self._request.infer({INPUT: slices[start : start + self._batch_size]})[0][:, 0].astype(np.float32)
            for start in range(0, len(slices), self._batch_size)
        ]
        return np.concatenate(parts)


def _check_names(path: Path, names: list[str]) -> None:
    if names != [INPUT, OUTPUT]:
        raise ModelFileError(f"{path}: inputs and outputs are {names}; expected {INPUT} and {OUTPUT}; export again")


def _cuda_provider() -> str:
    name = "CUDAExecutionProvider"
    if name not in onnxruntime.get_available_providers():
        raise UsageError("ONNX Runtime here knows no CUDA; expected the package onnxruntime-gpu instead of onnxruntime")
    return name


def _openvino_core() -> Any:
    try:
        from openvino import Core  # noqa: PLC0415 - a large package that few need
    except ModuleNotFoundError as error:
        raise MissingExtraError("openvino", "openvino") from error
    return Core()


def _openvino_has_bfloat16() -> bool:
    return find_spec("openvino") is not None and _has_bfloat16(_openvino_core())


def _has_bfloat16(core: Any) -> bool:
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
