"""`predict` and `evaluate`: what they write, what they refuse, and what they say."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from builders import block, flair_of, make_mask, write_known_model, write_known_patient
from gliomask.cli.app import main
from gliomask.cli.console import Printer, Progress
from gliomask.cli.predict import _told
from gliomask.config import SplitConfig, TrainConfig, save_config
from gliomask.data.index import build_index
from gliomask.data.split import make_split, save_split
from gliomask.errors import Failure, UsageError
from gliomask.evaluation.evaluate import evaluate
from gliomask.inference.predictor import Prediction, Predictor
from gliomask.reporting.predictions import write_pictures
from gliomask.results.batch import predict_all
from gliomask.results.loaded import Keep
from gliomask.results.study import predict_study
from gliomask.studies.inputs import find_inputs
from gliomask.studies.slices import find_studies
from gliomask.volumes.slices import read_mask, read_mask_pages, write_image, write_mask

NOTHING = block(slice(0, 0), slice(0, 0))
FOUND = np.stack([NOTHING, block(slice(4, 12), slice(6, 20)), block(slice(5, 10), slice(6, 16))])
TRUTH = np.stack([NOTHING, block(slice(4, 10), slice(6, 20)), block(slice(0, 20), slice(6, 16))])
DICE = 2 * (84 + 50) / (112 + 84 + 50 + 200)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_known_model(tmp_path_factory.mktemp("known")))


def predict(*arguments: str | Path) -> int:
    return main(["predict", *map(str, arguments)])


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# --- predict


def test_stack_with_truth(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = write_known_patient(tmp_path, "case", FOUND, TRUTH), tmp_path / "out"
    assert predict(folder, "--model", model, "--out", out) == 0
    masks = [out / "case" / f"case_{number}_mask.tif" for number in (1, 2, 3)]
    assert np.array_equal(np.stack([read_mask(path) for path in masks]), FOUND)
    pictures = {"case_3_prediction.png", "case_contours_1.png", "case.gif"}  # slice 3 has most tumour in the truth
    assert names(out / "case") == {path.name for path in masks} | pictures | {"summary.json"}
    with Image.open(out / "case" / "case.gif") as gif:
        assert getattr(gif, "n_frames", 1) == 3
    for name in ("case_3_prediction.png", "case_contours_1.png"):
        with Image.open(out / "case" / name) as picture:
            assert min(picture.size) > 200
    assert f"case: 3 slices, 162 pixels, Dice {DICE:.4f}; {out}/case" in capsys.readouterr().out


def test_lone_slice_without_truth(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = write_known_patient(tmp_path, "case", FOUND, None, suffix=".png"), tmp_path / "out"
    assert predict(folder / "case_2.png", "--model", model, "--out", out) == 0
    assert names(out / "case_2") == {"case_2_mask.png", "case_2_prediction.png", "summary.json"}
    assert np.array_equal(read_mask(out / "case_2" / "case_2_mask.png"), FOUND[1])
    assert "Dice" not in capsys.readouterr().out


def test_pages_of_a_file_become_pages_of_a_mask(model: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tifffile.imwrite(tmp_path / "case.tif", flair_of(FOUND), photometric="rgb")
    write_mask(tmp_path / "case_mask.tif", TRUTH)
    assert predict(tmp_path / "case.tif", "--model", model, "--out", out, "--probabilities") == 0
    pictures = {"case_3_prediction.png", "case_contours_1.png", "case.gif"}
    assert names(out / "case") == {"case_mask.tif", "case_probability.tif", "summary.json"} | pictures
    assert np.array_equal(read_mask_pages(out / "case" / "case_mask.tif"), FOUND)
    probabilities = Predictor.load(model).predict(flair_of(FOUND)).probabilities
    assert np.array_equal(tifffile.imread(out / "case" / "case_probability.tif"), probabilities)
    kept = json.loads((out / "case" / "summary.json").read_text())
    assert (kept["slices"], kept["masks"], kept["dice"]) == (3, ["case_mask.tif"], pytest.approx(DICE))


def test_empty_mask_is_said_aloud(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_known_patient(tmp_path, "case", FOUND[:1], None)
    assert predict(folder, "--model", model, "--out", tmp_path / "out", "--no-pictures") == 0
    assert "case: 1 slices, EMPTY MASK: no tumour found" in capsys.readouterr().out
    assert not read_mask(tmp_path / "out" / "case" / "case_1_mask.tif").any()


def test_probabilities_survive_their_file(model: str, tmp_path: Path) -> None:
    folder, out = write_known_patient(tmp_path, "case", FOUND, None), tmp_path / "out"
    assert predict(folder, "--model", model, "--out", out, "--no-pictures", "--probabilities", "--quiet") == 0
    expected = Predictor.load(model).predict(flair_of(FOUND)).probabilities
    for number, plane in enumerate(expected, start=1):
        with Image.open(out / "case" / f"case_{number}_probability.tif") as image:
            kept = np.asarray(image)
        assert kept.dtype == np.float32
        assert np.array_equal(kept, plane)
    assert len(names(out / "case")) == 7


def test_results_are_not_overwritten_unless_told(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = write_known_patient(tmp_path, "case", FOUND, None), tmp_path / "out"
    command = (folder, "--model", model, "--out", out, "--no-pictures", "--quiet")
    assert predict(*command) == 0
    mask = out / "case" / "case_2_mask.tif"
    mask.write_bytes(b"corrected by hand")
    (out / "case" / "case_1_mask.tif").unlink()  # the first to be written is not the one that exists
    assert predict(*command) == 1
    assert "case_2_mask.tif: exists already" in capsys.readouterr().err
    assert mask.read_bytes() == b"corrected by hand"
    assert not (out / "case" / "case_1_mask.tif").exists()
    assert predict(*command, "--overwrite") == 0
    assert np.array_equal(read_mask(mask), FOUND[1])


def test_the_search_for_studies_shows_how_far_it_is(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: dict[str, list[tuple[int, int]]] = {}

    @contextmanager
    def progress(_: Printer, what: str) -> Iterator[Progress]:
        told = bars.setdefault(what, [])
        yield lambda done, total: told.append((done, total))

    monkeypatch.setattr(Printer, "progress", progress)
    folder = write_known_patient(tmp_path, "case", FOUND, None)
    for number in range(3):
        (folder / f"{number}.unknown").write_bytes(b"perhaps DICOM")
    assert predict(folder, "--model", model, "--out", tmp_path / "out", "--no-pictures") == 0
    assert bars == {"looking for studies": [(1, 3), (2, 3), (3, 3)], "predicting": [(1, 1)]}


def test_broken_study_does_not_stop_the_others(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    for name in ("first", "middle", "last"):
        write_known_patient(data, name, FOUND, None)
    broken = data / "middle" / "middle_2.tif"
    broken.write_bytes(broken.read_bytes()[:500])
    assert predict(data, "--model", model, "--out", out, "--no-pictures", "--json") == 1
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert [study["study"] for study in result["studies"]] == ["first", "last"]
    assert result["failed"] == 1
    assert printed.err.startswith(f"{broken}: ")
    assert printed.err.count("\n") == 1
    assert names(out) == {"first", "last", "summary.csv", "summary.json"}


def test_json_says_what_was_found(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_known_patient(tmp_path / "data", "with", FOUND, TRUTH)
    write_known_patient(tmp_path / "data", "without", FOUND[:1], None)
    assert predict(tmp_path / "data", "--model", model, "--out", tmp_path / "out", "--no-pictures", "--json") == 0
    one, other = json.loads(capsys.readouterr().out)["studies"]
    expected = {
        "study": "with", "folder": f"{tmp_path}/out/with", "slices": 3, "tumour_voxels": 162, "tumour_slices": 2,
        "components": 1, "volume_ml": None, "largest_diameter_mm": None, "model": "known", "skipped": False,
        "masks": [f"with_{number}_mask.tif" for number in (1, 2, 3)], "warnings": [],
        "dice": pytest.approx(DICE),
    }  # fmt: skip
    assert {name: one[name] for name in expected} == expected
    assert 0.99 < one["mean_probability"] <= 1
    assert (other["tumour_voxels"], other["dice"]) == (0, None)
    assert other["warnings"] == ["EMPTY MASK: no tumour found"]


def test_mask_of_another_size_is_one_line(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_known_patient(tmp_path, "case", FOUND, TRUTH)
    write_mask(folder / "case_2_mask.tif", make_mask(9, size=20))
    assert predict(folder, "--model", model, "--out", tmp_path / "out") == 1
    told = capsys.readouterr().err
    assert "case_2_mask.tif: a mask of 20 x 20 pixels; expected 32 x 32" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("size", [(20, 50), (70, 33)])
def test_mask_has_the_size_of_its_slice(model: str, tmp_path: Path, size: tuple[int, int]) -> None:
    truth = block(slice(5, 15), slice(8, 20), size)
    write_image(tmp_path / "scan.png", flair_of(truth[np.newaxis])[0])
    assert predict(tmp_path / "scan.png", "--model", model, "--out", tmp_path / "out", "--no-pictures") == 0
    mask = read_mask(tmp_path / "out" / "scan" / "scan_mask.png")
    assert mask.shape == size
    assert (mask & truth).sum() > 0.7 * truth.sum()


def test_nothing_to_predict_is_wrong_usage(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("--model", model) == 2
    assert "nothing to predict" in capsys.readouterr().err


def test_threads_are_those_asked_for(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load, asked = Predictor.load, []

    def loaded(source: str, **options: Any) -> Predictor:
        asked.append(options["threads"])
        return load(source, **options)

    monkeypatch.setattr(Predictor, "load", loaded)
    write_image(tmp_path / "scan.png", np.full((32, 32, 3), 60, np.uint8))
    command = (tmp_path / "scan.png", "--model", model, "--out", tmp_path / "out", "--no-pictures")
    assert [predict(*command), predict(*command, "--threads", "3"), predict(*command, "--threads", "-1")] == [0, 0, 2]
    assert asked == [0, 3]


def test_studies_of_one_name_stop_no_other(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    for visit in ("before", "after"):
        write_known_patient(data / visit, "case", FOUND, None)
    for name in ("same.tif", "same_1.tif"):
        write_image(data / name, flair_of(FOUND)[1])
    assert predict(data, "--model", model, "--out", out, "--no-pictures", "--quiet") == 1
    assert names(out) == {"before_case_case", "after_case_case", "summary.csv", "summary.json"}
    told = capsys.readouterr().err
    assert "same is the name of several studies" in told or "same_tif is the name" in told
    assert told.count("\n") == 2


def test_missing_model_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_known_patient(tmp_path, "case", FOUND, None)
    assert predict(folder, "--model", tmp_path / "model.onnx") == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"gliomask predict: {tmp_path}/model.onnx: no such model")
    assert (printed.out, printed.err.count("\n")) == ("", 1)


def test_folder_that_cannot_be_made_is_one_line(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_known_patient(tmp_path, "case", FOUND, None)
    (tmp_path / "out").write_text("a file")
    assert predict(folder, "--model", model, "--out", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert said.startswith("case: Not a directory")
    assert f"{tmp_path}/out/case" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("volume", "words"), [(123.44, "123.4 ml"), (1.0, "1.0 ml"), (0.951, "0.95 ml"), (0.0271, "0.027 ml")]
)
def test_small_volumes_are_not_told_as_nothing(volume: float, words: str) -> None:
    told = {"study": "a", "slices": 3, "tumour_voxels": 9, "components": 1, "volume_ml": volume, "dice": None}
    line = _told({**told, "largest_diameter_mm": 7.2, "folder": "out/a", "skipped": False})
    assert line == f"a: 3 slices, {words}, largest diameter 7 mm; out/a"


# --- evaluate


def patients(root: Path, count: int = 4) -> Path:
    for number in range(count):
        write_known_patient(root, f"TCGA_CS_{number:04}_20000101", FOUND, np.roll(FOUND, number, axis=1))
    return root


def test_evaluation_of_a_model_file(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = patients(tmp_path / "data")
    command = ["evaluate", str(data), "--model", model, "--subset", "all", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    shown = capsys.readouterr().out
    kept = json.loads((tmp_path / "out" / "summary.json").read_text())
    index = build_index(data)
    assert kept["scores"] == evaluate(Predictor.load(model, precision="float32"), index).summary()
    assert (kept["subset"], kept["slices"], kept["threshold"]) == ("all", 12, 0.5)
    assert kept["data_fingerprint"] == index.fingerprint
    assert len((tmp_path / "out" / "patients.csv").read_text().splitlines()) == 5
    assert f"{kept['scores']['dice_patient']['mean']:.3f}" in shown
    assert "0 of 4" in shown
    assert str(tmp_path / "out" / "patients.csv") in shown


@pytest.mark.parametrize("subset", ["test", "validation", "train"])
def test_evaluation_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], subset: str) -> None:
    data, run = patients(tmp_path / "data"), tmp_path / "run"
    write_known_model(run)
    split = make_split(build_index(data), SplitConfig())
    save_config(TrainConfig(), run / "config.json")
    save_split(split, run / "split.json")
    assert main(["evaluate", str(data), "--model", str(run), "--subset", subset, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    table = (run / subset / "patients.csv").read_text().splitlines()[1:]
    assert tuple(line.partition(",")[0] for line in table) == split.parts[subset]
    assert printed == json.loads((run / subset / "summary.json").read_text())
    assert printed["slices"] == 3 * len(split.parts[subset])


def test_split_needs_the_run(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = patients(tmp_path / "data", 1)
    assert main(["evaluate", str(data), "--model", model]) == 2
    assert "--subset unseen needs the run folder" in capsys.readouterr().err


def test_run_without_split_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = patients(tmp_path / "data", 1)
    write_known_model(tmp_path / "run")
    assert main(["evaluate", str(data), "--model", str(tmp_path / "run")]) == 1
    told = capsys.readouterr().err
    assert "split.json: not a usable split" in told
    assert told.count("\n") == 1


def test_batch_size_of_evaluation_changes_no_score(model: str, tmp_path: Path) -> None:
    data = patients(tmp_path / "data", 2)
    scores = []
    for size in ("1", "8"):
        command = ["evaluate", str(data), "--model", model, "--subset", "all", "--batch-size", size, "--quiet"]
        assert main([*command, "--out", str(tmp_path / size)]) == 0
        scores.append((tmp_path / size / "summary.json").read_text())
    assert scores[0] == scores[1]
    assert json.loads(scores[0])["slices"] == 6


def test_results_are_never_put_among_the_slices(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_known_patient(tmp_path / "data", "case", FOUND, FOUND)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert predict(folder, "--model", model, "--out", tmp_path / "data", "--overwrite") == 1
    assert "masks replace no truth" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("linked", ["the folder", "the slices"])
def test_links_to_slices_do_not_hide_where_those_lie(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], linked: str
) -> None:
    folder = write_known_patient(tmp_path / "data", "case", FOUND, FOUND)
    link = tmp_path / "links" / "case"
    link.mkdir(parents=True)
    if linked == "the folder":
        link.rmdir()
        link.symlink_to(folder, target_is_directory=True)
    else:
        for path in folder.iterdir():
            (link / path.name).symlink_to(path)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_known_patient(tmp_path / "links", "other", FOUND, None)
    options = ("--model", model, "--out", tmp_path / "data", "--overwrite", "--no-pictures")
    assert predict(tmp_path / "links", *options) == 1
    assert "masks replace no truth" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert (tmp_path / "data" / "other" / "summary.json").is_file()  # the other went on


def test_a_link_to_a_mask_does_not_hide_where_it_lies(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = write_known_patient(tmp_path / "truth", "case", FOUND, TRUTH)
    images = write_known_patient(tmp_path / "images", "case", FOUND, None)
    for path in truth.glob("*_mask.tif"):
        (images / path.name).symlink_to(path)
    assert predict(images, "--model", model, "--out", tmp_path / "truth", "--overwrite") == 1
    assert "masks replace no truth" in capsys.readouterr().err
    assert np.array_equal(read_mask(truth / "case_3_mask.tif"), TRUTH[2])


@pytest.mark.parametrize("name", ["", ".", "..", "summary.json", "summary.csv"])
def test_a_name_that_leads_out_of_the_results_is_refused(model: str, tmp_path: Path, name: str) -> None:
    folder = write_known_patient(tmp_path / "data", "case", FOUND, None)
    (study,) = find_studies([folder])
    with pytest.raises(UsageError, match="expected a name for its folder of results"):
        predict_study(replace(study, name=name), Predictor.load(model), tmp_path / "a" / "out")
    assert not (tmp_path / "a").exists()


def test_python_refuses_what_the_command_refuses_and_the_others_go_on(model: str, tmp_path: Path) -> None:
    write_known_patient(tmp_path, "case", FOUND, FOUND)
    write_known_patient(tmp_path / "more", "other", FOUND, None)
    found = find_inputs([tmp_path])  # it is not told where the results go
    one, other = predict_all(found, Predictor.load(model), tmp_path, Keep(pictures=False, overwrite=True))
    assert isinstance(one, Failure)
    assert "case holds the images themselves; expected another --out" in one.reason
    assert isinstance(other, dict)


def test_the_network_has_one_study_at_a_time_while_another_is_read_or_written(model: str, tmp_path: Path) -> None:
    for number in range(6):
        write_known_patient(tmp_path / "data", f"p{number}", FOUND, None)
    predictor = Predictor.load(model)
    logits, busy, together = predictor.engine.logits, [0], []

    def watched(slices: Any) -> Any:
        busy[0] += 1
        time.sleep(0.02)
        together.append(busy[0])
        busy[0] -= 1
        return logits(slices)

    predictor.engine.logits = watched  # type: ignore[method-assign]
    found = find_inputs(tmp_path / "data")
    told = list(predict_all(found, predictor, tmp_path / "out", Keep(pictures=False)))
    assert [each["study"] for each in told if isinstance(each, dict)] == [f"p{number}" for number in range(6)]
    assert together == [1] * 6


def test_the_picture_of_a_healthy_patient_shows_the_false_alarm(tmp_path: Path) -> None:
    truth = np.zeros((4, 32, 32), np.bool_)
    mask = truth.copy()
    mask[2, 4:9, 4:9] = True
    images = np.full((4, 32, 32, 3), 60, np.uint8)
    prediction = Prediction(mask, mask.astype(np.float32), 0.5, None)
    written = write_pictures(tmp_path, "p", ["p_1", "p_2", "p_3", "p_4"], images, truth, prediction)
    assert "p_3_prediction.png" in [path.name for path in written]
