"""What a data set holds: counts, labels on the right bars, every file written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from gliomask.data.index import DatasetIndex, PatientRecord, SliceRecord
from gliomask.errors import DataError, UsageError
from gliomask.reporting.charts import distribution_figure, institutions_figure, patients_figure, tumour_size_figure
from gliomask.reporting.explore import augmentation_sheet, explore, summarise, write_augmentations
from gliomask.reporting.samples import choose_patients, heat_map, largest_slice, samples_figure
from gliomask.volumes.slices import write_image, write_mask

AREAS = {"TCGA_CS_0001_19960909": (0, 4, 9, 0), "TCGA_DU_0002_19990101": (0, 0, 16), "TCGA_DU_0003_20000101": (0, 0)}
NAMES = {
    "distribution.png", "patients.png", "institutions.png", "tumour_size.png", "samples.png", "positive_masks.png",
    "patients.csv", "summary.json",
}  # fmt: skip


def tiny(root: Path, areas: dict[str, tuple[int, ...]] = AREAS, size: int = 24) -> DatasetIndex:
    """Return an index of squares of tumour with the given areas in the middle of the slice, files and all."""
    patients = []
    for name, sizes in areas.items():
        (root / name).mkdir(parents=True)
        records = []
        for number, area in enumerate(sizes, start=1):
            side = round(area**0.5)
            mask = np.zeros((size, size), dtype=np.bool_)
            mask[10 : 10 + side, 10 : 10 + side] = True
            image, label = f"{name}/{name}_{number}.tif", f"{name}/{name}_{number}_mask.tif"
            write_image(root / image, np.full((size, size, 3), 40 * number, dtype=np.uint8))
            write_mask(root / label, mask)
            records.append(SliceRecord(number, image, label, size, size, area))
        missing = ("post",) if "0002" in name else ()
        patients.append(PatientRecord(name, name[5:7], tuple(records), missing, {}))
    return DatasetIndex(root, tuple(patients), (), "fingerprint")


def heights(axes: Axes) -> list[float]:
    return [bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle)]


def mirrored(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> list[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    return [(image[:, ::-1], mask[:, ::-1]), (image[::-1], mask[::-1])]


def test_summary_counts_what_is_there(tmp_path: Path) -> None:
    found = summarise(tiny(tmp_path))
    assert (found["patients"], found["patients_with_tumour"], found["slices"]) == (3, 2, 9)
    assert (found["positive"], found["negative"]) == (3, 6)
    assert found["tumour_voxels_per_patient"] == {
        "minimum": 13,
        "q1": 13.75,
        "median": 14.5,
        "q3": 15.25,
        "maximum": 16,
    }
    assert found["tumour_pixels_per_positive_slice"]["median"] == 9
    assert found["missing"] == {"pre": 0, "post": 1}
    assert found["institutions"]["DU"] == {"patients": 2, "slices": 5, "positive": 1}


def test_the_positive_bar_is_labelled_positive(tmp_path: Path) -> None:
    (axes,) = distribution_figure(tiny(tmp_path)).axes
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert dict(zip(labels, heights(axes), strict=True)) == {"Positive (with tumour)": 3, "Negative (no tumour)": 6}
    assert [text.get_text() for text in axes.texts] == ["3\n33.3%", "6\n66.7%"]


def test_patients_are_stacked_and_sorted_by_slices(tmp_path: Path) -> None:
    (axes,) = patients_figure(tiny(tmp_path)).axes
    positive, negative = ([bar.get_height() for bar in bars] for bars in axes.containers)
    assert (positive, negative) == ([2, 1, 0], [2, 2, 2])
    assert [bars.get_label() for bars in axes.containers] == ["Positive (with tumour)", "Negative (no tumour)"]
    assert axes.get_xticklabels()[0].get_text() == "TCGA_CS_0001_19960909"


def test_institutions_count_patients_and_slices(tmp_path: Path) -> None:
    patients, slices = institutions_figure(tiny(tmp_path)).axes
    assert heights(patients) == [2, 1]
    assert [label.get_text() for label in slices.get_xticklabels()] == ["DU", "CS"]
    assert [text.get_text() for text in slices.texts] == ["5\n(20%)", "4\n(50%)"]


def test_every_tumour_is_in_a_bin(tmp_path: Path) -> None:
    volumes, areas = tumour_size_figure(tiny(tmp_path)).axes
    assert sum(heights(volumes)) == 2
    assert sum(heights(areas)) == 3
    assert volumes.get_xscale() == "log"


def test_the_heat_map_adds_the_masks(tmp_path: Path) -> None:
    heat = heat_map(tiny(tmp_path))
    assert (heat.slices, heat.left_out, heat.count.sum()) == (3, 0, 4 + 9 + 16)
    assert heat.count[10, 10] == 3
    assert heat.count[13, 13] == 1


def test_the_heat_map_leaves_slices_of_another_size_out_and_counts_them(tmp_path: Path) -> None:
    index, other = tiny(tmp_path / "a"), tiny(tmp_path / "b", {"TCGA_HT_0009_20000101": (4,)}, size=32)
    heat = heat_map(DatasetIndex(index.root, index.patients + other.patients, (), ""))
    assert (heat.slices, heat.left_out, heat.count.shape) == (3, 1, (24, 24))


def test_samples_show_the_largest_tumour_and_say_what_is_missing(tmp_path: Path) -> None:
    index = tiny(tmp_path)
    assert largest_slice(index.patients[0]).number == 3
    assert largest_slice(index.patients[2]).number == 2
    tiles = samples_figure(index).axes
    assert tiles[0].get_title() == "T1 before contrast"
    assert "slice 3" in tiles[0].get_ylabel()
    assert tiles[6].texts[0].get_text().startswith("missing")


def test_patients_with_tumour_are_shown_first_and_the_seed_decides(tmp_path: Path) -> None:
    index = tiny(tmp_path, {f"TCGA_CS_{number:04}_19960909": (4 * (number % 2),) for number in range(10)})
    chosen = choose_patients(index, 3, seed=1)
    assert all(patient.tumour_pixels for patient in chosen)
    assert chosen == choose_patients(index, 3, seed=1)
    assert len({tuple(p.name for p in choose_patients(index, 3, seed)) for seed in range(8)}) > 1


def test_explore_writes_every_file(tmp_path: Path) -> None:
    index = tiny(tmp_path / "data")
    written = explore(index, tmp_path / "out", augmented=mirrored)
    assert {path.name for path in written} == NAMES | {"augmentations.png"}
    assert set(written) == set((tmp_path / "out").iterdir())
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == summarise(index)
    assert len(pd.read_csv(tmp_path / "out" / "patients.csv")) == 3
    for path in written:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert min(picture.size) > 300


def test_explore_replaces_nothing_but_an_exploration(tmp_path: Path) -> None:
    index, theirs = tiny(tmp_path / "data"), tmp_path / "out" / "summary.json"
    theirs.parent.mkdir()
    theirs.write_text('{"scores": {}}')
    with pytest.raises(UsageError, match="is not of an exploration and would be replaced"):
        explore(index, theirs.parent)
    assert list(theirs.parent.iterdir()) == [theirs]


def test_explore_of_a_data_set_without_tumour_works_and_without_patients_says_so(tmp_path: Path) -> None:
    index = tiny(tmp_path / "data", {"TCGA_CS_0001_19960909": (0, 0)})
    assert {path.name for path in explore(index, tmp_path / "out")} == NAMES
    assert summarise(index)["tumour_voxels_per_patient"] is None
    with pytest.raises(DataError, match="no patients"):
        explore(DatasetIndex(tmp_path, (), (), ""), tmp_path / "out")


def test_the_augmentation_sheet_has_a_row_per_slice_and_a_column_per_version(tmp_path: Path) -> None:
    image, mask = np.full((16, 16, 3), 90, dtype=np.uint8), np.eye(16, dtype=np.bool_)
    sheet = augmentation_sheet([(image, mask, mirrored(image, mask)), (image, mask, mirrored(image, mask))])
    assert [axes.get_title() for axes in sheet.axes] == ["original", "version 1", "version 2", "", "", ""]
    outlined = np.concatenate([np.asarray(line.get_xdata()) for line in sheet.axes[1].lines])
    original = np.concatenate([np.asarray(line.get_xdata()) for line in sheet.axes[0].lines])
    assert np.allclose(np.sort(outlined), np.sort(15 - original))
    write_augmentations([(image, mask, [])], tmp_path / "new" / "sheet.png")
    assert (tmp_path / "new" / "sheet.png").exists()
    with pytest.raises(UsageError, match="no sample"):
        augmentation_sheet([])
