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
    pixel
        Height and width of a pixel, in any unit: the square is one in space, so that nothing is stretched.
    """

    height: int
    width: int
    size: int
    pixel: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        """Refuse sizes below one pixel.

        Raises
        ------
        ValueError
            If a side is not positive.
        """
        if min(self.height, self.width, self.size) < 1 or not min(self.pixel) > 0:
            raise ValueError(
                f"sides must be positive, not {self.height} x {self.width} (pixels {self.pixel}) to {self.size}"
            )

    @property
    def sides(self) -> tuple[int, int]:
        """Rows and columns of the square around the image: as many as each other where pixels are square."""
        tall, wide = self.pixel
        length = max(self.height * tall, self.width * wide)
        return max(self.height, round(length / tall)), max(self.width, round(length / wide))

    @property
    def pixel_after(self) -> tuple[float, float]:
        """Height and width of a pixel of the network's square, in the unit of `pixel`."""
        (rows, columns), (tall, wide) = self.sides, self.pixel
        return rows * tall / self.size, columns * wide / self.size

    @property
    def _window(self) -> tuple[slice, slice]:
        rows, columns = self.sides
        top, left = (rows - self.height) // 2, (columns - self.width) // 2
        return slice(top, top + self.height), slice(left, left + self.width)

    @property
    def _keeps(self) -> bool:
        """Whether the square is the network's already."""
        return self.sides == (self.size, self.size)

    def _square(self, stack: NDArray[Any]) -> NDArray[Any]:
        if stack.shape[1:3] != (self.height, self.width):
            raise ValueError(f"slices are {stack.shape[1:3]}, not {(self.height, self.width)}")
        if self.sides == (self.height, self.width):
            return stack
        rows, columns = self._window
        square = np.zeros((len(stack), *self.sides, *stack.shape[3:]), stack.dtype)
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
        if self._keeps:
            return square
        return np.stack([_resize(Image.fromarray(image), (self.size, self.size)) for image in square])

    def masks(self, stack: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Bring (S, H, W) bool to (S, size, size) bool: a pixel is tumour if at least half of it is.

        Raises
        ------
        ValueError
            If the stack's slices have another size than H x W.
        """
        square = self._square(stack)
        if self._keeps:
            return square
        grey = [Image.fromarray(mask.astype(np.uint8) * 255) for mask in square]
        return np.stack([_resize(image, (self.size, self.size)) >= 128 for image in grey])

    def back(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bring (S, size, size) float32 maps back to (S, H, W) float32 (bilinear).

        Raises
        ------
        ValueError
            If the maps are not size x size.
        """
        if maps.shape[1:] != (self.size, self.size):
            raise ValueError(f"maps are {maps.shape[1:]}, not {(self.size, self.size)}")
        if not self._keeps:
            maps = np.stack([_resize(Image.fromarray(plane), self.sides) for plane in maps])
        rows, columns = self._window
        return maps[:, rows, columns]


def _resize(image: Image.Image, sides: tuple[int, int]) -> NDArray[Any]:
    """Return an image of so many rows and columns."""
    rows, columns = sides
    return np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR))
