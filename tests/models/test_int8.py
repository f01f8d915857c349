"""The same network with 8-bit integers: made from a run, nearly the same masks, refused where it does not belong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from builders import write_known_model
from gliomask.cli.app import main
from gliomask.data.cache import open_cache
from gliomask.data.index import DatasetIndex
from gliomask.data.normalisation import normalise
from gliomask.errors import DataError, ModelFileError, UsageError
from gliomask.inference.engine import load_engine
from gliomask.inference.predictor import Predictor
from gliomask.models.contract import read_contract
from gliomask.models.int8 import quantise
from gliomask.models.trained import int8_of
from gliomask.results.loaded import Keep
from gliomask.results.study import predict_study
from gliomask.studies.slices import find_studies
from gliomask.training import export as exporting
from gliomask.training.examples import examples
from gliomask.training.run_folder import RunFolder
from gliomask.volumes.phantom import simulate_patient
from tiny_runs import tiny_config, tiny_index, train

SIZE = 32


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> DatasetIndex:
    return tiny_index(tmp_path_factory.mktemp("int8") / "data")


@pytest.fixture(scope="module")
def run(index: DatasetIndex) -> RunFolder:
    """Train for two epochs and export with 8-bit integers."""
    trained = train(index, tiny_config("resnet18", batch_size=8), index.root.parent / "run")
    assert main(["export", str(trained.path), "--data", str(index.root), "--int8", "--quiet"]) == 0
    return trained


def test_integers_answer_like_the_network_in_a_quarter_of_its_size(run: RunFolder, index: DatasetIndex) -> None:
    slices = examples(run, open_cache(index, SIZE), index)
    whole, small = load_engine(run.model, "onnxruntime"), load_engine(run.int8, "onnxruntime", precision="int8")
    expected, found = whole.logits(slices), small.logits(slices)
    assert not np.array_equal(found, expected)  # it is another network
    assert np.abs(found - expected).mean() < 0.1 * expected.std()
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99
    assert run.int8.stat().st_size < 0.3 * run.model.stat().st_size


def test_weights_leave_a_bit_free(run: RunFolder) -> None:
    """Two products of 8 bits and 7 always fit into 16, so processors without VNNI do not cut them off."""
    import onnx
    from onnx import TensorProto, numpy_helper

    network = onnx.load(run.int8)
    weights = [numpy_helper.to_array(t) for t in network.graph.initializer if t.data_type == TensorProto.INT8]
    weights = [each for each in weights if each.ndim == 4]
    convolutions = sum(node.op_type == "Conv" for node in network.graph.node)
    assert len(weights) == convolutions - 2  # the first and the last stay in float32
    assert max(int(np.abs(each.astype(int)).max()) for each in weights) <= 64


def test_engines_agree_on_integers(run: RunFolder, index: DatasetIndex) -> None:
    slices = examples(run, open_cache(index, SIZE), index)
    first, second = (load_engine(run.int8, engine, precision="int8") for engine in ("onnxruntime", "openvino"))
    assert (first.name, second.name) == ("ONNX Runtime, cpu, int8", "OpenVINO, cpu, int8")
    expected = first.logits(slices)
    assert np.abs(second.logits(slices) - expected).mean() < 0.05 * expected.std()


def test_a_sum_is_rounded_once(run: RunFolder) -> None:
    """What a convolution adds to a shortcut stays unrounded, or OpenVINO and ONNX Runtime compute different sums."""
    import onnx

    graph = onnx.load(run.int8).graph
    maker = {output: node for node in graph.node for output in node.output}
    sums = [sorted(maker[name].op_type for name in node.input) for node in graph.node if node.op_type == "Add"]
    assert sums == [["Conv", "DequantizeLinear"]] * 8  # of ResNet18
    used = {name for node in graph.node for name in node.input}
    assert {constant.name for constant in graph.initializer} <= used


def test_masks_of_integers_are_the_same_from_both_engines() -> None:
    """Of the model that comes with the package."""
    predictors = [Predictor.load(engine=engine, precision="int8") for engine in ("onnxruntime", "openvino")]
    found = []
    for number in (1, 2, 3):
        images = simulate_patient(number, seed=5, slices=16).image
        one, other = (each.predict(images).mask for each in predictors)
        assert one.any()
        found.append(2 * (one & other).sum() / (one.sum() + other.sum()))
    assert np.mean(found) >= 0.999


def test_predictor_takes_the_file_it_is_asked_for(run: RunFolder, index: DatasetIndex) -> None:
    images = np.asarray(open_cache(index, SIZE).images[:6])
    small, whole = (Predictor.load(run.path, engine="onnxruntime", precision=kind) for kind in ("int8", "float32"))
    contract = read_contract(run.contract)
    assert small.settings()["model_sha256"] == contract.int8_sha256
    assert whole.settings()["model_sha256"] == contract.onnx_sha256
    slices = small._network_input(images)
    assert np.array_equal(small._logits(slices), load_engine(run.int8, "onnxruntime").logits(slices))
    assert np.array_equal(whole._logits(slices), load_engine(run.model, "onnxruntime").logits(slices))


def test_examples_are_training_slices_alone(run: RunFolder, index: DatasetIndex) -> None:
    cache = open_cache(index, SIZE)
    found = examples(run, cache, index)
    rows = run.split().positions(index, "train")
    known = [
        normalise(np.asarray(cache.images[row : row + 1]), np.asarray(cache.volume_statistics[row])) for row in rows
    ]
    assert {each.tobytes() for each in found} <= {each.tobytes() for each in known}
    tumour = np.asarray(cache.tumour_pixels)[rows] > 0
    patients = np.asarray(cache.patients)[rows]
    groups = {(int(one), bool(kind)) for one, kind in zip(patients, tumour, strict=True)}
    assert found.shape == (len(groups), 3, SIZE, SIZE)
    assert found.dtype == np.float32
    assert np.array_equal(found, examples(run, cache, index))


def test_evaluation_keeps_apart_what_integers_scored(run: RunFolder, index: DatasetIndex) -> None:
    import json

    assert main(["evaluate", str(index.root), "--model", str(run.path), "--precision", "int8", "--quiet"]) == 0
    told = json.loads((run.path / "test-int8" / "summary.json").read_text())
    assert told["model_sha256"] == [read_contract(run.contract).int8_sha256]
    assert told["precision"] == "int8"


def test_another_precision_is_another_result(run: RunFolder, index: DatasetIndex, tmp_path: Path) -> None:
    case = str(index.root / index.patients[0].name)
    command = ["predict", case, "--model", str(run.path), "--out", str(tmp_path), "--no-pictures", "--quiet"]
    assert main([*command, "--precision", "int8"]) == 0
    assert main([*command, "--precision", "int8"]) == 0  # done already
    assert main(command) == 1


def test_bfloat16_is_another_result_too(
    run: RunFolder, index: DatasetIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both come from one file, so its checksum does not tell them apart."""
    study = find_studies([index.root / index.patients[0].name])[0]
    predictor = Predictor.load(run.path, precision="float32")
    first = predict_study(study, predictor, tmp_path, Keep(pictures=False))
    assert first["precision"] == "float32"
    assert predict_study(study, predictor, tmp_path, Keep(pictures=False))["skipped"]
    monkeypatch.setattr(predictor.engine, "name", "OpenVINO, cpu, float32")
    assert predict_study(study, predictor, tmp_path, Keep(pictures=False))["skipped"]
    monkeypatch.setattr(predictor.engine, "name", "OpenVINO, cpu, bfloat16")
    with pytest.raises(DataError, match="made in float32"):
        predict_study(study, predictor, tmp_path, Keep(pictures=False))


@pytest.mark.parametrize("found", [0.9, 0.1])
def test_integers_that_mark_nothing_are_refused(monkeypatch: pytest.MonkeyPatch, found: float) -> None:
    """Tumour is a hundredth of the pixels: a mean over all of them does not see that it is gone."""
    slices = np.zeros((4, 3, SIZE, SIZE), np.float32)
    answers = {b"whole": np.zeros((4, 1, SIZE, SIZE), np.float32), b"small": np.zeros((4, 1, SIZE, SIZE), np.float32)}
    for network, tumour in ((b"whole", 0.9), (b"small", found)):
        answers[network][:, :, :3, :3] = tumour
    monkeypatch.setattr(exporting, "quantise", lambda exported, given: b"small")
    monkeypatch.setattr(exporting, "_probabilities", lambda network, given: answers[network])
    assert np.abs(answers[b"whole"] - answers[b"small"]).mean() < exporting.INT8_TOLERANCE
    if found >= 0.5:
        assert exporting.with_integers(b"whole", slices) == b"small"
    else:
        with pytest.raises(ModelFileError, match=r"Dice of 0\.000"):
            exporting.with_integers(b"whole", slices)


def test_the_small_file_alone_is_no_model(run: RunFolder) -> None:
    with pytest.raises(ModelFileError, match=r"expected model\.onnx beside it, and --precision int8"):
        Predictor.load(run.int8)


@pytest.fixture
def exported_before(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Let the exporter write what it wrote for the run, and return that; what is tested is what happens around it."""
    network = run.model.read_bytes()
    monkeypatch.setattr(exporting, "to_onnx", lambda *_: network)
    return network


@pytest.mark.usefixtures("exported_before")
def test_export_without_integers_removes_them(run: RunFolder, tmp_path: Path) -> None:
    copied = RunFolder(shutil.copytree(run.path, tmp_path / "run"))
    assert copied.int8.exists()
    assert main(["export", str(copied.path), "--quiet"]) == 0
    assert not copied.int8.exists()
    assert read_contract(copied.contract).int8_sha256 is None


def test_integers_that_answer_otherwise_are_refused(
    run: RunFolder, exported_before: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = np.random.default_rng(0).standard_normal((4, 3, SIZE, SIZE)).astype(np.float32)
    monkeypatch.setattr(exporting, "INT8_TOLERANCE", 0.0)
    with pytest.raises(ModelFileError, match="leave --int8 out"):
        exporting.export(run, examples=strange)
    assert run.model.read_bytes() == exported_before
    assert run.int8.exists()


def test_what_lacks_integers_is_refused(tmp_path: Path) -> None:
    model = write_known_model(tmp_path)
    with pytest.raises(UsageError, match="--int8"):
        Predictor.load(model, precision="int8")
    assert main(["export", str(tmp_path), "--int8", "--quiet"]) == 2


def test_file_of_another_export_is_refused(run: RunFolder, tmp_path: Path) -> None:
    for path in (run.model, run.contract, run.int8):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert Predictor.load(tmp_path, precision="int8").engine.name == "OpenVINO, cpu, int8"
    int8_of(tmp_path / "model.onnx").write_bytes(run.model.read_bytes())
    with pytest.raises(ModelFileError, match="checksum"):
        Predictor.load(tmp_path, precision="int8")


def test_integers_on_a_gpu_are_refused(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    with pytest.raises(UsageError, match="for the processor"):
        Predictor.load(run.path, precision="int8", device="cuda")


def test_damaged_network_is_refused() -> None:
    with pytest.raises(ModelFileError, match="cannot be quantised"):
        quantise(b"no network", np.zeros((1, 3, SIZE, SIZE), np.float32))
