"""The benchmarks: both roads learn the same from the same slices, and every script runs, at a tiny size."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import breakdown, cold, equality, gpu, layers, measures, page, predict, training
from benchmarks.data import Case, repeated
from benchmarks.machine import matmul_peak
from benchmarks.measure import Budget, Stopwatch, summary
from benchmarks.phases import PhaseClock
from benchmarks.plain import PlainTraining, SliceFiles, change, dice_of, loss_of
from benchmarks.resident import peak_memory
from benchmarks.road import train_round
from benchmarks.work import bytes_per_image, flops_of, flops_per_image
from builders import short_phantoms, tiny_dataset
from gliomask.cli.app import main as cli
from gliomask.config import ORIGINAL, AugmentationConfig, HardwareConfig, ModelConfig
from gliomask.data.batches import CachedBatches, EvaluationPlans
from gliomask.data.cache import open_cache
from gliomask.data.index import build_index
from gliomask.data.split import make_split
from gliomask.errors import DataError
from gliomask.models.registry import build_model
from gliomask.models.trained import DEFAULT
from gliomask.training import module as module_part
from gliomask.training.module import SegmentationModule
from gliomask.volumes.phantom import write_phantoms
from gliomask.volumes.slices import read_mask
from places import ROOT
from tiny_runs import TinyNet, use_tiny_net

SIZE, BATCH = 32, 4
QUICK = ("--image-size", str(SIZE), "--batch-size", str(BATCH), "--precision", "float32")
ROUNDS = ("--rounds", "2", "--seconds", "0", "--steps", "2")
UNCHANGED = AugmentationConfig(
    **{name: 0.0 for name in vars(AugmentationConfig()) if name not in {"shift", "scale", "rotate"}}
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_tiny_net(monkeypatch)
    tiny_dataset(tmp_path / "data", patients=5, slices=4, size=SIZE)
    return tmp_path / "data"


def case_of(folder: Path, network: Any = "unet") -> Case:
    optimisation = replace(ORIGINAL.optimisation, batch_size=BATCH, epochs=1000)
    hardware = HardwareConfig(accelerator="cpu", devices="1", precision="float32")
    config = replace(
        ORIGINAL, image_size=SIZE, model=ModelConfig(network), optimisation=optimisation, hardware=hardware
    )
    return Case(build_index(folder, use_cache=False), replace(config, augmentation=UNCHANGED))


def run(main: Callable[[Sequence[str]], int], out: Path, *options: str) -> dict[str, Any]:
    assert main([*options, "--out", str(out)]) == 0
    values: dict[str, Any] = json.loads(out.read_text())
    assert values["machine"]["cpu_capability"]
    for table in values["tables"]:
        assert {len(row) for row in table["rows"]} == {len(table["columns"])}
    results: dict[str, Any] = values["results"]
    return results


def both_roads(case: Case, seen: list[torch.Tensor]) -> tuple[Callable[[], torch.Tensor], Callable[[], torch.Tensor]]:
    """Return the two steps up to the loss, over the same slices and from the same weights; inputs go into a list."""
    torch.manual_seed(0)
    net = build_model(case.network)
    net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))  # the copy below has it, too
    cache = open_cache(case.index, SIZE)
    positions = make_split(case.index, case.config.split).positions(case.index, "train")[:BATCH]
    module = SegmentationModule(deepcopy(net), case.config, cache, steps_per_epoch=1)
    module.on_train_epoch_start()
    (plan,) = EvaluationPlans(positions, batch_size=BATCH)
    (drawn,) = (plan for _, plan in zip(range(1), _plans(case, positions), strict=False))
    batch = CachedBatches(cache, "imagenet")[plan]._replace(parameters=drawn)
    slices = SliceFiles(case.training_files(), SIZE, augmented=False)
    images, truth = (torch.stack(part) for part in zip(*(slices[row] for row in range(BATCH)), strict=True))
    return lambda: loss_of(net(images), truth), lambda: module.training_step(batch, 0)


def _plans(case: Case, positions: Any) -> Any:
    from gliomask.data.augmentation import draw

    yield draw(case.config.augmentation, len(positions), np.random.default_rng(0))


@pytest.mark.parametrize("network", ["unet", "original-unet", "resnet50"])
def test_roads_have_the_same_loss_without_augmentation(tmp_path: Path, network: str) -> None:
    tiny_dataset(tmp_path / "data", patients=5, slices=4, size=SIZE)
    seen: list[torch.Tensor] = []
    plain, ours = both_roads(case_of(tmp_path / "data", network), seen)
    torch.testing.assert_close(plain(), ours(), rtol=0, atol=1e-5)
    torch.testing.assert_close(*seen, rtol=0, atol=1e-4)


def test_roads_do_the_same_operations(folder: Path) -> None:
    plain, ours = both_roads(case_of(folder, "original-unet"), [])
    counted = [flops_of(lambda road=road: road().backward()) for road in (plain, ours)]  # type: ignore[misc]
    assert counted[0] == counted[1] > 0
    assert counted[0] == BATCH * flops_per_image(build_model("original-unet"), SIZE)


def test_plain_augmentation_moves_image_and_mask_together() -> None:
    truth = np.zeros((SIZE, SIZE), np.uint8)
    truth[4:14, 6:20] = 255
    for seed in range(40):
        image, mask = change(np.repeat(truth[..., None], 3, axis=2), truth, np.random.default_rng(seed))
        assert np.mean((image[..., 0] > 127) != (mask > 127)) < 0.01
        assert 0.8 < (mask > 127).sum() / (truth > 0).sum() < 1.25


def test_plain_loop_learns(folder: Path) -> None:
    torch.manual_seed(0)
    plain = PlainTraining(TinyNet(), SliceFiles(case_of(folder).training_files(), SIZE), BATCH)
    plain.round(Budget(warmup=0, steps=1))
    first = plain.loss
    clock = plain.round(Budget(warmup=0, steps=60))
    plain.close()
    assert clock.images == 60 * BATCH
    assert plain.loss < first


def test_plain_dice_is_that_of_the_pixels() -> None:
    truth = torch.tensor([1.0, 1.0, 0.0, 0.0])
    assert dice_of(torch.tensor([5.0, -5.0, 5.0, -5.0]), truth) == pytest.approx(0.5)


def test_stopwatch_leaves_out_warm_up_and_ends_by_count_or_time() -> None:
    clock = Stopwatch(Budget(warmup=2, steps=3, seconds=1e9))
    assert [clock.tick(4) for _ in range(5)] == [False, False, False, False, True]
    assert (clock.steps, clock.images) == (3, 12)
    impatient = Stopwatch(Budget(warmup=0, steps=100, seconds=0.0, fewest=2))
    assert [impatient.tick(1) for _ in range(2)] == [False, True]


def test_our_road_is_the_real_training_over_epochs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, step = [], SegmentationModule.training_step

    def heard(module: SegmentationModule, batch: Any, number: int) -> torch.Tensor:
        trained.append(number)
        return step(module, batch, number)

    monkeypatch.setattr(SegmentationModule, "training_step", heard)
    clock = train_round(case_of(folder), Budget(warmup=1, steps=7, seconds=1e9))
    assert (clock.steps, len(trained)) == (7, 8)
    assert clock.rate > 0


def test_training_compares_in_turns(folder: Path, tmp_path: Path) -> None:
    found = run(training.main, tmp_path / "o.json", "--networks", "unet", "--data", str(folder), *QUICK, *ROUNDS)
    (row,) = found["networks"]
    assert len(row["plain"]["rounds"]) == len(row["gliomask"]["rounds"]) == 2
    assert row["ratio"]["of_medians"] == row["gliomask"]["median"] / row["plain"]["median"]
    assert row["ratio"]["lowest"] <= row["ratio"]["highest"]


def test_parts_of_a_step_do_not_overlap_and_add_up(folder: Path) -> None:
    clock = PhaseClock("cpu")
    train_round(case_of(folder), Budget(warmup=0, steps=5, seconds=100), [clock])
    assert len(clock.steps(0)) >= 5
    for step in clock.steps(0):
        *parts, whole = step.values()
        assert sum(parts) == pytest.approx(whole)
        assert min(parts) >= 0  # "rest" is what the others leave: below nothing, they would overlap


def test_breakdown_tells_every_part(folder: Path, tmp_path: Path) -> None:
    options = ("--recipe", "default", "--seconds", "0.2", "--steps", "5", "--no-cold")
    found = run(breakdown.main, tmp_path / "o.json", "--networks", "unet", "--data", str(folder), *QUICK, *options)
    (row,) = found["networks"]
    assert all(row["phases"][name] > 0 for name in ("load", "augment", "forward", "backward", "optimiser", "average"))
    assert 0 < row["share_of_peak"]["float32"] < 1


@pytest.mark.slow
def test_cold_process_tells_its_first_step(tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "data", patients=5, slices=4, size=SIZE)
    options = ("--networks", "resnet18", "--data", str(tmp_path / "data"), *QUICK)
    told = cold.measure_cold("gliomask", options)
    assert 0.5 < told["seconds_to_first_step"] < 200
    assert 1e8 < told["peak_memory"] < 5e9


def test_equality_scores_both_roads_with_every_seed(folder: Path, tmp_path: Path) -> None:
    options = ("--networks", "unet", "--data", str(folder), *QUICK, "--seeds", "2", "--epochs", "2")
    (row,) = run(equality.main, tmp_path / "o.json", *options)["networks"]
    assert all(len(values) == 2 and 0 <= min(values) <= max(values) <= 1 for values in row["dice_patient"].values())
    differences = [fast - slow for slow, fast in zip(*row["dice_patient"].values(), strict=True)]
    assert row["largest_difference"] == pytest.approx(max(map(abs, differences)))


def test_equality_trains_as_long_on_both_roads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = case_of(folder)
    case = replace(case, config=replace(case.config, optimisation=replace(case.config.optimisation, epochs=2)))
    steps = {"plain": 0, "gliomask": 0}

    def counting(road: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            steps[road] += 1
            return step(*arguments)

        return counted

    monkeypatch.setattr(PlainTraining, "step", counting("plain", PlainTraining.step))
    monkeypatch.setattr(SegmentationModule, "training_step", counting("gliomask", SegmentationModule.training_step))
    equality.trained_plainly(case)
    equality.trained_by_gliomask(case)
    assert steps["plain"] == steps["gliomask"] > 0


def test_unseen_patients_are_scored_by_their_slices(folder: Path) -> None:
    """A network that calls everything tumour has the Dice of the tumour's share, patient by patient."""
    case = case_of(folder)
    cache = open_cache(case.index, SIZE)
    rows = make_split(case.index, case.config.split).positions(case.index, "test")
    share = float(cache.masks[rows].mean())  # of the only patient of the test set
    assert len(set(cache.patients[rows].tolist())) == 1
    net = nn.Conv2d(3, 1, 1)
    nn.init.zeros_(net.weight)
    nn.init.ones_(net.bias)  # type: ignore[arg-type]  # there is one
    assert equality.dice_of_unseen(net, case) == pytest.approx(2 * share / (1 + share))


def test_a_variant_is_measured_in_its_own_process(tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "data", patients=5, slices=4, size=SIZE)
    options = ("--networks", "resnet18", "--data", str(tmp_path / "data"), *QUICK, "--rounds", "1", "--steps", "1")
    (row,) = run(measures.main, tmp_path / "o.json", *options, "--variants", "contiguous")["networks"]
    (rate,) = row["rates"]["contiguous"]
    assert rate > 0


def test_variants_take_turns_on_the_data_that_were_asked_for(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def pretend(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        seen.append(command)
        return subprocess.CompletedProcess(command, 0, stdout=f'{{"rate": {len(seen)}}}')

    monkeypatch.setattr("benchmarks.data.phantoms", lambda _: folder)
    monkeypatch.setattr(subprocess, "run", pretend)
    options = ("--networks", "resnet18", "--patients", "7", *QUICK)
    variants = ("--rounds", "2", "--variants", "as it is", "contiguous")
    (row,) = run(measures.main, tmp_path / "o.json", *options, *variants)["networks"]
    commands = [each for each in seen if "--patients" in each]
    assert {command[command.index("--patients") + 1] for command in commands} == {"7"}
    measured = [command[command.index("--variant") + 1] for command in commands]
    assert measured == 2 * ["as it is", "contiguous"]
    order = [1 + number for number, each in enumerate(seen) if each in commands]
    assert row["rates"] == {"as it is": order[::2], "contiguous": order[1::2]}


def test_variants_leave_out_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each changes what a module asks PyTorch for, and nothing stays changed."""
    for part in (measures, module_part):  # as with AVX2 alone
        monkeypatch.setattr(part, "products_pay", lambda: True)
    settings: Any = torch.utils.deterministic
    convolution: Any = nn.Conv2d(4, 4, 3)  # whose annotations lack the memory format
    seen = {}
    for variant in measures.VARIANTS:
        with measures._changed(variant):
            layout = convolution.to(memory_format=torch.channels_last).weight.is_contiguous()
            optimiser = torch.optim.AdamW([torch.zeros(1)], fused=True)
            seen[variant] = (
                layout, settings.fill_uninitialized_memory, torch.are_deterministic_algorithms_enabled(),
                optimiser.defaults["fused"], vars(module_part)["products_pay"](),
            )  # fmt: skip
    usual = (False, False, True, True, True)
    assert seen.pop("contiguous") == (True, False, True, True, True)
    assert seen.pop("memory filled") == (False, True, True, True, True)
    assert seen.pop("not deterministic") == (False, False, False, True, True)
    assert seen.pop("library's gradients") == (False, False, True, True, False)
    assert seen.pop("optimiser not fused") == (False, False, True, False, True)
    assert set(seen.values()) == {usual}
    assert (torch.are_deterministic_algorithms_enabled(), settings.fill_uninitialized_memory) == (False, True)


def test_layers_are_measured_in_every_layout(tmp_path: Path) -> None:
    options = ("--size", "8", "--channels", "4", "--batch-size", "1", "--seconds", "0", "--deterministic", "unfilled")
    found = run(layers.main, tmp_path / "o.json", *options)["seconds"]
    assert {len(times) for times in found.values()} == {4}
    assert min(min(times.values()) for times in found.values()) > 0
    assert not torch.are_deterministic_algorithms_enabled()


def test_peak_memory_is_not_that_of_whoever_started_the_process() -> None:
    held = np.ones(40_000_000)  # 320 MB
    code = "from benchmarks.resident import peak_memory; print(peak_memory())"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert 1e6 < int(told) < peak_memory() - held.nbytes / 2


def test_memory_of_a_large_index(folder: Path, tmp_path: Path) -> None:
    options = ("--networks", "unet", "--slices", "1000", "--read", "200", "--steps", "2")
    command = [sys.executable, "-m", "benchmarks.memory", "--data", str(folder), *QUICK, *options]
    out = tmp_path / "o.json"  # in a process of its own: this one holds what earlier tests left
    subprocess.run([*command, "--out", str(out)], cwd=ROOT, check=True)
    found = json.loads(out.read_text())["results"]
    highest = max(seen["all"] for seen in found["memory"].values())
    assert found["peak"] >= 0.9 * highest > 0  # the kernel counts the two at different moments
    assert [name.rpartition(" ")[0] for name in found["memory"]][-1] == "unet, 200 slices"


def test_repeated_cache_begins_with_the_small_one(folder: Path) -> None:
    index = build_index(folder, use_cache=False)
    small = open_cache(index, SIZE)
    large, cache = repeated(index, SIZE, 100)
    assert (large.slice_count, len(cache)) == (100, 100)
    assert np.array_equal(cache.images[: len(small)], small.images)
    assert np.array_equal(cache.tumour_pixels[:40], np.tile(small.tumour_pixels, 2))
    assert cache.patients[-1] == len(large.patients) - 1


def test_gpu_script_runs_on_a_cpu(folder: Path, tmp_path: Path) -> None:
    options = ("--networks", "unet", "--data", str(folder), "--device", "cpu", *QUICK, *ROUNDS)
    (row,) = run(gpu.main, tmp_path / "o.json", *options)["networks"]
    assert set(row["roads"]) == {"plain", "gliomask", "resident"}
    assert all(values["recipe_seconds"] > 0 for values in row["roads"].values())


def test_expectation_is_counted(tmp_path: Path) -> None:
    options = ("--expect", "--networks", "original-unet", "--batch-size", "2")
    (row,) = run(gpu.main, tmp_path / "o.json", *options)["networks"]
    assert row["flops_per_image"] == pytest.approx(3 * 21.2e9, rel=0.02)  # 21.2 GFLOP forward at 128
    assert row["by_both"] < min(row["by_operations"], row["by_bytes"])


def test_bytes_of_one_layer_are_those_of_its_tensors() -> None:
    net = nn.Sequential(nn.Conv2d(3, 1, 1, bias=False))
    one, two = (bytes_per_image(net, size, 1) for size in (32, 64))
    assert two / one == pytest.approx(4, rel=0.02)
    assert one > 2 * (3 + 1) * SIZE * SIZE * 2  # input and output, forward and backward


def test_peak_is_not_below_what_a_multiplication_reaches() -> None:
    assert matmul_peak(torch.float32, seconds=1e-3) > 1e7


def test_summary_keeps_the_rounds() -> None:
    assert summary([3.0, 1.0, 2.0]) == {"median": 2.0, "lowest": 1.0, "highest": 3.0, "rounds": [3.0, 1.0, 2.0]}


def test_page_gets_the_tables_between_its_marks(tmp_path: Path) -> None:
    target = tmp_path / "performance.md"
    target.write_text("before\n<!-- layers: begin -->\nnot measured yet\n<!-- layers: end -->\nafter\n")
    options = ("--size", "8", "--channels", "4", "--batch-size", "1", "--seconds", "0")
    run(layers.main, tmp_path / "layers.json", *options)
    for _ in range(2):
        assert page.main([str(tmp_path / "layers.json"), "--page", str(target)]) == 0
    text = target.read_text()
    assert text.count("| batch norm |") == 1
    assert "not measured" not in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")


@pytest.mark.parametrize(
    ("benchmark", "device", "where"),
    [
        ("training", "cuda", "H200"),
        ("training", "cpu", "Xeon"),
        ("layers", None, "Xeon"),
        ("gpu-expected", "cuda", "Xeon"),
    ],
)
def test_page_names_what_was_measured(tmp_path: Path, benchmark: str, device: str | None, where: str) -> None:
    target = tmp_path / "performance.md"
    target.write_text(f"<!-- {benchmark}: begin -->\n<!-- {benchmark}: end -->\n")
    machine = {"gpu": "H200", "processor": "Xeon", "cores": 2, "cpu_capability": "AVX512", "threads": 2,
               "git_commit": "0", "versions": {"torch": "2"}}  # fmt: skip
    settings = {} if device is None else {"device": device}
    values = {"benchmark": benchmark, "machine": machine, "settings": settings, "tables": [], "measured": "2026-12-01"}
    (tmp_path / "x.json").write_text(json.dumps(values))
    assert page.main([str(tmp_path / "x.json"), "--page", str(target)]) == 0
    assert f"on {where}, 2 cores" in target.read_text()


def test_page_without_marks_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "performance.md"
    target.write_text("nothing\n")
    file = tmp_path / "x.json"
    file.write_text(json.dumps({"benchmark": "layers", "machine": {}, "settings": {}, "tables": []}))
    with pytest.raises(DataError, match="no marks for layers"):
        page.main([str(file), "--page", str(target)])


def test_performance_page_has_marks_for_every_benchmark() -> None:
    text = page.PAGE.read_text()
    for name in ("training", "breakdown", "measures", "equality", "layers", "memory", "gpu", "gpu-expected"):
        assert text.count(f"<!-- {name}: begin -->") == text.count(f"<!-- {name}: end -->") == 1, name


def test_script_that_prediction_is_measured_against_does_the_same_work(tmp_path: Path) -> None:
    with short_phantoms():
        write_phantoms(tmp_path / "data", patients=1, size=192)  # the network's size: both resize by other filters
    (tmp_path / "script").mkdir()
    predict.save_network(DEFAULT, tmp_path / "network.pt")
    predict.plain_script(tmp_path / "data", DEFAULT, tmp_path / "network.pt", tmp_path / "script")
    command = ["predict", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--no-pictures", "--quiet"]
    assert cli([*command, "--smallest-component", "0"]) == 0  # the script has no such rule
    ours = {path.name: read_mask(path) for path in (tmp_path / "out").rglob("*_mask.tif")}
    theirs = {path.name: read_mask(path) for path in (tmp_path / "script").iterdir()}
    assert ours.keys() == theirs.keys()
    both = sum(int((ours[name] & theirs[name]).sum()) for name in ours)
    all_of_them = sum(int(mask.sum()) for mask in (*ours.values(), *theirs.values()))
    assert 2 * both / all_of_them > 0.97


def test_doors_are_compared_in_pairs(tmp_path: Path) -> None:
    with short_phantoms(12):
        write_phantoms(tmp_path / "data", patients=2, size=128)
    out = tmp_path / "doors.json"
    command = [sys.executable, "-m", "benchmarks.doors", str(tmp_path / "data"), "--every", "2", "--out", str(out)]
    # OpenVINO stays out of this process: docs/experiments.md, 2026-11-28
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    found = json.loads(out.read_text())["results"]
    assert len(found) == 6
    assert found["float32, onnxruntime / float32, openvino"]["lowest"] >= 0.999
    assert found["int8, onnxruntime / int8, openvino"]["mean"] >= 0.999
    assert found["float32, onnxruntime / int8, onnxruntime"]["pooled"] < 1  # another network


@pytest.mark.slow
def test_prediction_is_measured_against_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "SLICES", 2)
    options = ("--patients", "1", "--rounds", "1", "--engine", "onnxruntime")
    with short_phantoms():
        found = run(predict.main, tmp_path / "predict.json", *options)
    assert found["engine"].startswith("ONNX Runtime")
    assert all(value > 0 for name, value in found.items() if name != "engine")
    assert 0 < found["share of the time outside the network"] < 1
    assert found["network alone, ratio"] == pytest.approx(
        found["network alone, engine, slices/s"] / found["network alone, PyTorch eager float32, slices/s"], rel=0.03
    )
