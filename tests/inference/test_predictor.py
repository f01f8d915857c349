"""The predictor: masks by hand on the input's grid, a threshold with one home, and models that do not hold together."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from builders import CUT, SIDE, STEP, block, flair_of, write_known_model
from gliomask.config import EngineName
from gliomask.errors import MissingExtraError, ModelFileError, UsageError
from gliomask.inference import engine as engine_module
from gliomask.inference.engine import load_engine
from gliomask.inference.predictor import Predictor
from gliomask.models.contract import read_contract
from gliomask.models.runtimes import import_openvino


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_known_model(tmp_path_factory.mktemp("known"))


@pytest.fixture(scope="module")
def whole_volume(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor.load(write_known_model(tmp_path_factory.mktemp("volume"), normalisation="volume"))


def grey(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return one slice (1, H, W, 3) with these FLAIR values and other values elsewhere."""
    images = np.full((1, *values.shape, 3), 255, np.uint8)
    images[0, ..., 1] = values
    return images


def every_grey_level() -> NDArray[np.uint8]:
    return (np.arange(SIDE * SIDE) % 256).astype(np.uint8).reshape(SIDE, SIDE)


def rewrite(model: Path, folder: Path, **changes: object) -> Path:
    """Copy a model, change fields of its model.json, and return the copy."""
    shutil.copytree(model.parent, folder)
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder / "model.onnx"


# --- masks


def test_known_model_finds_the_grey_levels_above_its_cut(model: Path) -> None:
    levels = every_grey_level()
    prediction = Predictor.load(model).predict(grey(levels))
    expected = 1 / (1 + np.exp(-(levels.astype(float) - CUT) / STEP))
    clear = levels != CUT  # probability one half is at the mercy of rounding
    assert np.array_equal(prediction.mask[0][clear], (levels > CUT)[clear])
    assert np.allclose(prediction.probabilities[0], expected, atol=1e-5)
    assert prediction.mask.dtype == np.bool_
    assert prediction.probabilities.dtype == np.float32


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (256, 256), (45, 45), (31, 33), (40, 100), (101, 37)])
def test_mask_comes_back_on_the_grid_of_the_input(model: Path, size: tuple[int, int]) -> None:
    height, width = size
    top, bottom, left, right = height // 8, height // 2, width // 4, width - width // 8  # nothing symmetrical
    truth = block(slice(top, bottom), slice(left, right), size)
    mask = Predictor.load(model).predict(flair_of(truth[np.newaxis])).mask
    blur = -(-max(size) // SIDE) if max(size) != SIDE else 0  # one pixel of the network
    inside = block(slice(top + blur, bottom - blur), slice(left + blur, right - blur), size)
    around = block(slice(max(0, top - blur), bottom + blur), slice(max(0, left - blur), right + blur), size)
    assert mask.shape == (1, *size)
    assert inside.any()
    assert mask[0][inside].all()
    assert not mask[0][~around].any()


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 70), width=st.integers(1, 70), count=st.integers(1, 3))
def test_any_size_is_answered_pixel_by_pixel(model: Path, height: int, width: int, count: int) -> None:
    images = np.random.default_rng(height * 71 + width).integers(0, 256, (count, height, width, 3), np.uint8)
    prediction = Predictor.load(model).predict(images)
    assert prediction.mask.shape == prediction.probabilities.shape == (count, height, width)
    assert prediction.probabilities.min() >= 0
    assert prediction.probabilities.max() <= 1
    assert np.array_equal(prediction.mask, prediction.probabilities >= prediction.threshold)


def test_batch_size_does_not_change_the_answer(model: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 40, 50, 3), np.uint8)
    one, *others = (Predictor.load(model, batch_size=size).predict(images) for size in (1, 3, 8))
    assert all(np.array_equal(one.probabilities, other.probabilities) for other in others)
    assert one.mask.any()


def test_slices_keep_their_order(model: Path) -> None:
    found = np.stack([block(slice(number, number + 3), slice(0, SIDE)) for number in range(0, 20, 2)])
    mask = Predictor.load(model, batch_size=4).predict(flair_of(found)).mask
    assert np.array_equal(mask, found)


def test_nothing_found_is_empty(model: Path) -> None:
    predictor = Predictor.load(model)
    nothing = np.zeros((2, SIDE, SIDE), np.bool_)
    one_pixel = nothing.copy()
    one_pixel[1, 3, 4] = True
    assert predictor.predict(flair_of(nothing)).is_empty
    assert not predictor.predict(flair_of(one_pixel)).is_empty


# --- threshold


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 0.9])
def test_threshold_has_one_home_and_it_is_model_json(model: Path, tmp_path: Path, threshold: float) -> None:
    predictor = Predictor.load(rewrite(model, tmp_path / "copy", threshold=threshold))
    levels = every_grey_level()
    prediction = predictor.predict(grey(levels))
    cut = CUT + STEP * np.log(threshold / (1 - threshold))  # where the logistic function passes the threshold
    clear = np.abs(levels - cut) > 1e-3
    assert prediction.threshold == threshold
    assert np.array_equal(prediction.mask[0][clear], (levels > cut)[clear])


# --- normalisation over the volume


def two_slices() -> NDArray[np.uint8]:
    """Return a dark and a bright slice; in each the upper half is 20 grey levels brighter."""
    images = np.zeros((2, SIDE, SIDE, 3), np.uint8)
    for number, level in enumerate((60, 180)):
        images[number] = level
        images[number, : SIDE // 2] = level + 20
    return images


def test_a_stack_is_normalised_over_all_its_slices(whole_volume: Predictor) -> None:
    mask = whole_volume.predict(two_slices()).mask  # the mean is 130: between the slices
    assert not mask[0].any()
    assert mask[1].all()


def test_a_lone_slice_is_normalised_by_itself(whole_volume: Predictor) -> None:
    upper = block(slice(0, SIDE // 2), slice(0, SIDE))
    for images in two_slices():
        assert np.array_equal(whole_volume.predict(images[np.newaxis]).mask[0], upper)


def test_fixed_normalisation_knows_no_neighbours(model: Path) -> None:
    predictor, images = Predictor.load(model), two_slices()
    alone = [predictor.predict(image[np.newaxis]).probabilities[0] for image in images]
    assert np.array_equal(predictor.predict(images).probabilities, np.stack(alone))


# --- wrong input


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((SIDE, SIDE, 3), np.uint8),
        np.zeros((1, 3, SIDE, SIDE), np.uint8),
        np.zeros((1, SIDE, SIDE, 4), np.uint8),
        np.zeros((1, SIDE, SIDE, 3), np.float32),
        np.zeros((1, SIDE, SIDE, 3), np.int16),
        np.zeros((0, SIDE, SIDE, 3), np.uint8),
        np.zeros((1, 0, SIDE, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(model: Path, images: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match=r"expected \(S, H, W, 3\) uint8"):
        Predictor.load(model).predict(images)


# --- model files


def test_run_folder_and_file_are_the_same_model(model: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    one, other = (Predictor.load(path).predict(images) for path in (model, str(model.parent)))
    assert np.array_equal(one.probabilities, other.probabilities)
    assert Predictor.load(model.parent).contract == read_contract(model.with_suffix(".json"))


def test_model_may_have_another_name(model: Path, tmp_path: Path) -> None:
    for suffix in (".onnx", ".json"):
        shutil.copyfile(model.with_suffix(suffix), tmp_path / f"mine{suffix}")
    assert Predictor.load(tmp_path / "mine.onnx").contract.name == "known"


def refused(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        Predictor.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path if path.is_dir() else path.with_suffix("")))
    return message


@pytest.mark.parametrize(
    ("name", "reason"), [("model.onnx", "no such file; expected"), ("model.json", "No such file or directory")]
)
def test_missing_half_is_refused(model: Path, tmp_path: Path, name: str, reason: str) -> None:
    copy = rewrite(model, tmp_path / "copy")
    (copy.parent / name).unlink()
    assert f"{name}: " in refused(copy)
    assert reason in refused(copy)
    assert name in refused(copy.parent)


@pytest.mark.parametrize("name", ["model.onnx", "model.json"])
@pytest.mark.parametrize("kept", [0, 40])
def test_cut_off_half_is_refused(model: Path, tmp_path: Path, name: str, kept: int) -> None:
    copy = rewrite(model, tmp_path / "copy")
    (copy.parent / name).write_bytes((copy.parent / name).read_bytes()[:kept])
    assert name in refused(copy)


def test_halves_of_two_models_are_refused(model: Path, tmp_path: Path) -> None:
    other = write_known_model(tmp_path / "other", cut=150)
    copy = rewrite(model, tmp_path / "copy")
    shutil.copyfile(other.with_suffix(".json"), copy.with_suffix(".json"))
    assert "checksum" in refused(copy)
    shutil.copyfile(other, copy)
    assert Predictor.load(copy).contract.name == "known"  # now they belong together


@pytest.mark.parametrize("threshold", [0, 1, 30, "0.5", None])
def test_impossible_threshold_is_refused(model: Path, tmp_path: Path, threshold: object) -> None:
    assert "threshold" in refused(rewrite(model, tmp_path / "copy", threshold=threshold))


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"12345678")
    assert "expected a run folder, a .onnx file or a name" in refused(tmp_path / "weights.safetensors")
    with pytest.raises(UsageError, match=r"nowhere: no such model; expected a run folder"):
        Predictor.load(tmp_path / "nowhere")
    assert "gliomask train --resume" in refused(tmp_path)


ENGINES: tuple[EngineName, ...] = ("onnxruntime", "openvino")


@pytest.mark.parametrize("engine", ENGINES)
def test_network_with_other_inputs_is_refused(tmp_path: Path, engine: EngineName) -> None:
    from onnx import load, save

    path = write_known_model(tmp_path)
    network = load(path)
    network.graph.input[0].name = network.graph.node[0].input[0] = "pixels"
    save(network, path)
    with pytest.raises(ModelFileError, match="expected slices and logits"):
        load_engine(path, engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_file_that_is_no_network_is_refused(tmp_path: Path, engine: EngineName) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no network")
    with pytest.raises(ModelFileError, match="cannot load it"):
        load_engine(tmp_path / "model.onnx", engine)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1000), st.integers(1, 20))
def test_engines_agree(model: Path, seed: int, count: int) -> None:
    images = np.random.default_rng(seed).integers(0, 255, (count, SIDE, SIDE, 3), np.uint8)
    first, second = (Predictor.load(model, engine=engine).predict(images) for engine in ENGINES)
    assert np.allclose(first.probabilities, second.probabilities, atol=2e-2)  # bfloat16, where there is AMX
    clear = np.abs(first.probabilities - 0.5) > 2e-2
    assert np.array_equal(first.mask[clear], second.mask[clear])
    assert first.mask.any()


def processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : fpu {flags} sse\n")
    monkeypatch.setattr(engine_module, "_CPUINFO", tmp_path / "cpuinfo")


def test_amx_is_known_by_its_flag(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for flags, has in (("avx512_bf16", False), ("amx_bf16", True), ("amx_bf16x", False)):
        processor(monkeypatch, tmp_path, flags)
        assert engine_module.has_amx() == has
    (tmp_path / "cpuinfo").unlink()  # another system than Linux
    assert not engine_module.has_amx()


def test_float32_is_what_is_computed_without_amx(model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    processor(monkeypatch, tmp_path, "avx2 avx512_bf16")
    assert Predictor.load(model).engine.name == "ONNX Runtime, cpu, float32"
    assert Predictor.load(model, engine="openvino").engine.name == "OpenVINO, cpu, float32"


def test_bfloat16_is_what_is_computed_with_amx(model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def spy(path: Path, **settings: Any) -> Any:
        asked.append(settings["precision"])
        return engine_module.OnnxEngine(path)

    processor(monkeypatch, tmp_path, "amx_bf16")
    monkeypatch.setattr(engine_module, "OpenVinoEngine", spy)
    for engine in ("auto", "openvino"):
        Predictor.load(model, engine=engine)
    assert asked == ["bfloat16", "bfloat16"]
    assert Predictor.load(model, precision="float32").engine.name == "ONNX Runtime, cpu, float32"
    assert Predictor.load(model, engine="onnxruntime").engine.name == "ONNX Runtime, cpu, float32"
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(engine_module, "find_spec", lambda name: None)
    assert Predictor.load(model).engine.name == "ONNX Runtime, cpu, float32"


def test_bfloat16_is_refused_where_it_cannot_be_computed(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="expected --engine openvino or auto"):
        Predictor.load(model, engine="onnxruntime", precision="bfloat16")
    if "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert Predictor.load(model, precision="bfloat16").engine.name == "OpenVINO, cpu, bfloat16"
    else:
        with pytest.raises(UsageError, match="does not multiply bfloat16"):
            Predictor.load(model, precision="bfloat16")


def test_unknown_precision_is_refused(model: Path) -> None:
    with pytest.raises(UsageError, match="expected one of auto, float32, bfloat16, int8"):
        Predictor.load(model, precision="float64")  # type: ignore[arg-type]


def test_engine_that_is_not_installed_names_its_extra(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"\.\[openvino\]"):
        Predictor.load(model, engine="openvino")


def test_device_that_is_not_there_is_refused(model: Path) -> None:
    with pytest.raises(UsageError, match="onnxruntime-gpu"):
        Predictor.load(model, device="cuda")
    with pytest.raises(UsageError, match="expected --engine onnxruntime"):
        Predictor.load(model, engine="openvino", device="cuda")


def test_a_gpu_that_cannot_be_used_is_said(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime's package for GPUs goes on without a word on the processor."""
    session = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda path, options, providers: session(path, options))
    with pytest.raises(UsageError, match="no CUDA device"):
        Predictor.load(model, device="cuda")


def test_edited_image_size_is_refused(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model.parent, tmp_path / "copy")
    description = tmp_path / "copy" / "model.json"
    description.write_text(json.dumps(json.loads(description.read_text()) | {"image_size": 2 * SIDE}))
    assert f"image_size is {2 * SIDE}; expected {SIDE}" in refused(tmp_path / "copy")


@pytest.fixture
def kept_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder for what OpenVINO has compiled."""
    monkeypatch.setattr(engine_module, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "openvino"


def test_openvino_compiles_once(model: Path, kept_networks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openvino = import_openvino()
    compiled = []
    compile_model = openvino.Core.compile_model

    def spy(core: Any, *arguments: Any) -> Any:
        compiled.append(arguments)
        return compile_model(core, *arguments)

    monkeypatch.setattr(openvino.Core, "compile_model", spy)
    slices = np.random.default_rng(0).standard_normal((3, 3, SIDE, SIDE)).astype(np.float32)
    first, again = (load_engine(model, "openvino", precision="float32").logits(slices) for _ in range(2))
    assert len(compiled) == 1
    assert np.array_equal(first, again)
    other = write_known_model(model.parent / "other", cut=CUT + 1)
    assert not np.array_equal(load_engine(other, "openvino", precision="float32").logits(slices), first)
    assert len(list(kept_networks.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"no network", None])
def test_damaged_kept_network_is_made_anew(model: Path, kept_networks: Path, damage: bytes | None) -> None:
    slices = np.ones((1, 3, SIDE, SIDE), np.float32)
    expected = load_engine(model, "openvino", precision="float32").logits(slices)
    (kept,) = kept_networks.iterdir()
    whole = kept.read_bytes()
    flipped = whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]
    damaged = flipped if damage is None else damage
    kept.write_bytes(damaged)
    assert np.array_equal(load_engine(model, "openvino", precision="float32").logits(slices), expected)
    assert kept.read_bytes() != damaged
    assert len(kept.read_bytes()) == len(whole)


def test_no_home_directory_is_no_obstacle(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(engine_module, "cache_folder", homeless)
    slices = np.ones((1, 3, SIDE, SIDE), np.float32)
    assert load_engine(model, "openvino", precision="float32").logits(slices).shape == (1, SIDE, SIDE)


def test_only_the_newest_networks_are_kept(
    model: Path, kept_networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_KEPT", 2)
    for number in range(4):
        load_engine(write_known_model(tmp_path / str(number), cut=CUT + number), "openvino", precision="float32")
    assert len(list(kept_networks.iterdir())) == 2


def test_nowhere_to_keep_a_network_is_no_obstacle(model: Path, kept_networks: Path) -> None:
    kept_networks.parent.parent.joinpath("cache").write_text("a file where the folder should be")
    slices = np.ones((1, 3, SIDE, SIDE), np.float32)
    assert load_engine(model, "openvino", precision="float32").logits(slices).shape == (1, SIDE, SIDE)
