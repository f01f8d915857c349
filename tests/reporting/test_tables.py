"""Tables of slices and of clinical values agree with the index, blanks counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from builders import tiny_dataset
from gliomask.data.index import DatasetIndex, build_index
from gliomask.reporting.tables import clinical_figure, clinical_table, slice_table


@pytest.fixture
def index(tmp_path: Path) -> DatasetIndex:
    tiny_dataset(tmp_path / "data", patients=6, slices=3)
    return build_index(tmp_path / "data")


def with_clinical(index: DatasetIndex, values: list[dict[str, str]]) -> DatasetIndex:
    patients = (replace(patient, clinical=known) for patient, known in zip(index.patients, values, strict=True))
    return replace(index, patients=tuple(patients))


def widths(axes: Axes) -> list[float]:
    return [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]


def test_every_slice_has_a_row(index: DatasetIndex) -> None:
    table = slice_table(index)
    assert len(table) == index.slice_count
    assert table["tumour"].sum() == index.tumour_slice_count
    by_patient = table.groupby("patient")["tumour_pixels"].sum().to_dict()
    assert by_patient == {patient.name: patient.tumour_pixels for patient in index.patients}
    assert table["slice"].tolist() == [1, 2, 3] * 6
    assert set(table["height"]) == set(table["width"]) == {16}


def test_clinical_values_are_counted_and_blanks_are_missing(index: DatasetIndex) -> None:
    known = [{"grade": "2"}, {"grade": "10"}, {"grade": "2", "sex": "f"}, {}, {}, {"grade": "unclear"}]
    assert clinical_table(with_clinical(index, known)).to_numpy().tolist() == [
        ["grade", 4, 2, "2: 2, 10: 1, unclear: 1"],
        ["sex", 1, 5, "f: 1"],
    ]


def test_many_values_are_told_by_their_range(index: DatasetIndex) -> None:
    patients = tuple(
        replace(index.patients[0], name=f"TCGA_CS_{age}_20000101", clinical={"age": str(age)}) for age in range(5, 15)
    )
    assert clinical_table(replace(index, patients=patients))["values"].tolist() == ["5 to 14, 10 different"]


def test_column_that_is_blank_for_everybody_has_no_row(index: DatasetIndex) -> None:
    table = clinical_table(index)
    assert table["column"].tolist() == ["RNASeqCluster"]
    assert table["values"].tolist() == ["1: 2, 2: 2, 3: 2"]


def test_clinical_bars_are_known_and_missing(index: DatasetIndex) -> None:
    (axes,) = clinical_figure(with_clinical(index, [{"grade": "1"}, {"grade": "2"}, {}, {}, {}, {}])).axes
    assert widths(axes) == [2, 4]
    assert [bars.get_label() for bars in axes.containers] == ["known", "missing"]
    assert [text.get_text() for text in axes.texts] == ["4 missing"]


def test_without_clinical_values_the_figure_says_so(index: DatasetIndex) -> None:
    bare = with_clinical(index, [{}] * 6)
    assert clinical_table(bare).empty
    assert [text.get_text() for text in clinical_figure(bare).axes[0].texts] == ["no clinical values"]


def test_tables_of_nothing_have_their_columns() -> None:
    nothing = DatasetIndex(Path(), (), (), "")
    assert slice_table(nothing).empty
    assert "tumour_pixels" in slice_table(nothing)
    assert "missing" in clinical_table(nothing)
