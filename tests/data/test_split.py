"""No person is on both sides, parts are alike, and a split fits only the data that it was made for."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gliomask.config import SplitConfig
from gliomask.data import naming, split, stratify
from gliomask.data.index import DatasetIndex, PatientRecord, SliceRecord
from gliomask.data.split import BUDA10, PARTS, Split, load_split, make_split, save_split
from gliomask.errors import DataError, SplitMismatchError, UsageError

INSTITUTIONS = ["DU"] * 45 + ["HT"] * 34 + ["CS"] * 16 + ["FG"] * 14 + ["EZ"]


def record(name: str, slices: int = 3, tumour: int = 10) -> PatientRecord:
    records = tuple(SliceRecord(n, f"{n}.tif", f"{n}_mask.tif", 8, 8, tumour) for n in range(1, slices + 1))
    return PatientRecord(name, naming.institution(name), records, (), {})


def simulated(count: int, names: tuple[str, ...] = ()) -> DatasetIndex:
    """Return an index like the public one: skewed tumour sizes, its institutions, and named patients."""
    sizes = np.random.default_rng(5).lognormal(8, 0.8, count)
    made = [
        record(f"TCGA_{INSTITUTIONS[n * 37 % 110]}_{1000 + n}_20000101", 2 + n % 5, int(size))
        for n, size in enumerate(sizes)
    ]
    patients = sorted([*made, *(record(name) for name in names)], key=lambda patient: patient.name)
    return DatasetIndex(Path("simulated"), tuple(patients), (), f"{count:064d}")


def all_slices(index: DatasetIndex) -> list[str]:
    return [patient.name for patient in index.patients for _ in patient.slices]


@pytest.mark.parametrize("seed", range(5))
def test_every_patient_is_in_exactly_one_part(seed: int) -> None:
    index = simulated(94)
    made = make_split(index, SplitConfig(split="patient", split_seed=seed))
    assert sorted(name for part in PARTS for name in made.parts[part]) == [patient.name for patient in index.patients]
    assert [len(made.parts[part]) for part in PARTS] == [76, 9, 9]


def test_110_patients_are_divided_88_11_11() -> None:
    made = make_split(simulated(110), SplitConfig())
    assert [len(made.parts[part]) for part in PARTS] == [88, 11, 11]


@given(count=st.integers(3, 60), seed=st.integers(0, 1000))
def test_small_data_sets_have_somebody_in_each_part(count: int, seed: int) -> None:
    made = make_split(simulated(count), SplitConfig(split_seed=seed))
    assert all(made.parts[part] for part in PARTS)
    assert sum(len(made.parts[part]) for part in PARTS) == count


@pytest.mark.parametrize(
    ("kind", "count", "needed"), [("patient", 2, 3), ("fold", 4, 5), ("slice", 1, 3), ("patient", 0, 3)]
)
def test_too_few_say_how_many_are_needed(kind: Any, count: int, needed: int) -> None:
    index = simulated(count)
    with pytest.raises(DataError, match=f"expected at least {needed}"):
        make_split(index, SplitConfig(split=kind, fold=0))


@pytest.mark.parametrize(("folds", "count"), [(2, 4), (3, 3), (5, 5), (5, 94), (22, 110)])
def test_folds_test_everybody_once(folds: int, count: int) -> None:
    index = simulated(count)
    made = [make_split(index, SplitConfig(split="fold", folds=folds, fold=fold)) for fold in range(folds)]
    tested = Counter(name for each in made for name in each.parts["test"])
    assert tested == Counter(patient.name for patient in index.patients)
    assert max(len(each.parts["test"]) for each in made) - min(len(each.parts["test"]) for each in made) <= 1
    for each in made:
        assert sum(len(each.parts[part]) for part in PARTS) == count
        assert len(each.parts["validation"]) == max(1, round(count / 10))
        assert each.parts["train"]


@pytest.mark.parametrize("kind", ["patient", "fold"])
def test_scans_of_one_person_stay_together(kind: Any) -> None:
    again = tuple(patient.name.replace("20000101", "20010101") for patient in simulated(30).patients)
    index = simulated(30, again)
    made = make_split(index, SplitConfig(split=kind, fold=0))
    people = [{naming.person(name) for name in made.parts[part]} for part in PARTS]
    assert not any(one & other for one, other in combinations(people, 2))
    assert sum(len(made.parts[part]) for part in PARTS) == 60


@pytest.mark.parametrize("kind", ["patient", "fold"])
@pytest.mark.parametrize("seed", range(4))
def test_parts_have_small_and_large_tumours_alike(kind: Any, seed: int) -> None:
    index = simulated(94)
    made = make_split(index, SplitConfig(split=kind, folds=10, fold=0, split_seed=seed))
    sizes = sorted(patient.tumour_pixels for patient in index.patients)
    for part in ("validation", "test"):
        chosen = [index.patient(name).tumour_pixels for name in made.parts[part]]
        terciles = np.bincount(np.searchsorted([sizes[31], sizes[62]], chosen, side="right"), minlength=3)
        assert terciles.min() >= 2
        assert terciles.max() <= 5


def test_mean_tumour_size_scatters_less_than_by_chance() -> None:
    index = simulated(94)
    everybody = np.array([patient.tumour_pixels for patient in index.patients])
    means = [
        np.mean([index.patient(name).tumour_pixels for name in made.parts["test"]])
        for made in (make_split(index, SplitConfig(split_seed=seed)) for seed in range(40))
    ]
    by_chance = everybody.std() / np.sqrt(9)
    assert np.std(means) < 0.2 * by_chance
    assert abs(np.mean(means) - everybody.mean()) < 0.1 * by_chance


def test_large_institutions_are_in_every_test_fold() -> None:
    index = simulated(110)
    for fold in range(5):
        made = make_split(index, SplitConfig(split="fold", fold=fold))
        institutions = Counter(naming.institution(name) for name in made.parts["test"])
        assert institutions["DU"] >= 6
        assert institutions["HT"] >= 4


def test_small_parts_have_the_institutions_of_all() -> None:
    index = simulated(94)
    everybody = Counter(patient.institution for patient in index.patients)
    for seed in range(10):
        test = make_split(index, SplitConfig(split_seed=seed)).parts["test"]
        counts = Counter(naming.institution(name) for name in test)
        assert all(abs(counts[name] - 9 * count / 94) < 1.5 for name, count in everybody.items())


def test_rare_institutions_are_pooled() -> None:
    people = {f"a{n}": stratify.Traits("DU", 5) for n in range(10)} | {"b": stratify.Traits("AA", 5)}
    people |= {"c": stratify.Traits("ZZ", 5)}
    assert stratify.in_order(people)[-2:] == ["b", "c"]  # the pool, behind DU of the same tercile


def test_slice_split_has_the_published_sizes() -> None:
    slices = tuple(SliceRecord(n, "", "", 8, 8, 0) for n in range(1, 3930))
    patient = PatientRecord("TCGA_CS_4941_19960909", "CS", slices, (), {})
    index = DatasetIndex(Path("all"), (patient,), (), "f")
    made = make_split(index, SplitConfig(split="slice"))
    assert [len(made.parts[part]) for part in PARTS] == [3143, 393, 393]
    assert made.patients(index, "test") == made.patients(index, "train") == (patient.name,)  # the leak


def test_buda10_tests_the_ten() -> None:
    index = simulated(100, BUDA10)
    made = make_split(index, SplitConfig(split="buda10"))
    assert made.parts["test"] == BUDA10
    assert [len(made.parts[part]) for part in ("train", "validation")] == [90, 10]
    assert not set(BUDA10) & {*made.parts["train"], *made.parts["validation"]}


@pytest.mark.parametrize("absent", [1, 10])
def test_buda10_without_all_ten_says_how_many_are_absent(absent: int) -> None:
    with pytest.raises(DataError, match=f"{absent} of the ten patients of buda10 are absent"):
        make_split(simulated(30, BUDA10[absent:]), SplitConfig(split="buda10"))


@pytest.mark.parametrize("kind", ["patient", "fold", "slice"])
def test_positions_of_the_parts_are_all_rows_once(kind: Any) -> None:
    index = simulated(20)
    made = make_split(index, SplitConfig(split=kind, fold=0))
    rows = [made.positions(index, part) for part in PARTS]
    assert all(each.dtype == np.int64 and np.all(np.diff(each) > 0) for each in rows)
    assert np.array_equal(np.sort(np.concatenate(rows)), np.arange(index.slice_count))


def test_positions_are_the_rows_of_the_patients() -> None:
    index = simulated(20)
    made = make_split(index, SplitConfig())
    names = all_slices(index)
    assert {names[row] for row in made.positions(index, "test")} == set(made.parts["test"])
    assert made.patients(index, "test") == made.parts["test"]


def test_positions_of_single_slices_are_those_named() -> None:
    index = simulated(3)
    name = index.patients[1].name
    made = Split("slice", 0, index.fingerprint, {"train": (f"{name}/2",), "validation": (), "test": ()})
    assert made.positions(index, "train").tolist() == [len(index.patients[0].slices) + 1]


def test_seed_decides() -> None:
    index = simulated(94)
    one, again, other = (make_split(index, SplitConfig(split_seed=seed)) for seed in (1, 1, 2))
    assert one == again
    assert one.parts["test"] != other.parts["test"]


def test_folds_do_not_depend_on_which_fold_is_asked_for() -> None:
    order = [f"p{n}" for n in range(23)]
    one, again = (stratify.deal(order, 5, np.random.default_rng([3, 0])) for _ in range(2))
    assert one == again
    assert sorted(person for fold in one for person in fold) == sorted(order)


@pytest.mark.parametrize("kind", ["patient", "fold", "slice", "buda10"])
def test_without_validation_its_patients_are_trained_on_and_the_same_are_tested(kind: Any) -> None:
    index = simulated(40, BUDA10)
    config = SplitConfig(split=kind, fold=2 if kind == "fold" else -1)
    whole, made = make_split(index, config), make_split(index, dataclasses.replace(config, validation=False))
    assert made.parts["test"] == whole.parts["test"]
    assert made.parts["validation"] == ()
    assert made.parts["train"] == tuple(sorted(whole.parts["train"] + whole.parts["validation"]))
    assert len(whole.parts["validation"]) > 0


def test_all_folds_at_once_are_no_split() -> None:
    with pytest.raises(UsageError, match="fold is -1, all folds; expected one of them, 0 to 4"):
        make_split(simulated(10), SplitConfig(split="fold"))


def test_negative_seed_is_refused() -> None:
    with pytest.raises(UsageError, match="split_seed is -1"):
        make_split(simulated(10), SplitConfig(split_seed=-1))


def test_split_for_other_data_is_refused() -> None:
    index = simulated(20)
    made = make_split(index, SplitConfig())
    other = dataclasses.replace(index, fingerprint="0" * 63 + "f")
    made.check(index)
    for use in (lambda: made.check(other), lambda: made.positions(other, "test"), lambda: made.patients(other, "test")):
        with pytest.raises(SplitMismatchError, match="fingerprint"):
            use()


def test_unknown_part_is_refused() -> None:
    index = simulated(20)
    with pytest.raises(UsageError, match="train, validation, test"):
        make_split(index, SplitConfig()).positions(index, "tests")


@pytest.mark.parametrize("kind", ["patient", "fold", "slice"])
def test_split_survives_its_file(tmp_path: Path, kind: Any) -> None:
    made = make_split(simulated(20), SplitConfig(split=kind, fold=0, split_seed=7))
    save_split(made, tmp_path / "split.json")
    assert load_split(tmp_path / "split.json") == made
    assert [path.name for path in tmp_path.iterdir()] == ["split.json"]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "random"},
        {"seed": "0"},
        {"fingerprint": None},
        {"fold": 1},
        {"fold": 5, "folds": 5, "kind": "fold"},
        {"parts": {"train": [], "test": []}},
        {"parts": {"train": ["A"], "validation": ["A"], "test": []}},
        {"parts": {"train": [1], "validation": [], "test": []}},
        {"parts": {"train": "A", "validation": [], "test": []}},
        {"parts": []},
        {"more": 1},
    ],
)
def test_file_that_is_no_split_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "split.json"
    save_split(make_split(simulated(20), SplitConfig()), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match="not a usable split") as caught:
        load_split(path)
    assert caught.value.path == str(path)


@pytest.mark.parametrize("content", [None, "", "[]", '{"kind": "patient"'])
def test_broken_split_file_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "split.json").write_text(content)
    with pytest.raises(DataError, match="not a usable split"):
        load_split(tmp_path / "split.json")


def test_split_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        save_split(make_split(simulated(20), SplitConfig()), tmp_path / "file" / "split.json")


def test_the_ten_are_ten_people() -> None:
    assert len({naming.person(name) for name in split.BUDA10}) == 10
