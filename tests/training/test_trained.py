"""Trained models by name, weights that go on, temperatures, and what a model sees of a patient."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from builders import block, flair_of, patient_name, tiny_dataset, write_known_model, write_patient
from gliomask.cli.app import main
from gliomask.config import ModelConfig, SplitConfig, TrainConfig, save_config
from gliomask.data.cache import open_cache
from gliomask.data.index import DatasetIndex, build_index
from gliomask.data.records import PatientRecord
from gliomask.data.split import BUDA10, make_split
from gliomask.errors import DataError, ModelFileError, UsageError
from gliomask.evaluation.evaluate import PredictedMasks, View
from gliomask.evaluation.subsets import choose_subset
from gliomask.files import file_sha256
from gliomask.inference.predictor import Predictor
from gliomask.models import catalogue, trained
from gliomask.models.checkpoint import load_model
from gliomask.models.contract import read_contract, write_contract
from gliomask.models.onnx_weights import halve, load_trained
from gliomask.models.resnet import ResNetEncoder
from gliomask.models.trained import bundled_models, contract_of, find_model, int8_of, seen_by, trained_on
from gliomask.training import export as export_part
from gliomask.training import fit as fit_module
from gliomask.training.beginning import beginning_of
from gliomask.training.export import largest_difference
from gliomask.training.run_folder import RunFolder
from places import ROOT
from tiny_runs import RESUME, same_run, tensors_of, tiny_config, tiny_index, train, use_tiny_net

SIZE = 32


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> DatasetIndex:
    return tiny_index(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(index: DatasetIndex, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Train a real network for an epoch and export it."""
    return train(index, tiny_config("resnet18", epochs=1), tmp_path_factory.mktemp("runs") / "first", exported=True)


@pytest.fixture(scope="module")
def tiny_run(index: DatasetIndex, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    with pytest.MonkeyPatch.context() as patch:
        use_tiny_net(patch)
        return train(index, tiny_config(epochs=1), tmp_path_factory.mktemp("runs") / "tiny", exported=True)


@pytest.fixture
def tiny(tiny_run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """Return an exported run of the tiny network, and let "unet" be that."""
    use_tiny_net(monkeypatch)
    return tiny_run


# --- names


def test_what_is_not_there_is_told_what_could_be(tmp_path: Path) -> None:
    for source in ("no-such-model", tmp_path / "no-such-run", tmp_path / "no-such.onnx"):
        with pytest.raises(UsageError, match=r"no such model; expected a run folder, a \.onnx file or a name"):
            find_model(source)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ModelFileError, match=r"not a model; expected a run folder, a \.onnx file or a name"):
        find_model(tmp_path / "notes.txt")


@pytest.mark.parametrize("command", [["predict"], ["evaluate"], ["train", "--from"]], ids=lambda command: command[0])
def test_a_wrong_name_is_wrong_usage_and_a_damaged_model_is_not(
    command: list[str], index: DatasetIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, option, *_ = [*command, "--model"]
    assert main([name, str(index.root), option, "no-such-model"]) == 2
    Path("damaged.onnx").write_bytes(b"no network")
    assert main([name, str(index.root), option, "damaged.onnx"]) == 1


def test_a_bundled_model_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = write_known_model(tmp_path / "bundled")
    for ending in (".onnx", ".json"):
        known.with_suffix(ending).rename(known.with_name(f"small{ending}"))
    monkeypatch.setattr(trained, "BUNDLED", tmp_path / "bundled")
    assert list(bundled_models()) == ["small"]
    assert Predictor.load("small").contract.name == "known"


def test_a_folder_wins_over_a_bundled_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trained, "bundled_models", lambda: {"mine": tmp_path / "other.onnx"})
    write_known_model(tmp_path / "mine")
    assert find_model("mine") == Path("mine/model.onnx")


# --- weights that go on


def test_an_exported_model_can_be_trained_on(run: RunFolder) -> None:
    best, _ = load_model(run.best)
    again = load_trained(run.path, "resnet18")
    expected = {name: value for name, value in best.state_dict().items() if "num_batches" not in name}
    found = again.state_dict()
    assert len(expected) > 100
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert again.training


def test_half_precision_halves_the_file_and_changes_little(run: RunFolder) -> None:
    whole = run.model.read_bytes()
    halved = halve(whole)
    net, _ = load_model(run.best)
    assert len(halved) < 0.55 * len(whole)
    assert 0 < largest_difference(net, halved, SIZE) < 5e-3


def test_half_precision_is_float32_again_when_it_is_trained_on(run: RunFolder, tmp_path: Path) -> None:
    small = tmp_path / "small.onnx"
    small.write_bytes(halve(run.model.read_bytes()))
    write_contract(replace(contract_of(run.path), onnx_sha256=file_sha256(small)), small.with_suffix(".json"))
    best, found = load_model(run.best)[0].state_dict(), load_trained(small, "resnet18").state_dict()
    assert {tensor.dtype for tensor in found.values()} == {torch.float32, torch.int64}
    assert all(torch.allclose(found[name], best[name], atol=1e-3) for name in found if "num_batches" not in name)
    assert not all(torch.equal(found[name], best[name]) for name in found if "num_batches" not in name)


def test_another_network_cannot_go_on(run: RunFolder) -> None:
    with pytest.raises(UsageError, match="is a resnet18, not a resnet34; expected --model resnet18"):
        load_trained(run.path, "resnet34")


def test_a_model_json_of_other_weights_is_refused(run: RunFolder, tmp_path: Path) -> None:
    """It would tell of other people than the weights have seen."""
    other = shutil.copytree(run.path, tmp_path / "other")
    contract = read_contract(other / "model.json")
    write_contract(replace(contract, onnx_sha256="0" * 64), other / "model.json")
    with pytest.raises(ModelFileError, match=r"its model\.json is of other weights"):
        load_trained(other, "resnet18")


def test_a_network_of_a_short_name_can_go_on(tiny: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of before tell the short name that was given; now the full one is written."""
    monkeypatch.setattr(catalogue, "ALIASES", {"short": "unet"})
    other = shutil.copytree(tiny.path, tmp_path / "other")
    write_contract(replace(read_contract(other / "model.json"), architecture="short"), other / "model.json")
    for name in ("short", "unet"):
        load_trained(other, name)
    monkeypatch.setattr(export_part, "resolve_name", {"unet": "full name"}.get)
    assert export_part.export(RunFolder(other)).architecture == "full name"


def test_folds_are_no_single_model(tmp_path: Path) -> None:
    (tmp_path / "folds.json").touch()
    with pytest.raises(ModelFileError, match=r"expected one of them: .*fold0"):
        find_model(tmp_path)


def test_a_file_without_the_weights_cannot_go_on(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"lacks .* export the model again"):
        load_trained(write_known_model(tmp_path), "unet")


def test_training_goes_on_from_a_model(run: RunFolder, index: DatasetIndex, tmp_path: Path) -> None:
    """A learning rate of next to nothing leaves the weights where they started: at those of the model."""
    config = tiny_config("resnet18", epochs=1, learning_rate=1e-9, lr_scheduler="none", average=0.0)
    config = replace(config, model=ModelConfig(model="resnet18", weights=str(run.path)))
    second = train(index, config, tmp_path / "second")
    first, after = tensors_of(run.best), tensors_of(second.best)
    weights = [name for name in first if name.endswith("weight")]
    assert all(torch.allclose(first[name], after[name], atol=1e-6) for name in weights)


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_what_is_kept_may_lie_between_before_and_after(
    average: float, tiny: RunFolder, index: DatasetIndex, tmp_path: Path
) -> None:
    def going_on(share: float) -> RunFolder:
        config = tiny_config(epochs=1, learning_rate=0.01, lr_scheduler="none", average=average)
        optimisation = replace(config.optimisation, start_share=share)
        config = replace(config, model=ModelConfig("unet", weights=str(tiny.path)), optimisation=optimisation)
        return train(index, config, tmp_path / f"{share}")

    runs = {share: going_on(share) for share in (0.0, 0.25, 1.0)}
    before, (after, between, same) = tensors_of(tiny.best), (tensors_of(each.best) for each in runs.values())
    numbers = [name for name in before if before[name].is_floating_point()]
    assert not all(torch.allclose(before[name], after[name], atol=1e-3) for name in numbers)
    for name in numbers:
        torch.testing.assert_close(same[name], before[name])
        torch.testing.assert_close(between[name], 0.25 * before[name] + 0.75 * after[name])
    losses = [each.metrics()[0]["val_loss"] for each in runs.values()]
    assert len({f"{loss:.5f}" for loss in losses}) == 3  # the network that is kept is the one that is validated
    assert len({each.metrics()[0]["train_loss"] for each in runs.values()}) == 1


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_resuming_needs_the_model_no_more(share: float, tiny: RunFolder, index: DatasetIndex, tmp_path: Path) -> None:
    """Neither for its weights nor for whom it has seen; and it learns what an undisturbed training learns."""
    source = shutil.copytree(tiny.path, tmp_path / "source")
    whole = tiny_config(epochs=2, lr_scheduler="none")
    optimisation = replace(whole.optimisation, start_share=share)
    whole = replace(whole, model=ModelConfig("unet", weights=str(source)), optimisation=optimisation)
    undisturbed = train(index, whole, tmp_path / "undisturbed")
    train(index, replace(whole, optimisation=replace(whole.optimisation, epochs=1)), tmp_path / "killed")
    shutil.rmtree(source)
    resumed = train(index, whole, tmp_path / "killed", RESUME)
    assert same_run(resumed, undisturbed)
    assert beginning_of(resumed) == beginning_of(undisturbed)
    assert set(beginning_of(resumed).trained_cases) == tiny.split().trained_cases()
    assert set(beginning_of(resumed).cases) == tiny.split().seen_cases() > tiny.split().trained_cases()


@pytest.fixture(scope="module")
def of_another_layout(index: DatasetIndex, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Train an encoder of the first layout for two epochs."""
    folder = tmp_path_factory.mktemp("layout")
    torch.manual_seed(0)
    weights = folder / "v1.safetensors"
    save_file(dict(ResNetEncoder("resnet50").state_dict()), weights, {"architecture": "resnet50-v1"})
    whole = tiny_config(epochs=2, lr_scheduler="none")
    model = ModelConfig("resnet50-s16", encoder_weights=str(weights))
    return train(index, replace(whole, model=model), folder / "undisturbed")


@pytest.mark.parametrize("has_start_file", [True, False])
def test_resuming_keeps_the_layout_of_the_encoder(
    of_another_layout: RunFolder, index: DatasetIndex, tmp_path: Path, has_start_file: bool
) -> None:
    """The weights of both layouts have the same shapes: nothing but what is written down tells them apart."""
    undisturbed, whole = of_another_layout, of_another_layout.config()
    killed = train(index, replace(whole, optimisation=replace(whole.optimisation, epochs=1)), tmp_path / "killed")
    if not has_start_file:  # a run of an earlier release
        killed.start_file.unlink()
    assert same_run(train(index, whole, killed.path, RESUME), undisturbed)
    assert load_model(killed.best)[1]["stride_in_1x1"]


def test_a_damaged_beginning_is_said(run: RunFolder, tmp_path: Path) -> None:
    copied = RunFolder(shutil.copytree(run.path, tmp_path / "run"))
    for text in ("{", "[]", "{}", '{"cases": [], "trained_cases": [], "colour": 1}'):
        copied.start_file.write_text(text)
        with pytest.raises(DataError, match=r"start\.json: damaged"):
            beginning_of(copied)


def test_whoever_the_first_model_saw_was_seen_by_the_second(
    tiny: RunFolder, index: DatasetIndex, tmp_path: Path
) -> None:
    """Fine-tuning with another split: the test patients of the second were trained on by the first."""
    folds = (SplitConfig(split="fold", folds=3, fold=number) for number in range(3))
    other = next(
        each for each in folds if not set(tiny.split().parts["test"]) & set(make_split(index, each).parts["test"])
    )
    config = replace(tiny_config(epochs=1), model=ModelConfig("unet", weights=str(tiny.path)), split=other)
    second = train(index, config, tmp_path / "second", exported=True)
    own, before = second.split().seen_cases(), tiny.split().seen_cases()
    assert own != before
    assert seen_by(second.path) == own | before
    assert trained_on(second.path) == second.split().trained_cases() | tiny.split().trained_cases()
    assert contract_of(second.path).training["weights_sha256"] == contract_of(tiny.path).onnx_sha256
    unseen = choose_subset(index, second.path, "test").seen_patients
    assert unseen == len({patient.name[:12] for patient in index.patients} & before - own)


def test_from_takes_network_and_size_of_the_model(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(tmp_path), "--from", str(run.path), "--epochs", "3", "--print-config"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"]["model"], told["image_size"], told["normalisation"]) == ("resnet18", SIZE, "volume")
    assert (told["model"]["weights"], told["optimisation"]["epochs"]) == (str(run.path), 3)


@pytest.mark.parametrize(
    ("options", "size", "threshold"),
    [
        ((), SIZE, 0.5),
        (("--image-size", "64"), 64, 0.5),
        (("--config", "mine.json"), 256, 0.3),  # 256 is the recipe's, too, but here the file says it
        (("--config", "other.json"), SIZE, 0.5),
        (("--config", "share.json"), SIZE, 0.5),  # which makes sense with a model to go on from alone
        (("--from", "none"), 256, 0.5),
    ],
)
def test_an_option_wins_over_the_file_and_the_file_over_the_model(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...], size: int, threshold: float,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text('{"image_size": 256, "threshold": 0.3, "model": {"weights": "none"}}')
    Path("other.json").write_text('{"seed": 4}')
    Path("share.json").write_text('{"optimisation": {"start_share": 0.5}}')
    source = () if "--from" in options else ("--from", str(run.path))
    assert main(["train", str(tmp_path), *source, *options, "--print-config"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["image_size"], told["threshold"]) == (size, threshold)


@pytest.mark.parametrize("option", ["--weights", "--encoder-weights", "--encoder_weights"])
def test_other_weights_beside_the_models_are_refused(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert main(["train", str(tmp_path), "--from", str(run.path), option, "imagenet", "--print-config"]) == 2
    assert f"{option.replace('_', '-')} imagenet and --from {run.path}; give one of them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "epochs"),
    [
        ((), 5),
        (("--epochs", "9"), 9),
        (("--config", "same.json"), 5),
        (("--seed", "4"), None),
        (("--config", "other.json"), None),
        (("--from", "none"), None),
        (("--from", "lgg-resnet50-s16"), None),
    ],
)
def test_the_first_command_resumes_and_another_is_refused(
    run: RunFolder, index: DatasetIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], more: tuple[str, ...], epochs: int | None,
) -> None:  # fmt: skip
    """Also if the model is gone by then, and with the epochs that the run has, not the recipe's."""
    started = []

    def pretend(_index: object, config: TrainConfig, folder: RunFolder, _options: object) -> RunFolder:
        save_config(replace(config, hardware=replace(config.hardware, precision="float32")), folder.config_file)
        started.append(config)
        return folder

    monkeypatch.setattr(fit_module, "fit", pretend)
    monkeypatch.chdir(tmp_path)
    source = shutil.copytree(run.path, tmp_path / "source")
    Path("same.json").write_text('{"seed": 3, "optimisation": {"epochs": 2}, "hardware": {"precision": "auto"}}')
    Path("other.json").write_text('{"hardware": {"micro_batch": 2}}')
    command = ["train", str(index.root), "--from", "source", "--resume"]
    assert main([*command, "--seed", "3", "--epochs", "5"]) == 0
    assert "runs/0 holds nothing to go on with: it is started" in capsys.readouterr().out
    shutil.rmtree(source)
    again = [*command, *more] if "--from" not in more else ["train", str(index.root), "--resume", *more]
    assert main(again) == (2 if epochs is None else 0)
    assert ("only --epochs may be given with it" in capsys.readouterr().err) == (epochs is None)
    assert [(config.seed, config.optimisation.epochs) for config in started[1:]] == ([(3, epochs)] if epochs else [])


def test_of_an_earlier_model_the_split_tells_who_was_trained_on(run: RunFolder, tmp_path: Path) -> None:
    earlier = RunFolder(shutil.copytree(run.path, tmp_path / "run"))
    contract = contract_of(earlier.path)
    training = {name: value for name, value in contract.training.items() if name != "trained_cases"}
    write_contract(replace(contract, training=training), earlier.contract)
    assert trained_on(earlier.path) == run.split().trained_cases() < seen_by(earlier.path)
    earlier.split_file.unlink()
    assert trained_on(earlier.path) == seen_by(earlier.path)
    assert trained_on("none") == frozenset()


# --- everybody


def test_everybody_is_trained_on_but_the_ten(tmp_path: Path) -> None:
    tiny_dataset(tmp_path, patients=3, slices=2, size=32)
    write_patient(tmp_path, BUDA10[0], slices=2, size=32)
    split = make_split(build_index(tmp_path, use_cache=False), SplitConfig(split="all"))
    assert split.parts["test"] == (BUDA10[0],)
    assert len(split.parts["train"]) == 3
    assert split.parts["validation"] == ()


def test_a_training_on_everybody_keeps_its_last_epoch(
    index: DatasetIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_tiny_net(monkeypatch)
    config = replace(tiny_config(average=0.0), split=SplitConfig(split="all"))
    everybody = train(index, config, tmp_path / "run", exported=True)
    contract, state = read_contract(everybody.contract), tensors_of(everybody.last)
    assert contract.training["patients"] == len(index.patients)
    assert (contract.scores["validation_dice"], contract.scores["best_epoch"]) == (None, 2)
    assert contract.temperature == 1
    assert "val_dice" not in everybody.metrics()[0]
    kept = tensors_of(everybody.best)["layers.3.weight"]
    assert any(tensor.shape == kept.shape and torch.equal(tensor, kept) for tensor in state.values())
    longer = train(index, replace(config, optimisation=replace(config.optimisation, epochs=3)), everybody.path, RESUME)
    assert len(longer.metrics()) == 3


def test_nobody_can_stop_a_training_on_everybody() -> None:
    with pytest.raises(UsageError, match="early_stopping is 3; expected 0 without validation"):
        replace(tiny_config(early_stopping=3), split=SplitConfig(split="all"))


# --- temperature


def test_a_run_has_the_temperature_of_its_validation_patients(run: RunFolder, index: DatasetIndex) -> None:
    """Recomputed by a grid: no temperature near it has a smaller cross-entropy on those slices."""
    from gliomask.data.normalisation import normalise

    temperature = read_contract(run.contract).temperature
    cache, net = open_cache(index, SIZE), load_model(run.best)[0]
    rows = run.split().positions(index, "validation")
    rows = rows[cache.tumour_pixels[rows] > 0]
    inputs = normalise(np.asarray(cache.images[rows]), np.asarray(cache.volume_statistics[rows[0]]))  # one patient
    with torch.no_grad():
        logits = net(torch.from_numpy(inputs))[:, 0].numpy()
    truth = np.asarray(cache.masks[rows]).astype(bool)

    def loss(value: float) -> float:
        scaled = np.where(truth, -logits, logits) / value
        return float(np.logaddexp(0, scaled).mean())

    others = [value for factor in (0.5, 0.8, 0.95, 1.05, 1.25) if 0.1 <= (value := temperature * factor) <= 10]
    assert len(others) >= 2  # at a limit there is only one side
    assert all(loss(temperature) < loss(value) for value in others)


# --- less to see


class Spy:
    """Remembers what it was shown, and finds FLAIR above 100."""

    def __init__(self) -> None:
        self.shown: list[NDArray[np.uint8]] = []
        self.predictor: Predictor | None = None

    def predict(self, images: NDArray[np.uint8]) -> object:
        assert self.predictor is not None
        self.shown.append(images)
        return self.predictor.predict(images)


@pytest.mark.parametrize(("view", "stacks"), [(View(), 1), (View(flair_alone=True), 1), (View(one_by_one=True), 3)])
def test_a_model_sees_what_it_is_meant_to_see(view: View, stacks: int, tmp_path: Path) -> None:
    spy = Spy()
    spy.predictor = Predictor.load(write_known_model(tmp_path))
    truth = np.stack([block(slice(2 + each, 9), slice(3, 12)) for each in range(3)])
    images = flair_of(truth)
    source = PredictedMasks(lambda _: spy, view)  # type: ignore[arg-type,return-value]
    found = source.segment(PatientRecord(patient_name(0), "CS", (), (), {}), images)
    assert np.array_equal(found.mask, truth)
    assert len(spy.shown) == stacks
    shown = np.concatenate(spy.shown)
    assert np.array_equal(shown[..., 1], images[..., 1])
    assert np.array_equal(shown[..., 0], images[..., 1 if view.flair_alone else 0])
    assert np.array_equal(shown[..., 2], images[..., 1 if view.flair_alone else 2])


# --- what comes with the package


@pytest.mark.parametrize("name", [*bundled_models()])
def test_a_bundled_model_holds_together(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path, contract = bundled_models()[name], contract_of(name)
    sizes = [path.with_suffix(ending).stat().st_size for ending in (".onnx", ".json", ".md")]
    assert sum(sizes) < 64e6
    assert contract.name == name
    assert not {case[:12] for case in BUDA10} & seen_by(name)
    images = np.zeros((2, 40, 50, 3), np.uint8)
    assert Predictor.load(name).predict(images).mask.shape == (2, 40, 50)
    if contract.int8_sha256 is not None:
        assert sum(sizes) + int8_of(path).stat().st_size < 64e6
        assert Predictor.load(name, precision="int8").predict(images).mask.shape == (2, 40, 50)
    assert main(["models", name]) == 0
    assert f"{contract.scores['dice_patient']:.3f}" in capsys.readouterr().out


def test_the_default_model_comes_with_the_package() -> None:
    assert trained.DEFAULT in bundled_models()
    assert next(iter(bundled_models())) == trained.DEFAULT
    card = ROOT / "docs" / "model-card.md"
    assert card.read_text() == bundled_models()[trained.DEFAULT].with_suffix(".md").read_text()
