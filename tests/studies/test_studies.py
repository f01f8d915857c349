"""What is found in files and folders to predict: stacks in order, slices alone, masks as truth and never as input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from builders import make_mask, make_slice
from gliomask.data.greyscale import to_uint8
from gliomask.errors import DataError
from gliomask.studies.slices import Study, find_studies
from gliomask.volumes.slices import write_image, write_mask


def write(path: Path, seed: int = 0, mask: int | None = None, size: int = 16) -> Path:
    """Write a slice, and its mask of so many pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, make_slice(seed, size))
    if mask is not None:
        write_mask(path.with_name(f"{path.stem}_mask{path.suffix}"), make_mask(mask, size))
    return path


def stems(study: Study) -> list[str]:
    return [item.image.stem for item in study.slices]


def test_stack_is_sorted_by_number(tmp_path: Path) -> None:
    for number in (10, 2, 1, 9, 11):
        write(tmp_path / f"case_{number}.tif", seed=number)
    (study,) = find_studies([tmp_path])
    assert study.name == "case"
    assert stems(study) == ["case_1", "case_2", "case_9", "case_10", "case_11"]
    assert np.array_equal(study.images(), np.stack([make_slice(seed) for seed in (1, 2, 9, 10, 11)]))


def test_masks_are_truth_and_never_input(tmp_path: Path) -> None:
    for number in (1, 2):
        write(tmp_path / f"case_{number}.tif", mask=3 * number)
    write_mask(tmp_path / "orphan_mask.tif", make_mask(5))
    (study,) = find_studies([tmp_path])
    truth = study.truth((16, 16))
    assert stems(study) == ["case_1", "case_2"]
    assert truth is not None
    assert np.array_equal(truth, np.stack([make_mask(3), make_mask(6)]))


def test_mask_may_have_another_format(tmp_path: Path) -> None:
    path = write(tmp_path / "case_1.tif")
    write_mask(tmp_path / "case_1_mask.png", make_mask(4))
    (study,) = find_studies([path])
    assert study.slices[0].truth == tmp_path / "case_1_mask.png"


def test_there_is_no_truth_unless_every_slice_has_it(tmp_path: Path) -> None:
    write(tmp_path / "case_1.tif", mask=3)
    write(tmp_path / "case_2.tif")
    (study,) = find_studies([tmp_path])
    assert study.truth((16, 16)) is None


def test_named_files_are_predicted_alone(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"case_{number}.tif") for number in (1, 2)]
    for path in paths:
        (study,) = find_studies([path])
        assert (study.name, stems(study)) == (path.stem, [path.stem])
    (study,) = find_studies(paths)  # as the shell expands folder/*
    assert (study.name, stems(study)) == ("case", ["case_1", "case_2"])


def test_named_masks_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "case_1.tif", mask=3)
    (study,) = find_studies(sorted(tmp_path.iterdir()))  # as the shell expands folder/*
    assert stems(study) == ["case_1"]
    assert study.truth((16, 16)) is not None


def test_nothing_but_masks_is_an_error(tmp_path: Path) -> None:
    write_mask(tmp_path / "case_1_mask.tif", make_mask(5))
    with pytest.raises(DataError, match="is a mask, by its name; expected an image"):
        find_studies([tmp_path / "case_1_mask.tif"])
    with pytest.raises(DataError, match="no TIFF or PNG slice in it"):
        find_studies([tmp_path])


def test_slices_without_number_are_studies_of_their_own(tmp_path: Path) -> None:
    for name in ("first.tif", "second.png", "second.tif", "case.tif", "case_0.tif", "case_1.tif"):
        write(tmp_path / name)
    found = sorted((study.name, stems(study)) for study in find_studies([tmp_path]))
    assert found == [
        ("case", ["case"]),
        ("case", ["case_0", "case_1"]),
        ("first", ["first"]),
        ("second", ["second"]),
        ("second", ["second"]),
    ]


def test_folders_are_searched_to_any_depth_and_never_mixed(tmp_path: Path) -> None:
    for folder in ("a", "a/deep/deeper", "b"):
        for number in (1, 2):
            write(tmp_path / folder / f"case_{number}.tif")
    studies = find_studies([tmp_path])
    assert [stems(study) for study in studies] == [["case_1", "case_2"]] * 3
    assert all(len({item.image.parent for item in study.slices}) == 1 for study in studies)


def test_two_patients_of_a_folder_are_two_stacks(tmp_path: Path) -> None:
    for name in ("p_2_1", "p_1_1", "p_1_2", "p_2_10"):
        write(tmp_path / f"{name}.tif")
    assert [(study.name, stems(study)) for study in find_studies([tmp_path])] == [
        ("p_1", ["p_1_1", "p_1_2"]),
        ("p_2", ["p_2_1", "p_2_10"]),
    ]


def test_other_files_and_hidden_ones_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "case_1.TIF")
    write(tmp_path / ".case_2.tif")
    (tmp_path / "data.csv").write_text("Patient\n")
    (study,) = find_studies([tmp_path])
    assert stems(study) == ["case_1"]


def test_several_inputs_are_answered_in_order(tmp_path: Path) -> None:
    single, folder = write(tmp_path / "z.png"), write(tmp_path / "folder" / "a_1.tif").parent
    assert [study.name for study in find_studies([single, folder])] == ["z", "a"]


def test_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist") as caught:
        find_studies([tmp_path / "nowhere"])
    assert caught.value.path == str(tmp_path / "nowhere")


def test_folder_without_slices_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no slice")
    with pytest.raises(DataError, match="no TIFF or PNG slice") as caught:
        find_studies([tmp_path])
    assert caught.value.path == str(tmp_path)


def test_slices_of_different_size_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "case_1.tif", size=16)
    odd = write(tmp_path / "case_2.tif", size=20)
    (study,) = find_studies([tmp_path])
    with pytest.raises(DataError, match="20 x 20 pixels of 8 bits; expected 16 x 16") as caught:
        study.images()
    assert caught.value.path == str(odd)


def test_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "case_1.tif", mask=3)
    write_mask(tmp_path / "case_1_mask.tif", make_mask(3, 20))
    (study,) = find_studies([tmp_path])
    with pytest.raises(DataError, match="a mask of 20 x 20 pixels; expected 16 x 16"):
        study.truth((16, 16))


def test_grey_slice_counts_as_flair(tmp_path: Path) -> None:
    from PIL import Image

    grey = make_slice(4)[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    (study,) = find_studies([tmp_path / "grey.png"])
    assert np.array_equal(study.images()[0], np.stack([grey] * 3, axis=-1))


def test_pages_of_a_file_are_a_stack(tmp_path: Path) -> None:
    images = np.stack([make_slice(seed) for seed in range(4)])
    masks = np.stack([make_mask(pixels) for pixels in (0, 3, 5, 7)])
    tifffile.imwrite(tmp_path / "rgb.tif", images, photometric="rgb")
    tifffile.imwrite(tmp_path / "grey.tif", images[..., 1], photometric="minisblack")
    write_mask(tmp_path / "rgb_mask.tif", masks)
    write_mask(tmp_path / "grey_mask.tif", masks[:3])
    grey, rgb = find_studies([tmp_path])
    assert np.array_equal(rgb.images(), images)
    truth = rgb.truth((16, 16))
    assert truth is not None
    assert np.array_equal(truth, masks)
    assert np.array_equal(grey.images(), np.stack([images[..., 1]] * 3, axis=-1))
    with pytest.raises(DataError, match=r"3 mask\(s\) in one file; expected 4"):
        grey.truth((16, 16))


def test_files_of_a_stack_have_one_page_each(tmp_path: Path) -> None:
    write(tmp_path / "case_1.tif")
    tifffile.imwrite(tmp_path / "case_2.tif", np.stack([make_slice(1)] * 2), photometric="rgb")
    (study,) = find_studies([tmp_path])
    with pytest.raises(DataError, match="2 images in one file; expected one in each"):
        study.images()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_of_16_bits_is_scaled_over_the_stack(tmp_path: Path, suffix: str) -> None:
    from PIL import Image

    values = np.random.default_rng(0).integers(0, 4000, (3, 16, 16)).astype(np.uint16)
    values[0] //= 8  # a slice of its own would become brighter
    for number, plane in enumerate(values):
        Image.fromarray(plane).save(tmp_path / f"case_{number}{suffix}")
    (study,) = find_studies([tmp_path])
    assert np.array_equal(study.images(), np.stack([to_uint8(values)] * 3, axis=-1))
    write(tmp_path / "case_9.png")
    with pytest.raises(DataError, match="16 x 16 pixels of 8 bits; expected 16 x 16 of 16 bits"):
        find_studies([tmp_path])[0].images()


def test_broken_slice_is_named(tmp_path: Path) -> None:
    (tmp_path / "case_1.tif").write_bytes(b"II*\x00")
    (study,) = find_studies([tmp_path])
    with pytest.raises(DataError, match=r"case_1\.tif"):
        study.images()


def test_results_of_an_earlier_run_are_no_input(tmp_path: Path) -> None:
    write_image(tmp_path / "a_1.png", make_slice(1))
    write_image(tmp_path / "out" / "a" / "a_1_prediction.png", make_slice(2))
    assert len(find_studies([tmp_path])) == 2
    (tmp_path / "out" / "a" / "summary.json").write_text('{"study": "a", "masks": [], "model_sha256": "0"}')
    assert [study.name for study in find_studies([tmp_path])] == ["a"]
