"""The cache holds what the files hold, and is whole or absent whoever builds it and whatever kills them."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from builders import make_slice, tiny_dataset
from cache_worker import build_and_stall, build_together
from gliomask.data import cache as cache_module
from gliomask.data.cache import SliceCache, open_cache, read_patient, read_rows
from gliomask.data.index import DatasetIndex, build_index
from gliomask.data.normalisation import channel_statistics
from gliomask.data.resampling import SquareFit
from gliomask.errors import DataError
from gliomask.volumes.slices import read_image, read_mask, write_image


@pytest.fixture
def index(tmp_path: Path) -> DatasetIndex:
    tiny_dataset(tmp_path / "data", patients=4, slices=3, size=16)
    return build_index(tmp_path / "data", use_cache=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder in which caches of slices lie."""
    return tmp_path / "cache" / "slices"


def files_of(index: DatasetIndex) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    records = [record for patient in index.patients for record in patient.slices]
    images = np.stack([read_image(index.root / record.image) for record in records])
    return images, np.stack([read_mask(index.root / record.mask) for record in records])


def no_reading(*_: object) -> None:
    raise AssertionError("a file was read")


def test_pixels_are_those_of_the_files(index: DatasetIndex) -> None:
    cache, (images, masks) = open_cache(index, 16), files_of(index)
    assert len(cache) == index.slice_count == 12
    assert np.array_equal(cache.images, images)
    assert np.array_equal(cache.masks, masks)
    assert cache.images.dtype == cache.masks.dtype == np.uint8
    assert cache.size == 16


def test_pixels_are_those_the_predictor_sees(index: DatasetIndex) -> None:
    cache, (images, masks), fit = open_cache(index, 10), files_of(index), SquareFit(16, 16, 10)
    assert np.array_equal(cache.images, fit.images(images))
    assert np.array_equal(cache.masks, fit.masks(masks))


@pytest.mark.parametrize("size", [16, 10])
def test_statistics_are_those_computed_directly(index: DatasetIndex, size: int) -> None:
    cache = open_cache(index, size)
    for row, patient in enumerate(index.patients):
        images, _ = read_patient(index.root, patient)
        squares, rows = SquareFit(16, 16, size).images(images), np.flatnonzero(cache.patients == row)
        assert len(rows) == len(patient.slices)
        for number, position in enumerate(rows):
            assert np.array_equal(cache.volume_statistics[position], channel_statistics(squares))
            assert np.array_equal(cache.slice_statistics[position], channel_statistics(squares[number]))


@pytest.mark.parametrize("size", [16, 8])
def test_tumour_pixels_are_counted_at_the_caches_size(index: DatasetIndex, size: int) -> None:
    cache = open_cache(index, size)
    assert np.array_equal(cache.tumour_pixels, cache.masks.sum(axis=(1, 2)))
    if size == 16:
        expected = [record.tumour_pixels for patient in index.patients for record in patient.slices]
        assert cache.tumour_pixels.tolist() == expected
        assert max(expected) > min(expected) == 0


def test_pixels_are_mapped_and_cannot_be_changed(index: DatasetIndex) -> None:
    cache = open_cache(index, 16)
    for pixels in (cache.images, cache.masks):
        assert isinstance(pixels, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            pixels[0] = 0


def test_files_are_decoded_once(index: DatasetIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_cache(index, 16)
    monkeypatch.setattr(cache_module, "read_image", no_reading)
    assert np.array_equal(open_cache(index, 16).images, before.images)
    with pytest.raises(AssertionError, match="a file was read"):
        open_cache(index, 12)  # another size is another cache


def test_changed_data_makes_a_new_cache(index: DatasetIndex, folder: Path) -> None:
    before = open_cache(index, 16)
    record = index.patients[2].slices[1]
    write_image(index.root / record.image, make_slice(99))
    after = open_cache(build_index(index.root, use_cache=False), 16)
    changed = (before.images != after.images).any(axis=(1, 2, 3))
    assert np.flatnonzero(changed).tolist() == [2 * 3 + 1]
    assert np.array_equal(after.images[7], make_slice(99))
    assert len(list(folder.iterdir())) == 2


def test_progress_counts_patients(index: DatasetIndex) -> None:
    calls: list[tuple[int, int]] = []
    open_cache(index, 16, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_two_processes_building_at_once_both_get_the_whole_cache(index: DatasetIndex, folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(2), context.Queue()
    workers = [
        context.Process(target=build_together, args=(index.root, 16, barrier, answers), daemon=True) for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=45) for _ in workers]
    for worker in workers:
        worker.join(timeout=45)
    images, masks = files_of(index)
    for built, its_images, its_masks, pixels in found:
        assert built
        assert np.array_equal(its_images, images)
        assert np.array_equal(its_masks, masks)
        assert np.array_equal(pixels, masks.sum(axis=(1, 2)))
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(list(folder.iterdir())) == 1


def test_a_killed_builder_leaves_nothing_that_is_taken_for_whole(index: DatasetIndex, folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    half_done = context.Event()
    worker = context.Process(target=build_and_stall, args=(index.root, 16, half_done), daemon=True)
    worker.start()
    assert half_done.wait(timeout=45)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(timeout=45)
    (leftover,) = folder.iterdir()
    assert ".part-" in leftover.name
    cache, (images, masks) = open_cache(index, 16), files_of(index)
    assert np.array_equal(cache.images, images)
    assert np.array_equal(cache.masks, masks)


def test_a_full_disk_is_said_and_left_as_it_was(index: DatasetIndex, tmp_path: Path) -> None:
    build = (
        "from gliomask.data.index import build_index; from gliomask.data.cache import open_cache; import sys;"
        "open_cache(build_index(sys.argv[1], use_cache=False), 256)"
    )
    script = 'mount -t tmpfs -o size=1m none $1 || exit 99; $2 -c "$3" $4; ls -A $1/slices'
    small = tmp_path / "small"
    small.mkdir()
    alone = shutil.which("unshare")
    if alone is None:
        pytest.skip("no file system of its own can be had here")
    given = ["sh", str(small), sys.executable, build, str(index.root)]
    done = subprocess.run(
        [alone, "-rm", "sh", "-c", script, *given], capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"GLIOMASK_CACHE": str(small)},
    )  # fmt: skip
    if done.returncode == 99 or "unshare:" in done.stderr:
        pytest.skip("no file system of its own can be had here")
    assert "No space left on device" in done.stderr
    assert "expected a writable folder with space; set GLIOMASK_CACHE" in done.stderr
    assert not done.stdout.strip()


def test_what_killed_builders_left_is_removed_after_a_day(index: DatasetIndex, folder: Path) -> None:
    old, young = folder / "a-16.part-x", folder / "b-16.part-y"
    for leftover, hours in ((old, 25), (young, 23)):
        leftover.mkdir(parents=True)
        (leftover / "images.npy").touch()
        os.utime(leftover, (time.time() - hours * 3600,) * 2)
    open_cache(index, 16)
    assert (old.exists(), young.exists()) == (False, True)


def test_a_builder_that_fails_leaves_nothing(
    index: DatasetIndex, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "read_mask", no_reading)
    with pytest.raises(AssertionError, match="a file was read"):
        open_cache(index, 16)
    assert list(folder.iterdir()) == []


def test_a_file_that_vanished_is_named(index: DatasetIndex) -> None:
    record = index.patients[1].slices[0]
    (index.root / record.image).unlink()
    with pytest.raises(DataError, match=Path(record.image).name):
        open_cache(index, 16)


def test_an_index_without_slices_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no usable slice"):
        open_cache(DatasetIndex(tmp_path, (), (), "0" * 64), 16)


def test_a_folder_that_cannot_be_written_is_named_with_the_cure(
    index: DatasetIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GLIOMASK_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be written .*set GLIOMASK_CACHE"):
        open_cache(index, 16)


@pytest.mark.parametrize("name", ["images.npy", "masks.npy", "patients.npy", "cache.json"])
def test_a_damaged_cache_is_made_again(index: DatasetIndex, folder: Path, name: str) -> None:
    before = np.array(open_cache(index, 16).images)
    (built,) = folder.iterdir()
    os.truncate(built / name, 20)
    assert np.array_equal(open_cache(index, 16).images, before)
    assert (built / name).stat().st_size > 20


def test_a_cache_that_cannot_be_read_back_is_said(index: DatasetIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gliomask.data.cache._load", lambda _: None)
    with pytest.raises(DataError, match="cannot be read back"):
        open_cache(index, 16)


def test_patients_are_rows_of_the_index(index: DatasetIndex) -> None:
    cache: SliceCache = open_cache(index, 16)
    assert cache.patients.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


@pytest.mark.parametrize("rows", [[], [0], [11, 3, 3, 7]])
def test_rows_are_read_from_the_file_as_they_would_be_looked_up(index: DatasetIndex, rows: list[int]) -> None:
    cache, chosen = open_cache(index, 16), np.array(rows, np.int64)
    for array in (cache.images, cache.masks, np.array(cache.images), cache.images[1:], cache.images[::-1]):
        here = chosen[chosen < len(array)]
        assert np.array_equal(read_rows(array, here), array[here])


def test_reading_rows_does_not_fill_memory_as_looking_them_up_does(tmp_path: Path) -> None:
    length, count = 1 << 20, 64
    big = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.uint8, (count, length))
    big[:] = 1
    del big
    array = np.load(tmp_path / "big.npy", mmap_mode="r")
    before = mapped_kilobytes(tmp_path / "big.npy")
    for row in range(count):
        assert read_rows(array, np.array([row]))[0, -1] == 1
    assert mapped_kilobytes(tmp_path / "big.npy") - before < 1024
    assert array[:].sum() == count * length
    assert mapped_kilobytes(tmp_path / "big.npy") - before > 32 * 1024


def mapped_kilobytes(path: Path) -> int:
    """Return how much of a mapped file is in this process's memory."""
    lines = Path("/proc/self/smaps").read_text().splitlines() if Path("/proc/self/smaps").is_file() else []
    if not lines:
        pytest.skip("no /proc/self/smaps here")
    found = 0
    for place, line in enumerate(lines):
        if line.endswith(str(path)):
            found += next(int(each.split()[1]) for each in lines[place:] if each.startswith("Rss:"))
    return found


def test_a_cache_that_became_shorter_is_said(index: DatasetIndex) -> None:
    cache = open_cache(index, 16)
    assert isinstance(cache.images, np.memmap)
    os.truncate(str(cache.images.filename), cache.images.offset + 100)
    with pytest.raises(DataError, match="cut short"):
        read_rows(cache.images, np.array([5]))
