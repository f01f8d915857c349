"""The losses against values worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor

from gliomask.config import LossName
from gliomask.models.losses import LOSSES, bce_dice_loss, bce_slice_dice_loss, dice_loss, slice_dice_loss

Loss = Callable[..., Tensor]
ALL = [dice_loss, slice_dice_loss, bce_dice_loss, bce_slice_dice_loss]
CERTAIN = 40.0  # a logit whose sigmoid is 1 in float32


def square(side: int = 8) -> Tensor:
    target = torch.zeros(2, 1, side, side)
    target[0, 0, 2:6, 2:6] = 1
    return target


def test_perfect_prediction_costs_nothing() -> None:
    logits = CERTAIN * (2 * square() - 1)
    assert dice_loss(logits, square()).item() == pytest.approx(0, abs=1e-6)
    assert bce_dice_loss(logits, square()).item() == pytest.approx(0, abs=1e-6)


def test_opposite_prediction() -> None:
    logits = -CERTAIN * (2 * square() - 1)
    assert dice_loss(logits, square()).item() == pytest.approx(1 - 1 / (128 + 1), abs=1e-6)
    assert bce_dice_loss(logits, square()).item() == pytest.approx(CERTAIN + 1 - 1 / 129, rel=1e-6)


def test_undecided_prediction() -> None:
    target, logits = square(), torch.zeros(2, 1, 8, 8)
    expected = 1 - (2 * 0.5 * 16 + 1) / (0.5 * 128 + 16 + 1)
    assert dice_loss(logits, target).item() == pytest.approx(expected, abs=1e-6)
    assert bce_dice_loss(logits, target).item() == pytest.approx(expected + math.log(2), abs=1e-6)


def test_empty_slices_predicted_empty_cost_nothing() -> None:
    empty = torch.zeros(2, 1, 8, 8)
    assert dice_loss(empty - CERTAIN, empty).item() == pytest.approx(0, abs=1e-6)
    assert dice_loss(empty + CERTAIN, empty).item() == pytest.approx(1 - 1 / 129, abs=1e-6)


def test_dice_is_over_the_whole_batch() -> None:
    target = square()
    logits = CERTAIN * (2 * target - 1)
    logits[1] = CERTAIN  # false positives in the empty slice lower the overlap of the other
    assert dice_loss(logits, target).item() == pytest.approx(1 - (2 * 16 + 1) / (16 + 64 + 16 + 1), abs=1e-6)


@pytest.mark.parametrize("loss", [dice_loss, slice_dice_loss])
def test_smooth_is_added_above_and_below(loss: Loss) -> None:
    logits = torch.zeros(1, 1, 1, 2)
    target = torch.tensor([[[[1.0, 0.0]]]])
    assert loss(logits, target, smooth=3.0).item() == pytest.approx(1 - (1 + 3) / (1 + 1 + 3))


def test_every_slice_with_tumour_counts_the_same() -> None:
    target = torch.zeros(3, 1, 8, 8)
    target[0, 0, :, :4] = 1  # 32 pixels, all found
    target[1, 0, :2, 0] = 1  # 2 pixels, lost
    logits = CERTAIN * (2 * target - 1)
    logits[1] = -CERTAIN
    lost = 1 - 1 / (2 + 1)
    assert slice_dice_loss(logits, target).item() == pytest.approx(lost / 2)
    batch = 1 - (2 * 32 + 1) / (32 + 34 + 1)
    assert dice_loss(logits, target).item() == pytest.approx(batch)
    entropy = CERTAIN * 2 / target.numel()
    assert bce_slice_dice_loss(logits, target).item() == pytest.approx(entropy + (lost / 2 + batch) / 2)


def test_slices_without_tumour_are_no_part_of_the_mean() -> None:
    target = square()
    logits = CERTAIN * (2 * target - 1)
    logits[1] = CERTAIN
    assert slice_dice_loss(logits, target).item() == pytest.approx(0, abs=1e-6)
    assert slice_dice_loss(logits[1:], target[1:]).item() == 0


def test_every_setting_has_its_loss() -> None:
    assert LOSSES.keys() == set(get_args(LossName))
    logits = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert LOSSES["bce-dice"](logits, square()) == bce_dice_loss(logits, square())
    assert LOSSES["bce-slice-dice"](logits, square()) == bce_slice_dice_loss(logits, square())


@pytest.mark.parametrize("minimised", LOSSES.values())
def test_gradient_descent_lowers_the_loss(minimised: Loss) -> None:
    target = square()
    logits = torch.zeros_like(target, requires_grad=True)
    optimiser = torch.optim.SGD([logits], lr=20.0)
    values = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = minimised(logits, target)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        values.append(loss.item())
    assert values == sorted(values, reverse=True)
    assert torch.equal(logits > 0, target > 0.5)


@pytest.mark.parametrize("loss", ALL)
def test_computed_in_float32_under_autocast(loss: Loss) -> None:
    logits = (4 * torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))).bfloat16()
    target = (logits > 1).float()
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = loss(logits, target)
    assert under_autocast.dtype == torch.float32
    assert torch.equal(under_autocast, loss(logits.float(), target))


@pytest.mark.parametrize("loss", ALL)
def test_bool_and_float_targets_are_the_same(loss: Loss) -> None:
    logits = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(loss(logits, square().bool()), loss(logits, square()))


@pytest.mark.parametrize("loss", ALL)
def test_shapes_that_would_broadcast_are_refused(loss: Loss) -> None:
    with pytest.raises(ValueError, match=r"target of shape \(2, 8, 8\); expected that of the logits, \(2, 1, 8, 8\)"):
        loss(torch.zeros(2, 1, 8, 8), torch.zeros(2, 8, 8))
