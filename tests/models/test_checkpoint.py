"""Trained networks and model contracts: what was written is read back, anything else is refused by name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from builders import full_disk
from gliomask.errors import ModelFileError
from gliomask.files import file_sha256, whole_file
from gliomask.models.checkpoint import load_model, save_weights
from gliomask.models.contract import ModelContract, read_contract, write_contract
from gliomask.models.registry import MODELS, build_model
from gliomask.models.unet import UNet

CONTRACT = ModelContract(
    name="demo",
    architecture="resnet18",
    image_size=256,
    normalisation="volume",
    threshold=0.5,
    onnx_sha256="0" * 64,
    training={"fingerprint": "ab12", "split": "patient", "recipe": "default", "epochs": 3, "seed": 0, "patients": 8},
    scores={"dice_patient": {"mean": 0.8, "missed": 0, "interval": [0.7, 0.9]}, "hd95": None},
    versions={"torch": "2.13.0"},
)


def rewritten(path: Path, **changes: object) -> None:
    """Change the metadata of a checkpoint."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    metadata = {**json.loads(header["__metadata__"]["gliomask"]), **changes}
    save_file(load_file(path), path, {"gliomask": json.dumps(metadata)})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_weights(tmp_path / "weights.safetensors", UNet(), name="unet", extra={"epoch": 3})
    return tmp_path / "weights.safetensors"


# --- checkpoints


@pytest.mark.parametrize("name", MODELS)
def test_saved_network_predicts_the_same(tmp_path: Path, name: str) -> None:
    model = build_model(name)
    x = torch.randn(2, model.inputs, 32, 32)
    with torch.no_grad():
        model.train()(x)  # moves the running statistics
        save_weights(tmp_path / "weights.safetensors", model, name=name, extra={"scores": {"dice": 0.5}})
        again, metadata = load_model(tmp_path / "weights.safetensors")
        assert torch.equal(again(x), model.eval()(x))
    assert metadata == {
        "format_version": 1, "model": name, "stride_in_1x1": False, "extra": {"scores": {"dice": 0.5}},
    }  # fmt: skip
    assert not again.training
    assert all(parameter.requires_grad for parameter in again.parameters())


def test_stride_layout_travels_with_the_weights(tmp_path: Path) -> None:
    model, x = MODELS["resnet50"].build(True).eval(), torch.randn(1, 3, 64, 64)
    save_weights(tmp_path / "weights.safetensors", model, name="resnet50", extra={})
    again, metadata = load_model(tmp_path / "weights.safetensors")
    assert metadata["stride_in_1x1"] is True
    assert again.stride_in_1x1
    with torch.no_grad():
        assert torch.equal(again(x), model(x))


def test_short_name_and_channels_last_are_saved_as_usual(tmp_path: Path) -> None:
    model = build_model("resnext").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    save_weights(tmp_path / "weights.safetensors", model, name="resnext", extra={})
    again, metadata = load_model(tmp_path / "weights.safetensors")
    assert metadata["model"] == "resnext50"
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    with full_disk(), pytest.raises(OSError, match="cannot be written") as caught:
        save_weights(tmp_path / "weights.safetensors", UNet(), name="unet", extra={})
    assert caught.value.errno is not None  # so that the command line says it in a line
    assert not list(tmp_path.iterdir())


def test_loading_draws_no_random_numbers(saved: Path) -> None:
    before = torch.get_rng_state()
    load_model(saved)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    with pytest.raises(ValueError, match="not original-unet"):
        save_weights(path, UNet(), name="original-unet", extra={})
    with pytest.raises(ValueError, match="not JSON"):
        save_weights(path, UNet(), name="unet", extra={"path": path})
    assert not path.exists()


@pytest.mark.parametrize("keep", [0, 5, 300, 0.5, 0.999])
def test_truncated_file_is_refused(saved: Path, keep: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(keep * len(content)) if 0 < keep < 1 else int(keep)])
    with pytest.raises(ModelFileError, match=r"damaged or not a safetensors file.*export or train the model again"):
        load_model(saved)


def test_pickle_and_foreign_files_are_refused(tmp_path: Path) -> None:
    torch.save(UNet().state_dict(), tmp_path / "pickled.safetensors")
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    for name, message in (("pickled", "damaged"), ("foreign", "without gliomask's metadata"), ("absent", "no such")):
        with pytest.raises(ModelFileError, match=message):
            load_model(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "format version 2; expected 1; upgrade gliomask"),
        ({"model": "vit"}, "unknown model 'vit'"),
        ({"model": "original-unet"}, "not the weights of original-unet"),
        ({"stride_in_1x1": "no"}, "stride_in_1x1 is 'no'; expected bool"),
        ({"extra": []}, "extra is"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(saved: Path, changes: dict[str, object], message: str) -> None:
    rewritten(saved, **changes)
    with pytest.raises(ModelFileError, match=message):
        load_model(saved)


def test_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as part:  # noqa: PT012 - the block is what is interrupted
        part.write_text("ha")
        raise KeyboardInterrupt
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


# --- contracts


def stored(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "model.json"
    write_contract(CONTRACT, path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


def test_contract_round_trip(tmp_path: Path) -> None:
    write_contract(CONTRACT, tmp_path / "model.json")
    assert read_contract(tmp_path / "model.json") == CONTRACT


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format_version", 5), ("format_version", None), ("format_version", True), ("name", ""), ("name", 3),
        ("architecture", None), ("channels", ["flair", "pre", "post"]), ("channels", "pre"), ("image_size", 16),
        ("image_size", 256.0), ("image_size", True), ("normalisation", "none"), ("normalisation", []),
        ("threshold", 0), ("threshold", 1), ("threshold", "0.5"), ("smallest_component", -0.1),
        ("smallest_component", 1.5), ("smallest_component", None), ("onnx_sha256", "0" * 63), ("onnx_sha256", "X" * 64),
        ("onnx_sha256", "0" * 64 + "\n"), ("int8_sha256", "0" * 63), ("training", []),
            ("training", {"epochs": "3"}), ("training", {"seed": 1.5}),
        ("scores", {"dice": float("nan")}), ("scores", None), ("versions", {"torch": 2}), ("surprise", 1),
    ],
)  # fmt: skip
def test_contract_with_a_wrong_field_is_refused_by_name(tmp_path: Path, field: str, value: object) -> None:
    with pytest.raises(ModelFileError, match=f"model.json: .*{field}"):
        read_contract(stored(tmp_path, **{field: value}))


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(ModelContract)])
def test_contract_without_a_field_is_refused_by_name(tmp_path: Path, field: str) -> None:
    path = stored(tmp_path)
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != field}))
    with pytest.raises(ModelFileError, match=f"{field} is"):
        read_contract(path)


@pytest.mark.parametrize("content", ["", "{", "[]", '"text"', None, "\udcff"])
def test_what_is_no_contract_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "model.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ModelFileError, match=r"model\.json: .*export the model again"):
        read_contract(tmp_path / "model.json")


@pytest.mark.parametrize("change", [{"threshold": math.inf}, {"channels": ("flair",)}, {"scores": {1: 2}}])
def test_contracts_are_valid_once_constructed(change: dict[str, Any]) -> None:
    with pytest.raises(ModelFileError, match=next(iter(change))):
        dataclasses.replace(CONTRACT, **change)


def test_checksum_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc" * 100_000)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"abc" * 100_000).hexdigest()
