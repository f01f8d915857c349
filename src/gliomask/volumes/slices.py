"""One slice in one file: TIFF and PNG images and masks, read strictly and written whole. Knows nothing of patients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from gliomask.errors import UnreadableImageError
from gliomask.files import whole_file

SUFFIXES = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG"}
"""File name endings (in lower case) that are read and written, with the name of their format."""

_IMAGE = "an 8-bit RGB TIFF or PNG"
_GREY = "an 8-bit RGB or greyscale TIFF or PNG"
_MASK = "a 1-channel TIFF or PNG with values 0 and 255 (or 0 and 1)"
_BITS_PER_SAMPLE = 258  # TIFF tag
_MODES = {
    "1": "1 channel of 1 bit",
    "L": "1 channel of 8 bits (grey)",
    "LA": "2 channels (grey and alpha)",
    "P": "a palette image",
    "PA": "a palette image with alpha",
    "RGB": "3 channels of 8 bits (RGB)",
    "RGBA": "4 channels (RGB and alpha)",
    "RGBX": "4 channels",
    "I": "1 channel of 32 bits",
    "F": "1 channel of 32-bit floating point",
}


@dataclass(frozen=True)
class _Decoded:
    """Pixels as they lie in the file, with what the decoder would otherwise pass over in silence."""

    pixels: NDArray[Any]
    mode: str
    bits: int
    pages: int

    def describe(self) -> str:
        """Say in a few words what came."""
        if self.pages > 1:
            return f"{self.pages} images in one file"
        if self.bits > 8 and self.mode not in {"I", "F"}:
            return f"{Image.getmodebands(self.mode)} channel(s) of {self.bits} bits"
        return _MODES.get(self.mode, f"pixels of mode {self.mode}")


def read_image(path: Path, *, allow_grey: bool = False) -> NDArray[np.uint8]:
    """Read one slice.

    Parameters
    ----------
    path
        TIFF (uncompressed, LZW, ...) or PNG.
    allow_grey
        Take an 8-bit greyscale slice for FLAIR alone and put it in all three channels, as missing sequences are
        replaced by FLAIR in the data.

    Returns
    -------
    NDArray[np.uint8]
        (H, W, 3), 0 to 255; channels pre-contrast T1, FLAIR, post-contrast T1.

    Raises
    ------
    UnreadableImageError
        If the file is missing, empty, cut off, of another format, or has other channels or another depth.
    """
    expected = _GREY if allow_grey else _IMAGE
    decoded = _decode(path, expected)
    plain = decoded.pages == 1 and decoded.bits <= 8
    if plain and decoded.mode == "RGB":
        return decoded.pixels
    if plain and decoded.mode == "L" and allow_grey:
        return np.repeat(decoded.pixels[..., np.newaxis], 3, axis=2)
    raise UnreadableImageError(path, decoded.describe(), expected, "save the slice as 8-bit RGB, one slice a file")


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read one mask.

    Parameters
    ----------
    path
        TIFF or PNG of one channel; values 0 and 255, 0 and 1, or 1 bit.

    Returns
    -------
    NDArray[np.bool_]
        (H, W), true where there is tumour.

    Raises
    ------
    UnreadableImageError
        If the file is missing, empty, cut off, of another format, has other channels or another depth, or holds
        values other than two.
    """
    decoded = _decode(path, _MASK)
    if decoded.pages > 1 or decoded.bits > 8 or decoded.mode not in {"1", "L"}:
        raise UnreadableImageError(path, decoded.describe(), _MASK, "save the mask as 8-bit greyscale")
    if decoded.mode == "1":
        return decoded.pixels.astype(np.bool_)
    top = int(decoded.pixels.max())
    mask: NDArray[np.bool_] = decoded.pixels > 0
    if top in {0, 1, 255} and np.count_nonzero(mask) == np.count_nonzero(decoded.pixels == max(top, 1)):
        return mask
    values = np.unique(decoded.pixels)
    shown = ", ".join(str(value) for value in values[:4]) + (", ..." if values.size > 4 else "")
    raise UnreadableImageError(
        path, f"a mask with {values.size} value(s): {shown}", _MASK, "threshold the mask, and save it without smoothing"
    )


def write_image(path: Path, array: NDArray[np.uint8]) -> None:
    """Write one slice, uncompressed TIFF or PNG by the ending of the name.

    Parameters
    ----------
    path
        File to write, or to replace, in a folder that exists.
    array
        (H, W, 3) uint8.

    Raises
    ------
    UnreadableImageError
        If the array is anything else, the ending is unknown, or the file cannot be written.
    """
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise UnreadableImageError(
            path, f"an array {array.shape} of {array.dtype} to write", "(H, W, 3) of uint8", "convert the array first"
        )
    _write(path, Image.fromarray(np.ascontiguousarray(array)))


def write_mask(path: Path, mask: NDArray[np.bool_]) -> None:
    """Write one mask with the values 0 and 255, uncompressed TIFF or PNG by the ending of the name.

    Parameters
    ----------
    path
        File to write, or to replace, in a folder that exists.
    mask
        (H, W) bool.

    Raises
    ------
    UnreadableImageError
        If the array is anything else, the ending is unknown, or the file cannot be written.
    """
    if mask.dtype != np.bool_ or mask.ndim != 2 or mask.size == 0:
        raise UnreadableImageError(
            path, f"an array {mask.shape} of {mask.dtype} to write", "(H, W) of bool", "threshold the array first"
        )
    _write(path, Image.fromarray(mask.astype(np.uint8) * 255))


def write_probabilities(path: Path, probabilities: NDArray[np.float32]) -> None:
    """Write (H, W) float32 probabilities, 0 to 1, as an uncompressed float TIFF.

    Raises
    ------
    UnreadableImageError
        If the array is not (H, W) of float32, the name does not end in .tif or .tiff, or the file cannot be written.
    """
    if probabilities.dtype != np.float32 or probabilities.ndim != 2 or SUFFIXES.get(path.suffix.lower()) != "TIFF":
        found = f"an array {probabilities.shape} of {probabilities.dtype} for {path.suffix!r}"
        raise UnreadableImageError(path, found, "(H, W) of float32 and a name ending in .tif", "convert it first")
    _write(path, Image.fromarray(probabilities))


def _write(path: Path, image: Image.Image) -> None:
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise UnreadableImageError(path, f"a name ending in {path.suffix!r}", ".tif, .tiff or .png", "rename the file")
    try:
        with whole_file(path) as partial:
            image.save(partial, format=kind)
    except OSError as error:
        raise UnreadableImageError(
            path, f"cannot be written ({error.strerror or error})", "a folder that can be written to", "choose another"
        ) from error


def _decode(path: Path, expected: str) -> _Decoded:
    try:
        with Image.open(path, formats=("TIFF", "PNG")) as image:
            bits, pages = _bits(image), getattr(image, "n_frames", 1)
            return _Decoded(np.array(image), image.mode, bits, pages)
    except Exception as error:  # decoders raise nearly anything for broken files
        found, cure = _reason(path, error)
        raise UnreadableImageError(path, found, expected, cure) from error


def _bits(image: Image.Image) -> int:
    """Return the bits per channel in the file: the decoder quietly cuts 16-bit RGB down to 8."""
    tags = getattr(image, "tag_v2", None)
    if tags is not None:
        return int(max(tags.get(_BITS_PER_SAMPLE, (1,))))
    if any(";16" in str(tile.args) for tile in getattr(image, "tile", ())):
        return 16
    return 8


def _reason(path: Path, error: Exception) -> tuple[str, str]:
    """Say in plain words what came instead of an image, and what to do."""
    if isinstance(error, FileNotFoundError):
        return "no such file", "check the name"
    if isinstance(error, IsADirectoryError) or path.is_dir():
        return "a folder", "give the name of a file"
    if isinstance(error, PermissionError):
        return "a file that may not be read", "change its permissions"
    if path.stat().st_size == 0:
        return "an empty file (0 bytes)", "copy or download it again"
    if isinstance(error, UnidentifiedImageError):
        return "neither TIFF nor PNG, or damaged at its start", "convert it, or copy it again"
    detail = " ".join(str(error).split()) or type(error).__name__
    return f"a damaged or cut-off file ({detail})", "copy or download it again"
