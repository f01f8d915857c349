"""The animation: a frame per slice, its duration, its colours; whole or absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from drawn import Word, legible
from gliomask.errors import UsageError
from gliomask.reporting.contours import rim
from gliomask.reporting.gif import write_gif
from gliomask.reporting.look import PREDICTION, TRUTH


def volume(slices: int = 4) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    image = np.full((slices, 32, 32, 3), 90, dtype=np.uint8)
    mask = np.zeros((slices, 32, 32), dtype=np.bool_)
    mask[1, 8:20, 10:22] = True
    return image, mask


def colours(frame: Image.Image) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.asarray(frame.convert("RGB")).reshape(-1, 3).tolist()}


def test_there_is_a_frame_per_slice_with_the_duration_asked_for(tmp_path: Path) -> None:
    image, mask = volume(5)
    write_gif(tmp_path / "new" / "patient.gif", image, mask, None, milliseconds=150)
    with Image.open(tmp_path / "new" / "patient.gif") as gif:
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(gif)]
        assert gif.info["loop"] == 0
    assert durations == [150] * 5


def test_only_the_slice_with_tumour_has_the_outline(tmp_path: Path) -> None:
    image, mask = volume()
    write_gif(tmp_path / "patient.gif", image, mask, np.roll(mask, 5, axis=2), caption="patient")
    with Image.open(tmp_path / "patient.gif") as gif:
        counts = [
            int(np.all(np.asarray(frame.convert("RGB"))[24:-24] == TRUTH.rgb, axis=2).sum())
            for frame in ImageSequence.Iterator(gif)
        ]
    assert counts[1] > 100
    assert counts[0] == counts[2] == counts[3] == 0


def test_each_frame_is_the_magnified_slice_with_its_outlines_and_nothing_else(tmp_path: Path) -> None:
    image = np.zeros((3, 40, 64, 3), dtype=np.uint8)
    image[..., 1] = np.random.default_rng(0).integers(0, 150, (3, 40, 64))
    truth, prediction = np.zeros((2, 3, 40, 64), dtype=np.bool_)
    truth[1, 3:20, 10:40], prediction[1, 5:20, 12:60] = True, True
    write_gif(tmp_path / "patient.gif", image, truth, prediction, caption="patient")
    with Image.open(tmp_path / "patient.gif") as gif:
        frames = [np.asarray(frame.convert("RGB"), dtype=int)[24:-24] for frame in ImageSequence.Iterator(gif)]
    for number, frame in enumerate(frames):
        expected = np.minimum(image[number, ..., 1] * (255 / np.percentile(image[..., 1], 99.8)), 255)
        expected = expected.repeat(8, axis=0).repeat(8, axis=1)[..., np.newaxis].repeat(3, axis=2)
        assert frame.shape == expected.shape
        for mask, line in ((truth, TRUTH), (prediction, PREDICTION)):
            expected[tuple(rim(mask[number], line, scale=8).T)] = line.rgb
        coloured = np.ptp(expected, axis=2) > 0
        assert np.array_equal(frame[coloured], expected[coloured])
        assert np.abs(frame - expected)[~coloured].max() <= 255 / 63 / 2 + 1


@pytest.mark.parametrize("name", ["p", "a name that is far too long for the picture " * 9, "two\nlines"])
def test_the_words_around_a_narrow_slice_are_legible(tmp_path: Path, words: list[Word], name: str) -> None:
    mask = np.zeros((120, 600, 2), dtype=np.bool_)
    write_gif(tmp_path / "patient.gif", np.zeros((*mask.shape, 3), dtype=np.uint8), mask, mask, caption=name)
    *shared, last = words[:3] + words[-1:]
    assert {word.text for word in shared[1:]} == {"truth", "prediction"}
    assert last.text == "slice 120 of 120"
    legible([*shared, last])
    assert last.box[2] < next(word.box[0] for word in shared if word.text == "truth") - 8 - 26  # the line before it


def test_the_legend_names_what_is_drawn_and_no_more(tmp_path: Path) -> None:
    image, mask = volume()
    write_gif(tmp_path / "none.gif", image, None, None)
    write_gif(tmp_path / "prediction.gif", image, None, mask)
    with Image.open(tmp_path / "none.gif") as none, Image.open(tmp_path / "prediction.gif") as prediction:
        assert not {TRUTH.rgb, PREDICTION.rgb} & colours(none)
        assert {TRUTH.rgb, PREDICTION.rgb} & colours(prediction) == {PREDICTION.rgb}


def test_the_same_input_gives_the_same_bytes_and_leaves_one_file(tmp_path: Path) -> None:
    image, mask = volume()
    for name in ("a.gif", "b.gif"):
        write_gif(tmp_path / name, image, mask, mask, caption="a caption that is far too long for the picture " * 9)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, mask = volume()
    write_gif(tmp_path / "patient.gif", image, mask, None)
    before = (tmp_path / "patient.gif").read_bytes()

    def break_off(_: Image.Image, path: Path, **_options: object) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", break_off)
    with pytest.raises(OSError, match="disk full"):
        write_gif(tmp_path / "patient.gif", image, None, mask)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_what_cannot_be_shown_is_refused(tmp_path: Path) -> None:
    image, mask = volume()
    with pytest.raises(UsageError, match="at least one slice"):
        write_gif(tmp_path / "x.gif", image[:0], None, None)
    with pytest.raises(UsageError, match="a mask has shape"):
        write_gif(tmp_path / "x.gif", image, mask[:2], None)
    with pytest.raises(UsageError, match="20 ms"):
        write_gif(tmp_path / "x.gif", image, mask, None, milliseconds=5)
