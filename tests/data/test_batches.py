"""Which slices make a batch: all of them, once, in an order of seed and epoch alone, on one device or many."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gliomask.config import HardwareConfig, OptimisationConfig, TrainConfig
from gliomask.data.augmentation import AugmentationParameters
from gliomask.data.batches import (
    BatchPlan,
    CachedBatches,
    EvaluationPlans,
    ResidentBatches,
    Share,
    SliceBatch,
    TrainingPlans,
    batch_loader,
)
from gliomask.data.cache import SliceCache
from gliomask.data.normalisation import IMAGENET_STATISTICS
from gliomask.errors import UsageError

TUMOUR, EMPTY = 10, 25
WHOLE = Share()
POSITIONS = np.arange(100, 100 + TUMOUR + EMPTY)
HAS_TUMOUR = np.arange(TUMOUR + EMPTY) % 7 < 2


def config(seed: int = 0, **optimisation: float) -> TrainConfig:
    values = {"batch_size": 4, "empty_ratio": 0.0} | optimisation
    return TrainConfig(seed=seed, optimisation=OptimisationConfig(**values))  # type: ignore[arg-type]


def plans(settings: TrainConfig, epoch: int = 0, share: Share = WHOLE) -> list[BatchPlan]:
    made = TrainingPlans(POSITIONS, HAS_TUMOUR, settings, share)
    made.set_epoch(epoch)
    batches = list(made)
    assert len(made) == len(batches)
    return batches


def order(batches: list[BatchPlan]) -> list[int]:
    return [int(position) for batch in batches for position in batch.positions]


def equal(one: BatchPlan, other: BatchPlan) -> bool:
    assert one.parameters is not None
    assert other.parameters is not None
    drawn = [dataclasses.asdict(plan.parameters) for plan in (one, other) if plan.parameters is not None]
    return np.array_equal(one.positions, other.positions) and all(
        np.array_equal(drawn[0][name], drawn[1][name]) for name in drawn[0]
    )


def tiny_cache(count: int = 7, size: int = 6) -> SliceCache:
    rng = np.random.default_rng(0)
    masks = (rng.random((count, size, size)) < 0.5).astype(np.uint8)
    return SliceCache(
        images=rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8),
        masks=masks,
        volume_statistics=rng.random((count, 2, 3), dtype=np.float32),
        slice_statistics=rng.random((count, 2, 3), dtype=np.float32),
        patients=np.arange(count) // 3,
        tumour_pixels=masks.sum(axis=(1, 2), dtype=np.int64),
    )


@pytest.mark.parametrize("batch_size", [1, 4, 35, 100])
def test_every_slice_comes_once_in_an_epoch(batch_size: int) -> None:
    assert sorted(order(plans(config(batch_size=batch_size)))) == POSITIONS.tolist()


@pytest.mark.parametrize(("ratio", "empties"), [(1.0, 10), (0.5, 5), (2.0, 20), (9.0, 25)])
def test_empty_slices_are_thinned_out_to_the_ratio(ratio: float, empties: int) -> None:
    chosen = order(plans(config(empty_ratio=ratio)))
    assert len(set(chosen)) == len(chosen)
    assert sum(HAS_TUMOUR[position - 100] for position in chosen) == TUMOUR
    assert len(chosen) == TUMOUR + empties


def test_empty_slices_are_drawn_anew_in_every_epoch() -> None:
    seen = {position for epoch in range(30) for position in order(plans(config(empty_ratio=1), epoch))}
    assert seen == set(POSITIONS.tolist())


def test_without_tumour_every_slice_is_taken() -> None:
    made = TrainingPlans(POSITIONS, np.zeros(35, bool), config(empty_ratio=1))
    assert sorted(order(list(made))) == POSITIONS.tolist()


def test_an_epoch_can_be_limited_and_draws_other_slices_each_time() -> None:
    epochs = [order(plans(config(epoch_slices=6), epoch)) for epoch in range(40)]
    assert all(len(set(chosen)) == 6 for chosen in epochs)
    assert {position for chosen in epochs for position in chosen} == set(POSITIONS.tolist())


def test_order_depends_on_seed_and_epoch_alone() -> None:
    first = plans(config(), epoch=3)
    np.random.default_rng().random()
    torch.manual_seed(9)
    again = plans(config(), epoch=3)
    assert all(equal(one, other) for one, other in zip(first, again, strict=True))
    for other in (plans(config(), epoch=4), plans(config(seed=1), epoch=3)):
        assert order(other) != order(first)
        assert not np.array_equal(drawn(other[0]).matrix, drawn(first[0]).matrix)


def drawn(plan: BatchPlan) -> AugmentationParameters:
    assert plan.parameters is not None
    return plan.parameters


def test_an_epoch_does_not_remember_the_ones_before() -> None:
    made = TrainingPlans(POSITIONS, HAS_TUMOUR, config(empty_ratio=1))
    for epoch in (0, 1):
        made.set_epoch(epoch)
        batches = list(made)
    assert all(equal(one, other) for one, other in zip(batches, plans(config(empty_ratio=1), 1), strict=True))


def test_defect_worker_seeds() -> None:
    """Global generators, which every worker process inherits alike, decide nothing; no two draws are copies."""
    batches = []
    for seed in (0, 1):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - it is the legacy generator that must not matter
        torch.manual_seed(seed)
        batches.append(plans(config(), epoch=2))
    assert all(equal(one, other) for one, other in zip(*batches, strict=True))
    matrices = {row.tobytes() for plan in batches[0] for row in drawn(plan).noise_seed}
    assert len(matrices) == TUMOUR + EMPTY


def test_defect_worker_seeds_differ_between_devices() -> None:
    shares = [plans(config(), share=Share(rank, 2)) for rank in (0, 1)]
    seeds = [set(drawn(plan).noise_seed.tolist()) for share in shares for plan in share]
    assert sum(map(len, seeds)) == len(set().union(*seeds))


def test_two_devices_together_make_the_batch_of_one() -> None:
    whole, *shares = (plans(config(), 1, share) for share in (WHOLE, Share(0, 2), Share(1, 2)))
    for batch, *parts in zip(whole, *shares, strict=True):
        usable = len(batch.positions) // 2 * 2
        for rank, part in enumerate(parts):
            rows = np.arange(rank, usable, 2)
            assert equal(part, BatchPlan(batch.positions[rows], drawn(batch).select(rows)))


@given(
    tumour=st.integers(0, 20),
    empty=st.integers(0, 20),
    batch_size=st.integers(1, 9),
    world=st.integers(1, 4),
    ratio=st.sampled_from([0.0, 0.5, 1.0]),
    limit=st.sampled_from([0, 1, 7]),
)
@settings(deadline=None, max_examples=60)
def test_devices_share_an_epoch_evenly(
    tumour: int, empty: int, batch_size: int, world: int, ratio: float, limit: int
) -> None:
    settings = config(batch_size=batch_size * world, empty_ratio=ratio, epoch_slices=limit)
    positions, has_tumour = np.arange(tumour + empty), np.arange(tumour + empty) < tumour
    made = [TrainingPlans(positions, has_tumour, settings, Share(rank, world)) for rank in range(world)]
    batches = [list(each) for each in made]
    assert [len(each) for each in made] == [len(each) for each in batches] == [len(batches[0])] * world
    for parts in zip(*batches, strict=True):
        assert len({len(part.positions) for part in parts}) == 1  # or the slowest would wait for ever
        assert len(parts[0].positions) > 0
    everything = [position for each in batches for position in order(each)]
    assert len(set(everything)) == len(everything)
    assert made[0].slices - len(everything) < world  # of the last batch, where there are not enough for all


@pytest.mark.parametrize("batch_size", [3, 6])
def test_batches_that_devices_cannot_share_evenly_are_refused(batch_size: int) -> None:
    with pytest.raises(UsageError, match=f"batch_size is {batch_size}; expected a multiple of 4"):
        TrainingPlans(POSITIONS, HAS_TUMOUR, config(batch_size=batch_size), Share(0, 4))


@given(count=st.integers(0, 30), batch_size=st.integers(1, 9), world=st.integers(1, 4))
@settings(deadline=None, max_examples=60)
def test_validation_is_complete_and_in_order_on_any_number_of_devices(count: int, batch_size: int, world: int) -> None:
    positions = np.arange(50, 50 + count)
    made = [EvaluationPlans(positions, batch_size=batch_size, share=Share(rank, world)) for rank in range(world)]
    batches = [list(each) for each in made]
    assert [len(each) for each in made] == [len(each) for each in batches]
    assert {position for each in batches for position in order(each)} == set(positions.tolist())
    for one, other in combinations(batches, 2):
        assert set(order(one)).isdisjoint(order(other))  # or a slice would count twice
    if count >= world:
        assert len({len(each) for each in batches}) == 1  # or the slowest would wait for ever
    assert all(order(each) == sorted(order(each)) for each in batches)


def test_defect_validation_is_augmented() -> None:
    cache = tiny_cache()
    loader = batch_loader(CachedBatches(cache, "volume"), EvaluationPlans(np.arange(7), batch_size=3))
    first, second = list(loader), list(loader)
    assert [batch.parameters for batch in first] == [None] * 3
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.images, other.images)
        assert np.array_equal(one.images.numpy(), cache.images[one.positions.numpy()])
        assert np.array_equal(one.masks.numpy(), cache.masks[one.positions.numpy()])


def test_a_batch_holds_the_rows_of_the_cache() -> None:
    cache, rows = tiny_cache(), np.array([5, 0, 3])
    batch = CachedBatches(cache, "volume")[BatchPlan(rows, None)]
    for name in ("images", "masks", "volume_statistics", "slice_statistics"):
        assert np.array_equal(getattr(batch, name).numpy(), getattr(cache, name)[rows])
    assert batch.positions.tolist() == rows.tolist()


def test_imagenet_batches_have_fixed_statistics() -> None:
    batch = CachedBatches(tiny_cache(), "imagenet")[BatchPlan(np.array([1, 2]), None)]
    for statistics in (batch.volume_statistics, batch.slice_statistics):
        assert np.array_equal(statistics.numpy(), np.stack([IMAGENET_STATISTICS] * 2))


def test_a_batch_can_be_changed_without_changing_the_cache() -> None:
    cache = tiny_cache()
    before = cache.images.copy()
    batch = CachedBatches(cache, "volume")[BatchPlan(np.arange(3), None)]
    batch.images.zero_()
    assert np.array_equal(cache.images, before)


def test_a_moved_batch_is_the_same_batch() -> None:
    batch = CachedBatches(tiny_cache(), "volume")[BatchPlan(np.arange(3), None)]
    moved = batch.to("meta")
    assert all(getattr(moved, name).is_meta for name in SliceBatch._fields if name not in {"parameters", "weight"})
    assert (moved.parameters, moved.weight) == (batch.parameters, batch.weight)


def test_resident_batches_are_those_of_the_cache() -> None:
    cache, plan = tiny_cache(), BatchPlan(np.array([5, 0, 3]), None, 0.5)
    resident = ResidentBatches(cache, "volume", torch.device("cpu"))[plan]
    read = CachedBatches(cache, "volume")[plan]
    assert all(np.array_equal(getattr(resident, name), getattr(read, name)) for name in SliceBatch._fields)


@pytest.mark.parametrize(("rank", "world"), [(0, 1), (0, 2), (1, 2)])
@pytest.mark.parametrize("micro_batch", [1, 2, 3, 8])
def test_parts_make_up_the_batch(micro_batch: int, rank: int, world: int) -> None:
    """The weighted mean of the parts' means, over the number of parts, is the mean over the batch."""
    whole_settings, share = config(batch_size=8), Share(rank, world)
    settings = replace(whole_settings, hardware=HardwareConfig(micro_batch=micro_batch))
    made = TrainingPlans(POSITIONS, HAS_TUMOUR, settings, share)
    parts = iter(plans(settings, 1, share))
    for batch in plans(whole_settings, 1, share):
        values, weighted = {int(p): float(p) ** 2 for p in batch.positions}, 0.0
        mine: list[int] = []
        while len(mine) < len(batch.positions):
            part = next(parts)
            assert 0 < len(part.positions) <= micro_batch
            mine += part.positions.tolist()
            weighted += part.weight * sum(values[p] for p in part.positions.tolist()) / len(part.positions)
        assert set(mine) == set(values)
        assert weighted / made.parts == pytest.approx(sum(values.values()) / len(values))
    assert next(parts, None) is None
    assert made.steps == len(plans(whole_settings, 1, share))


def test_training_batches_of_a_loader_are_the_planned_ones() -> None:
    cache = tiny_cache()
    made = TrainingPlans(np.arange(7), cache.tumour_pixels > 0, config(batch_size=3))
    loader = batch_loader(CachedBatches(cache, "volume"), made)
    made.set_epoch(2)
    for plan, batch in zip(made, loader, strict=True):
        assert equal(plan, BatchPlan(batch.positions.numpy(), batch.parameters))
    assert len(loader) == 3
