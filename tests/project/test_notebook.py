"""The notebook is kept without outputs, runs as it stands, and its tables are what the index says."""

from __future__ import annotations

import base64
import io
import json
import re
import runpy
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from PIL import Image

import gliomask
from gliomask.data.index import DatasetIndex, build_index
from gliomask.volumes.phantom import write_phantoms
from places import ROOT

PATH = ROOT / "notebooks" / "exploration.ipynb"
SECTIONS = (
    "Patients", "Slices with and without tumour", "Sample images and masks", "Positive masks", "Tumour size",
    "Missing sequences", "Institutions", "Clinical table",
)  # fmt: skip
Cell = dict[str, Any]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebook") / "phantoms"
    write_phantoms(folder, patients=4, size=64)  # of seed 0: the first and the fourth lack a sequence
    return folder


@pytest.fixture(scope="module")
def index(data: Path) -> DatasetIndex:
    return build_index(data, use_cache=False)


@pytest.fixture(scope="module")
def cells(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Cell]:
    """Execute the notebook in a kernel of this interpreter that sees no settings of the person who runs the test."""
    import nbformat
    from nbclient import NotebookClient

    home = tmp_path_factory.mktemp("jupyter")
    notebook = nbformat.read(PATH, as_version=4)  # type: ignore[no-untyped-call]  # it has no types
    notebook.cells.append(nbformat.v4.new_code_cell("import sys\nsys.executable"))  # type: ignore[no-untyped-call]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLIOMASK_DATA", str(data))
        patch.setenv("PYTHONWARNINGS", "default")  # or deprecations outside the notebook's own cells pass unsaid
        for name in ("GLIOMASK_CACHE", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(home / name.lower()))
        NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    cells: list[Cell] = notebook.cells
    return cells


def stored() -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return notebook


def outputs(cells: list[Cell], kind: str) -> list[str]:
    found = (output.get("data", {}) for cell in cells for output in cell.get("outputs", []))
    return [content[kind] for content in found if kind in content]


def section(cells: list[Cell], title: str) -> list[Cell]:
    places = [place for place, cell in enumerate(cells) if cell["source"].startswith("## ")]
    titles = [cells[place]["source"].splitlines()[0].removeprefix("## ") for place in places]
    number = titles.index(title)
    return cells[places[number] : [*places, len(cells)][number + 1]]


def tables(cells: list[Cell], title: str) -> list[pd.DataFrame]:
    """Read the tables of a section as text, the names of rows as the first column."""
    found = []
    for html in outputs(section(cells, title), "text/html"):
        (match,) = re.findall(r"<table.*</table>", html, flags=re.DOTALL)
        rows = [["".join(cell.itertext()) for cell in row] for row in ET.fromstring(match).iter("tr")]  # noqa: S314
        found.append(pd.DataFrame(rows[1:], columns=rows[0]))
    return found


def test_notebook_is_kept_without_outputs() -> None:
    import nbformat

    notebook = stored()
    nbformat.validate(notebook)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert not any(cell.get("attachments") for cell in notebook["cells"])
    assert not re.search(r"image/png|data:image|base64", PATH.read_text(encoding="utf-8"))


def test_sections_are_the_expected_ones() -> None:
    texts = ("".join(cell["source"]) for cell in stored()["cells"] if cell["cell_type"] == "markdown")
    titles = [title for text in texts for title in re.findall(r"^## (.+)", text, flags=re.MULTILINE)]
    assert tuple(titles) == SECTIONS


def test_without_a_folder_the_notebook_makes_phantoms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[dict[str, int]] = []

    def few(out: Path, **options: int) -> None:
        asked.append(options)
        write_phantoms(out, patients=1, size=32)

    monkeypatch.delenv("GLIOMASK_DATA", raising=False)
    monkeypatch.setattr(gliomask, "write_phantoms", few)
    code = ("".join(cell["source"]) for cell in stored()["cells"] if cell["cell_type"] == "code")
    (source,) = (source for source in code if "GLIOMASK_DATA" in source)
    (tmp_path / "cell.py").write_text(source)
    names = runpy.run_path(str(tmp_path / "cell.py"))
    assert asked == [{"patients": 8, "size": 128}]
    assert len(names["patients"]) == len(names["index"].patients) == 1
    names["temporary"].cleanup()
    assert not names["index"].root.exists()


def test_kernel_is_this_interpreter(cells: list[Cell]) -> None:
    assert outputs(cells, "text/plain")[-1] == repr(sys.executable)


def test_nothing_is_said_on_the_side(cells: list[Cell]) -> None:
    kinds = {output["output_type"] for cell in cells for output in cell.get("outputs", [])}
    assert kinds <= {"execute_result", "display_data"}, kinds  # a stream would be a warning or a print


@pytest.mark.parametrize("title", SECTIONS)
def test_section_shows_a_figure(cells: list[Cell], title: str) -> None:
    pictures = outputs(section(cells, title), "image/png")
    assert pictures
    for picture in pictures:
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            assert min(image.size) > 300
            assert len(set(image.convert("L").tobytes())) > 9


def test_patients_are_those_of_the_index(cells: list[Cell], index: DatasetIndex) -> None:
    columns = ["patient", "institution", "slices", "tumour_slices", "tumour_pixels", "missing"]
    assert tables(cells, "Patients")[0][columns].to_numpy().tolist() == [
        [
            patient.name, patient.institution, str(len(patient.slices)), str(patient.tumour_slices),
            str(patient.tumour_pixels), ",".join(patient.missing),
        ]
        for patient in index.patients
    ]  # fmt: skip


def test_slices_are_counted(cells: list[Cell], index: DatasetIndex) -> None:
    slices, totals = tables(cells, "Slices with and without tumour")
    assert slices["patient"].iloc[0] == index.patients[0].name
    values = [float(value) for value in totals["value"]]
    empty = index.slice_count - index.tumour_slice_count
    assert values[:3] == [index.slice_count, index.tumour_slice_count, empty]
    assert values[3:] == [round(empty / index.slice_count, 4), 0]


def test_sizes_span_smallest_to_largest(cells: list[Cell], index: DatasetIndex) -> None:
    sizes, smallest = tables(cells, "Tumour size")
    volumes = sorted(patient.tumour_pixels for patient in index.patients)
    column = sizes.set_index("")["voxels per patient with tumour"].astype(float)
    assert (column["min"], column["max"]) == (volumes[0], volumes[-1])
    assert column["max / min"] == round(volumes[-1] / volumes[0], 1)
    assert smallest["tumour_pixels"].astype(int).tolist() == volumes


def test_missing_sequences_and_institutions_are_counted(cells: list[Cell], index: DatasetIndex) -> None:
    (missing,) = tables(cells, "Missing sequences")
    assert missing.iloc[-1].tolist()[-1] == str(len(index.patients))
    lacking = sum(bool(patient.missing) for patient in index.patients)
    assert int(missing.iloc[-1]["none"]) == len(index.patients) - lacking < len(index.patients)
    (institutions,) = tables(cells, "Institutions")
    assert institutions["slices"].iloc[1:].astype(int).sum() == index.slice_count


def test_clinical_values_are_joined_and_blanks_are_told(cells: list[Cell], index: DatasetIndex) -> None:
    joined, columns = tables(cells, "Clinical table")
    known = sum(len(patient.clinical) for patient in index.patients)
    assert columns["known"].astype(int).sum() == known
    blanks = len(index.patients) * len(columns) - known
    assert columns["missing"].astype(int).sum() == (joined == "missing").sum().sum() == blanks > 0
    age = dict(zip(joined.iloc[1:, 0], joined["age_at_initial_pathologic"].iloc[1:], strict=True))
    assert age == {patient.name: patient.clinical["age_at_initial_pathologic"] for patient in index.patients}
