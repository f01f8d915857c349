"""Phantoms: the layout of the public set, the same bytes every time, and tumours that no threshold finds."""

from __future__ import annotations

import csv
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from gliomask.errors import DataError, UsageError
from gliomask.volumes import phantom
from gliomask.volumes.phantom import PhantomPatient, simulate_patient, write_phantoms
from gliomask.volumes.phantom_fields import SmoothField
from gliomask.volumes.phantom_lesion import drop_crumbs
from gliomask.volumes.phantom_record import patient_name
from gliomask.volumes.slices import read_image, read_mask

COLUMNS = (
    "Patient,RNASeqCluster,MethylationCluster,miRNACluster,CNCluster,RPPACluster,OncosignCluster,COCCluster,"
    "histological_type,neoplasm_histologic_grade,tumor_tissue_site,laterality,tumor_location,gender,"
    "age_at_initial_pathologic,race,ethnicity,death01"
)
SIZE = 64
Boxes = NDArray[np.bool_]


@lru_cache(maxsize=1)
def cohort() -> tuple[PhantomPatient, ...]:
    return tuple(simulate_patient(number, seed=5, size=SIZE) for number in range(1, 5))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    out = tmp_path_factory.mktemp("phantoms") / "new"
    return out, write_phantoms(out, patients=2, seed=5, size=SIZE)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def dice(first: Boxes, second: Boxes) -> float:
    return float(2 * (first & second).sum() / max(first.sum() + second.sum(), 1))


def inner_head(patient: PhantomPatient, margin: int) -> Boxes:
    """The head without its outermost pixels; the scalp takes some five."""
    flair = patient.image[..., 1]
    head = flair > flair[:, :6, :6].max()
    disc = np.ones((1, 3, 3), dtype=bool)
    filled = np.stack([ndimage.binary_fill_holes(one) for one in ndimage.binary_closing(head, disc)])
    return np.asarray(ndimage.binary_erosion(filled, disc, iterations=margin), dtype=bool)


def test_the_same_seed_writes_the_same_bytes(written: tuple[Path, tuple[str, ...]], tmp_path: Path) -> None:
    again = write_phantoms(tmp_path / "again", patients=2, seed=5, size=SIZE)
    assert again == written[1]
    assert bytes_of(tmp_path / "again") == bytes_of(written[0])


def test_another_seed_or_number_is_another_patient() -> None:
    first = simulate_patient(1, seed=0, size=32, slices=8)
    for other in (simulate_patient(1, seed=1, size=32, slices=8), simulate_patient(2, seed=0, size=32, slices=8)):
        assert not np.array_equal(first.mask, other.mask)
        assert (first.image != other.image).mean() > 0.3
        assert first.name != other.name


def test_a_patient_does_not_depend_on_how_many_there_are(written: tuple[Path, tuple[str, ...]], tmp_path: Path) -> None:
    (name,) = write_phantoms(tmp_path / "one", patients=1, seed=5, size=SIZE)
    assert bytes_of(tmp_path / "one" / name) == bytes_of(written[0] / name)
    one, two = ((folder / "data.csv").read_text().splitlines() for folder in (tmp_path / "one", written[0]))
    assert one == two[:2]


def test_layout_is_that_of_the_public_set(written: tuple[Path, tuple[str, ...]]) -> None:
    out, names = written
    assert sorted(p.name for p in out.iterdir()) == sorted([*names, "data.csv"])
    for name in names:
        stems = {p.name for p in (out / name).iterdir()}
        slices = len(stems) // 2
        assert 20 <= slices <= 40
        assert stems == {f"{name}_{n}{end}.tif" for n in range(1, slices + 1) for end in ("", "_mask")}


def test_files_are_uncompressed_tiffs_of_eight_bits(written: tuple[Path, tuple[str, ...]]) -> None:
    out, names = written
    for path in (out / names[0]).iterdir():
        with Image.open(path) as image:
            assert (image.format, image.size, image.info["compression"]) == ("TIFF", (SIZE, SIZE), "raw")
            assert image.mode == ("L" if path.stem.endswith("_mask") else "RGB")
            if image.mode == "L":
                assert set(np.unique(np.asarray(image))) <= {0, 255}


def test_files_hold_what_was_simulated(written: tuple[Path, tuple[str, ...]]) -> None:
    out, names = written
    patient = cohort()[1]
    assert patient.name == names[1]
    assert patient.image.dtype == np.uint8
    for number in range(1, len(patient.image) + 1):
        stem = out / patient.name / f"{patient.name}_{number}"
        assert np.array_equal(read_image(Path(f"{stem}.tif")), patient.image[number - 1])
        assert np.array_equal(read_mask(Path(f"{stem}_mask.tif")), patient.mask[number - 1])


def test_table_has_the_public_columns_and_first_three_name_fields(written: tuple[Path, tuple[str, ...]]) -> None:
    out, names = written
    with (out / "data.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert (out / "data.csv").read_text().splitlines()[0] == COLUMNS
    assert [row["Patient"] for row in rows] == [name.rsplit("_", 1)[0] for name in names]
    assert all(value == "" or value.isdigit() for row in rows for key, value in row.items() if key != "Patient")


def test_some_clinical_values_are_missing_and_side_agrees_with_the_image() -> None:
    patients = [simulate_patient(number, seed=2, size=32, slices=10) for number in range(1, 7)]
    values = [value for patient in patients for value in patient.clinical.values()]
    assert 0 < values.count("") < 0.2 * len(values)
    for patient in patients:
        if patient.clinical["laterality"] != "":
            left_of_image = np.argwhere(patient.mask)[:, 2].mean() < 15.5
            assert patient.clinical["laterality"] == (3 if left_of_image else 1)


def test_names_parse_and_are_unique() -> None:
    names = [patient_name(number, np.random.default_rng(number)) for number in range(1, 1000)]
    assert all(re.fullmatch(r"TCGA_(DU|HT|CS|FG|EZ)_9\d{3}_(199|200)\d[01]\d[0-3]\d", name) for name in names)
    assert len({name.rsplit("_", 1)[0].split("_")[2] for name in names}) == 999


def test_tumour_is_in_few_pieces_and_away_from_both_ends() -> None:
    for patient in cohort():
        labels, count = ndimage.label(patient.mask, np.ones((3, 3, 3)))
        sizes = np.bincount(labels.ravel())[1:]
        assert 1 <= count <= 3
        assert sizes.max() > 0.7 * sizes.sum()
        assert not patient.mask[[0, 1, -2, -1]].any()
        assert 0.1 < patient.mask.any((1, 2)).mean() < 0.75


def test_tumour_lies_in_the_head_and_is_brighter_on_flair() -> None:
    for patient in cohort():
        flair, inside = patient.image[..., 1], inner_head(patient, 2)
        assert (inside & patient.mask).sum() > 0.98 * patient.mask.sum()
        assert (flair[patient.mask] > flair[:, :6, :6].max()).mean() > 0.98
        slices = patient.mask.any((1, 2), keepdims=True)
        around = inner_head(patient, 5) & ~patient.mask & slices
        assert flair[patient.mask].mean() > 1.2 * np.median(flair[around])


@pytest.mark.parametrize("brain_known", [False, True])
def test_no_threshold_on_flair_finds_the_tumours(brain_known: bool) -> None:
    where = [inner_head(p, 5) if brain_known else np.ones_like(p.mask) for p in cohort()]
    best = max(
        float(np.mean([dice((p.image[..., 1] >= level) & w, p.mask) for p, w in zip(cohort(), where, strict=True)]))
        for level in range(5, 255, 5)
    )
    assert 0.02 < best < 0.7


def test_a_missing_sequence_equals_flair() -> None:
    found = set()
    for number in range(1, 31):
        image = simulate_patient(number, seed=0, size=32, slices=8).image
        same = tuple(bool((image[..., channel] == image[..., 1]).all()) for channel in (0, 2))
        near = tuple(bool((image[..., channel] == image[..., 1]).mean() > 0.9) for channel in (0, 2))
        assert same == near
        found.add(same)
        if len(found) == 3:
            break
    assert found == {(False, False), (True, False), (False, True)}


def test_a_patient_is_the_same_at_every_size() -> None:
    small, large = cohort()[0], simulate_patient(1, seed=5, size=2 * SIZE)
    shares = large.mask.reshape(-1, SIZE, 2, SIZE, 2).mean((2, 4))
    assert small.name == large.name
    assert small.clinical == large.clinical
    assert dice(shares >= 0.5, small.mask) > 0.85


def test_background_is_nearly_black_and_brain_is_not() -> None:
    for patient in cohort():
        corners = np.concatenate([patient.image[:, :6, :6], patient.image[:, -6:, -6:]])
        middle = patient.image[len(patient.image) // 2, 20:44, 20:44]
        assert corners.max() < 30
        assert middle.mean((0, 1)).min() > 20


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"number": 0}, "number"),
        ({"number": 1000}, "number"),
        ({"seed": -1}, "seed"),
        ({"size": 31}, "size"),
        ({"slices": 7}, "slices"),
    ],
)
def test_values_out_of_range_are_refused(arguments: dict[str, int], word: str) -> None:
    given = {"number": 1, "seed": 0, "size": 32, "slices": 8} | arguments
    with pytest.raises(UsageError, match=word):
        simulate_patient(given["number"], seed=given["seed"], size=given["size"], slices=given["slices"])


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(DataError, match="not empty"):
        write_phantoms(tmp_path, patients=1, size=32)
    with pytest.raises(UsageError, match="patients is 0"):
        write_phantoms(tmp_path / "new", patients=0)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_an_interrupted_patient_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, mask: Boxes) -> None:
        raise OSError(f"no space left for {path.name}")

    monkeypatch.setattr(phantom, "write_mask", full)
    with pytest.raises(DataError, match="no space left"):
        write_phantoms(tmp_path / "out", patients=1, size=32)
    assert list((tmp_path / "out").iterdir()) == []


def test_progress_names_every_patient_in_order(tmp_path: Path) -> None:
    seen: list[str] = []
    names = write_phantoms(tmp_path / "out", patients=3, size=32, on_patient=seen.append)
    assert tuple(seen) == names
    assert [name.split("_")[2] for name in names] == ["9001", "9002", "9003"]


def test_crumbs_go_and_large_pieces_stay() -> None:
    fraction = np.zeros((5, 40, 40), dtype=np.float32)
    fraction[1:4, 2:12, 2:12] = 1
    fraction[1:3, 2:8, 20:26] = 0.8
    fraction[2, 30, 30] = 0.9
    fraction[2, 30, 31] = 0.3
    kept = drop_crumbs(fraction)
    assert kept[2, 30, 30] == kept[2, 30, 31] == 0
    assert np.array_equal(kept[:, :28], fraction[:, :28])


def test_smooth_field_has_unit_variance_and_no_grid_of_its_own() -> None:
    field = SmoothField.draw(np.random.default_rng(0), 0.05)
    planes = np.stack([field.plane(level, 64) for level in np.linspace(0, 1, 12)])
    halves = field.plane(0.5, 256).reshape(64, 4, 64, 4).mean((1, 3))
    assert planes.std() == pytest.approx(1, abs=0.1)
    assert np.abs(halves - field.plane(0.5, 64)).mean() < 0.1
