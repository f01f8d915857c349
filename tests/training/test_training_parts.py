"""The pieces of a training by hand: rates, moving average, counts, precision, overlays, files of a run."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gliomask.config import AugmentationConfig, OptimisationConfig
from gliomask.data.augmentation import draw, prepare
from gliomask.data.batches import BatchPlan, CachedBatches, SliceBatch, TrainingPlans
from gliomask.data.cache import SliceCache
from gliomask.data.normalisation import channel_statistics
from gliomask.errors import DataError, UsageError
from gliomask.models.losses import LOSSES
from gliomask.models.registry import build_model
from gliomask.training import environment, export, precision
from gliomask.training.callbacks import RunWriter, overlays
from gliomask.training.loading import SliceData, example_positions, fits
from gliomask.training.module import (
    MovingAverage,
    SegmentationModule,
    _count,
    learning_rate_factor,
    parameter_groups,
    validation_scores,
)
from gliomask.training.precision import choose_precision
from gliomask.training.run_folder import RunFolder
from tiny_runs import TinyNet, tiny_config


def factor(scheduler: Any, step: int, *, epochs: int = 10, steps: int = 10) -> float:
    return learning_rate_factor(step, OptimisationConfig(epochs=epochs, lr_scheduler=scheduler), steps)


def small_cache(count: int = 4, size: int = 32) -> SliceCache:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    masks = np.zeros((count, size, size), np.uint8)
    masks[1:, :8, :8] = 1
    statistics = np.stack([channel_statistics(images)] * count)
    patients = np.array([0, 0, 1, 1])[:count]
    return SliceCache(images, masks, statistics, statistics, patients, masks.sum(axis=(1, 2), dtype=np.int64))


# --- learning rate


def test_an_encoder_may_learn_more_slowly() -> None:
    net, config = build_model("resnet18"), OptimisationConfig(learning_rate=1e-3, encoder_rate=0.2)
    rest, encoder = parameter_groups(net, config)
    assert (rest["lr"], encoder["lr"]) == (1e-3, pytest.approx(2e-4))
    assert {id(weight) for weight in encoder["params"]} == {
        id(weight) for weight in net.get_submodule("encoder").parameters()
    }
    assert len(rest["params"]) + len(encoder["params"]) == len(list(net.parameters()))
    (together,) = parameter_groups(net, replace(config, encoder_rate=1.0))
    assert together["lr"] == 1e-3
    assert len(parameter_groups(TinyNet(), config)) == 1  # nothing to tell apart


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 1 / 25), (5, 0.52), (10, 1), (55, 0.5005), (100, 1e-3), (150, 1e-3)],
)
def test_one_cycle_by_hand(step: int, expected: float) -> None:
    assert factor("one-cycle", step) == pytest.approx(expected)


@pytest.mark.parametrize(("step", "expected"), [(0, 1), (50, 0.5005), (100, 1e-3), (1000, 1e-3)])
def test_cosine_by_hand(step: int, expected: float) -> None:
    assert factor("cosine", step) == pytest.approx(expected)


def test_without_scheduler_the_rate_is_the_highest() -> None:
    assert {factor("none", step) for step in range(120)} == {1.0}


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.01), (50, 0.505), (99, 0.9901), (100, 1), (149, 1), (150, 0.01), (200, 0.505)]
)
def test_original_warmup_restarts_in_every_epoch(step: int, expected: float) -> None:
    assert factor("warmup", step, steps=150) == pytest.approx(expected)


@pytest.mark.parametrize(("step", "expected"), [(0, 0.01), (5, 0.505), (10, 1), (11, 0.01)])
def test_original_warmup_is_no_longer_than_an_epoch_less_one(step: int, expected: float) -> None:
    assert factor("warmup", step, steps=11) == pytest.approx(expected)


@pytest.mark.parametrize("scheduler", ["none", "warmup", "one-cycle", "cosine"])
@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (1, 2), (3, 1), (2, 5)])
def test_rates_are_between_nothing_and_the_highest(scheduler: Any, epochs: int, steps: int) -> None:
    values = [factor(scheduler, step, epochs=epochs, steps=steps) for step in range(epochs * steps + 1)]
    assert all(0 < value <= 1 for value in values)


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("adamax", torch.optim.Adamax)])
def test_the_optimiser_is_the_one_that_was_asked_for(name: Any, kind: type) -> None:
    config = tiny_config(optimiser=name, learning_rate=0.01, weight_decay=0.1, lr_scheduler="cosine")
    made = SegmentationModule(TinyNet(), config, small_cache(), steps_per_epoch=5).configure_optimizers()
    (group,) = made["optimizer"].param_groups
    assert type(made["optimizer"]) is kind
    assert (group["initial_lr"], group["weight_decay"]) == (0.01, 0.1 if name == "adamw" else 0)
    assert made["lr_scheduler"]["interval"] == "step"


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_the_one_that_was_asked_for(name: Any) -> None:
    cache, config = small_cache(), tiny_config(loss=name, average=0.0)
    module = SegmentationModule(TinyNet(), config, cache, steps_per_epoch=1).eval()
    unchanged = CachedBatches(cache, "volume")[BatchPlan(np.arange(len(cache)), None)]
    inputs, targets = prepare(unchanged.images, unchanged.masks, statistics=unchanged.volume_statistics)
    expected = {key: loss(module.net(inputs), targets).item() for key, loss in LOSSES.items()}
    assert len({f"{value:.4f}" for value in expected.values()}) == len(LOSSES)
    nothing = draw(
        AugmentationConfig(**dict.fromkeys(vars(AugmentationConfig()), 0.0)), len(cache), np.random.default_rng()
    )
    module.on_train_epoch_start()
    assert module.training_step(unchanged._replace(parameters=nothing), 0).item() == pytest.approx(expected[name])
    module.on_validation_epoch_start()
    with torch.no_grad():
        module.validation_step(unchanged, 0)
    assert module._validation_sums[:, 3].tolist() == pytest.approx([expected[name]] * len(cache))


@pytest.mark.parametrize(("free", "expected"), [(2.01, True), (1.99, False)])
def test_slices_go_to_a_gpu_if_half_of_its_memory_holds_them(
    free: float, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = small_cache()
    size = cache.images.nbytes + cache.masks.nbytes
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free * size, 10 * size))
    assert fits(cache, torch.device("cuda")) is expected
    assert not fits(cache, torch.device("cpu"))


@pytest.mark.parametrize(("device", "waits"), [("cuda", False), ("cpu", True)])
def test_a_batch_goes_to_a_gpu_without_being_waited_for(device: str, waits: bool) -> None:
    """Lightning itself asks for that with single tensors only."""
    seen: list[bool] = []

    class Batch(SliceBatch):
        def to(self, device: torch.device | str, *, non_blocking: bool = False) -> SliceBatch:
            seen.append(non_blocking)
            return self

    empty = torch.zeros(0)
    batch = Batch(empty, empty, empty, empty, empty, None)
    SliceData.transfer_batch_to_device(SliceData.__new__(SliceData), batch, torch.device(device), 0)
    assert seen == [not waits]


def test_an_export_that_answers_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    net = build_model("resnet18").eval()
    monkeypatch.setattr(export, "_probabilities", lambda _, slices: np.full((len(slices), 1, 32, 32), np.nan))
    assert math.isnan(export.largest_difference(net, b"", 32))  # which is not below any tolerance


def test_a_training_step_waits_for_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tensor of the meta device has no values: whatever would read one, in NumPy or as a number, fails there."""
    cache, config = small_cache(), tiny_config(batch_size=3)
    config = replace(config, augmentation=replace(config.augmentation, drop_channel=0.5))
    (plan, *_) = TrainingPlans(np.arange(len(cache)), cache.tumour_pixels >= 0, config)
    module = SegmentationModule(TinyNet(), config, cache, steps_per_epoch=5).to("meta")
    module.on_train_epoch_start()
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which does not know that device
    assert module.average is not None
    for _ in range(2):
        module.training_step(CachedBatches(cache, "volume")[plan].to("meta"), 0).backward()  # type: ignore[no-untyped-call]
        module.average.update(module.net)
    assert all(weight.grad is not None and weight.grad.is_meta for weight in module.net.parameters())
    with pytest.raises(RuntimeError):
        float(module.net.state_dict()["layers.0.bias"].sum())


# --- moving average


def test_moving_average_by_hand() -> None:
    net = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(net.weight)
    average, expected = MovingAverage(net, 0.25), 0.0
    nn.init.ones_(net.weight)
    for weight in (1 / 10, 2 / 11, 3 / 12, 0.25):  # of the past; rises to the decay
        average.update(net)
        expected = weight * expected + 1 - weight
        assert next(average.net.parameters()).item() == pytest.approx(expected)
    assert int(average.updates) == 4


def test_moving_average_is_a_copy_that_is_never_trained() -> None:
    net = TinyNet()
    average = MovingAverage(net, 0.9)
    net.train()
    average.train()
    assert not any(module.training for module in average.net.modules())
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_moving_average_follows_running_statistics_and_counters() -> None:
    net = TinyNet()
    average = MovingAverage(net, 0.9)
    with torch.no_grad():
        net.train()(torch.randn(2, 3, 32, 32))
    average.update(net)
    mine, theirs = (dict(each.named_buffers()) for each in (average.net, net))
    variance, counter = "layers.1.running_var", "layers.1.num_batches_tracked"
    torch.testing.assert_close(mine[variance], 0.1 * torch.ones(4) + 0.9 * theirs[variance])
    assert mine[counter] == theirs[counter] == 1


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_what_is_validated_is_the_average_if_there_is_one(decay: float) -> None:
    module = SegmentationModule(TinyNet(), tiny_config(average=decay), small_cache(), steps_per_epoch=3)
    assert (module.averaged_net is module.net) == (decay == 0)
    assert any(name.startswith("average.") for name in module.state_dict()) == (decay > 0)


# --- scores that choose the best weights


def test_validation_dice_is_a_mean_over_patients() -> None:
    counts = np.array([[10, 0, 0], [0, 10, 0], [0, 0, 0], [3, 1, 1]])
    scores = validation_scores(counts, np.array([7, 7, 3, 9]))
    assert scores["val_dice"] == pytest.approx((20 / 30 + 1 + 6 / 8) / 3)
    assert scores["val_dice_pooled"] == pytest.approx(26 / 38)


def test_defect_empty_slices_vanish() -> None:
    """False alarms on a patient without tumour cost as much as any other patient, whatever the batch."""
    found, alarm = [100, 0, 0], [0, 1, 0]
    scores = validation_scores(np.array([found, alarm]), np.array([0, 1]))
    assert scores["val_dice"] == 0.5
    assert scores["val_dice_pooled"] > 0.99


@pytest.mark.parametrize(("threshold", "expected"), [(0.5, [2, 1, 1]), (0.9, [1, 0, 2]), (0.1, [3, 1, 0])])
def test_counts_by_hand(threshold: float, expected: list[int]) -> None:
    probabilities = torch.tensor([0.95, 0.5, 0.2, 0.6, 0.05])
    targets = torch.tensor([1.0, 1, 1, 0, 0])
    logits = torch.logit(probabilities, eps=1e-7)
    counted = _count(logits.reshape(1, 1, 1, 5), targets.reshape(1, 1, 1, 5), threshold)
    assert counted.tolist() == [expected]


def test_validation_counts_each_slice_at_its_row() -> None:
    cache, config = small_cache(), tiny_config(average=0.0)
    module = SegmentationModule(TinyNet(), replace(config, threshold=1e-6), cache, steps_per_epoch=1).eval()
    module.on_validation_epoch_start()
    with torch.no_grad():
        for rows in ([2, 0], [3]):
            batch = CachedBatches(cache, "volume")[BatchPlan(np.array(rows), None)]
            module.validation_step(batch, 0)
    sums = module._validation_sums
    assert sums[:, 4].tolist() == [1, 0, 1, 1]
    assert sums[[0, 2, 3], 0].tolist() == [0, 64, 64]  # everything is above that threshold
    assert sums[[0, 2, 3], 1].tolist() == [1024, 960, 960]
    assert sums[2, 3] == sums[0, 3] > 0


def test_training_refuses_slices_without_drawn_changes() -> None:
    module = SegmentationModule(TinyNet(), tiny_config(), small_cache(), steps_per_epoch=1)
    batch = CachedBatches(small_cache(), "volume")[BatchPlan(np.arange(2), None)]
    with pytest.raises(ValueError, match="needs augmentation parameters"):
        module.training_step(batch, 0)


# --- precision


@pytest.mark.parametrize("accelerator", ["cpu", "cuda", "mps"])
@pytest.mark.parametrize("setting", ["float32", "bfloat16"])
def test_a_precision_that_was_asked_for_is_taken_unmeasured(
    setting: Any, accelerator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(precision, "_seconds")
    monkeypatch.delattr(torch, "cuda")
    assert choose_precision(setting, accelerator) == setting


@pytest.mark.parametrize(
    ("speedup", "expected"), [(3, "bfloat16"), (1.31, "bfloat16"), (1.2, "float32"), (0.1, "float32")]
)
def test_bfloat16_is_taken_where_it_is_worth_it(speedup: float, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_seconds", lambda dtype: speedup if dtype == torch.float32 else 1.0)
    assert choose_precision("auto", "cpu") == expected
    assert choose_precision("auto", "mps") == "float32"


@pytest.mark.parametrize(("supported", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_a_gpu_is_asked(supported: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: supported)
    assert choose_precision("auto", "cuda") == expected


def test_measuring_answers_and_draws_nothing() -> None:
    before = torch.random.get_rng_state()
    assert choose_precision("auto", "cpu") in {"float32", "bfloat16"}
    assert torch.equal(torch.random.get_rng_state(), before)


# --- pictures


def test_overlays_outline_truth_green_and_prediction_red() -> None:
    images = torch.full((1, 8, 8, 3), 50, dtype=torch.uint8)
    targets, predicted = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    targets[..., 1:4, 1:4], predicted[..., 3:7, 3:7] = 1, True
    (picture,) = overlays(images, targets, predicted)
    colours = picture.permute(1, 2, 0).tolist()
    assert colours[1][1] == [0, 255, 0]
    assert colours[6][6] == [255, 0, 0]
    assert colours[3][3] == [255, 255, 0]
    assert colours[2][2] == colours[0][0] == [50, 50, 50]  # inside and outside the slice is seen as it is
    assert (images == 50).all()


def test_examples_are_the_slices_with_most_tumour_in_order() -> None:
    pixels = np.array([0, 9, 3, 7, 100, 1])
    assert example_positions(np.array([0, 1, 2, 3, 5]), pixels, count=3).tolist() == [1, 2, 3]
    assert example_positions(np.array([5, 0]), pixels).tolist() == [0, 5]


# --- files


def test_metrics_are_read_back_to_the_last_bit(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert run.metrics() == []
    rows = [{"epoch": float(epoch), "val_dice": math.pi / (epoch + 3)} for epoch in range(3)]
    run.write_metrics(rows)
    assert run.metrics() == rows


def test_rows_of_epochs_that_are_trained_again_are_dropped(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_metrics([{"epoch": float(epoch), "val_dice": 0.5} for epoch in range(4)])
    assert [row["epoch"] for row in RunWriter(run, "unet", first_epoch=2, keeps_last=False)._rows] == [0, 1]


def test_a_folder_without_settings_is_no_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert not run.exists()
    with pytest.raises(DataError, match=r"no config\.json"):
        run.config()
    run.write_json(run.config_file, {"imagesize": 3})
    with pytest.raises(UsageError, match="unknown setting imagesize"):
        run.config()


def test_the_environment_names_what_decides_a_result() -> None:
    described = environment.describe_environment()
    assert set(described["versions"]) >= {"python", "gliomask", "torch", "lightning", "numpy", "onnxruntime"}
    assert described["cores"] >= 1
    assert described["processor"]


def test_an_absent_package_or_checkout_is_said_to_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_PACKAGES", ("no-such-package",))
    monkeypatch.setenv("PATH", "")  # no git
    described = environment.describe_environment()
    assert described["versions"]["no-such-package"] == "absent"
    assert described["git_commit"] is None


def test_exported_network_is_compared_without_overflow_however_sure_it_is() -> None:
    from onnx import TensorProto, helper

    given, answer = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["S", 3, 4, 4]) for name in ("slices", "logits")
    )
    times = helper.make_tensor("times", TensorProto.FLOAT, [1], [500.0])
    node = helper.make_node("Mul", ["slices", "times"], ["logits"])
    graph = helper.make_graph([node], "sure", [given], [answer], [times])
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()
    examples = np.stack([np.full((3, 4, 4), sign, np.float32) for sign in (-1, 0, 1)])
    probabilities = export._probabilities(network, examples)
    assert probabilities.dtype == np.float32
    assert np.array_equal(probabilities[:, 0, 0, 0], np.array([0.0, 0.5, 1.0], np.float32))
