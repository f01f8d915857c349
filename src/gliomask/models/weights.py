"""Where an encoder's pretrained weights come from, and whether they fit. Knows nothing of decoders or training."""

from __future__ import annotations

import http.client
import pickle
import shutil
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gliomask.data.index_cache import cache_folder
from gliomask.errors import WeightsError
from gliomask.files import file_sha256, whole_file
from gliomask.models.resnet import ENCODER_SIZES, ResNetEncoder

DOWNLOAD_URL = "https://download.pytorch.org/models/"
PUBLIC_FILES: Mapping[str, str] = MappingProxyType(
    {
        "resnet18": "resnet18-f37072fd.pth",
        "resnet34": "resnet34-b627a593.pth",
        "resnet50": "resnet50-0676ba61.pth",
        "resnext50_32x4d": "resnext50_32x4d-7cdf4587.pth",
    }
)
"""torchvision's ImageNet weights; the eight digits in a name begin the file's SHA-256."""

_TIMEOUT_SECONDS = 30
_COUNTER = ".num_batches_tracked"
_NAMED_AT_MOST = 3


@dataclass(frozen=True)
class EncoderWeights:
    """Weights that fit an encoder exactly."""

    architecture: str
    """Name in `gliomask.models.resnet.ENCODER_SIZES`."""
    tensors: Mapping[str, Tensor]
    """Every parameter and buffer by torchvision's name; floats are float32. No classifier."""
    stride_in_1x1: bool
    """Whether they were trained in the v1 layout (see `gliomask.models.resnet`)."""


def encoder_state(architecture: str, source: str) -> EncoderWeights | None:
    """Return pretrained weights of an encoder.

    Parameters
    ----------
    architecture
        One of `gliomask.models.resnet.ENCODER_SIZES`.
    source
        ``none``; ``imagenet`` (torchvision's public weights, downloaded once into the cache); or the path of a
        .safetensors or .pth file under torchvision's names, with or without the classifier. A safetensors file whose
        metadata says ``architecture: resnet50-v1`` has the v1 layout, every other file the v1.5 layout.

    Returns
    -------
    EncoderWeights or None
        None for ``none``.

    Raises
    ------
    WeightsError
        If the weights can neither be found nor downloaded, or do not fit the architecture in every name and shape.
    """
    if source == "none":
        return None
    path = fetch_weights(architecture, cache_folder() / "weights") if source == "imagenet" else Path(source)
    tensors, layout = _read(path)
    tensors = {name: _as_float32(tensor) for name, tensor in tensors.items() if not name.startswith("fc.")}
    _add_counters(tensors, architecture)
    problems = _differences(tensors, architecture)
    if problems:
        raise WeightsError(
            f"{path}: not the weights of {architecture} ({'; '.join(problems)}); {_seems(tensors)}; "
            f"give the weights of {architecture}, or --encoder-weights none"
        )
    return EncoderWeights(architecture, MappingProxyType(tensors), _stride_in_1x1(path, layout, architecture))


def fetch_weights(architecture: str, folder: Path) -> Path:
    """Return torchvision's ImageNet weights of an encoder as a file, downloading it unless a whole copy is there.

    Proxies in the environment (https_proxy, no_proxy) are respected. The file appears under its name only after its
    checksum was verified; a damaged copy is downloaded again.

    Parameters
    ----------
    architecture
        One of `PUBLIC_FILES`.
    folder
        Where downloads are kept.

    Raises
    ------
    WeightsError
        If the file cannot be downloaded or stored, or has the wrong checksum; the message says what to do.
    """
    if architecture not in PUBLIC_FILES:
        raise WeightsError(f"no public weights for {architecture!r}; expected one of {', '.join(PUBLIC_FILES)}")
    name = PUBLIC_FILES[architecture]
    target, url = folder / name, DOWNLOAD_URL + name
    cure = f"download {url} elsewhere and give it with --encoder-weights FILE, or start without: --encoder-weights none"
    try:
        if target.is_file() and _has_named_checksum(target, name):
            return target
        with whole_file(target) as part:
            _download(url, part)
            if not _has_named_checksum(part, name):
                raise WeightsError(f"{url}: what came has the wrong checksum ({part.stat().st_size} bytes); {cure}")
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(f"{url}: cannot be downloaded to {folder} ({error}); {cure}") from error
    return target


def _download(url: str, target: Path) -> None:
    response = urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS)  # noqa: S310 - https, see DOWNLOAD_URL
    with response, target.open("wb") as file:
        shutil.copyfileobj(response, file)


def _has_named_checksum(path: Path, name: str) -> bool:
    return file_sha256(path).startswith(name.removesuffix(".pth").rpartition("-")[2])


def _read(path: Path) -> tuple[dict[str, Tensor], str | None]:
    """Return the tensors of a file and the architecture that its metadata names."""
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such file; --encoder-weights takes imagenet, none, or a .safetensors or .pth file"
        )
    if path.suffix not in {".safetensors", ".pth"}:
        raise WeightsError(
            f"{path}: files of type {path.suffix or '(none)'} are not read; expected .safetensors or .pth"
        )
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
                return tensors, (file.metadata() or {}).get("architecture")
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{path}: damaged, or not a file of plain tensors ({reason}); download it again") from error
    if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise WeightsError(f"{path}: holds {type(loaded).__name__}; expected a plain mapping of names to tensors")
    return {str(name): value for name, value in loaded.items()}, None


def _as_float32(tensor: Tensor) -> Tensor:
    return tensor.detach().float() if tensor.is_floating_point() else tensor


@lru_cache(maxsize=len(ENCODER_SIZES))
def _expected_shapes(architecture: str) -> Mapping[str, tuple[int, ...]]:
    with torch.device("meta"):
        encoder = ResNetEncoder(architecture)
    return {name: tuple(tensor.shape) for name, tensor in encoder.state_dict().items()}


def _add_counters(tensors: dict[str, Tensor], architecture: str) -> None:
    """Give files older than batch norm's counters (PyTorch 0.4) zeros for them; a fixed momentum never reads them."""
    if not any(name.endswith(_COUNTER) for name in tensors):
        counters = (name for name in _expected_shapes(architecture) if name.endswith(_COUNTER))
        tensors.update({name: torch.tensor(0) for name in counters})


def _differences(tensors: Mapping[str, Tensor], architecture: str) -> list[str]:
    expected = _expected_shapes(architecture)
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    reshaped = [
        f"{name} is {found[name]} instead of {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    groups = (
        ("missing", [name for name in expected if name not in found]),
        ("unexpected", [name for name in found if name not in expected]),
        ("shape", reshaped),
    )
    return [f"{kind}: {_first_few(names)}" for kind, names in groups if names]


def _first_few(names: list[str]) -> str:
    rest = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {rest} more" if rest > 0 else "")


def _seems(tensors: Mapping[str, Tensor]) -> str:
    """Say which encoder the parameters belong to, by name and shape."""
    parameters = {name: tuple(tensor.shape) for name, tensor in tensors.items() if not name.endswith(_COUNTER)}
    for architecture in ENCODER_SIZES:
        expected = _expected_shapes(architecture)
        if parameters == {name: shape for name, shape in expected.items() if not name.endswith(_COUNTER)}:
            return f"the file seems to hold {architecture}"
    return f"the file seems to hold none of {', '.join(ENCODER_SIZES)}"


def _stride_in_1x1(path: Path, layout: str | None, architecture: str) -> bool:
    known = {None: False, architecture: False, f"{architecture}-v1.5": False, f"{architecture}-v1": True}
    if layout not in known:
        names = ", ".join(name for name in known if name)
        raise WeightsError(f"{path}: its metadata says architecture {layout!r}; expected one of {names}, or nothing")
    return bool(known[layout])
