"""2.5D networks: training and prediction see the same neighbours, and a slice that is alone can be predicted."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from gliomask.config import AugmentationConfig
from gliomask.data.augmentation import AugmentationParameters, augment, draw, prepare
from gliomask.data.batches import BatchPlan, CachedBatches, ResidentBatches
from gliomask.data.cache import open_cache
from gliomask.data.index import DatasetIndex
from gliomask.data.neighbours import neighbour_rows, with_neighbours
from gliomask.data.normalisation import normalise
from gliomask.errors import ModelFileError, UsageError
from gliomask.inference.predictor import Predictor
from gliomask.models.contract import CHANNELS, NEIGHBOURS
from gliomask.models.onnx_weights import load_trained
from gliomask.models.registry import build_model
from gliomask.models.trained import contract_of
from gliomask.training import loading
from gliomask.training.examples import examples
from gliomask.training.run_folder import RunFolder
from tiny_runs import tiny_config, tiny_index, train

SINGLE, STACKED = "resnet50-s16", "resnet50-s16-2.5d"
SIZE = 32
NOTHING = AugmentationConfig(**{field.name: 0.0 for field in dataclasses.fields(AugmentationConfig)})
EVERYTHING = AugmentationConfig(flip=0.5, affine=1, shift=0.1, scale=0.2, rotate=30, intensity=1, noise=0.0)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> DatasetIndex:
    return tiny_index(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def single(index: DatasetIndex, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return train(index, tiny_config(SINGLE, epochs=1), tmp_path_factory.mktemp("runs") / "single", exported=True)


@pytest.fixture(scope="module")
def stacked(index: DatasetIndex, single: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Go on from the network of single slices."""
    config = tiny_config(STACKED, epochs=1)
    config = replace(config, model=replace(config.model, weights=str(single.path)))
    return train(index, config, tmp_path_factory.mktemp("runs") / "stacked", exported=True)


def test_neighbours_are_of_the_same_patient() -> None:
    below, above = neighbour_rows(np.array([0, 0, 0, 1, 2, 2]))
    assert below.tolist() == [0, 0, 1, 3, 4, 4]
    assert above.tolist() == [1, 2, 2, 3, 5, 5]


def test_training_and_prediction_see_the_same(index: DatasetIndex) -> None:
    cache = open_cache(index, SIZE)
    batches = CachedBatches(cache, "volume", neighbours=True)
    resident = ResidentBatches(cache, "volume", torch.device("cpu"), neighbours=True)
    for patient in np.unique(cache.patients):
        rows = np.flatnonzero(cache.patients == patient)
        stack = with_neighbours(normalise(np.array(cache.images[rows]), cache.volume_statistics[rows[0]]))
        for order in (rows, rows[::-1].copy(), rows[1:2]):
            for looked_up in (batches, resident):
                batch = looked_up[BatchPlan(order, None)]
                inputs, _ = prepare(batch.images, batch.masks, statistics=batch.volume_statistics)
                torch.testing.assert_close(inputs, torch.from_numpy(stack[order - rows[0]]))


@pytest.mark.parametrize("resident", ["on", "off"])
@pytest.mark.parametrize(("name", "channels"), [(SINGLE, 3), (STACKED, 5)])
def test_a_training_s_batches_have_the_network_s_channels(
    index: DatasetIndex, name: str, channels: int, resident: Any
) -> None:
    config = tiny_config(name)
    config = replace(config, hardware=replace(config.hardware, resident=resident))
    looked_up = loading._batches(open_cache(index, SIZE), config, torch.device("cpu"))
    assert isinstance(looked_up, ResidentBatches) == (resident == "on")
    batch = looked_up[BatchPlan(np.array([3, 1]), None)]
    assert batch.images.shape == (2, SIZE, SIZE, channels)
    assert batch.volume_statistics.shape == batch.slice_statistics.shape == (2, 2, channels)


def test_a_slice_that_is_alone_is_its_own_neighbour() -> None:
    planes = np.random.default_rng(0).random((1, 3, 4, 4), dtype=np.float32)
    assert np.array_equal(with_neighbours(planes), planes[:, [0, 1, 2, 1, 1]])


def five_channels(count: int = 6) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return images with neighbours, masks, volume statistics and slice statistics."""
    rng = np.random.default_rng(3)
    images = torch.from_numpy(rng.integers(0, 256, (count, SIZE, SIZE, 5), dtype=np.uint8))
    masks = torch.from_numpy((rng.random((count, SIZE, SIZE)) < 0.3).astype(np.uint8))
    statistics = torch.tensor([[100.0, 110, 120, 110, 110], [50.0, 40, 30, 40, 40]]).repeat(count, 1, 1)
    return images, masks, statistics, statistics + 5


def changed(slices: tuple[Tensor, Tensor, Tensor, Tensor], parameters: AugmentationParameters) -> Tensor:
    images, masks, volume, each = slices
    return augment(images, masks, volume_statistics=volume, slice_statistics=each, parameters=parameters)[0]


@pytest.mark.parametrize("seed", range(3))
def test_neighbours_are_changed_as_the_slice_is(seed: int) -> None:
    images, *rest = five_channels()
    images[..., 3:] = images[..., 1:2]
    found = changed((images, *rest), draw(EVERYTHING, 6, np.random.default_rng(seed)))  # type: ignore[arg-type]
    for neighbour in (3, 4):
        torch.testing.assert_close(found[:, neighbour], found[:, 1])


def test_the_first_three_channels_do_not_depend_on_the_others() -> None:
    images, masks, volume, each = five_channels()
    parameters = draw(EVERYTHING, 6, np.random.default_rng(0))
    without = changed((images[..., :3], masks, volume[..., :3], each[..., :3]), parameters)
    torch.testing.assert_close(changed((images, masks, volume, each), parameters)[:, :3], without)


def test_neighbours_change_places() -> None:
    slices = five_channels()
    plain, turned = (changed(slices, draw(replace(NOTHING, reverse=p), 6, np.random.default_rng(0))) for p in (0, 1))
    torch.testing.assert_close(turned, plain[:, [0, 1, 2, 4, 3]])
    drawn = draw(replace(NOTHING, reverse=0.5), 1000, np.random.default_rng(0)).reverse
    assert 400 < drawn.sum() < 600


def test_a_slice_seen_alone_has_nothing_of_its_neighbours() -> None:
    images, *rest = five_channels()
    alone = draw(replace(NOTHING, single_slice=1.0), 6, np.random.default_rng(0))
    found = changed((images, *rest), alone)  # type: ignore[arg-type]
    images[..., 3:] = 0
    assert torch.equal(changed((images, *rest), alone), found)  # type: ignore[arg-type]


def test_it_begins_as_the_network_of_single_slices(single: RunFolder) -> None:
    one, stack = (load_trained(single.path, name).eval() for name in (SINGLE, STACKED))
    slices = torch.randn(2, 5, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(stack(slices), one(slices[:, :3]))
        torch.manual_seed(0)
        fresh = build_model(STACKED).eval()
        torch.testing.assert_close(fresh(slices), fresh(torch.cat([slices[:, :3], slices[:, :2] * 9], dim=1)))


def test_what_has_learned_of_neighbours_does_not_become_one_of_single_slices(stacked: RunFolder) -> None:
    with pytest.raises(UsageError, match=f"is a {STACKED}, not a {SINGLE};"):
        load_trained(stacked.path, SINGLE)
    with pytest.raises(UsageError, match=r"is a resnet50-s16-2\.5d, not a resnet50;"):
        load_trained(stacked.path, "resnet50")


def test_a_trained_one_looks_at_its_neighbours_and_says_so(stacked: RunFolder, single: RunFolder) -> None:
    assert contract_of(stacked.path).channels == CHANNELS + NEIGHBOURS
    assert contract_of(single.path).channels == CHANNELS
    weights = load_trained(stacked.path, STACKED).get_parameter("encoder.conv1.weight")
    assert weights[:, 3:].abs().sum() > 0
    predictor = Predictor.load(stacked.path, precision="float32")
    stack = np.random.default_rng(0).integers(0, 256, (12, SIZE, SIZE, 3), dtype=np.uint8)

    def probabilities(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return predictor.predict(images).probabilities

    other = stack.copy()
    other[6, ..., 1] = np.roll(stack[6, ..., 1], 5, axis=0)  # the same grey values: the volume's statistics stay
    differs = np.abs(probabilities(other) - probabilities(stack)).max(axis=(1, 2)) > 1e-7
    assert np.flatnonzero(differs).tolist() == [5, 6, 7]
    other = stack.copy()
    other[6, ..., 0] = np.roll(stack[6, ..., 0], 5, axis=0)
    differs = np.abs(probabilities(other) - probabilities(stack)).max(axis=(1, 2)) > 1e-7
    assert np.flatnonzero(differs).tolist() == [6]
    assert probabilities(stack[:1]).shape == (1, SIZE, SIZE)


def test_prediction_is_what_the_network_says_of_the_training_s_batches(stacked: RunFolder, index: DatasetIndex) -> None:
    cache, net = open_cache(index, SIZE), load_trained(stacked.path, STACKED).eval()
    rows = np.flatnonzero(cache.patients == 2)
    batch = CachedBatches(cache, "volume", neighbours=True)[BatchPlan(rows, None)]
    inputs, _ = prepare(batch.images, batch.masks, statistics=batch.volume_statistics)
    with torch.no_grad():
        expected = (net(inputs)[:, 0] / contract_of(stacked.path).temperature).sigmoid()
    found = Predictor.load(stacked.path, precision="float32").predict(np.array(cache.images[rows])).probabilities
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_examples_for_integers_have_the_network_s_channels(
    stacked: RunFolder, single: RunFolder, index: DatasetIndex
) -> None:
    cache = open_cache(index, SIZE)
    five, three = (examples(run, cache, index) for run in (stacked, single))
    assert five.shape[1:] == (5, SIZE, SIZE)
    assert np.array_equal(five[:, :3], three)


def test_other_channels_are_refused(stacked: RunFolder, tmp_path: Path) -> None:
    contract = contract_of(stacked.path)
    with pytest.raises(ModelFileError, match="channels of the model is"):
        replace(contract, channels=(*CHANNELS, "t2"))
