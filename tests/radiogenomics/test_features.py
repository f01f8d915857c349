"""Features of patients: measured both ways, what is missing is said, labels are never made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from builders import ellipsoid_mask, tiny_dataset
from gliomask.data.index import DatasetIndex, PatientRecord, build_index
from gliomask.errors import DataError
from gliomask.radiogenomics.features import FEATURES, ManualMasks, feature_table, measure, remarks, select
from gliomask.radiogenomics.shape import asd, bevr, mf
from gliomask.radiogenomics.study import MANUAL, PREDICTED, analyse, label_table
from gliomask.reporting.radiogenomics.wording import caveats

Mask = NDArray[np.bool_]
SHORT = "an outline of fewer than 30 points: no ASD and MF"


class GivenMasks:
    """Masks by the number of the patient."""

    def __init__(self, *masks: Mask) -> None:
        self.masks = masks

    def read(self, patient: PatientRecord) -> Mask:
        return self.masks[int(patient.name.split("_")[2]) - 1000]


def with_stray(mask: Mask) -> Mask:
    """Return the mask with a small component far away."""
    found = np.pad(mask, ((0, 0), (0, 0), (0, 20)))
    found[0, 0, -2:] = True
    return found


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> DatasetIndex:
    root = tmp_path_factory.mktemp("tiny")
    tiny_dataset(root, patients=4, slices=3)
    return build_index(root, use_cache=False)


def test_every_feature_is_measured_both_ways() -> None:
    mask = ellipsoid_mask(5, 8, 8)
    alone, both = measure(mask), measure(with_stray(mask))
    assert alone["all"] == alone["largest"]
    assert list(alone["all"]) == list(FEATURES)
    assert (alone["all"]["asd"], alone["all"]["mf"], alone["all"]["bevr"]) == (asd(mask), mf(mask), bevr(mask))
    assert both["largest"] == pytest.approx(alone["all"])
    assert both["all"]["bevr"] < 0.5 * alone["all"]["bevr"]
    assert both["all"]["voxel_volume"] == alone["all"]["voxel_volume"] + 2


def test_of_equal_components_the_mean_is_taken() -> None:
    both = np.zeros((4, 4, 20), np.bool_)
    both[:2, :2, :2] = both[2, 2, 10:18] = True  # eight voxels each
    found = measure(both)["largest"]
    parts = [measure(part)["all"] for part in (both[:, :, :5], both[:, :, 5:])]
    assert found["bevr"] == pytest.approx(np.mean([part["bevr"] for part in parts]))
    assert found["maximum_diameter"] == pytest.approx(np.mean([part["maximum_diameter"] for part in parts]))


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((0, 0, 0), ["empty mask: no feature"]),
        ((1, 1, 1), [SHORT, "a single voxel: no elongation and flatness"]),
        ((1, 2, 2), [SHORT, "tumour in one slice: flatness is 0"]),
        ((1, 9, 9), ["tumour in one slice: flatness is 0"]),
        ((3, 9, 9), []),
    ],
)
def test_what_is_missing_is_said(shape: tuple[int, int, int], said: list[str]) -> None:
    mask = np.zeros((4, 10, 10), np.bool_)
    mask[tuple(slice(side) for side in shape)] = True
    values = measure(mask)["all"]
    assert remarks(mask, values) == said
    lacking = {name for name, value in values.items() if np.isnan(value)}
    assert bool(lacking) == any("no " in each for each in said)


def test_table_has_two_rows_a_patient_and_chooses_what_each_feature_is_defined_on(index: DatasetIndex) -> None:
    mask = ellipsoid_mask(1, 5, 5)
    stray = with_stray(mask)
    seen: list[object] = []
    table = feature_table(GivenMasks(mask, stray, stray & False, mask), index.patients, on_patient=seen.append)
    assert seen == [patient.name for patient in index.patients]
    assert table["components"].tolist() == ["all", "largest"] * 4
    chosen = select(table, ["bevr", "volume"])
    for patient, row in chosen.iterrows():
        number = int(str(patient).split("_")[2]) - 1000
        parts = measure((mask, stray, stray & False, mask)[number])
        expected = (parts["largest"]["bevr"], parts["all"]["volume"])
        assert tuple(row) == pytest.approx(expected, nan_ok=True)


def test_missing_slices_are_said(tmp_path: Path) -> None:
    (name, *_) = tiny_dataset(tmp_path, patients=1, slices=4)
    for path in (tmp_path / name).glob(f"{name}_2*.tif"):
        path.unlink()
    index = build_index(tmp_path, use_cache=False)
    assert "slices are missing in between" in feature_table(ManualMasks(index), index.patients)["remarks"][0]


def test_labels_are_found_by_patient_or_person_and_never_made_up(index: DatasetIndex) -> None:
    first, second, *_ = (patient.name for patient in index.patients)
    given = {first: {"kind": "a"}, second.rsplit("_", 1)[0]: {"kind": "b"}}
    table = label_table(index.patients, ["kind", "other"], given)
    assert table["kind"].tolist()[:2] == ["a", "b"]
    assert table["kind"].isna().sum() == len(index.patients) - 2
    assert table["other"].isna().all()
    clinical = label_table(index.patients, ["RNASeqCluster"])["RNASeqCluster"]
    assert clinical.tolist() == [patient.clinical["RNASeqCluster"] for patient in index.patients]


def test_predicted_masks_are_cut_at_their_own_median(index: DatasetIndex) -> None:
    masks = [np.pad(ellipsoid_mask(2, 4 + number, 4), ((0, 0), (9 - number, 0), (0, 4))) for number in range(4)]
    larger = [mask.repeat(2, axis=1) for mask in masks]
    tables = {
        kind: feature_table(GivenMasks(*each), index.patients) for kind, each in ((MANUAL, masks), (PREDICTED, larger))
    }
    study = analyse(tables, label_table(index.patients, ["RNASeqCluster"]), features=["voxel_volume"])
    manual, found = (study.associations[kind][0] for kind in (MANUAL, PREDICTED))
    assert found.cuts[0] == 2 * manual.cuts[0]
    assert found.table == manual.table


def test_truth_given_as_prediction_is_noticed(index: DatasetIndex) -> None:
    table = feature_table(ManualMasks(index), index.patients)
    study = analyse({MANUAL: table, PREDICTED: table}, label_table(index.patients, ["RNASeqCluster"]))
    facts: dict[str, Any] = {"spacing": None, "patients_seen_in_training": 0, "patients_without_prediction": []}
    assert any("was the truth itself given" in each for each in caveats(study, facts))
    assert any("had seen none of the patients" in each for each in caveats(study, facts))


def test_mask_that_is_absent_stops_the_study(index: DatasetIndex, tmp_path: Path) -> None:
    patient = index.patients[0]
    lost = DatasetIndex(tmp_path / "elsewhere", index.patients, (), "")
    with pytest.raises(DataError):
        ManualMasks(lost).read(patient)
