"""Agreement with MONAI and with DeepMind's surface-distance, values by hand, and masks without a surface."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage
from surface_distance import compute_surface_dice_at_tolerance, compute_surface_distances, lookup_tables

from builders import block
from gliomask.evaluation.surfaces import (
    Spacing,
    SurfaceScores,
    _measures,
    _neighbour_codes,
    hd95,
    surface_dice,
    surface_scores,
)

Mask = NDArray[np.bool_]
Shape = tuple[int, int, int]
SHAPES: list[Shape] = [(7, 12, 11), (2, 9, 14), (10, 5, 6), (1, 16, 19), (5, 1, 9)]
SPACINGS: list[Spacing | None] = [None, (5.0, 0.9, 0.9), (1.0, 2.0, 3.0), (1.3, 0.7, 0.4)]
KINDS = {"blobs": (1.5, 0.75), "noise": (0.0, 0.5), "few voxels": (0.0, 0.97), "nearly all": (0.8, 0.1)}
AGAINST = pytest.mark.parametrize(
    ("shape", "spacing", "kind"), [(shape, spacing, kind) for shape in SHAPES for spacing in SPACINGS for kind in KINDS]
)
# either reference calls what its own dependencies, or it itself, will drop
OLD_MONAI = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
OLD_DEEPMIND = pytest.mark.filterwarnings("ignore:Please import:DeprecationWarning")


def random_pair(shape: Shape, kind: str) -> tuple[Mask, Mask]:
    """Return two different masks that reach the border of the image."""
    rng = np.random.default_rng(len(kind) + sum(shape))
    smooth, quantile = KINDS[kind]
    fields = (ndimage.gaussian_filter(rng.standard_normal(shape), smooth) for _ in range(2))
    one, other = (field > np.quantile(field, quantile) for field in fields)
    return one, other


def as_reference(prediction: Mask, truth: Mask, spacing: Spacing | None) -> tuple[Mask, Mask, tuple[float, ...]]:
    """Return what the references are to be given: a single slice without its first axis."""
    spacing = spacing or (1.0, 1.0, 1.0)
    return (prediction[0], truth[0], spacing[1:]) if len(truth) == 1 else (prediction, truth, spacing)


def monai_hd95(prediction: Mask, truth: Mask, spacing: tuple[float, ...]) -> float:
    import torch  # these take seconds, which those who only collect tests need not wait
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance

    one, other = (torch.from_numpy(mask)[None, None] for mask in (prediction, truth))
    return float(compute_hausdorff_distance(one, other, include_background=True, percentile=95, spacing=spacing))


def voxels(shape: Shape, *places: tuple[int, int, int]) -> Mask:
    mask = np.zeros(shape, np.bool_)
    for place in places:
        mask[place] = True
    return mask


def ball(centre: tuple[float, float, float], radii: tuple[float, float, float], shape: Shape) -> Mask:
    axes = zip(np.ogrid[tuple(slice(count) for count in shape)], centre, radii, strict=True)
    return np.asarray(sum(((axis - middle) / radius) ** 2 for axis, middle, radius in axes) <= 1)


# --- the reference implementations


@OLD_MONAI
@AGAINST
def test_hd95_is_that_of_monai(shape: Shape, spacing: Spacing | None, kind: str) -> None:
    prediction, truth = random_pair(shape, kind)
    expected = monai_hd95(*as_reference(prediction, truth, spacing))
    assert hd95(prediction, truth, spacing=spacing) == pytest.approx(expected, rel=1e-6)  # MONAI ranks in float32


@OLD_DEEPMIND
@AGAINST
def test_surface_dice_is_that_of_deepmind(shape: Shape, spacing: Spacing | None, kind: str) -> None:
    prediction, truth = random_pair(shape, kind)
    one, other, sides = as_reference(prediction, truth, spacing)
    distances = compute_surface_distances(other, one, sides)
    tolerances = (0.0, 0.5, 1.0, 2.0, 3.0)
    expected = [compute_surface_dice_at_tolerance(distances, tolerance) for tolerance in tolerances]
    found = surface_scores(prediction, truth, spacing=spacing, tolerances=tolerances).nsd
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 0.9, 0.7), (0.3, 2.0, 11.0)])
def test_all_256_areas_are_those_of_deepmind(spacing: Spacing) -> None:
    areas = lookup_tables.create_table_neighbour_code_to_surface_area(spacing)
    for code in range(256):
        inside = (code & lookup_tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL) > 0
        own = _measures(spacing)[_neighbour_codes(inside)[1, 1, 1]]
        assert own == pytest.approx(areas[code], rel=1e-12)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.9, 0.7), (2.0, 11.0)])
def test_all_16_lengths_are_those_of_deepmind(spacing: tuple[float, float]) -> None:
    lengths = lookup_tables.create_table_neighbour_code_to_contour_length(spacing)
    for code in range(16):
        inside = (code & lookup_tables.ENCODE_NEIGHBOURHOOD_2D_KERNEL) > 0
        assert _measures(spacing)[_neighbour_codes(inside)[1, 1]] == pytest.approx(lengths[code], rel=1e-12)


@OLD_MONAI
def test_a_single_slice_is_not_all_surface_as_in_a_volume_of_one_slice() -> None:
    truth = block(slice(4, 13), slice(4, 13))[None]
    prediction = truth & ~block(slice(8, 9), slice(8, 9))
    flat, thick = monai_hd95(prediction[0], truth[0], (1, 1)), monai_hd95(prediction, truth, (1, 1, 1))
    assert hd95(prediction, truth) == pytest.approx(flat)
    assert thick != pytest.approx(flat)


# --- areas that are known without a reference


def test_a_flat_surface_has_its_area_and_a_corner_its_triangle() -> None:
    areas = _measures((5.0, 0.9, 0.7))
    assert areas[[0b00001111, 0b00110011, 0b01010101]] == pytest.approx([0.9 * 0.7, 5 * 0.7, 5 * 0.9])
    sides = np.array([5, 0.9, 0.7]) / 2  # of the tetrahedron that a corner is cut off with
    triangle = np.linalg.norm(sides.prod() / sides) / 2
    assert areas[[1 << bit for bit in range(8)]] == pytest.approx(np.full(8, triangle))


def test_no_surface_is_where_all_voxels_are_alike_and_complements_share_theirs() -> None:
    for spacing in [(5.0, 0.9, 0.7), (0.9, 0.7)]:
        table = _measures(spacing)
        assert table[0] == table[-1] == 0
        assert (table[1:-1] > 0).all()
        assert table == pytest.approx(table[::-1])


def test_a_table_cannot_be_spoiled_by_those_who_share_it() -> None:
    with pytest.raises(ValueError, match="read-only"):
        _measures((1.0, 1.0, 1.0))[0] = 7


# --- by hand


@pytest.mark.parametrize(("tolerance", "expected"), [(2.99, 0), (3, 0.5), (3.99, 0.5), (4, 1)])
def test_two_voxels_four_apart(tolerance: float, expected: float) -> None:
    one, other = voxels((5, 9, 9), (2, 2, 2)), voxels((5, 9, 9), (2, 6, 2))
    assert hd95(one, other) == 4
    # of the eight corners of either, four are three from the other voxel and four are four from it
    assert surface_dice(one, other, tolerance=tolerance) == pytest.approx(expected)


def test_a_voxel_agrees_with_itself_wherever_it_is() -> None:
    for place in [(0, 0, 0), (2, 4, 4), (4, 8, 8)]:
        mask = voxels((5, 9, 9), place)
        assert surface_scores(mask, mask, tolerances=(0, 1)) == SurfaceScores(0.0, (1.0, 1.0))


def test_spacing_is_slice_row_column() -> None:
    spacing = (5.0, 0.5, 2.0)
    start = voxels((4, 9, 9), (0, 0, 0))
    ends = (voxels((4, 9, 9), place) for place in [(3, 0, 0), (0, 3, 0), (0, 0, 3), (3, 8, 6)])
    found = [hd95(start, end, spacing=spacing) for end in ends]
    assert found == pytest.approx([15, 1.5, 6, math.hypot(15, 4, 12)])


@pytest.mark.parametrize(("line", "expected"), [(40, 0), (20, 0), (19, 0.5), (9, 5.5), (1, 9.5)])
def test_hd95_is_a_percentile_between_ranks(line: int, expected: float) -> None:
    truth = np.zeros((1, 50, 50), np.bool_)
    truth[0, 20, :line] = True
    prediction = truth | voxels((1, 50, 50), (0, 30, 0))  # `line` pixels at distance 0, one at 10
    assert hd95(prediction, truth) == pytest.approx(expected)
    assert hd95(truth, prediction) == pytest.approx(expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_cutting_out_the_masks_changes_nothing(shape: Shape, kind: str) -> None:
    spacing = (5.0, 0.9, 0.7)
    pair = random_pair(shape, kind)
    slices = (0, 0) if shape[0] == 1 else (3, 1)
    roomy = [np.pad(mask, (slices, (2, 30), (9, 0))) for mask in pair]
    assert surface_scores(*roomy, spacing=spacing) == surface_scores(*pair, spacing=spacing)


@settings(max_examples=40)
@given(masks=arrays(np.bool_, (2, 3, 4, 5)))
def test_swapping_changes_nothing_and_tolerance_only_helps(masks: Mask) -> None:
    tolerances = (0, 0.5, 1, 2, 8)
    found, swapped = (surface_scores(*pair, tolerances=tolerances) for pair in (masks, masks[::-1]))
    assert found.hd95 == swapped.hd95
    assert found.nsd == pytest.approx(swapped.nsd)
    assert list(found.nsd) == sorted(found.nsd)
    one, other = masks[0].any(), masks[1].any()
    assert found.nsd[-1] == (1 if one == other else 0)


def test_distances_grow_with_the_spacing() -> None:
    pair = random_pair((7, 12, 11), "blobs")
    once = surface_scores(*pair, spacing=(2, 1, 1), tolerances=(1,))
    twice = surface_scores(*pair, spacing=(4, 2, 2), tolerances=(2,))
    assert twice.hd95 == 2 * once.hd95
    assert twice.nsd == pytest.approx(once.nsd)


def test_each_score_alone_is_the_same() -> None:
    pair = random_pair((7, 12, 11), "noise")
    spacing = (3.0, 1.0, 1.0)
    alone = SurfaceScores(
        hd95(*pair, spacing=spacing), tuple(surface_dice(*pair, tolerance=t, spacing=spacing) for t in (1, 2))
    )
    assert surface_scores(*pair, spacing=spacing) == alone
    assert alone.nsd[0] < alone.nsd[1]


# --- masks without a surface, and what is refused


@pytest.mark.parametrize("shape", [(4, 5, 6), (1, 5, 6), (0, 5, 6)])
def test_nothing_to_find_and_nothing_found_is_perfect(shape: Shape) -> None:
    nothing = np.zeros(shape, np.bool_)
    assert surface_scores(nothing, nothing) == SurfaceScores(0.0, (1.0, 1.0))


@pytest.mark.parametrize(
    ("shape", "spacing", "diagonal"),
    [((3, 4, 12), None, 13), ((3, 4, 12), (2, 1, 1), 14), ((1, 30, 40), None, 50), ((1, 30, 40), (9, 2, 2), 100)],
)
def test_one_empty_mask_is_the_diagonal_of_the_image_away(
    shape: Shape, spacing: Spacing | None, diagonal: float
) -> None:
    nothing, something = np.zeros(shape, np.bool_), voxels(shape, (0, 1, 1))
    for pair in [(nothing, something), (something, nothing)]:
        found = surface_scores(*pair, spacing=spacing, tolerances=(1, 1e9))
        assert found.hd95 == pytest.approx(diagonal)
        assert found.nsd == (0, 0)


@pytest.mark.parametrize(("one", "other"), [((2, 3, 4), (2, 4, 3)), ((3, 4), (3, 4)), ((1, 1, 3, 4), (1, 1, 3, 4))])
def test_masks_of_another_shape_are_refused(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected two equal \(S, H, W\)"):
        surface_scores(np.zeros(one, np.bool_), np.zeros(other, np.bool_))


@pytest.mark.parametrize("which", [0, 1])
def test_masks_of_0_and_255_are_refused(which: int) -> None:
    masks: list[Any] = [np.ones((2, 3, 4), np.bool_)] * 2
    masks[which] = masks[which].astype(np.uint8) * 255
    with pytest.raises(ValueError, match="expected bool"):
        surface_scores(masks[0], masks[1])


@pytest.mark.parametrize("spacing", [(0, 1, 1), (1, -1, 1), (1, 1, math.nan), (math.inf, 1, 1), (1, 1), (1, 1, 1, 1)])
@pytest.mark.parametrize("slices", [1, 2])
def test_impossible_spacing_is_refused(spacing: Any, slices: int) -> None:
    mask = np.ones((slices, 3, 4), np.bool_)
    with pytest.raises(ValueError, match="expected three positive lengths"):
        surface_scores(mask, mask, spacing=spacing)


@pytest.mark.parametrize("tolerance", [-1, math.nan])
def test_impossible_tolerances_are_refused(tolerance: float) -> None:
    mask = np.ones((2, 3, 4), np.bool_)
    with pytest.raises(ValueError, match="expected distances of 0 or more"):
        surface_scores(mask, mask, tolerances=(1, tolerance))
    with pytest.raises(ValueError, match="expected a distance of 0 or more"):
        surface_dice(mask, mask, tolerance=tolerance)


def test_a_patient_takes_a_fraction_of_a_second() -> None:
    shape = (36, 256, 256)  # process time, because the machine may be busy with other things
    truth, prediction = ball((18, 120, 120), (8, 26, 24), shape), ball((19, 124, 121), (7, 28, 22), shape)
    assert truth.sum() > 20_000
    seconds = []
    for _ in range(3):
        start = time.process_time()
        surface_scores(prediction, truth, spacing=(5, 0.9, 0.9))
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.25  # some 0.02; without cutting, 1
