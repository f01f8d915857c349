"""Slices in files: TIFF and PNG images and masks, read strictly and written whole. Knows nothing of patients.

A file is a slice; only `read_pages`, `read_mask_pages` and what is written may have several, the pages of a TIFF.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from gliomask.errors import UnreadableImageError
from gliomask.files import whole_file
from gliomask.volumes.volume import MOST_VOXELS

SUFFIXES = {".tif": "TIFF", ".tiff": "TIFF", ".png": "PNG"}
"""File name endings (in lower case) that are read and written, with the name of their format."""

_IMAGE = "an 8-bit RGB TIFF or PNG"
_PAGES = "an 8-bit RGB, or 8-bit or 16-bit greyscale, TIFF or PNG"
_MASK = "a 1-channel TIFF or PNG with values 0 and 255 (or 0 and 1)"
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # TIFF tags
_WHITE_IS_ZERO = 0
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
    """Pixels of one page or of all, and what the decoder would otherwise pass over in silence; pages are those left."""

    pixels: NDArray[Any]
    mode: str
    bits: int
    pages: int

    def describe(self) -> str:
        """Say in a few words what came."""
        if self.pages > 1:
            return f"{self.pages} images in one file"
        if self.bits == 0:
            return "white as zero, in 16 bits"
        if self.bits > 8 and self.mode not in {"I", "F"}:
            return f"{Image.getmodebands(self.mode)} channel(s) of {self.bits} bits"
        return _MODES.get(self.mode, f"pixels of mode {self.mode}")


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read one slice.

    Parameters
    ----------
    path
        TIFF (uncompressed, LZW, ...) or PNG.

    Returns
    -------
    NDArray[np.uint8]
        (H, W, 3), 0 to 255; channels pre-contrast T1, FLAIR, post-contrast T1.

    Raises
    ------
    UnreadableImageError
        If the file is missing, empty, cut off, of another format, or has other channels or another depth.
    """
    decoded = _decode(path, _IMAGE)
    if decoded.pages == 1 and decoded.bits <= 8 and decoded.mode == "RGB":
        return decoded.pixels
    raise UnreadableImageError(path, decoded.describe(), _IMAGE, "save the slice as 8-bit RGB, one slice a file")


def read_pages(path: Path) -> NDArray[Any]:
    """Read a slice, or all pages of a TIFF, as they are.

    Parameters
    ----------
    path
        TIFF (uncompressed, LZW, ...) or PNG.

    Returns
    -------
    numpy.ndarray
        (P, H, W, 3) uint8, channels pre-contrast T1, FLAIR, post-contrast T1; or (P, H, W) of 8 bits (uint8) or 16
        (any integer type), which is FLAIR.

    Raises
    ------
    UnreadableImageError
        If the file is missing, empty, cut off, of another format, has other channels or another depth, pages that
        differ, or more than `MOST_VOXELS` pixels, which is told before they are read.
    """
    decoded = _decode(path, _PAGES, all_pages=True)
    plain = 0 < decoded.bits <= 8 and decoded.mode in {"RGB", "L"}
    if decoded.pages == 1 and (plain or (decoded.bits == 16 and decoded.mode.startswith("I"))):
        return decoded.pixels
    raise UnreadableImageError(path, decoded.describe(), _PAGES, "save it as 8-bit RGB, or as grey")


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
    return _to_mask(path, _decode(path, _MASK))


def read_mask_pages(path: Path) -> NDArray[np.bool_]:
    """Read a mask, or all pages of a TIFF, as (P, H, W) bool; each as `read_mask` does.

    Raises
    ------
    UnreadableImageError
        As `read_mask` and `read_pages` do.
    """
    return _to_mask(path, _decode(path, _MASK, all_pages=True))


def _to_mask(path: Path, decoded: _Decoded) -> NDArray[np.bool_]:
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
    """Write a mask with the values 0 and 255, uncompressed TIFF or PNG by the ending of the name.

    Parameters
    ----------
    path
        File to write, or to replace, in a folder that exists.
    mask
        (H, W) bool, or (P, H, W) for a TIFF of so many pages.

    Raises
    ------
    UnreadableImageError
        If the array is anything else, the ending is unknown, or the file cannot be written.
    """
    if mask.dtype != np.bool_ or not _is_paged(mask, path) or mask.size == 0:
        raise UnreadableImageError(
            path, f"an array {mask.shape} of {mask.dtype} to write", "(H, W) of bool", "threshold the array first"
        )
    _write(path, *_pages_of(mask.astype(np.uint8) * 255))


def write_probabilities(path: Path, probabilities: NDArray[np.float32]) -> None:
    """Write (H, W) or (P, H, W) float32 probabilities, 0 to 1, as an uncompressed float TIFF of one or more pages.

    Raises
    ------
    UnreadableImageError
        If the array is anything else, the name does not end in .tif or .tiff, or the file cannot be written.
    """
    if (
        probabilities.dtype != np.float32
        or not _is_paged(probabilities, path)
        or SUFFIXES.get(path.suffix.lower()) != "TIFF"
    ):
        found = f"an array {probabilities.shape} of {probabilities.dtype} for {path.suffix!r}"
        raise UnreadableImageError(path, found, "(H, W) of float32 and a name ending in .tif", "convert it first")
    _write(path, *_pages_of(probabilities))


def _is_paged(array: NDArray[Any], path: Path) -> bool:
    """Tell whether it is a page, or some for a file that takes several."""
    return array.ndim == 2 or (array.ndim == 3 and SUFFIXES.get(path.suffix.lower()) == "TIFF")


def _pages_of(array: NDArray[Any]) -> list[Image.Image]:
    return [Image.fromarray(page) for page in (array if array.ndim == 3 else array[np.newaxis])]


def _write(path: Path, image: Image.Image, *more: Image.Image) -> None:
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise UnreadableImageError(path, f"a name ending in {path.suffix!r}", ".tif, .tiff or .png", "rename the file")
    try:
        with whole_file(path) as partial:
            image.save(partial, format=kind, **({"save_all": True, "append_images": more} if more else {}))
    except OSError as error:
        raise UnreadableImageError(
            path, f"cannot be written ({error.strerror or error})", "a folder that can be written to", "choose another"
        ) from error


def _decode(path: Path, expected: str, *, all_pages: bool = False) -> _Decoded:
    try:
        with Image.open(path, formats=("TIFF", "PNG")) as image:
            bits, pages = _bits(image), getattr(image, "n_frames", 1)
            if all_pages and (pages == 1 or image.format == "TIFF"):
                return _Decoded(_all_pages(path, image, pages), image.mode, bits, 1)
            return _Decoded(np.array(image), image.mode, bits, pages)
    except UnreadableImageError:
        raise
    except Exception as error:  # decoders raise nearly anything for broken files
        found, cure = _reason(path, error)
        raise UnreadableImageError(path, found, expected, cure) from error


def _all_pages(path: Path, image: Image.Image, count: int) -> NDArray[Any]:
    (width, height), kind = image.size, (image.size, image.mode, _bits(image))
    if count * width * height > MOST_VOXELS:
        found, cure = f"{count} images of {height} x {width} pixels in one file", "copy it again, or crop it"
        raise UnreadableImageError(path, found, f"at most {MOST_VOXELS} pixels", cure)
    pages = []
    for number in range(count):
        image.seek(number)
        if (image.size, image.mode, _bits(image)) != kind:
            found = f"an image {number + 1} in the file that has another size or kind than the first"
            raise UnreadableImageError(path, found, "images of one kind", "save each in a file of its own")
        pages.append(np.array(image))
    return np.stack(pages)


def _bits(image: Image.Image) -> int:
    """Return the bits per channel in the file: the decoder quietly cuts 16-bit RGB down to 8.

    None (0) where it takes 16-bit grey as it is although white is zero.
    """
    tags = getattr(image, "tag_v2", None)
    if tags is not None:
        bits = int(max(tags.get(_BITS_PER_SAMPLE, (1,))))
        return 0 if bits == 16 and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else bits
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
