"""The page about a run: everything the evaluation knows is in it, nothing outside of it is needed."""

from __future__ import annotations

import json
import re
import shutil
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from builders import patient_name, tiny_dataset, write_patient
from gliomask.cli.report import main
from gliomask.config import SplitConfig
from gliomask.data.index import DatasetIndex, build_index
from gliomask.errors import DataError, UsageError
from gliomask.files import file_sha256
from gliomask.reporting.report import page as page_module
from gliomask.reporting.report.drawings import calibration_drawings
from gliomask.reporting.report.page import Report
from gliomask.reporting.report.sources import read_scored, read_trainings
from gliomask.reporting.report.svg import PAGE_INK, chart_style
from gliomask.reporting.report.wording import score_rows
from report_runs import SIZE, SLICES, OneMore, change_summary, page_of, six_patients, write_run, write_scored

MISSED = patient_name(0)  # a tumour of one pixel, which the prediction is one pixel beside


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> DatasetIndex:
    return six_patients(tmp_path_factory.mktemp("data"))


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


@pytest.mark.parametrize(("fraction", "told"), [(0.1, True), (0.0, False), (None, False)])
def test_other_thresholds_say_that_small_components_count(
    tmp_path: Path, index: DatasetIndex, fraction: float | None, told: bool
) -> None:
    folder = write_scored(tmp_path, index, smallest_component=fraction)
    thresholds = calibration_drawings(read_scored(folder))[1]
    assert ("before small components are left out" in thresholds.caption) is told


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
