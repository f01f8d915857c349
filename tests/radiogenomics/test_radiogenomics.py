"""The study as a whole: features of patients, tables in a folder, the page, the command, and the real patients."""

from __future__ import annotations

import csv
import json
import re
import shutil
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from builders import tiny_dataset
from gliomask.cli import radiogenomics as command
from gliomask.cli.app import main
from gliomask.data.cache import read_patient
from gliomask.data.index import DatasetIndex, build_index
from gliomask.evaluation.masks import write_masks
from gliomask.radiogenomics.association import SUBTYPES, associate, cluster_aucs
from gliomask.radiogenomics.features import FEATURES, ManualMasks, feature_table
from gliomask.radiogenomics.fisher import fisher_test
from gliomask.radiogenomics.shape import asd, bevr, mf
from gliomask.radiogenomics.study import MANUAL, PREDICTED, analyse, label_table
from gliomask.reporting.radiogenomics import page as page_part
from gliomask.reporting.radiogenomics.page import agreement_drawings, cluster_drawings, tiles
from gliomask.reporting.radiogenomics.wording import caveats, corrected_for, defined_agreements, p_text
from gliomask.reporting.radiogenomics.wording import test_rows as rows_of_tests
from gliomask.reporting.report.wording import NONE
from gliomask.volumes.nifti import write_mask_volume
from gliomask.volumes.phantom import write_phantoms
from places import PACKED, UNPACKED

Mask = NDArray[np.bool_]
SIZE, PATIENTS = 64, 6


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> DatasetIndex:
    root = tmp_path_factory.mktemp("tiny")
    tiny_dataset(root, patients=4, slices=3)
    return build_index(root, use_cache=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantoms") / "data"
    write_phantoms(root, patients=PATIENTS, seed=3, size=SIZE)
    return root


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """Masks of all patients but the last: moved, with a stray component; the first is empty."""
    folder, index = tmp_path_factory.mktemp("predicted") / "masks", build_index(data, use_cache=False)
    for number, patient in enumerate(index.patients[:-1]):
        mask = np.roll(ManualMasks(index).read(patient), number, axis=2) & (number > 0)
        mask[0, 0, :2] = number > 0
        write_masks(folder, patient, np.arange(len(mask)), mask)
    return folder


@pytest.fixture(scope="module")
def phantoms(data: Path) -> DatasetIndex:
    return build_index(data, use_cache=False)


@pytest.fixture(scope="module")
def study_folder(tmp_path_factory: pytest.TempPathFactory, data: Path, predicted: Path) -> Path:
    out = tmp_path_factory.mktemp("study") / "out"
    command = ["radiogenomics", str(data), "--masks", str(predicted), "--out", str(out), "--quiet"]
    assert main([*command, "--subtypes", "COCCluster", "RNASeqCluster"]) == 0
    return out


# --- features


# --- the command


def test_study_is_kept_in_tables_that_agree(study_folder: Path, data: Path) -> None:
    found = json.loads((study_folder / "summary.json").read_text())
    features = pd.read_csv(study_folder / "features.csv")
    assert features.groupby(["masks", "components"])["patient"].nunique().tolist() == [PATIENTS, PATIENTS, 5, 5]
    index = build_index(data, use_cache=False)
    mask = ManualMasks(index).read(index.patients[0])
    row = features[(features["patient"] == index.patients[0].name) & (features["masks"] == MANUAL)].iloc[1]
    assert row["bevr"] == pytest.approx(bevr(mask), rel=1e-6)
    tests = pd.read_csv(study_folder / "associations.csv")
    assert list(zip(tests["masks"], tests["feature"], tests["subtype"], strict=True)) == [
        (kind, feature, subtype)
        for kind in (MANUAL, PREDICTED)
        for feature in ("bevr", "asd", "mf")
        for subtype in ("COCCluster", "RNASeqCluster")
    ]
    for entry in found["associations"]:
        p = fisher_test(entry["table"]).p
        assert entry["p"] == (None if np.isnan(p) else pytest.approx(p))
        everybody = entry["patients"] + entry["unlabelled"] + entry["unmeasured"]
        assert everybody == (PATIENTS if entry["masks"] == MANUAL else PATIENTS - 1)
    assert {entry["left_out"] for entry in found["agreement"] if entry["feature"] == "bevr"} == {2}
    assert {entry["feature"] for entry in found["auc"]} == {"1/bevr", "asd", "mf"}
    assert not any("no independent confirmation" in caveat for caveat in found["caveats"])  # of simulated patients


def test_stray_components_spoil_bevr_and_the_largest_alone_does_not(study_folder: Path) -> None:
    found = json.loads((study_folder / "summary.json").read_text())
    by_components = {each["components"]: each for each in found["agreement"] if each["feature"] == "bevr"}
    assert by_components["largest"]["pearson"] > 0.99
    assert abs(by_components["all"]["bias"]) > 10 * abs(by_components["largest"]["bias"])


def test_page_says_what_must_be_known_and_needs_nothing_else(study_folder: Path) -> None:
    page = (study_folder / "report.html").read_text(encoding="utf-8")
    for words in (
        "The spacing of the slices is not known",
        "1 patient with an empty predicted mask",
        "1 patient without a predicted mask", "whose masks it predicted is not known",
    ):  # fmt: skip
        assert words in page
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", page.replace('xmlns:xlink="', ""))
    assert page.count("<svg") == 6 + 6  # features by subtypes, and two for each feature predicted against manual
    figures = sorted(path.name for path in (study_folder / "figures").iterdir())
    assert len(figures) == 12
    assert "bevr-rnaseqcluster.png" in figures


def test_command_prints_one_object_for_machines(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "labels.csv"
    names = [patient.name for patient in build_index(data, use_cache=False).patients]
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([["Patient", "a/b"], *([name, number % 2] for number, name in enumerate(names))])
    command = ["radiogenomics", str(data), "--labels", str(table), "--subtypes", "a/b", "--cut", "none", "--json"]
    command += ["--features", "volume", "--spacing", "2", "1", "1", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    (entry,) = found["associations"]
    assert (entry["feature"], entry["subtype"]) == ("volume", "a/b")
    assert (entry["test"], entry["patients"]) == ("Kruskal-Wallis", PATIENTS)
    assert (found["unit"], found["agreement"]) == ("mm", [])
    assert found == json.loads((tmp_path / "out" / "summary.json").read_text()) | {
        "page": found["page"], "figures": found["figures"],
    }  # fmt: skip
    assert "spacing of the slices is not known" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        (["--features", "roundness"], 2, "--features roundness; expected some of bevr, asd"),
        (["--spacing", "0", "1", "1"], 2, "expected three distances above 0"),
        (["--masks", "{empty}"], 1, "no mask of any patient"),
        (["--labels", "{empty}/none.csv"], 1, "unreadable table"),
        (["--subtypes", "RNAseqCluster"], 2, "data.csv of the data: no patient has a label of RNAseqCluster"),
        (["--labels", "{empty}/other.csv"], 2, "called like TCGA-DU-9001, 0 are of the patients, called like TCGA_"),
        (["--labels", "{empty}/key.csv"], 1, "expected comma-separated text with a column Patient; call the column"),
    ],
)
def test_wrong_input_is_told_in_one_line(
    options: list[str], status: int, told: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.csv").write_text("Patient,RNASeqCluster\nTCGA-DU-9001,1\n")
    (tmp_path / "key.csv").write_text("patient,RNASeqCluster\nTCGA_DU_9001,1\n")
    chosen = [option.format(empty=tmp_path) for option in options]
    assert main(["radiogenomics", str(data), *chosen, "--out", str(tmp_path / "out")]) == status
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_evaluation_is_not_written_over(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "summary.json").write_text('{"scores": {}}')
    assert main(["radiogenomics", str(data), "--out", str(tmp_path)]) == 2
    assert "summary.json is not of a radiogenomic study and would be replaced" in capsys.readouterr().err
    assert (tmp_path / "summary.json").read_text() == '{"scores": {}}'


def test_the_page_of_a_run_is_not_written_over(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["radiogenomics", str(data), "--quiet", "--out", str(tmp_path / "run")]
    page = tmp_path / "run" / "report.html"
    page.parent.mkdir()
    page.write_text("of a run")
    assert main(command) == 2
    told = capsys.readouterr().err
    assert "report.html is not of a radiogenomic study and would be replaced; choose another --out" in told
    assert [(path.name, path.read_text()) for path in page.parent.iterdir()] == [("report.html", "of a run")]
    page.unlink()
    for _ in range(2):  # its own is replaced
        assert main(command) == 0
        assert "Radiogenomic study" in page.read_text(encoding="utf-8")
        page.write_text("of an earlier study")


def test_an_interrupted_study_can_be_made_again(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    call = ["radiogenomics", str(data), "--quiet", "--out", str(tmp_path)]
    monkeypatch.setattr(page_part, "cluster_drawings", lambda _: [])  # what is drawn does not matter here
    places: tuple[tuple[object, str], ...] = ((pd.DataFrame, "to_csv"), (page_part, "write_figures"))
    for where, name in places:
        for _ in range(2):  # of the first study of the folder, and of another one
            with monkeypatch.context() as patched:
                patched.setattr(where, name, interrupt)
                assert main(call) == 130
            assert main(call) == 0


def evaluation(phantoms: DatasetIndex, **facts: object) -> str:
    known = {"data_fingerprint": phantoms.fingerprint, "masks": "masks", "patients_seen_in_training": 0}
    return json.dumps(known | facts)


@pytest.mark.parametrize(
    ("facts", "seen"),
    [
        ({}, 0), ({"patients_seen_in_training": 3}, 3), ({"data_fingerprint": "of other data"}, None),
        ({"masks": "elsewhere"}, None), ({"masks": None}, None),
    ],
)  # fmt: skip
def test_only_the_evaluation_of_these_masks_tells_who_was_seen(
    phantoms: DatasetIndex, predicted: Path, tmp_path: Path, facts: dict[str, object], seen: int | None
) -> None:
    shutil.copytree(predicted, tmp_path / "masks")
    (tmp_path / "summary.json").write_text(evaluation(phantoms, **facts))
    for given in (tmp_path / "masks", tmp_path):
        assert command._predicted(given, phantoms)[1]["patients_seen_in_training"] == seen
    for text in ("[]", "no JSON", '{"foreground_mean": 1}'):  # what other programs call summary.json
        (tmp_path / "summary.json").write_text(text)
        assert command._predicted(tmp_path / "masks", phantoms)[1]["patients_seen_in_training"] is None


def ticks_and_marks(axes: Axes) -> tuple[list[str], list[int]]:
    ticks = [each.get_text() for each in axes.get_xticklabels()]
    return ticks, [len(np.asarray(line.get_xdata())) for line in axes.lines]


def test_a_person_counts_once(phantoms: DatasetIndex) -> None:
    table = feature_table(ManualMasks(phantoms), phantoms.patients)
    again = table.assign(patient=table["patient"].str.replace(r"_\d{8}$", "_20300101", regex=True))
    names = again["patient"].unique().tolist()
    labels = label_table(phantoms.patients, ["COCCluster"])
    both = pd.concat([labels, labels.set_axis(names)])
    once = analyse({MANUAL: table}, labels)
    twice = analyse({MANUAL: pd.concat([table, again])}, both)
    assert twice.repeated == tuple(names)
    assert repr(twice.aucs) == repr(once.aucs)  # where there is no interval, NaN is not NaN
    for one, other in zip(once.associations[MANUAL], twice.associations[MANUAL], strict=True):
        assert one.p == pytest.approx(other.p, nan_ok=True)
        assert (one.patients, one.table) == (other.patients, other.table)
    said = f"{len(names)} further scans of a person who counts once, measured and not tested: {', '.join(names)}"
    assert said in caveats(twice, {"spacing": (1, 1, 1)})
    told = [{drawing.name: drawing.draw().axes[0] for drawing in cluster_drawings(study)} for study in (once, twice)]
    assert told[0].keys() == told[1].keys() != set()
    for name, axes in told[0].items():
        assert ticks_and_marks(axes) == ticks_and_marks(told[1][name])


def test_a_person_is_compared_once(phantoms: DatasetIndex) -> None:
    manual = feature_table(ManualMasks(phantoms), phantoms.patients)
    predicted = manual.assign(**{name: manual[name] * factor for name, factor in (("volume", 1.1), ("bevr", 0.9))})
    first = phantoms.patients[0].name
    again = re.sub(r"_\d{8}$", "_20300101", first)
    labels = label_table(phantoms.patients, ["COCCluster"])
    once = analyse({MANUAL: manual, PREDICTED: predicted}, labels)
    more = [
        pd.concat([table, table[table["patient"] == first].assign(patient=again, volume=size, bevr=size)])
        for table, size in ((manual, 1.0), (predicted, 1e6))
    ]
    both = pd.concat([labels, labels.loc[[first]].set_axis([again])])
    twice = analyse(dict(zip((MANUAL, PREDICTED), more, strict=True)), both)
    assert repr(twice.agreements) == repr(once.agreements)
    assert [each.patients for each in defined_agreements(twice)] == [len(phantoms.patients)] * len(FEATURES)
    facts = {"spacing": (1, 1, 1), "patients_seen_in_training": 0, "patients_without_prediction": []}
    told = f"1 further scan of a person who counts once, measured and neither tested nor compared: {again}"
    assert told in caveats(twice, facts)
    drawn = [[ticks_and_marks(each.draw().axes[0]) for each in agreement_drawings(study)] for study in (once, twice)]
    assert drawn[0] == drawn[1] != []


def test_only_patients_without_a_label_are_said_to_have_none(phantoms: DatasetIndex) -> None:
    first = phantoms.patients[0].name
    again = re.sub(r"_\d{8}$", "_20300101", first)
    labels = pd.DataFrame({"x": {first: "1", again: None}}, dtype="object")
    table = feature_table(ManualMasks(phantoms), phantoms.patients[:1])
    study = analyse({MANUAL: table}, labels)
    assert not any("without a label" in each for each in caveats(study, {"spacing": (1, 1, 1)}))


def test_corrections_say_for_how_many_tests_they_are(phantoms: DatasetIndex) -> None:
    table = feature_table(ManualMasks(phantoms), phantoms.patients)
    labels = label_table(phantoms.patients, ["COCCluster"]).assign(nothing=None)
    study = analyse({MANUAL: table, PREDICTED: table[table["patient"] == phantoms.patients[0].name]}, labels)
    known = [each for each in study.associations[MANUAL] if not np.isnan(each.p)]
    assert 0 < len(known) < len(study.associations[MANUAL])
    assert all(each.bonferroni == min(1, len(known) * each.p) for each in known)
    assert corrected_for(study) == f"{len(known)} tests of manual masks and 0 tests of predicted masks"
    assert corrected_for(analyse({MANUAL: table}, labels)) == f"{len(known)} tests of one kind of masks"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("2.0", "2"), ("2", "2"), ("NA", None), ("nan", None), (" [Not Available]", None), ("1.5", "1.5"),
        ("IDH", "IDH"), ("", None),
    ],
)  # fmt: skip
def test_labels_mean_the_same_whatever_program_saved_them(phantoms: DatasetIndex, text: str, label: str | None) -> None:
    patient = phantoms.patients[0]
    assert label_table([patient], ["x"], {patient.name: {"x": text}}).loc[patient.name, "x"] == label


def test_published_numbers_stand_beside_those_of_the_same_patients_alone(phantoms: DatasetIndex) -> None:
    table, labels = feature_table(ManualMasks(phantoms), phantoms.patients), label_table(phantoms.patients, SUBTYPES)
    simulated = analyse({MANUAL: table}, labels)
    names = {name: f"TCGA_CS_49{number:02d}_20000101" for number, name in enumerate(labels.index)}
    public = analyse({MANUAL: table.replace(names)}, labels.rename(names))
    assert {row.published for row in rows_of_tests(simulated)} == {NONE}
    assert "< 0.0002" in {row.published for row in rows_of_tests(public)}
    uncut = analyse({MANUAL: table.replace(names)}, labels.rename(names), cut="none")
    assert {row.published for row in rows_of_tests(uncut)} == {NONE}  # another test
    p_values = [[tile.more for tile in tiles(study) if "p =" in tile.value] for study in (public, uncut, simulated)]
    assert [["published" in each for each in found] for found in p_values] == [[True], [False], [False]]
    assert any("no independent confirmation" in each for each in caveats(public, {"spacing": None}))


def test_spacing_that_all_masks_say_is_used(
    index: DatasetIndex, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for patient in index.patients:
        write_mask_volume(
            tmp_path / "masks" / f"{patient.name}.nii.gz", read_patient(index.root, patient)[1], (6, 1, 1)
        )
    given = ["radiogenomics", str(index.root), "--masks", str(tmp_path / "masks"), "--json", "--out"]
    assert main([*given, str(tmp_path / "one")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["spacing"], found["unit"]) == ([6, 1, 1], "mm")
    write_mask_volume(tmp_path / "masks" / f"{patient.name}.nii.gz", read_patient(index.root, patient)[1], (5, 1, 1))
    assert main([*given, str(tmp_path / "two")]) == 0
    assert json.loads(capsys.readouterr().out)["unit"] == "voxels"


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0000123, "1.2e\u22125"), (0.0199, "0.020"), (0.5, "0.50"), (1.0, "1.0"), (float("nan"), "\u2013")],
)
def test_p_values_have_two_digits(p: float, text: str) -> None:
    assert p_text(p) == text


# --- the real patients


def real_masks() -> dict[str, Mask]:
    """Return the manual mask of every real patient at hand."""
    if not PACKED.is_dir():
        index = build_index(UNPACKED)
        return {patient.name: ManualMasks(index).read(patient) for patient in index.patients}
    found = {}
    for path in sorted((PACKED / "patients").glob("*.zip")):
        with zipfile.ZipFile(path) as packed:
            names = [name for name in packed.namelist() if name.endswith("_mask.png")]
            names.sort(key=lambda name: int(name.rsplit("_", 2)[1]))
            planes = [np.array(Image.open(BytesIO(packed.read(name)))) for name in names]
        found[path.stem] = np.stack(planes) > 0
    return found


@pytest.mark.slices
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_real_patients_have_the_quartiles_and_the_association_of_all_110() -> None:
    masks = real_masks()
    if len(masks) < 90:
        pytest.skip(f"{len(masks)} patients; quartiles are compared from 90 on")
    values = pd.DataFrame({"bevr": bevr(mask), "asd": asd(mask), "mf": mf(mask)} for mask in masks.values())
    values.index = pd.Index(masks)
    rng = np.random.default_rng(0)
    known = {"bevr": (0.323, 0.380, 0.436), "asd": (0.070, 0.091, 0.109), "mf": (0.039, 0.048, 0.061)}
    for feature, quartiles in known.items():
        drawn = rng.choice(values[feature].to_numpy(float), (2000, len(values)))
        error = np.quantile(drawn, (0.25, 0.5, 0.75), axis=1).std(axis=1)
        found = values[feature].quantile([0.25, 0.5, 0.75]).to_numpy()
        assert (np.abs(found - quartiles) < np.minimum(2 * error, 0.05 * np.array(quartiles))).all(), feature
    folder = PACKED if PACKED.is_dir() else UNPACKED
    table = pd.read_csv(folder / "data.csv", dtype=str).set_index("Patient")
    labels = table.loc[[name.rsplit("_", 1)[0] for name in masks], list(SUBTYPES)].set_axis(list(masks))
    tests = {(each.feature, each.subtype): each.p for each in associate(values, labels)}
    assert tests["bevr", "RNASeqCluster"] < 0.005  # Bonferroni's bound for the ten hypotheses of the publication
    areas = {(each.feature, each.subtype, each.cluster): each for each in cluster_aucs(1 / values, labels)}
    area = areas["bevr", "RNASeqCluster", "2"]
    assert area.low < 0.786 < area.high
