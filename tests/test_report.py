"""The page about a run: everything the evaluation knows is in it, nothing outside of it is needed."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from builders import make_slice, patient_name, tiny_dataset, write_patient
from gliomask.cli.report import main
from gliomask.config import SplitConfig, TrainConfig, save_config
from gliomask.data.cache import read_patient
from gliomask.data.index import DatasetIndex, PatientRecord, build_index
from gliomask.data.split import make_split, save_split
from gliomask.errors import DataError, UsageError
from gliomask.evaluation import summary
from gliomask.evaluation.evaluate import GivenMasks, Segmentation, evaluate
from gliomask.evaluation.masks import MaskFolder, write_masks
from gliomask.evaluation.results import find_evaluation, write_evaluation
from gliomask.files import file_sha256
from gliomask.models.contract import ModelContract, write_contract
from gliomask.reporting.report import page as page_module
from gliomask.reporting.report.curves import kept_epoch
from gliomask.reporting.report.drawings import calibration_drawings, training_drawings
from gliomask.reporting.report.page import Report
from gliomask.reporting.report.pictures import crop_box, encode, profile_path, svg_path
from gliomask.reporting.report.provenance import training_rows, training_table
from gliomask.reporting.report.sources import read_scored, read_trainings
from gliomask.reporting.report.svg import PAGE_INK, chart_style
from gliomask.reporting.report.viewer import choose_cases, read_cases
from gliomask.reporting.report.wording import OF_WHOLE_VOLUMES, number, score_rows
from gliomask.training.run_folder import RunFolder
from gliomask.volumes.nifti import write_mask_volume

SIZE, SLICES = 48, 5
MISSED = patient_name(0)  # a tumour of one pixel, which the prediction is one pixel beside


class OneMore:
    """Masks that are the truth and one pixel in a corner."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def segment(self, patient: PatientRecord, _: NDArray[np.uint8]) -> Segmentation:
        mask = read_patient(self.root, patient)[1].copy()
        mask[0, 0, 0] = True
        return Segmentation(mask, None)

    def spacing(self, _: PatientRecord) -> None:
        return None

    def remarks(self) -> list[str]:
        return []


class ShiftedTruth:
    """Masks that are the truth moved by one pixel."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def segment(self, patient: PatientRecord, _: NDArray[np.uint8]) -> Segmentation:
        mask = np.roll(read_patient(self.root, patient)[1], 1, axis=2)
        return Segmentation(mask, np.where(mask, 0.9, 0.1).astype(np.float32))

    def spacing(self, _: PatientRecord) -> None:
        return None

    def remarks(self) -> list[str]:
        return []


def write_scored(
    folder: Path, index: DatasetIndex, positions: NDArray[np.int64] | None = None, *, masks: bool = True,
    source: type[ShiftedTruth] | type[OneMore] = ShiftedTruth, **facts: Any,
) -> Path:  # fmt: skip
    evaluation = evaluate(source(index.root), index, positions, masks_to=folder / "masks" if masks else None)
    known = {
        "model": "tiny", "subset": "test", "split": "patient", "threshold": 0.5, "data": str(index.root),
        "data_fingerprint": index.fingerprint, "spacing": None, "slices": index.slice_count,
        "patients_seen_in_training": 0, "whole_patients": True, "caveats": [], "model_sha256": [],
        "masks": "masks" if masks else None,
    }  # fmt: skip
    write_evaluation(evaluation, folder, known | facts)
    return folder


def write_run(folder: Path, index: DatasetIndex, split: SplitConfig, *, epochs: int = 3) -> Path:
    run, config = RunFolder(folder), TrainConfig(split=split)
    folder.mkdir(parents=True)
    save_config(config, run.config_file)
    save_split(make_split(index, split), run.split_file)
    run.write_json(
        run.environment_file, {"versions": {"torch": "9.8.7"}, "processor": "Abacus", "git_commit": "c0ffee"}
    )
    names = ("epoch", "val_loss", "val_dice", "train_loss", "train_dice_pooled", "learning_rate")
    run.write_metrics([dict.fromkeys(names, 0.1 * epoch) | {"epoch": float(epoch)} for epoch in range(epochs)])
    run.model.write_bytes(b"weights")
    write_contract(
        ModelContract(
            name=folder.name, architecture="unet", image_size=256, normalisation="volume", threshold=0.5, training={},
            scores={}, versions={}, onnx_sha256=file_sha256(run.model),
        ),
        run.contract,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> DatasetIndex:
    root = tmp_path_factory.mktemp("data")
    tiny_dataset(root, patients=6, slices=SLICES, size=SIZE)
    return build_index(root, use_cache=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, index: DatasetIndex) -> Path:
    folder = write_run(tmp_path_factory.mktemp("runs") / "tiny", index, SplitConfig())
    write_scored(folder / "test", index, caveats=["two of these patients were seen"])
    assert main([str(folder), "--figures", str(folder / "figures"), "--quiet"]) == 0
    return folder


@pytest.fixture
def html(run: Path) -> str:
    return (run / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def without_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts take most of a page's time."""
    for name in ("patient_drawings", "calibration_drawings", "training_drawings"):
        monkeypatch.setattr(page_module, name, lambda _: [])


@pytest.fixture
def scored_alone(tmp_path: Path, index: DatasetIndex, without_charts: None) -> Path:
    """An evaluation to be changed; its page is made without charts."""
    return write_scored(tmp_path / "scored", index)


def change_summary(folder: Path, **values: Any) -> None:
    path = folder / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def page_of(folder: Path, *options: str) -> str:
    assert main(["--evaluation", str(folder), "--quiet", *options]) == 0
    return (folder / "report.html").read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Start tags with their attributes, and names of tags that were left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "img", "input"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] or "" for _, attributes in self.found if attribute in attributes]


def test_every_score_is_in_the_page_with_its_interval(run: Path, html: str) -> None:
    scores = read_scored(run / "test").facts["scores"]
    rows = score_rows(scores, "pixels")
    assert [row.key for row in rows] == list(scores)
    for row in rows:
        for text in (
            f"<code>{row.key}</code>",
            escape(row.meaning, quote=False),
            f">{row.value}<",
            f">{row.interval}<",
        ):
            assert text.replace("'", "&#39;") in html, row.key
    assert f"score {scores['dice_slice_all']['predicting_nothing']:.3f} here" in html


def test_headline_says_what_the_number_means(html: str) -> None:
    text = " ".join(html.split())
    assert "once for each of 6 patients over the whole volume, 30 slices in all" in text
    assert "The model had seen none of them in training." in text
    assert "<li>Two of these patients were seen.</li>" in text


def test_every_patient_is_in_the_page(html: str, index: DatasetIndex) -> None:
    assert all(f'<th scope="row">{patient.name}</th>' in html for patient in index.patients)


def test_missed_tumours_are_listed_with_institution_and_size(html: str) -> None:
    section = html.partition('id="missed"')[2].partition("</section>")[0]
    assert "1 patient of 6 with Dice below 0.1" in section
    assert re.findall(r'<th scope="row">([^<]+)</th><td>(\w\w)</td><td class="n">([\d.]+)</td>', section) == [
        (MISSED, "CS", "0.000")
    ]
    assert f'<td class="n">{SLICES - 1}</td>' in section


def test_nothing_is_asked_of_a_network(html: str) -> None:
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html
    tags = Tags(html)
    addresses = [*tags.values("src"), *tags.values("href"), *re.findall(r"url\(([^)]*)\)", html)]
    assert len(addresses) > 10
    assert {address.partition(",")[0] for address in addresses if not address.startswith("#")} == {
        "data:", "data:image/jpeg;base64"
    }  # fmt: skip


def test_policy_forbids_all_but_what_is_in_the_page(html: str) -> None:
    policy = next(attributes["content"] for _, attributes in Tags(html).found if "http-equiv" in attributes)
    assert policy is not None
    assert policy.split("; ")[:2] == ["default-src 'none'", "img-src data:"]


def test_page_is_well_formed_and_its_ids_are_unique(html: str) -> None:
    tags = Tags(html)
    assert tags.open == []
    ids = tags.values("id")
    assert len(ids) == len(set(ids))
    assert {address[1:] for address in tags.values("href") if address.startswith("#")} <= set(ids)


def test_same_input_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    assert main([str(run), "--out", str(tmp_path / "again.html"), "--quiet"]) == 0
    assert (tmp_path / "again.html").read_bytes() == (run / "report.html").read_bytes()


def test_charts_take_the_ink_of_the_page_and_are_described(html: str) -> None:
    charts = re.findall(
        r"<svg .*?</svg>", html.partition('id="slices"')[0] + html.partition('id="calibration"')[2], re.S
    )
    assert len(charts) == 8
    for chart in charts:
        assert re.match(r'<svg viewBox="[^"]+" role="img" aria-label="[^"]{15,}"', chart)
        assert "currentColor" in chart
        assert not re.search(r"(fill|stroke): #", chart)
        assert "<text" in chart
        assert "DejaVu" not in chart


def test_every_axis_has_its_unit(run: Path) -> None:
    report = Report("tiny", read_scored(run / "test"), read_trainings(run))
    drawings = [drawing for part in report.drawings().values() for drawing in part]
    labels = []
    for drawing in drawings:
        with chart_style(PAGE_INK):
            figure = drawing.draw()
        labels += [label for axes in figure.axes for label in (axes.get_xlabel(), axes.get_ylabel()) if label]
        assert drawing.caption.endswith(".")
    assert len(labels) >= 2 * len(drawings)
    assert [label for label in labels if not re.search(r"\(.+\)$", label)] == []


@pytest.mark.parametrize(
    ("keep", "epoch", "told"),
    [("best", 2, "the epoch with the highest validation Dice"), ("last", 3, "the last epoch")],
)
def test_the_epoch_that_was_kept_is_marked_and_said(run: Path, keep: str, epoch: int, told: str) -> None:
    first = read_trainings(run)[0]
    config = first.config | {"optimisation": first.config["optimisation"] | {"keep": keep}}
    metrics = [{"epoch": float(number), "val_dice": dice} for number, dice in enumerate((0.2, 0.6, 0.4))]
    training = replace(first, config=config, metrics=metrics)
    assert kept_epoch(training) == (epoch, metrics[epoch - 1]["val_dice"])
    (drawing,) = training_drawings([training])
    assert f"The weights of {told}" in drawing.caption


def test_a_training_that_goes_on_says_from_what(run: Path) -> None:
    first = read_trainings(run)[0]
    scored = read_scored(run / "test")
    assert ("Encoder weights", "none") in training_rows([first], scored)
    config = first.config | {
        "model": first.config["model"] | {"weights": "runs/before"},
        "optimisation": first.config["optimisation"] | {"start_share": 0.5, "keep": "last"},
    }
    going_on = replace(
        first, config=config, metrics=[{"epoch": 0.0, "train_loss": 1.0}, {"epoch": 1.0, "train_loss": 0.9}]
    )
    assert ("Goes on from", "runs/before; what is kept holds 0.5 of it") in training_rows([going_on], scored)
    assert [row.kept for row in training_table([going_on])] == ["2"]  # without validation the last one
    going_on = replace(going_on, metrics=[{"epoch": 0.0, "val_dice": 0.5}])
    (drawing,) = training_drawings([going_on])
    assert "The weights of the last epoch, in a mean with those it began with, are kept" in drawing.caption


def test_what_the_model_was_shown_is_told(scored_alone: Path) -> None:
    change_summary(
        scored_alone, view={"flair_alone": True, "one_by_one": False, "flips": False}, precision="int8", split="all",
        model_sha256=["0" * 64],
    )  # fmt: skip
    page = page_of(scored_alone)
    assert "FLAIR alone" in page
    assert "int8" in page
    assert "split by <b>all" not in page
    assert "how the model was trained is not known here" in page


def test_figures_are_written_as_png_where_they_are_asked_for(run: Path) -> None:
    assert len(list((run / "figures").glob("*.png"))) == 8
    assert list(run.glob("*.png")) == []


def test_provenance_tells_settings_versions_code_and_machine(run: Path, html: str) -> None:
    for text in ("9.8.7", "Abacus", "c0ffee", "optimisation.learning_rate", file_sha256(run / "model.onnx")):
        assert text in html
    assert re.search(r">4 patients</td>.*>1 patient</td>.*>1 patient</td>.*>3</td>.*>3</td>.*>0.200</td>", html)
    assert read_scored(run / "test").facts["data_fingerprint"] in html


def test_slices_begin_with_the_largest_tumour_and_need_no_script(html: str, index: DatasetIndex) -> None:
    figures = html.split('<figure class="viewer"')[1:]
    assert [re.findall(r'"rank">(\w+)', figure)[0] for figure in figures] == ["best", "median", "worst"]
    for figure in figures:
        values = json.loads(figure.partition('<script type="application/json">')[2].partition("</script>")[0])
        assert [value["number"] for value in values] == list(range(1, SLICES + 1))
        first = values[1]  # slices 2 to 5 have equal tumours, slice 1 has none
        stage = figure.partition('<div class="controls">')[0]
        assert all(first[name] and first[name] in stage for name in ("picture", "truth", "prediction"))
        assert values[0]["truth"] == values[0]["prediction"] == ""
        assert values[0]["dice"] == "no tumour, none found"


def test_page_is_made_without_slices_where_the_data_are_gone(
    scored_alone: Path, index: DatasetIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    change_summary(scored_alone, data="/nowhere/at/all")
    text = page_of(scored_alone)
    assert "The slices are left out: /nowhere/at/all: no such folder" in text
    assert "without slices" in capsys.readouterr().err
    assert 'class="viewer"' not in text
    assert 'class="viewer"' in page_of(scored_alone, "--data", str(index.root))


def test_page_is_made_without_slices_where_the_data_are_others(scored_alone: Path) -> None:
    change_summary(scored_alone, data_fingerprint="abcdefabcdef" + 52 * "0")
    text = page_of(scored_alone)
    assert "The slices are left out" in text
    assert "expected abcdefabcdef, which was scored" in text


def test_page_is_made_without_slices_where_masks_were_not_kept(scored_alone: Path) -> None:
    shutil.rmtree(scored_alone / "masks")
    assert "without --no-masks" in page_of(scored_alone)


def test_masks_of_another_program_have_no_training_and_no_calibration(scored_alone: Path) -> None:
    masks = (scored_alone / "masks").rename(scored_alone.parent / "given")
    change_summary(scored_alone, model=str(masks), masks=str(masks), threshold=None, split=None, calibration=None)
    text = page_of(scored_alone)
    assert 'class="viewer"' in text
    assert 'id="training"' not in text
    assert "without probabilities" in text


def test_names_cannot_break_the_page(scored_alone: Path) -> None:
    evil = "</script><b>\"'&{{ 7 * 7 }}"
    table = pd.read_csv(scored_alone / "patients.csv", keep_default_na=False)
    table["institution"] = evil
    table.to_csv(scored_alone / "patients.csv", index=False)
    groups = {"institution": {evil: json.loads((scored_alone / "summary.json").read_text())["scores"]["dice_patient"]}}
    change_summary(scored_alone, groups=groups, model=evil, caveats=[evil])
    folder = scored_alone.rename(scored_alone.with_name("<i>&amp;"))
    text = page_of(folder)
    assert '<b>"' not in text
    assert "<i>&amp;" not in text
    assert "{{ 7 * 7 }}" in text
    assert Tags(text).open == []


def test_scores_that_are_unknown_are_dashes() -> None:
    rows = score_rows({"hd95_patient": None, "dice_pooled": {"mean": 1.0, "low": None, "high": None}}, "mm")
    assert [(row.value, row.interval) for row in rows] == [("\u2013", "\u2013"), ("1.000", "\u2013")]
    assert number(float("nan")) == "\u2013"


def test_unknown_scores_are_shown_by_their_key() -> None:
    row = score_rows({"beauty_patient": {"mean": 0.5, "low": 0.25, "high": 0.75}}, "mm")[0]
    assert (row.name, row.value, row.interval) == ("beauty patient", "0.500", "0.250 to 0.750")


def test_signs_and_units_go_with_their_numbers() -> None:
    scores = {
        "volume_error_patient": {"mean": -0.1, "low": -0.2, "high": 0.3, "median": -0.15, "patients": 4},
        "hd95_patient": {"mean": 7.25, "low": 1.0, "high": 12.0, "median": 5.0, "patients": 4},
    }
    rows = score_rows(scores, "mm")
    assert [(row.value, row.interval) for row in rows] == [
        ("\u221210.0 %", "\u221220.0 % to +30.0 %"),
        ("7.2 mm", "1.0 to 12.0 mm"),
    ]


@pytest.mark.usefixtures("without_charts")
def test_no_missed_tumour_is_said(tmp_path: Path, index: DatasetIndex) -> None:
    text = page_of(write_scored(tmp_path, index, source=OneMore))
    assert "None was missed: Dice is at least 0.1 in every patient with tumour.</p>" in text


@pytest.mark.usefixtures("without_charts")
def test_a_false_alarm_in_a_healthy_patient_is_no_missed_tumour(tmp_path: Path) -> None:
    tiny_dataset(tmp_path / "data", patients=3, slices=SLICES, size=SIZE)
    write_patient(tmp_path / "data", patient_name(3), SLICES, SIZE, tumour=0)
    text = page_of(write_scored(tmp_path / "scored", build_index(tmp_path / "data"), source=OneMore))
    assert "None was missed" in text
    assert "1 of the 1 patient without tumour had some predicted." in text


def test_distances_that_some_patients_lack_are_not_given() -> None:
    assert {*(f"{name}_patient" for name in summary.OF_WHOLE_VOLUMES), "lesions"} == OF_WHOLE_VOLUMES
    for name in OF_WHOLE_VOLUMES:
        assert score_rows({name: None}, "mm")[0].meaning.startswith("Not given: it needs every slice")
    assert score_rows({"dice_slice_tumour": None}, "mm")[0].meaning == "There was nothing to average."


@pytest.mark.parametrize(("fraction", "told"), [(0.1, True), (0.0, False), (None, False)])
def test_other_thresholds_say_that_small_components_count(
    tmp_path: Path, index: DatasetIndex, fraction: float | None, told: bool
) -> None:
    folder = write_scored(tmp_path, index, smallest_component=fraction)
    thresholds = calibration_drawings(read_scored(folder))[1]
    assert ("before small components are left out" in thresholds.caption) is told


@pytest.mark.parametrize(
    ("values", "chosen"),
    [
        ([0.5], [("only", "A")]),
        ([0.5, 0.9], [("best", "B"), ("worst", "A")]),
        ([0.2, 0.9, 0.4, 0.5, 0.1], [("best", "B"), ("median", "C"), ("worst", "E")]),
        ([0.5, 0.5, 0.5], [("best", "A"), ("median", "B"), ("worst", "C")]),
    ],
)
def test_best_median_and_worst_patient_are_shown(values: list[float], chosen: list[tuple[str, str]]) -> None:
    assert choose_cases(pd.DataFrame({"patient": list("ABCDE")[: len(values)], "dice": values})) == chosen


def test_only_scored_slices_are_shown(tmp_path: Path, index: DatasetIndex) -> None:
    rows = np.array([row for row in range(index.slice_count) if row % SLICES != 2], np.int64)
    scored = read_scored(write_scored(tmp_path / "some", index, rows))
    assert [view.number for view in read_cases(scored)[0].slices] == [1, 2, 4, 5]


@pytest.mark.parametrize("kept", ["files", "volumes"])
def test_each_slice_has_its_own_mask(tmp_path: Path, index: DatasetIndex, kept: str) -> None:
    """A part of the slices is scored, with masks that each have pixels of their own, one of them none at all."""
    folder, rows = tmp_path / kept, np.arange(index.slice_count)[np.arange(index.slice_count) % SLICES != 1]
    masks = {each.name: read_patient(index.root, each)[1].copy() for each in index.patients}
    for mask in masks.values():
        mask[2] = False
        for place in (0, 1, 3, 4):
            mask[place, place, place : 2 * place + 1] = True
    for patient in index.patients:
        if kept == "volumes":
            write_mask_volume(folder / f"{patient.name}.nii.gz", masks[patient.name])
        else:
            write_masks(folder, patient, np.arange(SLICES), masks[patient.name])
    scored = read_scored(write_scored(tmp_path / "some", index, rows, masks=False))
    evaluation = evaluate(GivenMasks(MaskFolder(folder)), index, rows)
    cases = read_cases(replace(scored, evaluation=evaluation, facts=scored.facts | {"masks": str(folder)}))
    assert len(cases) == 3
    for case in cases:
        places = [view.number - 1 for view in case.slices]
        assert places == [0, 2, 3, 4]
        truth = read_patient(index.root, index.patient(case.patient))[1][places]
        expected = masks[case.patient][places]
        box = crop_box(read_patient(index.root, index.patient(case.patient))[0][places], [truth, expected])
        assert [view.prediction for view in case.slices] == [svg_path(plane[box]) for plane in expected]
        assert [view.truth for view in case.slices] == [svg_path(plane[box]) for plane in truth]
        assert case.slices[1].prediction == ""


def test_pictures_keep_to_their_budget() -> None:
    planes = np.stack([make_slice(seed, 64)[..., 0] for seed in range(4)])
    fine = sum(map(len, encode(planes, 10**6)))
    assert fine > 8000
    assert sum(map(len, encode(planes, 8000))) <= 8000


def test_outline_runs_around_the_pixels_in_the_pictures_own_grid() -> None:
    mask = np.zeros((4, 5), np.bool_)
    mask[1:3, 2:4] = True
    path = svg_path(mask)
    numbers = np.array(re.findall(r"[\d.]+", path), float).reshape(-1, 2)
    assert numbers.min(axis=0).tolist() == [2, 1]  # x is the column
    assert numbers.max(axis=0).tolist() == [4, 3]
    assert (path[0], path[-1], svg_path(~mask & mask)) == ("M", "Z", "")


def test_a_prediction_outside_of_the_head_is_not_cut_off() -> None:
    images = np.zeros((1, 40, 40, 3), np.uint8)
    images[0, 15:25, 15:25] = 200
    nothing = np.zeros((1, 40, 40), np.bool_)
    astray = nothing.copy()
    astray[0, 2, 38] = True
    rows, columns = crop_box(images, [nothing, nothing])
    assert (rows.start, rows.stop, columns.start, columns.stop) == (11, 29, 11, 29)
    rows, columns = crop_box(images, [nothing, astray])
    assert (rows.start, columns.stop) == (2, 39)


def test_profile_has_a_point_for_each_slice() -> None:
    assert profile_path(np.array([0.0, 1.0, 0.25])) == "M0 1L1 0L2 0.75"


def test_folds_are_told_apart(tmp_path: Path, index: DatasetIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "patient_drawings", lambda _: [])
    monkeypatch.setattr(page_module, "calibration_drawings", lambda _: [])
    for fold in (1, 0):
        write_run(
            tmp_path / "cv" / f"fold{fold}", index, SplitConfig(split="fold", folds=2, fold=fold), epochs=2 + fold
        )
    write_scored(tmp_path / "cv" / "out-of-fold", index, subset="out-of-fold", split="fold")
    assert main([str(tmp_path / "cv"), "--quiet"]) == 0
    text = (tmp_path / "cv" / "report.html").read_text(encoding="utf-8")
    assert re.findall(r'<th scope="row">(fold\d)</th>', text) == ["fold0", "fold1"]
    assert "fold0: 2 of 20; fold1: 3 of 20" in text
    assert "2 folds" in text


def test_a_run_that_is_not_evaluated_says_how(tmp_path: Path, index: DatasetIndex) -> None:
    run = write_run(tmp_path / "run", index, SplitConfig())
    with pytest.raises(DataError, match="gliomask evaluate DATA --model"):
        find_evaluation(run)
    with pytest.raises(DataError, match="no fold0"):
        read_trainings(tmp_path)
    with pytest.raises(UsageError, match="neither a run nor --evaluation"):
        main([])


def test_a_damaged_table_of_epochs_is_named(tmp_path: Path, index: DatasetIndex) -> None:
    run = write_run(tmp_path / "run", index, SplitConfig())
    with (run / "metrics.csv").open("a", newline="") as file:
        csv.writer(file).writerow(["3", "half a row"])
    with pytest.raises(DataError, match="not a table of numbers"):
        read_trainings(run)


def test_an_older_evaluation_is_refused(scored_alone: Path) -> None:
    summary = json.loads((scored_alone / "summary.json").read_text())
    del summary["groups"]
    (scored_alone / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(DataError, match="run gliomask evaluate again"):
        read_scored(scored_alone)


def test_the_leak_is_a_section_where_it_was_measured(scored_alone: Path, tmp_path: Path) -> None:
    assert "split by slice adds" not in page_of(scored_alone)
    score = {"mean": 0.5, "low": 0.4, "high": 0.6}
    both = {"dice_patient": score, "dice_slice_tumour": score}
    numbers = {
        "command": "gliomask leak <mine>", "training": {"slices": 20, "tumour_slices": 8},
        "scored": {"patients": 2, "slices": 6, "tumour_slices": 3}, "by_patient": both, "by_slice": both,
        "difference": {**score, "p": 0.03, "patients": 2}, "verdict": "higher",
        "patients": [{"patient": name, "by_patient": 0.25, "by_slice": 0.75} for name in "AB"],
    }  # fmt: skip
    (tmp_path / "leak.json").write_text(json.dumps(numbers))
    text = page_of(scored_alone, "--leak", str(tmp_path))
    assert "What a split by slice adds" in text
    assert "By slice is higher by 0.500 (+0.400 to +0.600, Wilcoxon p = 0.03)" in text
    assert "gliomask leak &lt;mine&gt;." in text
    assert "Dice of 2 patients, trained by patient and by slice" in text


def test_the_page_of_a_radiogenomic_study_is_not_written_over(run: Path, tmp_path: Path, without_charts: None) -> None:
    """Not even where it is not there yet: the next study would take the place of the run's."""
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "summary.json").write_text('{"associations": []}')
    out = str(folder / "report.html")
    with pytest.raises(UsageError, match="is the page of a radiogenomic study and would be replaced; choose another"):
        main([str(run), "--quiet", "--out", out])
    assert [path.name for path in folder.iterdir()] == ["summary.json"]
    assert main([str(run), "--quiet", "--out", str(folder / "run.html")]) == 0
    (folder / "summary.json").write_text('{"scores": []}')
    assert main([str(run), "--quiet", "--out", out]) == 0


def test_scores_of_another_model_are_said_to_be(run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(run, tmp_path / "again")
    warning = "The model in this run is not the one that was scored: evaluate it again."
    for checksums, said in (([file_sha256(folder / "model.onnx")], False), (["0" * 64], True), ([], False)):
        change_summary(folder / "test", model_sha256=checksums)
        assert main([str(folder), "--quiet"]) == 0
        assert (warning in (folder / "report.html").read_text(encoding="utf-8")) == said


def test_the_page_has_the_checksum_of_every_exported_network(run: Path, tmp_path: Path, without_charts: None) -> None:
    folder = shutil.copytree(run, tmp_path / "again")
    described, integers = folder / "model.json", "1" * 64
    assert "model.int8.onnx" not in (folder / "report.html").read_text(encoding="utf-8")
    described.write_text(json.dumps(json.loads(described.read_text()) | {"int8_sha256": integers}))
    assert main([str(folder), "--quiet"]) == 0
    html = (folder / "report.html").read_text(encoding="utf-8")
    for file, checksum in (("model.onnx", file_sha256(folder / "model.onnx")), ("model.int8.onnx", integers)):
        assert f'SHA-256 of {file}, again</dt><dd class="code">{checksum}</dd>' in html
