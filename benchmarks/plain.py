"""A plain PyTorch training loop, written the way the original project and most notebooks write it.

Float32, contiguous, files decoded for every sample in a Dataset, a DataLoader with two workers, augmentation slice by
slice in NumPy and Pillow, Adamax, BCE + Dice loss, Dice through NumPy in every step. Uses nothing of gliomask but, in
`benchmarks.training`, the network. It is kept as good as such a loop gets: workers live on from epoch to epoch, slices
are resized before they are changed, and nothing is done twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, RandomSampler

from benchmarks.measure import Budget, Stopwatch

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
_MANY = 10**9

Pixels = NDArray[np.uint8]


class SliceFiles(Dataset[tuple[Tensor, Tensor]]):
    """Slices decoded from their files, one by one.

    Parameters
    ----------
    files
        Image and mask file of each slice.
    size
        Side in pixels that slices are resized to.
    augmented
        Whether slices are changed at random.
    """

    def __init__(self, files: Sequence[tuple[Path, Path]], size: int, *, augmented: bool = True) -> None:
        self._files, self._size, self._augmented = files, size, augmented
        self._rng: np.random.Generator | None = None

    def __len__(self) -> int:
        """Return the number of slices."""
        return len(self._files)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Return (3, H, W) float32 normalised by ImageNet's mean and deviation, and (1, H, W) float32 of 0 and 1."""
        image, mask = (
            self._read(path, grey=grey) for path, grey in zip(self._files[number], (False, True), strict=True)
        )
        if self._augmented:
            if self._rng is None:  # in its worker, so that workers differ
                self._rng = np.random.default_rng(torch.initial_seed() % 2**63)
            image, mask = change(image, mask, self._rng)
        planes = (image.astype(np.float32) / 255 - MEAN) / DEVIATION
        truth = (mask > 127).astype(np.float32)
        return torch.from_numpy(np.ascontiguousarray(planes.transpose(2, 0, 1))), torch.from_numpy(truth)[None]

    def _read(self, path: Path, *, grey: bool) -> Pixels:
        with Image.open(path) as image:
            if image.size != (self._size, self._size):
                how = Image.Resampling.NEAREST if grey else Image.Resampling.BILINEAR
                return np.asarray(image.resize((self._size, self._size), how))
            return np.asarray(image)


def change(image: Pixels, mask: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Flip, turn, transpose (probability 0.5 each), shift and scale (0.25): the original recipe's augmentation.

    Parameters
    ----------
    image, mask
        (H, W, 3) and (H, W) uint8, H equal to W.
    rng
        Source of chance.
    """
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    if rng.random() < 0.5:
        image, mask = image[::-1], mask[::-1]
    if rng.random() < 0.5:
        turns = int(rng.integers(4))
        image, mask = np.rot90(image, turns), np.rot90(mask, turns)
    if rng.random() < 0.5:
        image, mask = image.transpose(1, 0, 2), mask.T
    if rng.random() < 0.25:
        factor, right, down = 1 + rng.uniform(-0.04, 0.04), *rng.uniform(-0.01, 0.01, 2)
        image = _move(image, factor, (right, down), Image.Resampling.BILINEAR)
        mask = _move(mask, factor, (right, down), Image.Resampling.NEAREST)
    return image, mask


def _move(pixels: Pixels, factor: float, shift: tuple[float, float], how: Image.Resampling) -> Pixels:
    """Scale about the centre and shift by fractions of the side, black outside."""
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    inverse, side = 1 / factor, pixels.shape[0]
    right, down = (side / 2 * (1 - inverse) - side * part * inverse for part in shift)
    matrix = (inverse, 0.0, right, 0.0, inverse, down)
    return np.asarray(picture.transform(picture.size, Image.Transform.AFFINE, matrix, resample=how))


def loss_of(logits: Tensor, truth: Tensor) -> Tensor:
    """Return mean binary cross-entropy plus soft Dice loss over the batch, smooth 1."""
    probabilities = torch.sigmoid(logits)
    overlap = (probabilities * truth).sum()
    dice = 1 - (2 * overlap + 1) / (probabilities.sum() + truth.sum() + 1)
    return F.binary_cross_entropy_with_logits(logits, truth) + dice


def dice_of(logits: Tensor, truth: Tensor) -> float:
    """Return the Dice over the batch at probability 0.5, computed in NumPy."""
    predicted = torch.sigmoid(logits).detach().cpu().numpy() > 0.5
    tumour = truth.detach().cpu().numpy() > 0.5
    total = float(predicted.sum() + tumour.sum())
    return 2 * float((predicted & tumour).sum()) / total if total else 1.0


class PlainTraining:
    """The loop, in rounds: its workers and its optimiser live on between them.

    Parameters
    ----------
    net
        Network to train.
    data
        Slices.
    batch_size
        Slices in a step.
    device
        Where to train.

    Attributes
    ----------
    net
        The network, which every step changes.
    """

    def __init__(self, net: nn.Module, data: SliceFiles, batch_size: int, device: str = "cpu") -> None:
        self.net, self._device = net.to(device).train(), device
        self._optimiser = torch.optim.Adamax(self.net.parameters(), lr=5e-4)
        order = RandomSampler(data, num_samples=_MANY)  # shuffled epoch after epoch
        self._loader = DataLoader(data, batch_size, sampler=order, num_workers=2, pin_memory=device == "cuda")
        self._batches: Iterator[Any] | None = None
        self.loss, self.dice = 0.0, 0.0

    def round(self, budget: Budget) -> Stopwatch:
        """Train for one round and return its clock."""
        if self._batches is None:
            self._batches = iter(self._loader)
        clock = Stopwatch(budget, self._device)
        for images, truth in self._batches:
            self.step(images, truth)
            if clock.tick(len(images)):
                break
        return clock

    def step(self, images: Tensor, truth: Tensor) -> None:
        """Train on one batch."""
        images, truth = images.to(self._device), truth.to(self._device)
        self._optimiser.zero_grad()
        logits = self.net(images)
        loss = loss_of(logits, truth)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self.loss, self.dice = loss.item(), dice_of(logits, truth)

    def close(self) -> None:
        """End the workers."""
        self._batches = None
