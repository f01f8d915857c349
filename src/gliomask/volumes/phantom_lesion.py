"""What is abnormal in a phantom: one tumour, and the bright white matter that a threshold mistakes for it.

Knows nothing of scanners, names or files. What varies is drawn once, in `draw_tumour`; the other functions apply it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gliomask.volumes.components import label_components
from gliomask.volumes.phantom_fields import HEIGHT, Array, Frame, Point, SmoothField, bump, smooth_step, soft
from gliomask.volumes.phantom_head import Slice, Tissue

LOBES: dict[str, tuple[Point, float]] = {
    "frontal": ((0.27, -0.38, 0.6), 0.5),
    "temporal": ((0.38, -0.02, 0.37), 0.27),
    "parietal": ((0.28, 0.22, 0.66), 0.17),
    "occipital": ((0.24, 0.5, 0.5), 0.06),
}
"""Centre of each lobe (distance from the midline, y, z) and how often it is chosen."""

_LOWEST, _HIGHEST = 0.16, 0.9
_SMALLEST_PIECE = 0.05
_CONNECTED = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True)
class Tumour:
    """One tumour, as drawn."""

    lobe: str
    """Key of `LOBES`."""
    side: int
    """-1 left in the image, 1 right."""
    lumps: tuple[tuple[Point, Point], ...]
    """Ellipsoids that make it up: centre, and radii in units of length."""
    radius: float
    """Overall size, in units of length."""
    roughness: float
    """How irregular its surface is, 0 to 1."""
    infiltration: float
    """Half width of its soft edge."""
    flair: float
    """FLAIR signal, white matter being 1."""
    t1: float
    """T1 signal, white matter being 1."""
    core: float
    """Depth at which an enhancing core begins; infinite without one."""
    rim: float
    """Thickness of the enhancing rim."""
    surface: tuple[SmoothField, SmoothField]
    texture: SmoothField


def draw_tumour(rng: np.random.Generator) -> Tumour:
    """Draw a tumour: its lobe, size, shape, contrast and core."""
    lobe = str(rng.choice(list(LOBES), p=[share for _, share in LOBES.values()]))
    side = int(rng.choice((-1, 1)))
    radius = float(np.clip(0.225 * np.exp(rng.normal(0, 0.32)), 0.11, 0.36))
    centre = np.array(LOBES[lobe][0]) + rng.normal(0, (0.05, 0.08, 0.04))
    centre[0] *= side
    lumps = []
    for share in (1.0, *rng.uniform(0.45, 0.8, int(rng.integers(1, 4)))):
        away = rng.normal(0, 1, 3)
        away *= (0 if share == 1 else radius * rng.uniform(0.5, 1.0)) / np.linalg.norm(away)
        place = centre + away * (1, 1, 1 / HEIGHT)
        radii = share * radius * np.exp(rng.normal(0, 0.15, 3)) * (1, 1, 1.1)
        lumps.append((_point(place), _point(radii)))
    faint = rng.random() < 0.2
    return Tumour(
        lobe=lobe,
        side=side,
        lumps=tuple(lumps),
        radius=radius,
        roughness=rng.uniform(0.5, 1.0),
        infiltration=rng.uniform(0.02, 0.055),
        flair=rng.uniform(1.4, 1.55) if faint else rng.uniform(1.55, 2.3),
        t1=rng.uniform(0.55, 0.85),
        core=rng.uniform(0.3, 0.55) * radius if rng.random() < 0.45 else np.inf,
        rim=rng.uniform(0.015, 0.035),
        surface=(SmoothField.draw(rng, max(0.55 * radius, 0.1)), SmoothField.draw(rng, 0.07)),
        texture=SmoothField.draw(rng, 0.09),
    )


def _point(values: NDArray[np.float64]) -> Point:
    return float(values[0]), float(values[1]), float(values[2])


def tumour_depth(tumour: Tumour, frame: Frame) -> Array:
    """Return how deep each pixel lies in the tumour, were there no bounds of tissue; negative outside.

    The union of the ellipsoids is moved in and out by smooth noise, cut at the midline but for a bridge through the
    corpus callosum, and kept away from both ends of the head.
    """
    depth = np.full_like(frame.x, -2)
    for centre, radii in tumour.lumps:
        x, y, z = (
            (axis - np.float32(c)) * np.float32(s / r)
            for axis, c, r, s in zip((frame.x, frame.y, frame.z), centre, radii, (1, 1, HEIGHT), strict=True)
        )
        depth = np.maximum(depth, (1 - np.sqrt(x * x + y * y + z * z)) * np.float32(np.mean(radii)))
    large, small = (field.plane(frame.level, frame.size) for field in tumour.surface)
    depth += np.float32(tumour.roughness * tumour.radius) * (np.float32(0.28) * large + np.float32(0.06) * small)
    bridge = bump(frame.y, -0.05, 0.3) * bump(frame.z, 0.6, 0.06)
    depth = np.minimum(depth, tumour.side * frame.x + 0.1 * bridge - 0.01)
    depth -= 3 * np.maximum(_LOWEST - frame.z, 0) + 3 * np.maximum(frame.z - _HIGHEST, 0)
    return depth.astype(np.float32)


def tumour_fraction(tumour: Tumour, depth: Array, anatomy: Slice) -> Array:
    """Return the fraction of each pixel that is tumour, 0 to 1: it spreads more easily in white matter than in grey."""
    resisted = depth - np.float32(0.12 * tumour.radius) * anatomy.fractions[Tissue.GREY]
    return np.asarray(smooth_step(resisted / tumour.infiltration) * anatomy.brain, dtype=np.float32)


def drop_crumbs(fraction: Array) -> Array:
    """Remove the pieces of a tumour that are much smaller than its largest.

    Parameters
    ----------
    fraction
        (S, H, W), fraction of each pixel that is tumour.

    Returns
    -------
    (S, H, W) float32
        Zero around each 26-connected piece (of at least 0.5) with less than a twentieth of the voxels of the largest.
    """
    labels, count = label_components(fraction >= 0.5)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    crumbs = (sizes < _SMALLEST_PIECE * sizes.max()) & (sizes > 0)
    if not crumbs.any():
        return fraction
    keep = (labels > 0) & ~crumbs[labels]
    around = ndimage.binary_dilation(crumbs[labels], _CONNECTED, iterations=2) & ~keep
    return np.where(around, np.float32(0), fraction)


def white_matter_lesions(anatomy: Slice, frame: Frame, load: float) -> Array:
    """Return how much of each pixel is bright white matter that is not tumour, 0 to 1.

    Parameters
    ----------
    anatomy
        The slice.
    frame
        Where it lies.
    load
        0 (hardly any) to 1 (many): grows with age.
    """
    horns = bump(frame.y, -0.3, 0.1) + bump(frame.y, 0.36, 0.13)
    outside = np.maximum(-anatomy.ventricle, 0)
    caps = np.exp(-outside / (0.012 + 0.03 * load)) * (0.25 + 0.75 * np.minimum(horns, 1)) * (0.3 + 0.7 * load)
    spots = (
        soft(anatomy.texture - (2.8 - 0.9 * load), 0.5)
        * (anatomy.depth > 0.06)
        * (np.abs(anatomy.side) > 0.05)
        * load**0.5
    )
    return np.asarray(np.clip(caps + spots, 0, 1) * anatomy.fractions[Tissue.WHITE], dtype=np.float32)
