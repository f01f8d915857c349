"""Slices survive a round trip, and whatever is not a slice is refused with a reason."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from builders import make_mask, make_slice
from gliomask.errors import UnreadableImageError
from gliomask.files import whole_file
from gliomask.volumes.slices import (
    read_image,
    read_mask,
    read_mask_pages,
    read_pages,
    write_image,
    write_mask,
    write_probabilities,
)


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".png", ".TIF"])
def test_image_round_trip(tmp_path: Path, suffix: str) -> None:
    image = make_slice(1)
    write_image(tmp_path / f"a{suffix}", image)
    again = read_image(tmp_path / f"a{suffix}")
    assert again.dtype == np.uint8
    assert np.array_equal(again, image)
    assert again.flags.writeable


@pytest.mark.parametrize("suffix", [".tif", ".png"])
@pytest.mark.parametrize("pixels", [0, 7, 256])
def test_mask_round_trip(tmp_path: Path, suffix: str, pixels: int) -> None:
    write_mask(tmp_path / f"a{suffix}", make_mask(pixels))
    assert np.array_equal(read_mask(tmp_path / f"a{suffix}"), make_mask(pixels))


def test_masks_are_written_as_0_and_255_uncompressed(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.tif", make_mask(3))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages.first.compression == tifffile.COMPRESSION.NONE
        assert set(np.unique(file.asarray())) == {0, 255}


def test_lzw_is_read(tmp_path: Path) -> None:
    image = make_slice(2)
    Image.fromarray(image).save(tmp_path / "a.tif", compression="tiff_lzw")
    assert np.array_equal(read_image(tmp_path / "a.tif"), image)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_mask_of_one_bit_is_read(tmp_path: Path, name: str) -> None:
    Image.fromarray(make_mask(9)).save(tmp_path / name)
    assert np.array_equal(read_mask(tmp_path / name), make_mask(9))


def test_mask_of_0_and_1_is_read(tmp_path: Path) -> None:
    Image.fromarray(make_mask(9).astype(np.uint8)).save(tmp_path / "a.png")
    assert np.array_equal(read_mask(tmp_path / "a.png"), make_mask(9))


@pytest.mark.parametrize("values", [[0, 1, 255], [0, 128], [0, 254, 255], [0, 2], [128]])
def test_mask_with_other_values_is_refused(tmp_path: Path, values: list[int]) -> None:
    Image.fromarray(np.resize(np.array(values, np.uint8), (8, 8))).save(tmp_path / "a.png")
    with pytest.raises(UnreadableImageError, match=f"a mask with {len(values)} value") as caught:
        read_mask(tmp_path / "a.png")
    assert str(values[-1]) in caught.value.found
    assert "threshold" in caught.value.cure


@pytest.mark.parametrize(
    ("mode", "found"),
    [
        ("L", "1 channel of 8 bits"),
        ("LA", "2 channels"),
        ("RGBA", "4 channels"),
        ("P", "palette"),
        ("1", "1 bit"),
        ("I;16", "16 bits"),
    ],
)
def test_image_of_another_mode_is_refused(tmp_path: Path, mode: str, found: str) -> None:
    Image.new(mode, (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(UnreadableImageError, match=found) as caught:
        read_image(tmp_path / "a.png")
    assert "8-bit RGB" in caught.value.expected


@pytest.mark.parametrize(("mode", "found"), [("RGB", "3 channels"), ("P", "palette"), ("I;16", "16 bits")])
def test_mask_of_another_mode_is_refused(tmp_path: Path, mode: str, found: str) -> None:
    Image.new(mode, (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(UnreadableImageError, match=found):
        read_mask(tmp_path / "a.png")


def test_float_tiff_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.float32))
    with pytest.raises(UnreadableImageError, match="floating point"):
        read_mask(tmp_path / "a.tif")


def test_rgb_tiff_of_16_bits_is_not_cut_down_to_8(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.full((8, 8, 3), 1000, np.uint16), photometric="rgb")
    with pytest.raises(UnreadableImageError, match=r"3 channel\(s\) of 16 bits"):
        read_image(tmp_path / "a.tif")


def test_rgb_png_of_16_bits_is_not_cut_down_to_8(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(_png_of_16_bits(side=8))
    with pytest.raises(UnreadableImageError, match="16 bits"):
        read_image(tmp_path / "a.png")


def test_several_images_in_one_file_are_refused(tmp_path: Path) -> None:
    pages = [Image.fromarray(make_slice(seed)) for seed in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(UnreadableImageError, match="3 images in one file"):
        read_image(tmp_path / "a.tif")
    masks = [Image.fromarray(make_mask(pixels)) for pixels in range(2)]
    masks[0].save(tmp_path / "m.tif", save_all=True, append_images=masks[1:])
    with pytest.raises(UnreadableImageError, match="2 images in one file"):
        read_mask(tmp_path / "m.tif")


@pytest.mark.parametrize("suffix", [".tif", ".png"])
@pytest.mark.parametrize("part", [0.05, 0.3, 0.6, 0.9])
def test_cut_off_file_is_refused(tmp_path: Path, suffix: str, part: float) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, make_slice(3, size=64))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(UnreadableImageError, match="damaged") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", [0.3, 0.9])
def test_cut_off_mask_is_refused(tmp_path: Path, part: float) -> None:
    path = tmp_path / "a.tif"
    write_mask(path, make_mask(9, size=64))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(UnreadableImageError, match="damaged"):
        read_mask(path)


@pytest.mark.parametrize(
    ("content", "found"), [(None, "no such file"), (b"", "0 bytes"), (b"hello, world", "neither TIFF nor PNG")]
)
def test_file_that_is_no_image_is_refused(tmp_path: Path, content: bytes | None, found: str) -> None:
    path = tmp_path / "a.tif"
    if content is not None:
        path.write_bytes(content)
    for read in (read_image, read_mask):
        with pytest.raises(UnreadableImageError, match=found) as caught:
            read(path)
        assert caught.value.path == str(path)


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="a folder"):
        read_image(tmp_path)


def test_jpeg_by_another_name_is_refused(tmp_path: Path) -> None:
    Image.fromarray(make_slice(1)).save(tmp_path / "a.tif", format="JPEG")
    with pytest.raises(UnreadableImageError, match="neither TIFF nor PNG"):
        read_image(tmp_path / "a.tif")


def test_pages_are_read_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for dtype, shape in (
        ("u1", (3, 8, 9)),
        ("<u2", (3, 8, 9)),
        (">u2", (1, 8, 9)),
        ("<i2", (2, 8, 9)),
        ("u1", (2, 8, 9, 3)),
    ):
        pages = rng.integers(-9 if "i" in dtype else 0, 250, shape).astype(dtype)
        kind = "rgb" if pages.ndim == 4 else "minisblack"
        tifffile.imwrite(tmp_path / "a.tif", pages, photometric=kind, byteorder=">" if ">" in dtype else "<")
        again = read_pages(tmp_path / "a.tif")
        assert np.array_equal(again, pages)
        assert (again.dtype == np.uint8) == (dtype == "u1")
    for kind in ("u1", "u2"):
        Image.fromarray(pages[0, ..., 0].astype(kind)).save(tmp_path / "a.png")
        assert np.array_equal(read_pages(tmp_path / "a.png"), pages[:1, ..., 0])


def test_pages_that_cannot_be_taken_are_refused(tmp_path: Path) -> None:
    grey = np.zeros((8, 8), np.uint16)
    frames = [Image.fromarray(make_slice(seed)) for seed in range(3)]
    frames[0].save(tmp_path / "animated.png", save_all=True, append_images=frames[1:])
    tifffile.imwrite(tmp_path / "white.tif", grey, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "colour.tif", np.zeros((2, 8, 8, 3), np.uint16), photometric="rgb")
    tifffile.imwrite(tmp_path / "float.tif", np.zeros((2, 8, 8), np.float32), photometric="minisblack")
    with tifffile.TiffWriter(tmp_path / "sizes.tif") as file:
        file.write(grey)
        file.write(grey[:4])
    with tifffile.TiffWriter(tmp_path / "kinds.tif") as file:
        file.write(grey)
        file.write(grey.astype(np.uint8))
    for name, found in {
        "animated.png": "3 images in one file", "white.tif": "white as zero", "colour.tif": "3 channel",
        "float.tif": "floating point", "sizes.tif": "an image 2 in the file", "kinds.tif": "an image 2 in the file",
    }.items():  # fmt: skip
        with pytest.raises(UnreadableImageError, match=found):
            read_pages(tmp_path / name)


def test_pages_are_counted_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 8, 8), np.uint8), photometric="minisblack")
    monkeypatch.setattr("gliomask.volumes.slices.MOST_VOXELS", 4 * 64)
    monkeypatch.setattr(Image.Image, "load", None)
    with pytest.raises(UnreadableImageError, match="5 images of 8 x 8 pixels in one file; expected at most 256"):
        read_pages(tmp_path / "a.tif")


def test_pages_of_masks_and_probabilities_survive(tmp_path: Path) -> None:
    masks = np.stack([make_mask(pixels) for pixels in (0, 7, 256)])
    write_mask(tmp_path / "a.tif", masks)
    assert np.array_equal(read_mask_pages(tmp_path / "a.tif"), masks)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert len(file.pages) == 3
        assert np.array_equal(file.asarray(), masks * np.uint8(255))
    values = np.random.default_rng(0).random((3, 8, 9), np.float32)
    write_probabilities(tmp_path / "p.tif", values)
    assert np.array_equal(tifffile.imread(tmp_path / "p.tif"), values)
    with pytest.raises(UnreadableImageError, match="to write"):
        write_mask(tmp_path / "a.png", masks)


@pytest.mark.parametrize(
    "array", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3), np.uint16)]
)
def test_arrays_that_are_no_image_are_not_written(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(UnreadableImageError, match="to write"):
        write_image(tmp_path / "a.tif", array)
    assert not list(tmp_path.iterdir())


def test_mask_of_numbers_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="bool"):
        write_mask(tmp_path / "a.tif", np.zeros((8, 8), np.uint8))


@pytest.mark.parametrize("name", ["a.jpg", "a", "file/a.tif"])
def test_places_that_cannot_be_written_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnreadableImageError):
        write_image(tmp_path / name, make_slice(1))


def test_interrupted_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write_half() -> None:
        with whole_file(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def _png_of_16_bits(side: int) -> bytes:
    """Return an RGB PNG with 16 bits per channel, which Pillow reads but cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0)
    rows = (b"\0" + bytes(side * 6)) * side
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
