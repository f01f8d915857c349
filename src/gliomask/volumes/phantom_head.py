"""The anatomy of a phantom: which fraction of each pixel is which tissue. Knows nothing of tumours, scanners or files.

What varies from head to head is drawn once, in `draw_head`; `tissues` applies it to one slice. Lengths and coordinates
are those of `phantom_fields`: half an image side, some 110 mm, is 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from scipy import ndimage

from gliomask.volumes.phantom_fields import Array, Frame, SmoothField, bump, ellipsoid, soft, tube


class Tissue(IntEnum):
    """What a pixel can be made of; the value is its place in an array of fractions."""

    AIR = 0
    SKIN = 1
    FAT = 2
    BONE = 3
    MARROW = 4
    MUSCLE = 5
    FLUID = 6
    GREY = 7
    WHITE = 8
    VESSEL = 9
    CHOROID = 10


_FOLD = 0.05
"""Grid spacing of the field whose zero lines are the sulci: these lie some 2.7 spacings apart."""


@dataclass(frozen=True)
class Head:
    """One head, as drawn."""

    width: float
    """Half width of the head at its widest."""
    length: float
    """Half length of the head."""
    egg: float
    """How much wider the back is than the front."""
    shift: tuple[float, float]
    """Where the head lies in the image."""
    angle: float
    """Rotation in the image, radians."""
    tilt: tuple[float, float]
    """Change of z along x and along y."""
    scalp: float
    """Thickness of skin and fat."""
    skull: float
    """Thickness of the bone."""
    marrow: float
    """How much marrow the skull shows, 0 to 1."""
    atrophy: float
    """0 (tight, young) to 1 (wide ventricles and sulci)."""
    midline: float
    """Bend of the midline."""
    sides: float
    """Relative difference of the ventricles of the two sides."""
    face: float
    """Height up to which orbits and nose reach, in units of z."""
    outline: SmoothField
    folds: SmoothField
    coarse: SmoothField
    fine: SmoothField


@dataclass(frozen=True)
class Slice:
    """The anatomy of one slice."""

    fractions: Array
    """(len(Tissue), H, W), adding up to 1 in every pixel."""
    texture: Array
    """(H, W), random field of mean 0 and variance 1: the fine structure of tissue."""
    brain: Array
    """(H, W), fraction of the pixel that is grey or white matter."""
    side: Array
    """(H, W), signed distance from the midline."""
    ventricle: Array
    """(H, W), distance to the lateral ventricles, positive inside them."""
    depth: Array
    """(H, W), distance to the surface of the brain, positive inside, as if it had no sulci."""


def draw_head(rng: np.random.Generator, atrophy: float) -> Head:
    """Draw a head; `atrophy` runs from 0 to 1."""
    size = rng.uniform(0.95, 1.1)
    return Head(
        width=0.68 * size * rng.uniform(0.95, 1.05),
        length=0.85 * size * rng.uniform(0.96, 1.04),
        egg=rng.uniform(0.03, 0.14),
        shift=(rng.normal(0, 0.02), rng.normal(0.02, 0.025)),
        angle=rng.normal(0, 0.05),
        tilt=(rng.normal(0, 0.03), rng.normal(0.05, 0.06)),
        scalp=rng.uniform(0.045, 0.085),
        skull=rng.uniform(0.028, 0.048),
        marrow=rng.uniform(0.2, 0.9),
        atrophy=atrophy,
        midline=rng.normal(0, 0.012),
        sides=rng.normal(0, 0.12),
        face=rng.uniform(0.3, 0.38),
        outline=SmoothField.draw(rng, 0.5),
        folds=SmoothField.draw(rng, _FOLD, spacing_z=0.1),
        coarse=SmoothField.draw(rng, 0.22),
        fine=SmoothField.draw(rng, 0.07, spacing_z=0.1),
    )


def frame_of(head: Head, level: float, size: int) -> Frame:
    """Place the pixels of one slice in a head.

    Parameters
    ----------
    head
        The head.
    level
        Position of the slice, in units of z.
    size
        Side of the slice in pixels.
    """
    axis = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
    x, y = np.meshgrid(axis - np.float32(head.shift[0]), axis - np.float32(head.shift[1]))
    cos, sin = np.float32(np.cos(head.angle)), np.float32(np.sin(head.angle))
    x, y = cos * x + sin * y, cos * y - sin * x
    z = np.float32(level) + np.float32(head.tilt[0]) * x + np.float32(head.tilt[1]) * y
    return Frame(x, y, z.astype(np.float32), level, 2 / size)


def tissues(head: Head, frame: Frame, swelling: Array) -> Slice:
    """Fill one slice with tissue.

    Parameters
    ----------
    head
        The head.
    frame
        Where the slice lies in it.
    swelling
        (H, W), 0 to 1, how much the sulci are pressed together.
    """
    planes = _Planes.of(head, frame)
    outside = _skin_distance(head, frame, planes.outline)
    scalp = head.scalp * (1 + 0.12 * planes.coarse + 0.08 * planes.fine + 0.5 * bump(frame.y, 0.9, 0.5))
    inside = outside - scalp - head.skull * (1 + 0.15 * planes.outline)
    cavity = np.minimum(inside, 1.4 * (frame.z - _skull_base(frame)))
    canvas = _Canvas(frame)
    canvas.paint(Tissue.SKIN, soft(outside, frame.pixel))
    canvas.paint(Tissue.FAT, soft(outside - 0.014, frame.pixel))
    temple = bump(frame.y, -0.25, 0.25) * bump(frame.z, 0.34, 0.16) * (np.abs(frame.x) > 0.3)
    canvas.paint(Tissue.MUSCLE, soft(outside - 0.03, 2 * frame.pixel) * np.clip(1.4 * temple, 0, 1))
    canvas.paint(Tissue.BONE, soft(outside - scalp, 2 * frame.pixel))
    ring = bump(outside - scalp, 0.5 * head.skull, 0.22 * head.skull)
    canvas.paint(Tissue.MARROW, ring * np.clip(head.marrow + 0.3 * planes.coarse, 0, 1))
    _paint_face(canvas, head, planes, outside - scalp, cavity)
    side = _midline(head, frame)
    brain = _paint_brain(canvas, head, planes, cavity, side, swelling)
    ventricle = _paint_ventricles(canvas, head, planes, np.abs(side), np.sign(side))
    _paint_vessels(canvas, planes, cavity, side)
    matter = canvas.fractions[Tissue.GREY] + canvas.fractions[Tissue.WHITE]
    return Slice(canvas.fractions, planes.fine, matter, side, ventricle, brain)


@dataclass(frozen=True)
class _Planes:
    """The random fields of a head on one slice, each (H, W)."""

    outline: Array
    folds: Array
    coarse: Array
    fine: Array

    @classmethod
    def of(cls, head: Head, frame: Frame) -> _Planes:
        fields = (head.outline, head.folds, head.coarse, head.fine)
        return cls(*(field.plane(frame.level, frame.size) for field in fields))


class _Canvas:
    """Fractions of tissue that are painted over one another."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.fractions = np.zeros((len(Tissue), frame.size, frame.size), dtype=np.float32)
        self.fractions[Tissue.AIR] = 1

    def paint(self, tissue: Tissue, cover: Array) -> None:
        """Cover each pixel with so much of a tissue, 0 to 1."""
        rows, columns = np.flatnonzero(cover.any(1)), np.flatnonzero(cover.any(0))
        if rows.size:
            box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
            self.fractions[:, *box] *= 1 - cover[box]
            self.fractions[tissue][box] += cover[box]


def _skin_distance(head: Head, frame: Frame, outline: Array) -> Array:
    """Return the approximate distance to the skin, positive inside: a dome over a narrowing base, nose and ears."""
    dome = 1 - np.clip((frame.z - 0.42) / 0.62, 0, 1) ** 2.4
    base = 1 - 0.12 * np.clip((0.3 - frame.z) / 0.35, 0, 1)
    shape = np.sqrt(np.maximum(dome, 1e-4)) * base
    width = head.width * shape * (1 + head.egg * np.clip(frame.y, -1, 1) - 0.05 * bump(frame.y, -0.8, 0.3))
    length = head.length * shape
    y = frame.y + 0.05 * np.clip((0.3 - frame.z) / 0.3, 0, 1)
    radius = (np.abs(frame.x / width) ** 2.25 + np.abs(y / length) ** 2.25) ** np.float32(1 / 2.25)
    distance = (1 - radius) * np.sqrt(width * length) + 0.012 * outline
    nose = bump(frame.x, 0, 0.09) * (frame.y < 0) * bump(frame.z, head.face - 0.16, 0.13)
    ears = bump(frame.y, 0.12, 0.07) * bump(frame.z, 0.14, 0.1) * (np.abs(frame.x) > 0.3)
    return np.asarray(distance + 0.1 * nose + 0.06 * ears, dtype=np.float32)


def _skull_base(frame: Frame) -> Array:
    """Return the height of the floor of the skull: bowls for the frontal and temporal lobes and for the cerebellum."""
    x = np.abs(frame.x)
    frontal = 0.3 + 0.8 * ((x - 0.2) ** 2 / 0.4 + (frame.y + 0.45) ** 2)
    temporal = 0.15 + 1.5 * ((x - 0.38) ** 2 + 1.1 * (frame.y + 0.1) ** 2)
    posterior = -0.05 + 0.75 * (x**2 + 1.1 * (frame.y - 0.36) ** 2)
    return np.asarray(np.minimum(np.minimum(frontal, temporal), posterior), dtype=np.float32)


def _midline(head: Head, frame: Frame) -> Array:
    """Return the signed distance from the midline, which bends a little."""
    return np.asarray(frame.x - head.midline * np.sin(3 * frame.y + 4 * frame.z), dtype=np.float32)


def _paint_face(canvas: _Canvas, head: Head, planes: _Planes, deep: Array, cavity: Array) -> None:
    """Paint what lies below the brain: muscle, fat, bone, air cells, nose and orbits."""
    frame = canvas.frame
    below = soft(deep - 0.01, 2 * frame.pixel) * soft(-cavity - 0.045, 2 * frame.pixel)
    below *= soft(head.face + 0.2 - frame.z, 0.1)
    if not below.any():
        return
    mixture: Array = np.asarray(planes.coarse + 0.6 * planes.fine, dtype=np.float32)
    canvas.paint(Tissue.MUSCLE, below)
    canvas.paint(Tissue.FAT, below * soft(mixture - 0.75, 0.5))
    canvas.paint(Tissue.BONE, below * soft(-mixture - 0.55, 0.4))
    x = np.abs(frame.x)
    cells = bump(x, 0.46, 0.12) * bump(frame.y, 0.13, 0.14) * bump(frame.z, 0.13, 0.1)
    canvas.paint(Tissue.BONE, below * np.clip(2 * cells, 0, 1))
    canvas.paint(Tissue.AIR, below * soft(cells + np.float32(0.3) * planes.fine - np.float32(0.6), 0.2))
    nose = ellipsoid(frame, (0.0, -0.52, 0.1), (0.13, 0.28, 0.2))
    canvas.paint(Tissue.AIR, below * soft(nose, frame.pixel))
    septum = np.sin(frame.x * 70 + 1.5 * planes.coarse) + 0.5 * planes.fine
    canvas.paint(Tissue.MUSCLE, below * soft(nose, frame.pixel) * soft(septum - 0.35, 0.5))
    height = head.face - 0.1
    canvas.paint(Tissue.FAT, soft(ellipsoid(frame, (0.27, -0.5, height), (0.14, 0.22, 0.1), mirror=x), 0.02) * below)
    canvas.paint(
        Tissue.MUSCLE, soft(ellipsoid(frame, (0.26, -0.46, height), (0.04, 0.2, 0.05), mirror=x), 0.02) * below
    )
    eye = ellipsoid(frame, (0.27, -0.58, height), (0.11, 0.11, 0.085), mirror=x)
    eye = np.minimum(eye, deep + 0.04)
    canvas.paint(Tissue.MUSCLE, soft(eye + 0.012, frame.pixel))
    canvas.paint(Tissue.FLUID, soft(eye, frame.pixel))


def _paint_brain(canvas: _Canvas, head: Head, planes: _Planes, cavity: Array, side: Array, swelling: Array) -> Array:
    """Paint fluid, cortex and white matter; return the distance to the surface of the brain."""
    frame, pixel = canvas.frame, canvas.frame.pixel
    canvas.paint(Tissue.FLUID, soft(cavity, pixel))
    gap = (0.008 + 0.018 * head.atrophy) * (1 + 0.35 * planes.coarse + 0.6 * bump(frame.y, -0.6, 0.3))
    surface = cavity - np.maximum(gap * (1 - 0.7 * swelling), 0.004)
    stem = ellipsoid(frame, (0.0, 0.1, 0.16), (0.14, 0.13, 0.3), mirror=np.abs(side)) + 0.025 * planes.coarse
    crevice = _crevices(head, planes, frame, surface, side) - 0.012 * swelling
    canvas.paint(Tissue.GREY, soft(np.minimum(surface, -crevice), 1.5 * pixel))
    cortex = 0.03 + 0.004 * planes.coarse
    canvas.paint(Tissue.WHITE, soft(np.minimum(surface, -crevice) - cortex, 0.02) * soft(surface, pixel))
    for centre, radii in _NUCLEI:
        nucleus = ellipsoid(frame, centre, radii, mirror=np.abs(side)) + 0.006 * planes.coarse
        canvas.paint(Tissue.GREY, 0.8 * soft(nucleus, 0.025))
    cistern = np.minimum(stem + 0.012 + 0.035 * planes.coarse, -stem)
    canvas.paint(Tissue.FLUID, 0.8 * soft(cistern, 2 * pixel) * bump(frame.z, 0.33, 0.09) * soft(cavity, pixel))
    canvas.paint(Tissue.WHITE, soft(stem, 2 * pixel) * soft(cavity - 0.01, pixel))
    return surface


def _stretched(field: Array, frame: Frame, depth: Array) -> Array:
    """Return the field as seen `depth` further out from the centre, so that its lines run inwards from the surface."""
    away = 1 + depth / np.maximum(np.hypot(frame.x, frame.y), 0.15)
    rows, columns = np.indices(field.shape, dtype=np.float32)
    middle = np.float32((frame.size - 1) / 2)
    places = np.stack([(rows - middle) * away + middle, (columns - middle) * away + middle])
    return np.asarray(ndimage.map_coordinates(field, places, order=1, mode="nearest"), dtype=np.float32)


_NUCLEI = (
    ((0.085, 0.03, 0.49), (0.07, 0.13, 0.075)),  # thalamus
    ((0.25, -0.08, 0.47), (0.055, 0.16, 0.07)),  # lentiform nucleus
    ((0.14, -0.2, 0.51), (0.04, 0.1, 0.08)),  # head of the caudate nucleus
    ((0.2, 0.3, 0.09), (0.1, 0.1, 0.05)),  # dentate nucleus
)


def _crevices(head: Head, planes: _Planes, frame: Frame, surface: Array, side: Array) -> Array:
    """Return the distance to the nearest sulcus or fissure, positive in it: sulci are zero lines of a random field."""
    cerebellum = ellipsoid(frame, (0.0, 0.4, 0.14), (0.5, 0.36, 0.22)) + 0.01 * planes.coarse
    inside = soft(cerebellum, 0.03)
    width = 0.003 + 0.009 * head.atrophy + 0.003 * planes.coarse
    reach = np.clip(0.16 + 0.06 * planes.coarse, 0.05, 0.3) * (1 - inside) + 0.001
    folds = _stretched(planes.folds, frame, 0.5 * np.clip(surface, 0, 0.25))
    # the mean slope of the field is 1.5 per spacing, which turns its value into a distance
    sulci = (
        width * (1 - 0.5 * np.clip(surface / reach, 0, 1))
        - _FOLD / 1.5 * np.abs(folds)
        - np.maximum(surface - reach, 0)
    )
    folia = 0.004 - 0.014 * np.abs(np.sin(80 * surface + 3 * planes.coarse + planes.folds)) - 0.02 * (1 - inside)
    folia -= np.maximum(surface - 0.12, 0)
    tent = 0.006 - np.abs(cerebellum) - 2 * np.maximum(0.24 - frame.z, 0)
    callosum = ellipsoid(frame, (0.0, 0.0, 0.5), (0.3, 0.32, 0.13), mirror=np.abs(side))
    bent = np.abs(side + 0.008 * planes.fine)
    fissure = 0.003 + 0.007 * head.atrophy + 0.003 * planes.coarse - bent - np.maximum(callosum + 0.01, 0) - inside
    sylvian = ellipsoid(frame, (0.47, -0.12, 0.42), (0.13, 0.045, 0.07), mirror=np.abs(side)) + 0.015 * head.atrophy
    sylvian += 0.02 * planes.coarse + 0.015 * planes.folds - 0.02
    nearest = sulci
    for crevice in (folia, tent, fissure, sylvian):
        nearest = np.maximum(nearest, crevice)
    return np.asarray(nearest, dtype=np.float32)


_HORNS = (
    ((0.075, -0.27, 0.53), (0.05, -0.02, 0.59)),
    ((0.05, -0.02, 0.59), (0.12, 0.17, 0.57)),
    ((0.12, 0.17, 0.57), (0.19, 0.36, 0.5)),
    ((0.14, 0.18, 0.55), (0.32, 0.1, 0.38)),
    ((0.32, 0.1, 0.38), (0.33, -0.08, 0.33)),
)
_HORN_RADII = ((0.04, 0.038), (0.038, 0.05), (0.05, 0.02), (0.045, 0.022), (0.022, 0.016))


def _paint_ventricles(canvas: _Canvas, head: Head, planes: _Planes, x: Array, sign: Array) -> Array:
    """Paint ventricles and choroid plexus; return the distance to the lateral ventricles, positive inside."""
    frame, pixel = canvas.frame, canvas.frame.pixel
    lateral = np.full_like(x, -2)
    for ends, radii in zip(_HORNS, _HORN_RADII, strict=True):
        lateral = np.maximum(lateral, tube(frame, ends, radii, mirror=x))
    lateral += 0.04 * (head.atrophy - 0.2) * (1 + head.sides * sign) + 0.02 * head.sides * sign + 0.005 * planes.coarse
    lateral = np.minimum(lateral, x - 0.012)
    canvas.paint(Tissue.FLUID, soft(lateral, 1.5 * pixel))
    third = ellipsoid(frame, (0.0, 0.0, 0.47), (0.012 + 0.016 * head.atrophy, 0.12, 0.05), mirror=x)
    fourth = ellipsoid(frame, (0.0, 0.24, 0.17), (0.06, 0.045, 0.06), mirror=x)
    canvas.paint(Tissue.FLUID, soft(np.maximum(third, fourth), 1.5 * pixel))
    plexus = ellipsoid(frame, (0.15, 0.2, 0.55), (0.03, 0.05, 0.04), mirror=x) + 0.012 * planes.fine
    canvas.paint(Tissue.CHOROID, soft(np.minimum(plexus, lateral - 0.005), 1.5 * pixel))
    return np.asarray(lateral, dtype=np.float32)


def _paint_vessels(canvas: _Canvas, planes: _Planes, cavity: Array, side: Array) -> None:
    """Paint the sagittal and transverse sinuses, the middle cerebral arteries and spots of cortical vessels."""
    frame, pixel = canvas.frame, canvas.frame.pixel
    x = np.abs(side)
    sagittal = 0.024 - np.hypot(x * 1.2, cavity - 0.01) - np.maximum(0.2 - frame.y, 0) * (frame.z < 0.75)
    transverse = 0.028 - np.hypot(cavity - 0.02, (frame.z - 0.24) * 0.6) - np.maximum(0.3 - frame.y, 0)
    artery = (
        tube(frame, ((0.05, -0.16, 0.35), (0.45, -0.12, 0.38)), (0.01, 0.006), mirror=x) + 0.007 * planes.folds - 0.004
    )
    canvas.paint(Tissue.VESSEL, soft(np.maximum(np.maximum(sagittal, transverse), artery), 1.5 * pixel))
    spots = soft(planes.fine - 1.6, 0.6) * canvas.fractions[Tissue.FLUID] * soft(cavity, pixel) * (cavity < 0.2)
    canvas.paint(Tissue.VESSEL, 0.8 * spots)
