"""How a scanner shows a phantom: contrast, coil shading, blur, ghosts, noise, 8 bits. Knows nothing of shapes or files.

Signals are relative to white matter. Sequences are in the order of the channels: pre-contrast T1, FLAIR, post-contrast
T1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gliomask.volumes.phantom_fields import Array, Frame, SmoothField, bump, soft
from gliomask.volumes.phantom_head import Slice, Tissue
from gliomask.volumes.phantom_lesion import Tumour

SIGNALS: dict[Tissue, tuple[float, float, float]] = {
    Tissue.AIR: (0.0, 0.0, 0.0),
    Tissue.SKIN: (0.9, 0.9, 1.1),
    Tissue.FAT: (2.4, 1.9, 2.0),
    Tissue.BONE: (0.12, 0.1, 0.14),
    Tissue.MARROW: (1.4, 0.8, 1.2),
    Tissue.MUSCLE: (0.7, 0.6, 0.95),
    Tissue.FLUID: (0.38, 0.22, 0.4),
    Tissue.GREY: (0.84, 1.16, 0.88),
    Tissue.WHITE: (1.0, 1.0, 1.0),
    Tissue.VESSEL: (0.4, 0.3, 2.0),
    Tissue.CHOROID: (0.75, 1.4, 1.8),
}
"""Typical signal of each tissue in each sequence."""

_FLAIR = 1
_HYPERINTENSITY = 1.75


@dataclass(frozen=True)
class Scan:
    """One examination, as drawn."""

    signals: Array
    """(3, len(Tissue)), signal of each tissue."""
    gain: tuple[float, float, float]
    """Grey level of white matter in each sequence."""
    noise: tuple[float, float, float]
    """Standard deviation of the noise at 256 pixels, before blurring; white matter is 1. Larger pixels have less."""
    blur: tuple[float, float, float]
    """Standard deviation of the point spread, in units of half the image side."""
    shading: tuple[float, float, float]
    """Strength of the coil's bias field."""
    surface: tuple[float, float, float]
    """How much brighter the image is near the coil than in the middle."""
    grain: float
    """Standard deviation of the texture of tissue."""
    ghost: float
    """Strength of the motion ghost of the FLAIR sequence."""
    missing: Literal["", "pre", "post"]
    """Sequence that was not acquired and is replaced by FLAIR."""
    bias: tuple[SmoothField, SmoothField, SmoothField]


def draw_scan(rng: np.random.Generator) -> Scan:
    """Draw an examination; every tenth lacks the pre-contrast and every tenth the post-contrast sequence."""
    signals = np.array([SIGNALS[tissue] for tissue in Tissue], dtype=np.float32).T.copy()
    signals *= np.exp(rng.normal(0, 0.05, signals.shape)).astype(np.float32)
    signals[:, Tissue.FAT] *= np.exp(rng.normal(0, 0.18, 3)).astype(np.float32)
    signals[:, Tissue.WHITE] = 1
    signals[_FLAIR, Tissue.GREY] = rng.uniform(1.12, 1.35)
    signals[0, Tissue.GREY], signals[2, Tissue.GREY] = rng.uniform(0.76, 0.92, 2)
    chance = rng.random()
    return Scan(
        signals=signals,
        gain=(rng.uniform(50, 95), float(np.exp(rng.uniform(np.log(36), np.log(90)))), rng.uniform(50, 95)),
        noise=_three(rng, 0.04, 0.1),
        blur=(rng.uniform(0.003, 0.005), rng.uniform(0.004, 0.0065), rng.uniform(0.003, 0.005)),
        shading=_three(rng, 0.04, 0.14),
        surface=_three(rng, 0.0, 0.35),
        grain=rng.uniform(0.01, 0.035),
        ghost=rng.uniform(0.02, 0.06) if rng.random() < 0.3 else 0.0,
        missing="pre" if chance < 0.1 else "post" if chance < 0.2 else "",
        bias=(SmoothField.draw(rng, 0.7), SmoothField.draw(rng, 0.7), SmoothField.draw(rng, 0.7)),
    )


def _three(rng: np.random.Generator, low: float, high: float) -> tuple[float, float, float]:
    first, second, third = rng.uniform(low, high, 3)
    return float(first), float(second), float(third)


@dataclass(frozen=True)
class Lesions:
    """What is abnormal on one slice."""

    tumour: Tumour
    fraction: Array
    """(H, W), fraction of the pixel that is tumour."""
    depth: Array
    """(H, W), depth in the tumour."""
    bright: Array
    """(H, W), fraction of the pixel that is bright white matter without tumour."""


def acquire(scan: Scan, frame: Frame, anatomy: Slice, lesions: Lesions, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Take the picture of one slice.

    Parameters
    ----------
    scan
        The examination.
    frame, anatomy, lesions
        What there is to see.
    rng
        Source of the noise.

    Returns
    -------
    (H, W, 3) uint8
    """
    signal = np.einsum("ct,thw->chw", scan.signals, anatomy.fractions)
    signal *= 1 + np.float32(scan.grain) * anatomy.texture
    _show_lesions(signal, frame, anatomy, lesions)
    image = np.empty((*frame.x.shape, 3), dtype=np.uint8)
    for channel in range(3):
        plane = signal[channel] * _coil(scan, channel, frame)
        if channel == _FLAIR and scan.ghost:
            plane = plane + scan.ghost * (np.roll(plane, frame.size // 3, 0) + np.roll(plane, -(frame.size // 3), 0))
        # the magnitude of a complex signal with Gaussian noise has a Rice distribution (Gudbjartsson and Patz 1995)
        real, imaginary = rng.standard_normal((2, *plane.shape), dtype=np.float32) * np.float32(
            scan.noise[channel] * frame.size / 256
        )
        plane = ndimage.gaussian_filter(np.hypot(plane + real, imaginary), scan.blur[channel] / frame.pixel)
        plane = plane * np.float32(scan.gain[channel])
        image[..., channel] = np.clip(np.rint(plane), 0, 255)
    if scan.missing:
        image[..., 0 if scan.missing == "pre" else 2] = image[..., _FLAIR]
    return image


def _coil(scan: Scan, channel: int, frame: Frame) -> Array:
    """Return the sensitivity of the coil: a smooth random field, higher near the surface, lower towards the neck."""
    drift = np.float32(scan.shading[channel]) * scan.bias[channel].plane(frame.level, frame.size)
    rise = 1 + scan.surface[channel] * (frame.x**2 + frame.y**2 - 0.25)
    return np.asarray(np.exp(drift) * rise * (1 - 0.4 * soft(0.02 - frame.z, 0.2)), dtype=np.float32)


def _show_lesions(signal: Array, frame: Frame, anatomy: Slice, lesions: Lesions) -> None:
    """Change the (3, H, W) signal where there are lesions."""
    signal[_FLAIR] += lesions.bright * (_HYPERINTENSITY - signal[_FLAIR])
    signal[0] -= 0.12 * lesions.bright
    if not lesions.fraction.any():
        return
    tumour, matter = lesions.tumour, np.maximum(anatomy.brain, np.float32(0.05))
    share = lesions.fraction / matter  # of the brain in the pixel, whose fluid keeps its own signal
    texture = tumour.texture.plane(frame.level, frame.size)
    look = np.stack([tumour.t1 + 0.05 * texture, tumour.flair * (1 + 0.07 * texture), tumour.t1 + 0.05 * texture])
    if np.isfinite(tumour.core):
        inward: Array = np.asarray(lesions.depth - tumour.core + 0.015 * texture, dtype=np.float32)
        rim = bump(inward, 0, tumour.rim) * np.clip(0.75 + 0.4 * texture, 0, 1)
        necrosis = soft(inward - tumour.rim, tumour.rim)
        look[2] += 1.2 * rim
        look[1] -= 0.3 * necrosis * (tumour.flair - 1)
        look[[0, 2]] -= 0.15 * necrosis
    healthy = np.array([0.97, 1.05, 0.97], dtype=np.float32)[:, None, None]
    signal += (share * matter) * (look - healthy)
