"""Random changes move image and mask together, can be replayed, and are what the settings say."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from gliomask.config import ORIGINAL, AugmentationConfig
from gliomask.data.augmentation import AugmentationParameters, augment, change_intensities, draw, prepare, resample
from gliomask.data.normalisation import channel_statistics, normalise

NOTHING = AugmentationConfig(**{field.name: 0.0 for field in dataclasses.fields(AugmentationConfig)})
EVERYTHING = AugmentationConfig(
    flip=0.5, flip_vertical=0.5, rotate90=0.5, transpose=0.5, affine=1, shift=0.1, scale=0.2, rotate=30,
    intensity=1, drop_channel=0.5, single_slice=0.5,
)  # fmt: skip
SIZE = 48


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def some_slices(count: int, size: int = SIZE) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return images, masks, volume statistics and slice statistics."""
    images = rng(1).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    masks = (rng(2).random((count, size, size)) < 0.3).astype(np.uint8)
    volume = np.broadcast_to(channel_statistics(images), (count, 2, 3)).copy()
    each = np.stack([channel_statistics(image) for image in images])
    return torch.from_numpy(images), torch.from_numpy(masks), torch.from_numpy(volume), torch.from_numpy(each)


def augmented(
    slices: tuple[Tensor, Tensor, Tensor, Tensor], parameters: AugmentationParameters
) -> tuple[Tensor, Tensor]:
    images, masks, volume, each = slices
    return augment(images, masks, volume_statistics=volume, slice_statistics=each, parameters=parameters)


def with_matrix(matrix: list[list[float]], count: int = 1) -> AugmentationParameters:
    return replace(draw(NOTHING, count, rng(0)), matrix=np.array([matrix] * count, np.float32))


def planes(count: int = 1, size: int = 64) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_drawing_nothing_leaves_the_slice_unchanged() -> None:
    slices = some_slices(3)
    inputs, targets = augmented(slices, draw(NOTHING, 3, rng(0)))
    expected_inputs, expected_targets = prepare(slices[0], slices[1], statistics=slices[2])
    torch.testing.assert_close(inputs, expected_inputs, atol=1e-4, rtol=0)
    assert torch.equal(targets, expected_targets)


@pytest.mark.parametrize("seed", range(3))
def test_a_batch_is_changed_as_its_slices_are(seed: int) -> None:
    slices, parameters = some_slices(5), draw(EVERYTHING, 5, rng(seed))
    inputs, targets = augmented(slices, parameters)
    for row in range(5):
        here = slice(row, row + 1)
        images, masks, volume, each = slices
        one = (images[here], masks[here], volume[here], each[here])
        alone, target = augmented(one, parameters.select(here))
        torch.testing.assert_close(alone[0], inputs[row], atol=1e-5, rtol=1e-5)
        assert torch.equal(target[0], targets[row])


def test_what_was_drawn_can_be_replayed() -> None:
    slices, parameters = some_slices(4), draw(EVERYTHING, 4, rng(7))
    before = [each.clone() for each in slices]
    first, second = augmented(slices, parameters), augmented(slices, parameters)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert all(torch.equal(one, other) for one, other in zip(before, slices, strict=True))


def test_same_seed_same_draw_another_seed_another() -> None:
    one, same, other = (dataclasses.asdict(draw(EVERYTHING, 6, rng(seed))) for seed in (3, 3, 4))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not any(np.array_equal(one[name], other[name]) for name in one)


def test_slices_of_a_batch_are_changed_differently() -> None:
    parameters = draw(EVERYTHING, 8, rng(5))
    for values in (parameters.matrix, parameters.gain, parameters.offset, parameters.noise, parameters.noise_seed):
        assert len({row.tobytes() for row in values}) == 8


def test_selected_rows_keep_their_order() -> None:
    parameters = draw(EVERYTHING, 6, rng(5))
    chosen = parameters.select(np.array([4, 1]))
    assert len(chosen) == 2
    for field in dataclasses.fields(AugmentationParameters):
        values = getattr(parameters, field.name)
        assert np.array_equal(getattr(chosen, field.name), values[[4, 1]])


@pytest.mark.parametrize(
    ("matrix", "permute"),
    [
        ([[-1, 0, 0], [0, 1, 0]], lambda a: a[:, ::-1]),
        ([[1, 0, 0], [0, -1, 0]], lambda a: a[::-1]),
        ([[0, 1, 0], [1, 0, 0]], lambda a: a.swapaxes(0, 1)),
        ([[0, -1, 0], [1, 0, 0]], np.rot90),
        ([[-1, 0, 0], [0, -1, 0]], lambda a: np.rot90(a, 2)),
        ([[0, 1, 0], [-1, 0, 0]], lambda a: np.rot90(a, 3)),
    ],
)
def test_flips_and_turns_only_move_pixels(
    matrix: list[list[float]], permute: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
) -> None:
    images, masks, *_ = some_slices(1)
    moved, targets = resample(images.permute(0, 3, 1, 2).float(), masks, torch.from_numpy(with_matrix(matrix).matrix))
    assert np.array_equal(moved[0].permute(1, 2, 0).round().byte().numpy(), permute(images[0].numpy()))
    torch.testing.assert_close(moved, moved.round(), atol=2e-2, rtol=0)
    assert np.array_equal(targets[0, 0].byte().numpy(), permute(masks[0].numpy()))


@pytest.mark.parametrize(
    ("name", "permutations"),
    [
        ("flip", ["as is", "left-right"]),
        ("flip_vertical", ["as is", "up-down"]),
        ("transpose", ["as is", "transposed"]),
        ("rotate90", ["as is", "90", "180", "270"]),
    ],
)
def test_each_setting_draws_its_own_permutations(name: str, permutations: list[str]) -> None:
    names: dict[tuple[float, float, float, float], str] = {
        (1, 0, 0, 1): "as is", (-1, 0, 0, 1): "left-right", (1, 0, 0, -1): "up-down", (0, 1, 1, 0): "transposed",
        (0, -1, 1, 0): "90", (-1, 0, 0, -1): "180", (0, 1, -1, 0): "270",
    }  # fmt: skip
    matrix = draw(replace(NOTHING, **{name: 0.5}), 2000, rng(1)).matrix
    assert not matrix[:, :, 2].any()
    counts = Counter(names[a, b, c, d] for a, b, c, d in matrix[:, :, :2].reshape(-1, 4).tolist())
    assert set(counts) == set(permutations)
    unchanged = 0.5 + (0.5 / 4 if name == "rotate90" else 0)  # a turn by a random multiple may be by none
    assert counts["as is"] / 2000 == pytest.approx(unchanged, abs=0.04)


@pytest.mark.parametrize(("shift", "rows", "columns"), [((0.5, 0), 0, -12), ((0, 0.5), -12, 0)])
def test_a_shift_by_hand(shift: tuple[float, float], rows: int, columns: int) -> None:
    """A quarter of the image; the matrix leads from output to input, so content moves the other way."""
    images, masks = torch.zeros(1, 3, SIZE, SIZE), torch.zeros(1, SIZE, SIZE, dtype=torch.uint8)
    images[0, :, 20:24, 30:34], masks[0, 20:24, 30:34] = 100, 1
    matrix = torch.tensor([[[1, 0, shift[0]], [0, 1, shift[1]]]])
    moved, targets = resample(images, masks, matrix)
    expected = np.roll(images.numpy(), (rows, columns), axis=(2, 3))
    np.testing.assert_allclose(moved.numpy(), expected, atol=1e-3)
    assert np.array_equal(targets[0, 0].numpy(), expected[0, 0] > 0)


def test_a_scale_by_hand() -> None:
    images, masks = torch.zeros(1, 3, 64, 64), torch.zeros(1, 64, 64, dtype=torch.uint8)
    masks[0, 24:40, 24:40] = 1
    _, targets = resample(images, masks, torch.tensor([[[0.5, 0, 0], [0, 0.5, 0]]]))
    assert targets.sum() == 4 * masks.sum()
    assert targets[0, 0, 16:48, 16:48].all()


def test_what_comes_in_from_outside_is_black_and_no_tumour() -> None:
    images, masks = torch.full((1, 3, SIZE, SIZE), 200.0), torch.ones(1, SIZE, SIZE, dtype=torch.uint8)
    moved, targets = resample(images, masks, torch.tensor([[[1.0, 0, 1.0], [0, 1, 0]]]))
    assert not moved[..., SIZE // 2 + 1 :].any()
    assert not targets[..., SIZE // 2 + 1 :].any()


def test_the_mask_follows_the_image() -> None:
    count = 100
    masks = np.zeros((count, 64, 64), np.uint8)
    masks[:, 18:38, 26:50] = 1
    images = np.where(masks[..., None], 200, 20).repeat(3, axis=-1).astype(np.uint8)
    matrix = torch.from_numpy(draw(EVERYTHING, count, rng(9)).matrix)
    moved, targets = resample(torch.from_numpy(images).permute(0, 3, 1, 2).float(), torch.from_numpy(masks), matrix)
    bright, truth = moved[:, 1] > 110, targets[:, 0] > 0
    dice = 2 * (bright & truth).sum(dim=(1, 2)) / (bright.sum(dim=(1, 2)) + truth.sum(dim=(1, 2)))
    assert dice.min() > 0.95
    assert truth.float().std(dim=0).max() > 0.4  # they did move


def test_targets_stay_zero_or_one() -> None:
    _, targets = augmented(some_slices(6), draw(EVERYTHING, 6, rng(2)))
    assert set(targets.flatten().tolist()) == {0, 1}
    assert (targets.shape, targets.dtype) == ((6, 1, SIZE, SIZE), torch.float32)


def test_affine_draws_stay_within_the_settings() -> None:
    config = replace(NOTHING, affine=1, shift=0.1, scale=0.2, rotate=30)
    matrix = draw(config, 2000, rng(3)).matrix.astype(float)
    factor = 1 / np.sqrt(np.linalg.det(matrix[:, :, :2]))
    angle = np.rad2deg(np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0]))
    for values, lowest, highest in ((matrix[:, :, 2] / 2, -0.1, 0.1), (factor, 0.8, 1.2), (angle, -30, 30)):
        assert lowest - 1e-4 <= values.min() < lowest * 0.95 + highest * 0.05
        assert lowest * 0.05 + highest * 0.95 < values.max() <= highest + 1e-4
    gram = matrix[:, :, :2] @ matrix[:, :, :2].transpose(0, 2, 1) * factor[:, None, None] ** 2
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(2), gram.shape), atol=1e-5)  # no shear


def test_a_channel_that_is_dropped_equals_flair() -> None:
    parameters = replace(draw(EVERYTHING, 2, rng(4)), drop_channel=np.array([[1, 0, 0], [0, 0, 1]], bool))
    inputs, _ = augmented(some_slices(2), parameters)
    equal = [[torch.equal(inputs[row, channel], inputs[row, 1]) for channel in range(3)] for row in range(2)]
    assert equal == [[True, True, False], [False, True, True]]


def test_flair_is_never_dropped_the_others_as_often_as_set() -> None:
    dropped = draw(replace(NOTHING, drop_channel=0.3), 4000, rng(0)).drop_channel
    assert dropped.mean(axis=0).tolist() == pytest.approx([0.3, 0, 0.3], abs=0.03)


def test_both_are_dropped_together_as_often_as_set_and_nothing_else_changes() -> None:
    without, both = (draw(replace(EVERYTHING, drop_both=p), 4000, rng(0)) for p in (0.0, 0.2))
    dropped = draw(replace(NOTHING, drop_both=0.2), 4000, rng(0)).drop_channel
    assert dropped.mean(axis=0).tolist() == pytest.approx([0.2, 0, 0.2], abs=0.02)
    assert np.array_equal(dropped[:, 0], dropped[:, 2])
    for name, values in vars(without).items():
        assert (name == "drop_channel") != np.array_equal(values, getattr(both, name))


def test_gain_and_offset_are_as_stated() -> None:
    parameters = replace(
        draw(NOTHING, 1, rng(0)),
        gain=np.array([[1.2, 1, 0.5]], np.float32),
        offset=np.array([[0.1, -1, 0]], np.float32),
    )
    before = planes()
    after = change_intensities(before.clone(), parameters)
    for channel, (gain, offset) in enumerate([(1.2, 0.1), (1, -1), (0.5, 0)]):
        torch.testing.assert_close(after[0, channel], before[0, channel] * gain + offset)


def test_noise_is_as_stated_and_has_its_own_seed() -> None:
    noise = np.array([0, 0.25, 0.25, 0.25], np.float32)
    seeds = np.array([5, 5, 5, 6], np.int64)
    parameters = replace(draw(NOTHING, 4, rng(0)), noise=noise, noise_seed=seeds)
    before = planes().repeat(4, 1, 1, 1)
    torch.manual_seed(0)
    added = change_intensities(before.clone(), parameters) - before
    assert not added[0].any()
    assert torch.equal(added[1], added[2])
    assert not torch.equal(added[1], added[3])
    assert added[1].std().item() == pytest.approx(0.25, rel=0.03)
    assert added[1].mean().item() == pytest.approx(0, abs=0.01)
    assert abs(np.corrcoef(added[1].flatten(1).numpy()) - np.eye(3)).max() < 0.05  # channels apart


def test_intensity_draws_stay_within_the_settings() -> None:
    parameters = draw(replace(NOTHING, intensity=0.5, gain=0.2, offset=0.3, noise=0.1), 4000, rng(0))
    touched = parameters.noise > 0
    assert touched.mean() == pytest.approx(0.5, abs=0.03)
    assert (parameters.gain[~touched] == 1).all()
    assert (parameters.offset[~touched] == 0).all()
    for values, lowest, highest in (
        (parameters.gain[touched], 0.8, 1.2),
        (parameters.offset[touched], -0.3, 0.3),
        (parameters.noise[touched], 0, 0.1),
    ):
        assert (values.min(), values.max()) == pytest.approx((lowest, highest), abs=0.01)


def test_single_slices_are_normalised_by_themselves() -> None:
    slices = some_slices(2)
    parameters = replace(draw(NOTHING, 2, rng(0)), single_slice=np.array([True, False]))
    inputs, _ = augmented((slices[0], slices[1], slices[2] * 2, slices[3]), parameters)
    for row, statistics in ((0, slices[3]), (1, slices[2] * 2)):
        expected, _ = prepare(slices[0][[row]], slices[1][[row]], statistics=statistics[[row]])
        torch.testing.assert_close(inputs[[row]], expected, atol=1e-4, rtol=0)


def test_original_recipe_draws_with_its_frequencies() -> None:
    parameters = draw(ORIGINAL.augmentation, 8000, rng(0))
    linear, shift = parameters.matrix[:, :, :2], parameters.matrix[:, :, 2]
    moved = shift.any(axis=1)
    assert moved.mean() == pytest.approx(0.25, abs=0.02)
    assert abs(shift / 2).max() == pytest.approx(0.01, rel=0.02)
    factor = 1 / np.sqrt(abs(np.linalg.det(linear)))
    assert (factor.min(), factor.max()) == pytest.approx((0.96, 1.04), abs=0.002)
    assert (factor[~moved] == 1).all()
    orientations = Counter(tuple(np.sign(each).astype(int).ravel()) for each in np.round(linear, 1))
    assert len(orientations) == 8  # flips, turns and transposes alone: all eight, equally often
    assert all(count / 8000 == pytest.approx(1 / 8, abs=0.02) for count in orientations.values())


def test_original_recipe_leaves_grey_values_alone() -> None:
    parameters = draw(ORIGINAL.augmentation, 500, rng(0))
    assert (parameters.gain == 1).all()
    for values in (parameters.offset, parameters.noise, parameters.drop_channel, parameters.single_slice):
        assert not values.any()


def test_validation_input_is_that_of_prediction() -> None:
    images, masks, volume, _ = some_slices(3)
    before = images.clone()
    inputs, targets = prepare(images, masks, statistics=volume)
    assert np.array_equal(inputs.numpy(), normalise(images.numpy(), volume[0].numpy()))
    assert torch.equal(targets[:, 0], masks.float())
    assert torch.equal(images, before)
