"""Runs an exported network: ONNX Runtime, or OpenVINO where it is installed. Knows nothing of images or thresholds."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from gliomask.config import DeviceName, EngineName, PredictionPrecision
from gliomask.data.index_cache import cache_folder
from gliomask.errors import EngineError, ModelFileError, UsageError
from gliomask.files import file_sha256, whole_file
from gliomask.models.runtimes import import_onnxruntime, import_openvino

INPUT, OUTPUT = "slices", "logits"
_CPUINFO = Path("/proc/cpuinfo")
_DIGEST = 32  # bytes of a SHA-256
_KEPT = 16  # compiled networks of OpenVINO, the newest


class Engine(Protocol):
    """A network, loaded once.

    Its input is (B, C, size, size) float32 (C: the channels of model.json), its output (B, 1, size, size) float32.
    """

    @property
    def name(self) -> str:
        """Name and precision, for a summary."""

    @property
    def image_size(self) -> int:
        """Side of the slices that the network takes, in pixels."""

    def logits(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (S, size, size) float32 logits of (S, C, size, size) float32 network input."""


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
        ONNX file with input ``slices`` (B, C, size, size) float32 and output ``logits`` (B, 1, size, size) float32.
    engine
        ``auto`` takes OpenVINO for bfloat16, and for 8-bit integers where it is installed; ONNX Runtime otherwise.
    precision
        ``auto`` is bfloat16 where OpenVINO is installed (and not ruled out by `engine`) and the processor has AMX,
        which multiplies it many times as fast; float32 everywhere else, so that masks are the same on all processors.
        ``bfloat16`` needs OpenVINO. ``int8`` says that the file is a network with 8-bit integers
        (`gliomask.models.int8`); what is left of it in float32 stays that. See docs/prediction.md.
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
        If there is no such engine or precision, the engine or the processor does not have the precision, or the device
        is not to be had.
    """
    for what, value, known in (("engine", engine, EngineName), ("precision", precision, PredictionPrecision)):
        if value not in get_args(known):
            raise UsageError(f"{what} {value!r}; expected one of {', '.join(get_args(known))}")
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file; expected an exported model; see `gliomask export`")
    if device == "cuda":
        if engine == "openvino":
            raise UsageError("OpenVINO does not compute on CUDA devices; expected --engine onnxruntime")
        if precision in {"bfloat16", "int8"}:
            raise UsageError(
                f"{precision} is for the processor; expected no --precision {precision} with --device cuda"
            )
        return OnnxEngine(path, provider=_cuda_provider(), batch_size=batch_size, threads=threads)
    engine, precision = _chosen(engine, precision)
    if engine == "openvino":
        return OpenVinoEngine(path, precision=precision, batch_size=batch_size, threads=threads)
    return OnnxEngine(path, precision=precision, batch_size=batch_size, threads=threads)


def _chosen(engine: EngineName, precision: PredictionPrecision) -> tuple[EngineName, PredictionPrecision]:
    """Return what `load_engine` takes on the processor where something is left to it."""
    if precision == "auto":
        precision = "bfloat16" if engine != "onnxruntime" and _has_openvino() and has_amx() else "float32"
    if precision == "bfloat16" and engine == "onnxruntime":
        raise UsageError("ONNX Runtime does not compute in bfloat16 here; expected --engine openvino or auto")
    if engine == "auto":
        small = precision == "bfloat16" or (precision == "int8" and _has_openvino())
        engine = "openvino" if small else "onnxruntime"
    return engine, precision


class OnnxEngine:
    """ONNX Runtime; see `load_engine`."""

    def __init__(
        self,
        path: Path,
        *,
        precision: PredictionPrecision = "float32",
        provider: str = "CPUExecutionProvider",
        batch_size: int = 8,
        threads: int = 0,
    ) -> None:
        onnxruntime = import_onnxruntime()
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
        self.name = f"ONNX Runtime, {device}, {precision}"
        self.image_size = int(self._session.get_inputs()[0].shape[3])
        self._batch_size = batch_size

    def logits(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (S, size, size) float32 logits of (S, C, size, size) float32 network input."""
        with _failing_as(self.name):
            parts = [
                self._session.run([OUTPUT], {INPUT: slices[start : start + self._batch_size]})[0][:, 0]
                for start in range(0, len(slices), self._batch_size)
            ]
        return np.concatenate(parts)


class OpenVinoEngine:
    """OpenVINO on the processor; see `load_engine`."""

    def __init__(
        self, path: Path, *, precision: PredictionPrecision = "float32", batch_size: int = 8, threads: int = 0
    ) -> None:
        core = import_openvino().Core()
        if precision == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise UsageError("this processor does not multiply bfloat16; expected --precision float32, int8 or auto")
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
            **({"INFERENCE_NUM_THREADS": threads} if threads else {}),
        }
        try:
            compiled = _compiled(core, path, settings)
        except RuntimeError as error:
            raise ModelFileError(
                f"{path}: OpenVINO cannot load it ({type(error).__name__}); expected a model that gliomask exported"
            ) from error
        _check_names(path, [port.get_any_name() for port in (*compiled.inputs, *compiled.outputs)])
        self.name = f"OpenVINO, cpu, {precision}"
        self.image_size = int(compiled.inputs[0].get_partial_shape()[3].get_length())
        self._request, self._batch_size = compiled.create_infer_request(), batch_size

    def logits(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (S, size, size) float32 logits of (S, C, size, size) float32 network input."""
        with _failing_as(self.name):
            parts = [
                self._request.infer({INPUT: slices[start : start + self._batch_size]})[0][:, 0].astype(np.float32)
                for start in range(0, len(slices), self._batch_size)
            ]
        return np.concatenate(parts)


@contextmanager
def _failing_as(engine: str) -> Iterator[None]:
    """Raise whatever a runtime raises while it computes as an error of ours; each has its own classes."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        told = " ".join(str(error).split())[:200]
        raise EngineError(
            f"{engine} could not compute the network ({type(error).__name__}: {told}); expected room in its memory; "
            "leave it to one program at a time, or take --device cpu"
        ) from error


def _compiled(core: Any, path: Path, settings: dict[str, Any]) -> Any:
    """Return a network that is ready to run; what takes longest of that is done once on a machine and kept.

    It is kept under everything that it depends on, behind its checksum, written whole or not at all, and made anew
    where it cannot be read.
    """
    on = [core.get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    told = json.dumps([file_sha256(path), import_openvino().get_version(), *map(str, on), settings], sort_keys=True)
    name = f"{hashlib.sha256(told.encode()).hexdigest()}.blob"
    with suppress(OSError, RuntimeError):  # RuntimeError also where there is no home directory
        content = (cache_folder() / "openvino" / name).read_bytes()
        if hashlib.sha256(content[_DIGEST:]).digest() == content[:_DIGEST]:
            return core.import_model(content[_DIGEST:], "CPU", settings)
    compiled = core.compile_model(path, "CPU", settings)
    with suppress(OSError, RuntimeError):  # nowhere to keep it: it is made every time
        folder = cache_folder() / "openvino"
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / name) as part:
            content = compiled.export_model().getvalue()
            part.write_bytes(hashlib.sha256(content).digest() + content)
        for old in sorted(folder.glob("*.blob"), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
            old.unlink()
    return compiled


def _check_names(path: Path, names: list[str]) -> None:
    if names != [INPUT, OUTPUT]:
        raise ModelFileError(f"{path}: inputs and outputs are {names}; expected {INPUT} and {OUTPUT}; export again")


def _cuda_provider() -> str:
    name = "CUDAExecutionProvider"
    if name not in import_onnxruntime().get_available_providers():
        raise UsageError("ONNX Runtime here knows no CUDA; expected the package onnxruntime-gpu instead of onnxruntime")
    return name


def _has_openvino() -> bool:
    return find_spec("openvino") is not None


def has_amx() -> bool:
    """Return whether the processor multiplies matrices of bfloat16 by themselves (AMX), as Linux tells."""
    try:
        return re.search(r"\bamx_bf16\b", _CPUINFO.read_text(encoding="utf-8")) is not None
    except OSError:
        return False
