"""One tiny training from slices to an exported model, and what happens around it."""

from __future__ import annotations

import json
import shutil
import socket
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from gliomask.config import HardwareConfig, TrainConfig, load_config
from gliomask.data.augmentation import AugmentationParameters, augment, prepare
from gliomask.data.batches import CachedBatches, EvaluationPlans
from gliomask.data.cache import SliceCache, open_cache
from gliomask.data.index import DatasetIndex, build_index
from gliomask.data.split import PARTS, load_split
from gliomask.errors import DataError, ModelFileError, SplitMismatchError, UsageError, WeightsError
from gliomask.files import file_sha256
from gliomask.inference.predictor import Predictor
from gliomask.models.checkpoint import load_model
from gliomask.models.contract import read_contract
from gliomask.models.registry import MODELS, build_model
from gliomask.training import export as export_module
from gliomask.training import precision
from gliomask.training.export import TOLERANCE, export, largest_difference
from gliomask.training.fit import resumed_config
from gliomask.training.loading import SliceData
from gliomask.training.module import SegmentationModule
from gliomask.training.run_folder import RunFolder
from gliomask.training.state import load_state
from places import ROOT
from tiny_runs import (
    QUIET,
    RESUME,
    TinyNet,
    metrics_but_time,
    same_run,
    same_tensors,
    tensors_of,
    tiny_config,
    tiny_index,
    train,
    use_tiny_net,
)


@dataclass(frozen=True)
class Finished:
    """A training that ended."""

    index: DatasetIndex
    config: TrainConfig
    run: RunFolder
    cache: SliceCache


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Train a real network for two epochs and export it."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLIOMASK_CACHE", str(folder / "cache"))
        index, config = tiny_index(folder / "data"), replace(tiny_config("resnet18"), threshold=0.4)
        run = train(index, config, folder / "runs" / "tiny", exported=True)
        return Finished(index, config, run, open_cache(index, 32))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetIndex:
    """Return tiny data, and let "unet" be the tiny network."""
    use_tiny_net(monkeypatch)
    return tiny_index(tmp_path / "data")


# --- the files of a run


def test_a_run_leaves_every_file_it_promises(finished: Finished) -> None:
    run = finished.run
    promised = [run.config_file, run.split_file, run.environment_file, run.metrics_file]
    promised += [run.start_file, run.last, run.best, run.model, run.contract]
    assert sorted(run.path.iterdir()) == sorted([*promised, run.path / "tensorboard"])
    assert run.exists()
    assert run.name == "tiny"


def test_settings_and_split_are_those_that_were_used(finished: Finished) -> None:
    assert finished.run.config() == finished.config
    split = load_split(finished.run.split_file)
    assert split.fingerprint == finished.index.fingerprint
    assert json.loads(finished.run.environment_file.read_text())["versions"]["torch"] == torch.__version__


def test_defect_patients_leak(finished: Finished) -> None:
    split = finished.run.split()
    parts = {part: set(split.patients(finished.index, part)) for part in PARTS}
    assert not any(parts[one] & parts[other] for one, other in combinations(PARTS, 2))
    data = SliceData(finished.cache, split, finished.index, finished.config)
    trained, validated = (set(finished.cache.patients[rows]) for rows in (data.training, data.validation))
    assert trained
    assert validated
    assert not trained & validated


def test_metrics_have_a_row_an_epoch(finished: Finished) -> None:
    rows = finished.run.metrics()
    assert list(rows[0]) == [
        "epoch", "step", "val_loss", "val_dice", "val_dice_pooled", "train_loss", "train_dice_pooled",
        "learning_rate", "seconds",
    ]  # fmt: skip
    assert [(row["epoch"], row["step"]) for row in rows] == [(0, 3), (1, 6)]
    assert rows[-1]["learning_rate"] == pytest.approx(1e-3 * finished.config.optimisation.learning_rate)
    assert all(np.isfinite(list(row.values())).all() for row in rows)


def test_tensorboard_shows_what_metrics_say_and_examples(finished: Finished) -> None:
    events = EventAccumulator(str(finished.run.path / "tensorboard"))
    events.Reload()
    rows = finished.run.metrics()
    for name in ("train_loss", "val_loss", "val_dice", "learning_rate"):
        values = [event.value for event in events.Scalars(name)]
        assert values == pytest.approx([row[name] for row in rows], rel=1e-5)
    assert len(events.Images("validation/overlay")) == 2
    assert events.Images("validation/overlay")[0].encoded_image_string.startswith(b"\x89PNG")


def test_best_weights_name_their_epoch_and_score(finished: Finished) -> None:
    _, metadata = load_model(finished.run.best)
    scores = [row["val_dice"] for row in finished.run.metrics()]
    assert metadata["extra"] == {"epoch": int(np.argmax(scores)), "val_dice": max(scores)}


def test_best_weights_are_the_averaged_ones_of_the_best_epoch(
    index: DatasetIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter((0.2, 0.6, 0.4, 0.6, 0.1, 0.2))
    monkeypatch.setattr(
        "gliomask.training.module.validation_scores", lambda *_: {"val_dice": next(scores), "val_dice_pooled": 0.0}
    )
    long, short = (
        train(index, tiny_config(epochs=epochs, lr_scheduler="none"), tmp_path / f"{epochs}") for epochs in (4, 2)
    )
    _, metadata = load_model(long.best)
    assert metadata["extra"] == {"epoch": 1, "val_dice": 0.6}  # the first of two equal ones
    after_two_epochs, best = load_state(short.last)["state_dict"], tensors_of(long.best)
    assert all(torch.equal(best[name], after_two_epochs[f"average.net.{name}"]) for name in best)


def test_where_the_rate_ends_near_zero_the_last_epoch_is_kept(
    index: DatasetIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter((0.2, 0.6, 0.4) * 2)
    monkeypatch.setattr(
        "gliomask.training.module.validation_scores", lambda *_: {"val_dice": next(values), "val_dice_pooled": 0.0}
    )
    configs = {name: tiny_config(epochs=3, keep="auto", lr_scheduler=name) for name in ("one-cycle", "none")}
    runs = [train(index, config, tmp_path / name) for name, config in configs.items()]
    assert [load_model(run.best)[1]["extra"] for run in runs] == [
        {"epoch": 2, "val_dice": 0.4},
        {"epoch": 1, "val_dice": 0.6},
    ]


# --- the exported model


def test_the_exported_model_equals_the_net(finished: Finished) -> None:
    net, _ = load_model(finished.run.best)
    assert largest_difference(net, finished.run.model.read_bytes(), 32) < 1e-5


def test_a_wrong_export_is_noticed(finished: Finished) -> None:
    net = build_model("resnet18").eval()
    assert largest_difference(net, finished.run.model.read_bytes(), 32) > TOLERANCE


def test_a_wrong_export_is_refused_and_not_written(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    for file in (finished.run.config_file, finished.run.split_file):
        shutil.copy(file, run.path)
    shutil.copy(finished.run.best, run.best)
    (run.path / "model.onnx").write_bytes(b"before")
    monkeypatch.setattr(export_module, "largest_difference", lambda *_: 0.01)
    monkeypatch.setattr(export_module, "to_onnx", lambda *_: b"wrong")
    with pytest.raises(ModelFileError, match=r"model\.onnx: exported probabilities differ by 0\.01"):
        export(run)
    assert run.model.read_bytes() == b"before"
    assert not run.contract.exists()


def test_defect_two_thresholds(finished: Finished) -> None:
    """One threshold, of the settings, travels with the model to whoever predicts."""
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    prediction = Predictor.load(finished.run.path, smallest_component=0).predict(images)
    assert finished.config.threshold == prediction.threshold == 0.4
    assert np.array_equal(prediction.mask, prediction.probabilities >= 0.4)


def test_an_exported_model_does_not_tell_where_it_was_made(finished: Finished) -> None:
    content = finished.run.model.read_bytes()
    assert b"encoder.conv1.weight" in content
    for place in (Path(torch.__file__).parent, ROOT / "src", Path.home()):
        assert str(place).encode() not in content


def test_the_contract_describes_the_run(finished: Finished) -> None:
    contract = read_contract(finished.run.contract)
    assert (contract.name, contract.architecture, contract.image_size) == ("tiny", "resnet18", 32)
    assert contract.normalisation == finished.config.normalisation
    assert contract.onnx_sha256 == file_sha256(finished.run.model)
    assert contract.training["patients"] == len(finished.run.split().parts["train"])
    scores = [row["val_dice"] for row in finished.run.metrics()]
    assert contract.scores == {"validation_dice": max(scores), "best_epoch": int(np.argmax(scores)) + 1}


def test_the_predictor_sees_what_the_training_saw(finished: Finished) -> None:
    """Probabilities of the exported model on files equal those of the trained net on cached slices."""
    rows = finished.run.split().positions(finished.index, "validation")
    batch = CachedBatches(finished.cache, "volume")[next(iter(EvaluationPlans(rows, batch_size=len(rows))))]
    net, _ = load_model(finished.run.best)
    inputs, _ = prepare(batch.images, batch.masks, statistics=batch.volume_statistics)
    predictor = Predictor.load(finished.run.path, precision="float32")
    with torch.no_grad():
        expected = (net(inputs) / predictor.contract.temperature).sigmoid()[:, 0].numpy()
    found = predictor.predict(finished.cache.images[rows]).probabilities
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_folder_without_run_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no config\.json"):
        export(RunFolder(tmp_path))


# --- seeds


def test_same_seed_same_weights_another_seed_others(index: DatasetIndex, tmp_path: Path) -> None:
    runs = []
    for number, seed in enumerate((0, 0, 1)):
        torch.manual_seed(number)  # must not matter
        runs.append(train(index, tiny_config(seed=seed), tmp_path / f"run{number}"))
    assert same_run(runs[0], runs[1])
    assert not same_tensors(runs[0].best, runs[2].best)


def test_slices_in_memory_teach_the_same(index: DatasetIndex, tmp_path: Path) -> None:
    config = tiny_config()
    runs = [
        train(index, replace(config, hardware=replace(config.hardware, resident=where)), tmp_path / where)
        for where in ("on", "off")
    ]
    assert same_run(runs[0], runs[1])


def test_batches_in_parts_make_as_many_steps(index: DatasetIndex, tmp_path: Path) -> None:
    config = tiny_config(batch_size=5)  # the last batch has two slices, and so one part
    whole = train(index, config, tmp_path / "whole")
    parts = train(index, replace(config, hardware=replace(config.hardware, micro_batch=2)), tmp_path / "parts")
    assert [row["step"] for row in parts.metrics()] == [row["step"] for row in whole.metrics()]
    assert [row["learning_rate"] for row in parts.metrics()] == [row["learning_rate"] for row in whole.metrics()]
    for one, other in zip(parts.metrics(), whole.metrics(), strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], abs=0.05)
    updates = [load_state(run.last)["state_dict"]["average._extra_state"] for run in (parts, whole)]
    assert updates[0] == updates[1] == whole.metrics()[-1]["step"]


def test_training_leaves_the_generators_alone(index: DatasetIndex, tmp_path: Path) -> None:
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002 - it is the legacy generator that others may use
    expected = torch.random.get_rng_state(), np.random.get_state()[1]  # type: ignore[index] # noqa: NPY002
    train(index, tiny_config(epochs=1), tmp_path / "run")
    assert torch.equal(torch.random.get_rng_state(), expected[0])
    assert np.array_equal(np.random.get_state()[1], expected[1])  # type: ignore[index] # noqa: NPY002


def test_every_epoch_draws_anew(index: DatasetIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The epoch that the batches are drawn for is the one that is trained, also after a restart."""
    seeds: list[tuple[int, ...]] = []

    def recording(*arguments: Any, parameters: AugmentationParameters, **named: Any) -> Any:
        seeds.append(tuple(parameters.noise_seed.tolist()))
        return augment(*arguments, parameters=parameters, **named)

    monkeypatch.setattr("gliomask.training.module.augment", recording)
    run = train(index, tiny_config(epochs=2), tmp_path / "run")
    train(index, resumed_config(run, 3), run.path, RESUME)
    assert len(seeds) == len(set(seeds)) == 3 * 3


# --- validation


def test_defect_validation_is_augmented(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a random change")

    monkeypatch.setattr("gliomask.training.module.augment", refuse)
    net, _ = load_model(finished.run.best)
    data = SliceData(finished.cache, finished.run.split(), finished.index, finished.config)
    module = SegmentationModule(net, finished.config, finished.cache, steps_per_epoch=3)
    sums = []
    for _ in range(2):
        module.on_validation_epoch_start()
        for number, batch in enumerate(data.val_dataloader()):
            assert batch.parameters is None
            module.validation_step(batch, number)
        sums.append(module._validation_sums)
    assert torch.equal(sums[0], sums[1])
    assert torch.nonzero(sums[0][:, 4]).ravel().tolist() == data.validation.tolist()  # every slice once


# --- starting, stopping, going on


def test_an_existing_run_is_not_overwritten(finished: Finished) -> None:
    before = finished.run.metrics_file.read_bytes()
    with pytest.raises(UsageError, match="holds a run already; use --resume"):
        train(finished.index, finished.config, finished.run.path)
    assert finished.run.metrics_file.read_bytes() == before


def test_a_run_is_not_resumed_on_other_data(finished: Finished, tmp_path: Path) -> None:
    other, run = tiny_index(tmp_path / "other", patients=6), finished.run
    before = {file: file.stat().st_mtime_ns for file in run.path.iterdir()}
    with pytest.raises(SplitMismatchError, match="which the split was made for"):
        train(other, finished.config, run.path, RESUME)
    assert {file: file.stat().st_mtime_ns for file in run.path.iterdir()} == before


def test_early_stopping_waits_for_a_better_validation_dice(
    index: DatasetIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter((0.1, 0.2, 0.4, 0.3, 0.4, 0.9))
    monkeypatch.setattr(
        "gliomask.training.module.validation_scores", lambda *_: {"val_dice": next(scores), "val_dice_pooled": 0.0}
    )
    run = train(index, tiny_config(epochs=9, early_stopping=2), tmp_path / "run")
    assert [row["val_dice"] for row in run.metrics()] == [0.1, 0.2, 0.4, 0.3, 0.4]


def test_a_run_can_be_extended(index: DatasetIndex, tmp_path: Path) -> None:
    run = train(index, tiny_config(lr_scheduler="none"), tmp_path / "run")
    first = metrics_but_time(run)
    train(index, resumed_config(run, 4), run.path, RESUME)
    assert metrics_but_time(run)[:2] == first
    assert run.config().optimisation.epochs == 4
    at_once = train(index, tiny_config(lr_scheduler="none", epochs=4), tmp_path / "at_once")
    assert same_run(run, at_once)


def test_resuming_a_finished_run_changes_nothing(index: DatasetIndex, tmp_path: Path) -> None:
    run = train(index, tiny_config(), tmp_path / "run")
    files = (run.last, run.best, run.metrics_file, run.config_file, run.split_file)
    before = [file.read_bytes() for file in files]
    train(index, resumed_config(run), run.path, RESUME)
    assert [file.read_bytes() for file in files] == before


def test_fewer_epochs_than_there_are_is_refused(finished: Finished) -> None:
    with pytest.raises(UsageError, match="has 2 epochs already"):
        resumed_config(finished.run, 1)
    assert resumed_config(finished.run) == resumed_config(finished.run, 2) == finished.config


def test_resume_without_a_run_begins_one(index: DatasetIndex, tmp_path: Path) -> None:
    one = train(index, tiny_config(), tmp_path / "one", RESUME)
    other = train(index, tiny_config(), tmp_path / "other", QUIET)
    assert same_run(one, other)


def test_fast_dev_run_makes_a_complete_run(index: DatasetIndex, tmp_path: Path, finished: Finished) -> None:
    options = replace(QUIET, fast_dev_run=True)
    run = train(index, tiny_config(epochs=5), tmp_path / "run", options, exported=True)
    assert {file.name for file in run.path.iterdir()} == {file.name for file in finished.run.path.iterdir()}
    assert [(row["epoch"], row["step"]) for row in run.metrics()] == [(0, 1)]
    images = np.zeros((1, 40, 30, 3), np.uint8)
    assert Predictor.load(run.path).predict(images).mask.shape == (1, 40, 30)


def test_measured_precision_is_kept_for_resuming(
    index: DatasetIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_seconds", lambda dtype: 2.0 if dtype == torch.float32 else 1.0)
    config = replace(tiny_config(epochs=1), hardware=HardwareConfig(accelerator="cpu", precision="auto"))
    run = train(index, config, tmp_path / "run")
    assert load_config(run.config_file).hardware.precision == "bfloat16"


def test_changed_files_are_other_data(index: DatasetIndex, tmp_path: Path) -> None:
    run = train(index, tiny_config(epochs=1), tmp_path / "run")
    shutil.rmtree(index.root / index.patients[0].name)
    with pytest.raises(SplitMismatchError):
        train(build_index(index.root, use_cache=False), tiny_config(), run.path, RESUME)


def test_defect_weights_downloaded_in_constructor(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network is built with the help of the internet, unless weights are asked for by name."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("the network is forbidden here")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    with torch.device("meta"):
        for name in MODELS:
            assert build_model(name).training
    with pytest.raises(WeightsError, match="the network is forbidden here"):
        build_model("resnet18", encoder_weights="imagenet")


def test_the_tiny_network_is_only_that_of_the_tests(index: DatasetIndex) -> None:
    assert index.slice_count == 20
    assert isinstance(build_model("unet"), TinyNet)
