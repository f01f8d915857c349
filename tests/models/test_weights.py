"""Pretrained weights: downloaded only whole, loaded only if they fit, and a way out where neither is possible."""

from __future__ import annotations

import hashlib
import io
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from gliomask.errors import UsageError, WeightsError
from gliomask.models import weights
from gliomask.models.registry import build_model
from gliomask.models.resnet import ResNetEncoder
from gliomask.models.weights import PUBLIC_FILES, encoder_state, fetch_weights


@cache
def state_of(architecture: str) -> dict[str, Tensor]:
    torch.manual_seed(3)
    return dict(ResNetEncoder(architecture).state_dict())


def resnet18() -> dict[str, Tensor]:
    return dict(state_of("resnet18"))


def offline(url: str, timeout: float) -> NoReturn:
    raise urllib.error.URLError("Name or service not known")


@pytest.fixture
def cache_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GLIOMASK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(urllib.request, "urlopen", offline)
    return tmp_path / "cache" / "weights"


# --- files


def test_none_means_no_weights() -> None:
    assert encoder_state("resnet18", "none") is None


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_of_a_file_reach_the_encoder(tmp_path: Path, suffix: str) -> None:
    path, state = tmp_path / f"weights{suffix}", resnet18()
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    encoder = build_model("resnet18", encoder_weights=str(path)).get_submodule("encoder").state_dict()
    assert encoder.keys() == state.keys()
    assert all(torch.equal(encoder[name], state[name]) for name in state)


def test_half_precision_is_widened_and_counters_kept(tmp_path: Path) -> None:
    half = {name: tensor.half() if tensor.ndim == 4 else tensor for name, tensor in resnet18().items()}
    save_file(half, tmp_path / "half.safetensors")
    loaded = encoder_state("resnet18", str(tmp_path / "half.safetensors"))
    assert loaded is not None
    assert {tensor.dtype for tensor in loaded.tensors.values()} == {torch.float32, torch.int64}
    assert torch.equal(loaded.tensors["conv1.weight"], half["conv1.weight"].float())


def test_classifier_is_dropped_and_old_files_lack_counters(tmp_path: Path) -> None:
    old = {name: tensor for name, tensor in resnet18().items() if "num_batches" not in name}
    torch.save({**old, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, tmp_path / "old.pth")
    loaded = encoder_state("resnet18", str(tmp_path / "old.pth"))
    assert loaded is not None
    assert loaded.tensors.keys() == resnet18().keys()


@pytest.mark.parametrize(
    ("metadata", "stride_in_1x1"),
    [(None, False), ({"architecture": "resnet50-v1"}, True), ({"architecture": "resnet50-v1.5"}, False)],
)
def test_metadata_says_where_the_stride_is(
    tmp_path: Path, metadata: dict[str, str] | None, stride_in_1x1: bool
) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(state_of("resnet50"), path, metadata)
    model = build_model("resnet50", encoder_weights=str(path))
    assert model.stride_in_1x1 is stride_in_1x1
    assert model.get_submodule("encoder.layer2.0.conv1").stride == ((2, 2) if stride_in_1x1 else (1, 1))


def test_unknown_layout_is_refused(tmp_path: Path) -> None:
    save_file(resnet18(), tmp_path / "weights.safetensors", {"architecture": "resnet18-d"})
    with pytest.raises(WeightsError, match=r"architecture 'resnet18-d'; expected one of resnet18,"):
        encoder_state("resnet18", str(tmp_path / "weights.safetensors"))


# --- strictness


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer1.0.conv1.weight": None}, "missing: layer1.0.conv1.weight"),
        ({"head.weight": torch.zeros(1)}, "unexpected: head.weight"),
        ({"bn1.bias": torch.zeros(1)}, r"shape: bn1.bias is \(1,\) instead of \(64,\)"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Tensor | None], message: str) -> None:
    changed = {name: tensor for name, tensor in {**resnet18(), **change}.items() if tensor is not None}
    save_file(changed, tmp_path / "weights.safetensors")
    with pytest.raises(WeightsError, match=message):
        encoder_state("resnet18", str(tmp_path / "weights.safetensors"))


def test_another_architecture_is_recognised(tmp_path: Path) -> None:
    save_file(resnet18(), tmp_path / "weights.safetensors")
    with pytest.raises(
        WeightsError, match=r"and 93 more.*the file seems to hold resnet18; give the weights of resnet34"
    ):
        encoder_state("resnet34", str(tmp_path / "weights.safetensors"))


@pytest.mark.parametrize(
    "name", ["absent.safetensors", "damaged.safetensors", "damaged.pth", "weights.bin", "list.pth"]
)
def test_unusable_files_are_refused_on_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "list.pth":
        torch.save([torch.zeros(1)], path)
    elif "absent" not in name:
        path.write_bytes(b"not weights")
    with pytest.raises(WeightsError) as error:
        encoder_state("resnet18", str(path))
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_pickled_code_is_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    torch.save({"conv1.weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(WeightsError):
        encoder_state("resnet18", str(tmp_path / "trap.pth"))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["unet", "original-unet"])
def test_networks_without_encoder_refuse_a_file(name: str) -> None:
    assert build_model(name, encoder_weights="imagenet").stride_in_1x1 is False
    with pytest.raises(UsageError, match=f"weights.pth for {name}, which has no pretrained encoder"):
        build_model(name, encoder_weights="weights.pth")


# --- download


def test_download_is_verified_and_kept(cache_here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    torch.save(resnet18(), buffer)
    name = f"resnet18-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.pth"
    asked: list[str] = []

    def online(url: str, timeout: float) -> io.BytesIO:
        asked.append(url)
        return io.BytesIO(buffer.getvalue())

    monkeypatch.setattr(weights, "PUBLIC_FILES", {"resnet18": name})
    monkeypatch.setattr(urllib.request, "urlopen", online)
    for _ in range(2):
        loaded = encoder_state("resnet18", "imagenet")
    assert loaded is not None
    assert not loaded.stride_in_1x1
    assert asked == [f"https://download.pytorch.org/models/{name}"]
    assert [path.name for path in cache_here.iterdir()] == [name]


def test_wrong_checksum_is_refused_and_leaves_nothing(cache_here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: io.BytesIO(b"<html>proxy login</html>"))
    with pytest.raises(WeightsError, match="wrong checksum"):
        encoder_state("resnet34", "imagenet")
    assert list(cache_here.iterdir()) == []


def test_damaged_copy_is_downloaded_again(cache_here: Path) -> None:
    cache_here.mkdir(parents=True)
    (cache_here / PUBLIC_FILES["resnet18"]).write_bytes(b"half a file")
    with pytest.raises(WeightsError, match="cannot be downloaded"):
        encoder_state("resnet18", "imagenet")


@pytest.mark.parametrize(("architecture", "name"), PUBLIC_FILES.items())
@pytest.mark.usefixtures("cache_here")
def test_offline_message_says_what_to_do(architecture: str, name: str) -> None:
    with pytest.raises(WeightsError) as error:
        encoder_state(architecture, "imagenet")
    message = str(error.value)
    assert f"https://download.pytorch.org/models/{name}" in message
    assert "--encoder-weights FILE" in message
    assert "--encoder-weights none" in message


@pytest.mark.usefixtures("cache_here")
def test_building_without_weights_touches_no_network() -> None:
    assert build_model("resnet18").training
    with pytest.raises(WeightsError):
        build_model("resnet18", encoder_weights="imagenet")


def test_unknown_public_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no public weights for 'resnet99'"):
        fetch_weights("resnet99", tmp_path)
