"""Between the grid of an image and the square grid of a network, there and back.

Pure NumPy and Pillow, shared by the cache and the predictor so that a network sees the same pixels in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class SquareFit:
    """Centre an H x W image in a square of its longer side, then resize that square.

    Parameters
    ----------
    height, width
        Size of the image in pixels.
    size
        Side of the network's square in pixels.
    """

    height: int
    width: int
    size: int

    def __post_init__(self) -> None:
        """Refuse sizes below one pixel.

        Raises
        ------
        ValueError
            If a side is not positive.
        """
        if min(self.height, self.width, self.size) < 1:
            raise ValueError(f"sides must be positive, not {self.height} x {self.width} to {self.size}")

    @property
    def side(self) -> int:
        """Side of the square around the image, in the image's pixels."""
        return max(self.height, self.width)

    @property
    def _window(self) -> tuple[slice, slice]:
        top, left = (self.side - self.height) // 2, (self.side - self.width) // 2
        return slice(top, top + self.height), slice(left, left + self.width)

    def _square(self, stack: NDArray[Any]) -> NDArray[Any]:
        if stack.shape[1:3] != (self.height, self.width):
            raise ValueError(f"slices are {stack.shape[1:3]}, not {(self.height, self.width)}")
        if self.height == self.width:
            return stack
        rows, columns = self._window
        square = np.zeros((len(stack), self.side, self.side, *stack.shape[3:]), stack.dtype)
        square[:, rows, columns] = stack
        return square

    def images(self, stack: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring (S, H, W, 3) uint8 to (S, size, size, 3) uint8 (bilinear; averaging when it shrinks).

        Raises
        ------
        ValueError
            If the stack's slices have another size than H x W.
        """
        square = self._square(stack)
        if self.side == self.size:
            return square
        return np.stack([_resize(Image.fromarray(image), self.size) for image in square])

    def masks(self, stack: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Bring (S, H, W) bool to (S, size, size) bool: a pixel is tumour if at least half of it is.

        Raises
        ------
        ValueError
            If the stack's slices have another size than H x W.
        """
        square = self._square(stack)
        if self.side == self.size:
            return square
        grey = [Image.fromarray(mask.astype(np.uint8) * 255) for mask in square]
        return np.stack([_resize(image, self.size) >= 128 for image in grey])

    def back(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring (S, size, size) float32 maps back to (S, H, W) float32 (bilinear).

        Raises
        ------
        ValueError
            If the maps are not size x size.
        """
        if maps.shape[1:] != (self.size, self.size):
            raise ValueError(f"maps are {maps.shape[1:]}, not {(self.size, self.size)}")
        if self.side != self.size:
            maps = np.stack([_resize(Image.fromarray(plane), self.side) for plane in maps])
        rows, columns = self._window
        return maps[:, rows, columns]


def _resize(image: Image.Image, size: int) -> NDArray[Any]:
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
