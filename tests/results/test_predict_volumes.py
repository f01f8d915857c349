"""`gliomask predict` on NIfTI and DICOM: masks on the grid of the input, summaries, and what is said of odd images."""

from __future__ import annotations

import csv
import errno
import io
import json
import re
import shutil
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from builders import write_known_model
from dicom_builders import SECRETS, write_series
from gliomask.cli.app import main
from gliomask.inference.predictor import Prediction, Predictor
from gliomask.reporting.preview import preview_figure
from gliomask.results import study as study_part
from gliomask.results.loaded import Keep
from gliomask.studies.volume import VolumeStudy
from gliomask.volumes.dicom import find_series
from gliomask.volumes.dicom_seg import read_dicom_seg
from gliomask.volumes.volume import AxialGrid, Volume
from scans import HEAD, TUMOUR, interrupted, read_nifti, scan, turned, write_nifti


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_known_model(tmp_path_factory.mktemp("known")))


def predict(*arguments: str | Path) -> int:
    return main(["predict", *map(str, arguments)])


def summary(out: Path, study: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / study / "summary.json").read_text())
    return found


ORIENTATIONS = [*product(permutations(range(3)), product((1, -1), repeat=3))]


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_mask_lies_on_the_grid_of_the_input(
    model: str, tmp_path: Path, axes: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    """All 48 orientations: the mask is the tumour, voxel for voxel, and the affine is the input's, bit for bit."""
    values, tumour = scan()
    array, affine = turned(values, axes, signs, (5.0, 5.0, 5.5))
    truth, _ = turned(tumour, axes, signs, (5.0, 5.0, 5.5))
    source = write_nifti(tmp_path / "scan.nii", array, affine)
    assert predict(source, "--model", model, "--out", tmp_path / "out", "--no-pictures", "--quiet") == 0
    mask, its_affine = read_nifti(tmp_path / "out" / "scan" / "scan_mask.nii.gz")
    assert mask.dtype == np.uint8
    assert np.array_equal(mask.astype(bool), truth)
    assert its_affine.tobytes() == read_nifti(source)[1].tobytes()


@pytest.mark.parametrize("steps", [(5.0, 5.0, 1.0), (4.0, 7.0, 6.0), (0.9, 0.9, 5.0), (6.0, 4.0, 0.5)])
def test_spacing_decides_volume_and_diameter_and_not_the_mask(
    model: str, tmp_path: Path, steps: tuple[float, float, float]
) -> None:
    values, tumour = scan()
    write_nifti(tmp_path / "scan.nii.gz", *turned(values, (0, 1, 2), (-1, 1, 1), steps))
    truth, _ = turned(tumour, (0, 1, 2), (-1, 1, 1), steps)
    assert predict(tmp_path / "scan.nii.gz", "--model", model, "--out", tmp_path / "out", "--no-pictures") == 0
    found, mask = summary(tmp_path / "out", "scan"), read_nifti(tmp_path / "out" / "scan" / "scan_mask.nii.gz")[0] > 0
    overlap = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
    assert overlap == 1 if steps[0] == steps[1] else overlap > 0.9  # pixels that are not square are resampled
    assert found["volume_ml"] == pytest.approx(mask.sum() * np.prod(steps) / 1000, abs=1e-3)
    extent = np.ptp(np.argwhere(mask), axis=0) * steps
    assert extent.max() <= found["largest_diameter_mm"] <= np.linalg.norm(extent + steps)
    assert (found["components"], found["tumour_slices"], found["slices"]) == (1, 3, 6)
    assert sorted(found["spacing_mm"]) == pytest.approx(sorted(steps))


def test_dicom_comes_back_as_nifti_and_as_segmentation(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("highdicom")
    values, tumour = scan()
    array, affine = turned(values, (0, 1, 2), (-1, -1, 1), (5.0, 5.0, 5.5))
    truth, _ = turned(tumour, (0, 1, 2), (-1, -1, 1), (5.0, 5.0, 5.5))
    write_series(tmp_path / "study", array, affine)
    shutil.make_archive(str(tmp_path / "zipped"), "zip", tmp_path / "study")
    out = tmp_path / "out"
    assert predict(tmp_path / "study", tmp_path / "zipped.zip", "--model", model, "--out", out, "--preview") == 0
    masks = []
    for source, name in ((tmp_path / "study", "study"), (tmp_path / "zipped.zip", "zipped")):
        mask = read_nifti(out / name / f"{name}_mask.nii.gz")[0].astype(bool)
        (series,) = find_series(source)
        assert np.array_equal(read_dicom_seg(out / name / f"{name}_seg.dcm", series), mask)
        masks.append(mask)
        with Image.open(out / name / f"{name}_preview.png") as picture:
            assert min(picture.size) > 300
    assert np.array_equal(masks[0], truth)
    assert np.array_equal(masks[0], masks[1])
    told = capsys.readouterr().out + "".join(path.read_text() for path in out.rglob("summary.*"))
    assert not any(secret in told for secret in SECRETS)


def test_a_choice_of_series_without_dicom_is_refused(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_nifti(tmp_path / "scan.nii", *turned(scan()[0], (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0)))
    for inputs in ((source,), ("--flair", source)):
        assert predict(*inputs, "--model", model, "--out", tmp_path / "out", "--series", "3") == 2
        assert "--series 3 chooses among DICOM series; expected DICOM" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    (tmp_path / "broken.dcm").write_bytes(b"DICM")  # what is wrong with it is to be told, not that it is none
    assert predict(source, tmp_path / "broken.dcm", "--model", model, "--out", tmp_path / "out", "--series", "3") == 1
    assert "broken.dcm" in capsys.readouterr().err


@pytest.mark.parametrize("spacing", [None, (5.0, 1.0, 1.0)])
def test_a_preview_names_the_sides_it_knows(spacing: tuple[float, float, float] | None) -> None:
    """Of a picture nobody knows which side is the patient's right."""
    images, mask = np.full((4, 8, 8, 3), 90, np.uint8), np.zeros((4, 8, 8), np.bool_)
    figure = preview_figure("p", images, Prediction(mask, mask.astype(np.float32), 0.5), spacing)
    sides = [axes.get_xlabel() for axes in figure.axes]
    assert len(sides) == 3
    assert [("patient" in side or "front" in side) for side in sides] == [spacing is not None] * 3
    assert [("picture" in side) for side in sides] == [spacing is None] * 3


def test_studies_that_are_done_are_skipped(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values, _ = scan()
    source = write_nifti(tmp_path / "scan.nii", *turned(values, (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0)))
    command = (source, "--model", model, "--out", tmp_path / "out", "--no-pictures")
    assert predict(*command) == 0
    mask = tmp_path / "out" / "scan" / "scan_mask.nii.gz"
    made = mask.stat().st_mtime_ns
    assert predict(*command) == 0
    assert "done already" in capsys.readouterr().out
    assert mask.stat().st_mtime_ns == made
    assert predict(*command, "--overwrite") == 0
    assert mask.stat().st_mtime_ns > made


def test_what_was_done_with_other_options_is_not_taken_for_done(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values, _ = scan()
    source = write_nifti(tmp_path / "scan.nii", *turned(values, (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0)))
    command = (source, "--model", model, "--out", tmp_path / "out", "--no-pictures")
    folder = tmp_path / "out" / "scan"
    assert predict(*command) == 0
    mask = (folder / "scan_mask.nii.gz").read_bytes()
    assert predict(*command, "--probabilities", "--preview") == 1  # the mask may have been corrected by hand
    assert "made without probabilities and preview; expected a new file" in capsys.readouterr().err
    assert predict(*command, "--probabilities", "--preview", "--overwrite") == 0
    assert (folder / "scan_probability.nii.gz").is_file()
    assert (folder / "scan_mask.nii.gz").read_bytes() == mask
    assert predict(*command) == 0  # less than there is
    assert summary(tmp_path / "out", "scan")["extras"] == ["probabilities", "preview"]
    assert predict(*command, "--flips") == 1
    assert "made without --flips; expected a new file" in capsys.readouterr().err
    assert predict(*command, "--smallest-component", "0") == 0  # what the model asks for itself
    assert predict(*command, "--smallest-component", "0.5") == 1
    assert "made with --smallest-component 0; expected a new file" in capsys.readouterr().err


def test_a_killed_study_is_done_anew(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    values, _ = scan()
    source = write_nifti(tmp_path / "scan.nii", *turned(values, (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0)))
    command = (source, "--model", model, "--out", tmp_path / "out", "--no-pictures")
    study, predictor = VolumeStudy("scan", source), Predictor.load(model)
    monkeypatch.setattr(study_part, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study_part.predict_study(study, predictor, tmp_path / "out", Keep(pictures=False))
    monkeypatch.undo()
    folder = tmp_path / "out" / "scan"
    assert sorted(path.name for path in folder.iterdir()) == [".unfinished", "scan_mask.nii.gz"]
    assert predict(*command) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["scan_mask.nii.gz", "summary.json"]
    (folder / "summary.json").unlink()  # a mask that is not known to be ours
    assert predict(*command) == 1
    assert "exists already; expected a new file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    [
        "scan_mask.nii.gz", "scan_probability.nii.gz", "scan_3_prediction.png", "scan_contours_1.png", "scan.gif",
        "scan_preview.png", "summary.json",
    ],
)  # fmt: skip
def test_files_of_the_user_are_not_replaced_unless_told(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    source = write_nifti(tmp_path / "scan.nii", *turned(scan()[0], (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0)))
    mine = tmp_path / "out" / "scan" / name
    mine.parent.mkdir(parents=True)
    mine.write_text('{"mine": 1}')
    command = (source, "--model", model, "--out", tmp_path / "out", "--probabilities", "--preview")
    assert predict(*command) == 1
    assert f"{name}: exists already" in capsys.readouterr().err
    assert [path.name for path in mine.parent.iterdir()] == [name]
    assert predict(*command, "--overwrite") == int(name == "summary.json")  # without which nothing is known of the rest
    assert (mine.read_text(errors="replace") == '{"mine": 1}') == (name == "summary.json")


def test_pictures_of_an_earlier_call_are_replaced_where_its_mask_is_lost(model: str, tmp_path: Path) -> None:
    source = write_nifti(tmp_path / "scan.nii", *turned(scan()[0], (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0)))
    command = (source, "--model", model, "--out", tmp_path / "out")
    assert predict(*command) == 0
    mask, picture = (tmp_path / "out" / "scan" / name for name in ("scan_mask.nii.gz", "scan.gif"))
    mask.unlink()
    made = picture.stat().st_mtime_ns
    assert predict(*command) == 0
    assert mask.is_file()
    assert picture.stat().st_mtime_ns > made


def test_results_of_another_model_are_not_taken_for_done(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values, _ = scan()
    source = write_nifti(tmp_path / "scan.nii", *turned(values, (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0)))
    other = str(write_known_model(tmp_path / "other", cut=140))
    assert predict(source, "--model", model, "--out", tmp_path / "out", "--no-pictures") == 0
    assert predict(source, "--model", other, "--out", tmp_path / "out", "--no-pictures") == 1
    assert "made by known; expected a new file" in capsys.readouterr().err


def test_table_of_all_studies(model: str, tmp_path: Path) -> None:
    values, tumour = scan()
    for name, array in (("sick", values), ("empty", np.minimum(values, HEAD // 2))):
        array[0, 0, 0] = TUMOUR * 2  # a bright voxel, so that the rest is dark
        write_nifti(tmp_path / "in" / f"{name}.nii", *turned(array, (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0)))
    (tmp_path / "in" / "broken.nii").write_bytes(b"no image")
    assert predict(tmp_path / "in", "--model", model, "--out", tmp_path / "out", "--no-pictures", "--quiet") == 1
    with (tmp_path / "out" / "summary.csv").open(newline="") as file:
        rows = {row["study"]: row for row in csv.DictReader(file)}
    assert {name: row["status"] for name, row in rows.items()} == {"sick": "done", "empty": "done", "broken": "failed"}
    assert "damaged at its start" in rows["broken"]["error"]
    assert float(rows["sick"]["volume_ml"]) == pytest.approx((tumour.sum() + 1) * 0.125)
    assert [study["study"] for study in json.loads((tmp_path / "out" / "summary.json").read_text())] == list(rows)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_that_cannot_be_shown_stop_nothing(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    array, affine = turned(scan()[0], (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0))
    name = b"M\xfcller".decode("utf-8", "surrogateescape")  # as of old, in Latin 1
    write_nifti(tmp_path / "in" / "z.nii", array, affine)
    (tmp_path / "in" / f"{name}.nii").write_bytes((tmp_path / "in" / "z.nii").read_bytes())
    (tmp_path / "in" / f"{name} \xe9.nii").write_bytes(b"no image")
    written, told = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding))
    monkeypatch.setattr("sys.stderr", io.TextIOWrapper(told, encoding, write_through=True))
    assert predict(tmp_path / "in", "--model", model, "--out", tmp_path / "out", "--preview") == 1
    assert b"M\\udcfcller: 6 slices" in written.getvalue()
    assert b"z: 6 slices" in written.getvalue()
    assert b"M\\udcfcller " in told.getvalue()
    assert predict(tmp_path / f"{name}2", "--model", f"{name}/model.onnx") == 2  # the command's own words
    assert told.getvalue().endswith(b"\n")


def test_three_sequences_of_one_patient(model: str, tmp_path: Path) -> None:
    """T1 on a finer grid of its own is brought to FLAIR's; the known model does not look at it."""
    values, tumour = scan()
    flair = write_nifti(tmp_path / "flair.nii", *turned(values, (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0)))
    fine, affine = turned(np.repeat(values, 2, axis=2), (0, 1, 2), (1, 1, 1), (5.0, 5.0, 2.5))
    pre = write_nifti(tmp_path / "pre.nii", fine, affine)
    out = tmp_path / "out"
    assert predict("--flair", flair, "--pre", pre, "--model", model, "--out", out, "--no-pictures") == 0
    assert np.array_equal(read_nifti(out / "flair" / "flair_mask.nii.gz")[0].astype(bool), tumour)
    assert summary(out, "flair")["sequences"] == ["pre", "flair"]
    assert not any("T1" in warning for warning in summary(out, "flair")["warnings"])
    assert predict("--pre", pre, "--model", model) == 2
    assert predict(flair, "--flair", flair, "--model", model) == 2


@pytest.mark.parametrize("named", ["flair", "pre", "post"])
def test_results_of_named_volumes_never_go_where_one_of_them_lies(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], named: str
) -> None:
    array, affine = turned(scan()[0], (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0))
    paths = {name: write_nifti(tmp_path / name / "p.nii", array, affine) for name in ("flair", "pre", "post")}
    home = tmp_path / "store" / "p"
    home.mkdir(parents=True)
    paths[named].rename(home / "p.nii")
    paths[named].symlink_to(home / "p.nii")
    (home / "p_mask.nii.gz").write_text("made by hand")
    given = [argument for name, path in paths.items() for argument in (f"--{name}", path)]
    assert predict(*given, "--model", model, "--out", tmp_path / "store", "--overwrite") == 1
    assert "masks replace no truth" in capsys.readouterr().err
    assert sorted(path.name for path in home.iterdir()) == ["p.nii", "p_mask.nii.gz"]
    assert (home / "p_mask.nii.gz").read_text() == "made by hand"


@pytest.mark.parametrize("inside", [".", "p1", "p1/deep"])
def test_results_of_a_named_folder_never_go_among_its_images(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    array, affine = turned(scan()[0], (0, 1, 2), (-1, -1, 1), (5.0, 5.0, 5.0))
    write_series(tmp_path / "data" / "p1" / inside, array, affine)
    monkeypatch.chdir(tmp_path / "data" if inside == "." else tmp_path / "data" / "p1")
    given = ("--flair", tmp_path / "data" / "p1", "--model", model, "--no-pictures")
    for _ in range(2):
        assert predict(*given, "--out", ".") == 1
        assert "p1 holds the images themselves" in capsys.readouterr().err
        assert not list(Path("p1").glob("*_mask.nii.gz"))
        assert predict(*given, "--out", tmp_path / "data" / "p1" / "results") == 0


def test_t1_that_lacks_a_part_is_said(model: str, tmp_path: Path) -> None:
    values, _ = scan()
    array, affine = turned(values, (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0))
    flair = write_nifti(tmp_path / "flair.nii", array, affine)
    post = write_nifti(tmp_path / "post.nii", array[:, :, :4], affine)
    out = tmp_path / "out"
    assert predict("--flair", flair, "--post", post, "--model", model, "--out", out, "--no-pictures") == 0
    assert summary(out, "flair")["sequences"] == ["flair", "post"]
    assert summary(out, "flair")["warnings"][1:] == ["T1 after contrast covers 67% of FLAIR"]


def test_t1_has_the_same_grey_levels_on_whatever_grid_it_lies(tmp_path: Path) -> None:
    """A value that stands for nothing measured is not interpolated with what was, and 8 bits stay as they are."""
    random = np.random.default_rng(0)
    inside = np.hypot(*np.mgrid[-20:20, -20:20]) < 18
    head = np.hypot(*np.mgrid[-20:20, -20:20]) < 14
    values = np.where(head[..., None], random.integers(400, 900, (40, 40, 8)), random.integers(0, 20, (40, 40, 8)))
    array, affine = turned(values.astype(np.int16), (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0))
    flair = write_nifti(tmp_path / "flair.nii", array, affine)
    shifted = affine.copy()
    shifted[0, 3] += 1.0  # a fifth of a voxel
    outside = np.where(inside[..., None], array, -1000).astype(np.int16)
    for name, t1 in (("fill", outside), ("bytes", (array // 4).astype(np.uint8))):
        here = VolumeStudy("a", flair, write_nifti(tmp_path / f"{name}.nii", t1, affine)).read()
        there = VolumeStudy("a", flair, write_nifti(tmp_path / f"{name}2.nii", t1, shifted)).read()
        one, other = (each.images[..., 0].astype(int) for each in (here, there))
        assert abs(np.median(one[one > 50]) - np.median(other[other > 50])) < 5
        assert max(np.percentile(one, 10), np.percentile(other, 10)) < 3
        for each in (here, there):
            assert ["T1 before contrast: " in said for said in each.warnings if "-1000" in said] == [True] * (
                name == "fill"
            )
    assert here.images[..., 0].max() == (array // 4).max()


def test_another_patient_of_the_same_name_is_not_taken_for_done(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A loop over patients whose files are all called flair.nii writes to one folder."""
    values, _ = scan()
    options = ("--model", model, "--out", tmp_path / "out", "--no-pictures")
    for name in ("p1", "p2"):
        write_nifti(tmp_path / name / "flair.nii", *turned(values, (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0)))
        values = np.roll(values, 1, axis=0)
    assert predict("--flair", tmp_path / "p1" / "flair.nii", *options) == 0
    mask = (tmp_path / "out" / "flair" / "flair_mask.nii.gz").read_bytes()
    assert predict("--flair", tmp_path / "p2" / "flair.nii", *options) == 1
    assert f"made from other files (of {tmp_path}/p1/flair.nii)" in capsys.readouterr().err
    assert (tmp_path / "out" / "flair" / "flair_mask.nii.gz").read_bytes() == mask
    rows = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [(row["study"], row["status"]) for row in rows] == [("flair", "failed"), ("flair", "done")]
    assert rows[1]["source"] == f"{tmp_path}/p1/flair.nii"
    (tmp_path / "p1").rename(tmp_path / "p3")
    assert predict("--flair", tmp_path / "p3" / "flair.nii", *options) == 0
    assert "done already" in capsys.readouterr().out


def test_other_images_of_the_same_identifiers_are_not_taken_for_done(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values, _ = scan()
    array, affine = turned(values, (0, 1, 2), (-1, -1, 1), (5.0, 5.0, 5.5))
    options = ("--model", model, "--out", tmp_path / "out", "--no-pictures")
    write_series(tmp_path / "p", array, affine)
    assert predict(tmp_path / "p", *options) == 0
    shutil.make_archive(str(tmp_path / "q" / "p"), "zip", tmp_path / "p")
    write_series(tmp_path / "p" / "t1", array, affine, series=2, SeriesDescription="Ax T2")  # which is not used
    for source in (tmp_path / "p", tmp_path / "q" / "p.zip"):
        assert predict(source, *options) == 0
        assert "done already" in capsys.readouterr().out
    write_series(tmp_path / "p" / "t1", array, affine, series=3, SeriesDescription="Ax T1")  # which is used
    assert predict(tmp_path / "p", *options) == 1
    assert "made from other files (of " in capsys.readouterr().err
    shutil.rmtree(tmp_path / "p" / "t1")
    write_series(tmp_path / "p", np.roll(array, 1, axis=0), affine)
    for named in (("--flair", tmp_path / "p", "--series", "1"), (tmp_path / "p",)):
        assert predict(*named, *options) == 1
        assert "made from other files (of " in capsys.readouterr().err


@pytest.mark.parametrize("identifier", ["", "1.2.3"])
def test_images_without_identifiers_of_their_own_are_refused(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], identifier: str
) -> None:
    """Anonymised, perhaps; each patient was reduced to one slice, and the second got the first one's mask."""
    values, _ = scan()
    array, affine = turned(values, (0, 1, 2), (-1, -1, 1), (5.0, 5.0, 5.5))
    for patient in (0, 1):
        source = tmp_path / f"p{patient}" / "flair"
        write_series(source, array, affine, patient=patient, SOPInstanceUID=identifier)
        assert predict("--flair", source, "--model", model, "--out", tmp_path / "out", "--no-pictures") == 1
        assert "SOPInstanceUID; expected" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_table_of_somebody_else_is_not_written_over(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values, _ = scan()
    source = write_nifti(tmp_path / "scan.nii", *turned(values, (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0)))
    (tmp_path / "summary.csv").write_text("mine")
    assert predict(source, "--model", model, "--out", tmp_path, "--no-pictures") == 1
    assert "is no table of results" in capsys.readouterr().err
    assert (tmp_path / "summary.csv").read_text() == "mine"


def test_what_does_not_fit_into_memory_does_not_stop_the_others(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    values, _ = scan()
    for name in ("first", "second"):
        write_nifti(tmp_path / "in" / f"{name}.nii", *turned(values, (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0)))
    write_nifti(tmp_path / "in" / "second.nii", *turned(values[..., :5], (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0)))
    whole = Predictor.predict

    def sometimes(self: Predictor, images: Any, **named: Any) -> Any:
        if len(images) == 5:
            return whole(self, images, **named)
        raise MemoryError

    monkeypatch.setattr(Predictor, "predict", sometimes)
    assert predict(tmp_path / "in", "--model", model, "--out", tmp_path / "out", "--no-pictures", "--quiet") == 1
    assert capsys.readouterr().err.startswith("first: does not fit into memory")
    assert (tmp_path / "out" / "second" / "summary.json").is_file()


def test_odd_acquisition_is_said_aloud(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values, _ = scan()
    source = write_nifti(tmp_path / "scan.nii", *turned(values, (0, 1, 2), (1, 1, 1), (8.0, 5.0, 2.0)))
    assert predict(source, "--model", model, "--out", tmp_path / "out", "--no-pictures") == 0
    assert "sagittal acquisition" in capsys.readouterr().out
    assert any("sagittal" in warning for warning in summary(tmp_path / "out", "scan")["warnings"])


def test_flips_find_the_same_where_left_and_right_do_not_matter_and_tell_their_cost(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], slow_engine: float
) -> None:
    values, _ = scan()
    source = write_nifti(tmp_path / "scan.nii", *turned(values, (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0)))
    for out, option in (("plain", ()), ("flips", ("--flips",))):
        assert predict(source, "--model", model, "--out", tmp_path / out, "--no-pictures", *option) == 0
        told = re.findall(r"mirrored slices took ([0-9.]+) of ([0-9.]+) s", capsys.readouterr().out)
        assert len(told) == len(option)
    one, other = (read_nifti(tmp_path / out / "scan" / "scan_mask.nii.gz")[0] for out in ("plain", "flips"))
    assert np.array_equal(one, other)
    (cost, spent) = map(float, told[0])
    assert slow_engine - 0.1 <= cost <= spent - slow_engine + 0.1  # told to a tenth of a second


def test_command_and_python_agree(model: str, tmp_path: Path) -> None:
    from gliomask.data.greyscale import to_channels
    from gliomask.inference.predictor import Predictor

    values, _ = scan()
    array, affine = turned(values, (2, 0, 1), (1, -1, 1), (5.0, 5.0, 5.0))
    source = write_nifti(tmp_path / "scan.nii", array, affine)
    assert predict(source, "--model", model, "--out", tmp_path / "out", "--no-pictures") == 0
    grid = AxialGrid.of(Volume(array, affine, "RAS"))
    expected = grid.back(Predictor.load(model).predict(to_channels(grid.slices(array))).mask)
    assert np.array_equal(read_nifti(tmp_path / "out" / "scan" / "scan_mask.nii.gz")[0].astype(bool), expected)


def test_full_disk_is_one_line_and_the_others_go_on(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gliomask.volumes.nifti_image import write_nifti as write

    values, _ = scan()
    for name in ("first", "second"):
        write_nifti(tmp_path / "in" / f"{name}.nii", *turned(values, (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0)))

    def sometimes(path: Path, *rest: Any) -> None:
        if path.name.startswith("first"):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, *rest)

    monkeypatch.setattr("gliomask.results.loaded.write_nifti", sometimes)
    assert predict(tmp_path / "in", "--model", model, "--out", tmp_path / "out", "--no-pictures", "--quiet") == 1
    told = capsys.readouterr().err
    assert told.startswith("first: No space left on device")
    assert told.count("\n") == 1
    assert (tmp_path / "out" / "second" / "summary.json").is_file()
    assert not (tmp_path / "out" / "first" / "summary.json").is_file()
