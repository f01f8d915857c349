"""What users do with `gliomask predict` that once went wrong without a word."""

from __future__ import annotations

import csv
import json
import os
import signal
import time
from pathlib import Path
from threading import Event
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from builders import block, flair_of, make_mask, write_known_model, write_known_patient
from gliomask.cli import predict as command
from gliomask.cli.app import main
from gliomask.data.greyscale import fill_value, oddities, to_uint8
from gliomask.data.naming import persons
from gliomask.inference.predictor import Prediction
from gliomask.results import study as study_part
from gliomask.results.measures import measure
from gliomask.volumes.slices import write_image, write_mask

FOUND = np.stack([block(slice(4, 12), slice(6, 20)), block(slice(5, 10), slice(6, 16))])
NIFTI_AFFINE = np.diag([-6.0, -6.0, 24.0, 1.0])  # as large as a head
CASE = "TCGA_CS_4941_19960909"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_known_model(tmp_path_factory.mktemp("known"))


def predict(*arguments: str | Path) -> int:
    return main(["predict", *map(str, arguments)])


def told(out: Path, study: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / study / "summary.json").read_text())
    return found


def rewritten(model: Path, folder: Path, **changes: object) -> Path:
    """Copy a model, with changes of its model.json."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model.read_bytes())
    values = json.loads(model.with_suffix(".json").read_text())
    (folder / "model.json").write_text(json.dumps(values | changes))
    return folder / "model.onnx"


def nifti(path: Path, array: NDArray[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, NIFTI_AFFINE), path)  # type: ignore[no-untyped-call]
    return path


def head(seed: int = 0) -> NDArray[np.int16]:
    """Return (32, 32, 6): a noisy head with a bright spot in dark noise."""
    noise = np.random.default_rng(seed)
    values = noise.integers(0, 20, (32, 32, 6))
    values[4:28, 3:29] = noise.integers(300, 500, (24, 26, 6))
    values[8:14, 8:14, 2:4] = 1000
    return values.astype(np.int16)


# --- grey values


@pytest.mark.parametrize("fill", [-2000, -32768, -400])
def test_what_was_not_measured_changes_nothing(model: Path, tmp_path: Path, fill: int) -> None:
    values = head()
    padded = values.copy()
    padded[:2], padded[-2:] = fill, fill
    grey, expected = to_uint8(padded), to_uint8(values)
    assert np.array_equal(grey[2:-2], expected[2:-2])
    assert not grey[:2].any()
    assert predict(nifti(tmp_path / "flair.nii", padded), "--model", model, "--out", tmp_path, "--no-pictures") == 0
    (warning,) = told(tmp_path, "flair")["warnings"]
    assert warning == f"12.5% of the voxels are {fill}, far below all others: taken as not measured"


@pytest.mark.parametrize(
    "values",
    [
        head(),
        head() - 20,  # an offset is no padding
        np.random.default_rng(0).normal(size=(8, 8, 8)),
        np.full((4, 4, 4), -3.0),
        np.where(np.arange(4096).reshape(16, 16, 16) == 5, -3000.0, 10.0),  # one voxel is an outlier
    ],
)
def test_other_low_values_are_values(values: NDArray[Any]) -> None:
    assert fill_value(values) is None
    assert oddities(values) == ()


def test_cut_off_grey_levels_are_said(model: Path, tmp_path: Path) -> None:
    values = np.clip(head() / 3, 0, 255).astype(np.uint8)  # the spot is: 72 voxels of 3,744
    assert predict(nifti(tmp_path / "flair.nii", values), "--model", model, "--out", tmp_path, "--no-pictures") == 0
    (warning,) = told(tmp_path, "flair")["warnings"]
    assert warning == "2% of the bright voxels are cut off at 255: exported with too narrow a window?"
    assert oddities(np.arange(256, dtype=np.uint8).repeat(3)) == ()
    assert oddities(np.full(9, 255, np.uint8)) == ()
    assert oddities(np.zeros(9, np.uint8)) == ()


# --- whom the model has seen


def test_a_person_is_found_in_a_name() -> None:
    assert persons(f"site_{CASE}_12") >= {"TCGA_CS_4941", f"site_{CASE}"}
    assert persons("P001_3") == {"P001_3", "P001"}


@pytest.mark.parametrize(
    ("cases", "seen"), [(["TCGA_CS_4941"], True), (["TCGA_CS_4942"], False), ([], False), (None, None)]
)
def test_a_dice_on_training_patients_is_told_as_such(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], cases: list[str] | None, seen: bool | None
) -> None:
    training = {} if cases is None else {"cases": cases}
    theirs = rewritten(model, tmp_path / "model", training=training)
    write_known_patient(tmp_path / "data", CASE, FOUND, FOUND)
    assert predict(tmp_path / "data", "--model", theirs, "--out", tmp_path / "out", "--no-pictures") == 0
    assert ("the model was trained or chosen on this patient" in capsys.readouterr().out) == bool(seen)
    assert told(tmp_path / "out", CASE)["seen_in_training"] is seen


# --- names that say what a file is


def test_a_file_that_says_t1_is_not_taken_for_flair_in_silence(model: Path, tmp_path: Path) -> None:
    names = {"pat_t1ce": "T1 after contrast", "pat_T1_brain": "T1 before contrast", "x_T1_post": "T1 after contrast",
             "pat_T2_brain": "another sequence"}  # fmt: skip
    files = [nifti(tmp_path / "in" / f"{name}.nii", head()) for name in names]
    assert predict(*files, "--model", model, "--out", tmp_path / "out", "--no-pictures") == 0
    for name, sequence in names.items():
        assert f"its name says {sequence}; it is taken for FLAIR" in told(tmp_path / "out", name)["warnings"]
    assert predict("--flair", files[0], "--model", model, "--out", tmp_path / "said", "--no-pictures") == 0
    assert told(tmp_path / "said", "pat_t1ce")["warnings"] == []  # who says so knows


def test_sequences_are_told_by_any_word_of_the_name(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("pat_FLAIR_brain", "pat_T1_brain", "pat_T1_post_brain", "pat_T2_brain"):
        nifti(tmp_path / "all" / f"{name}.nii", head())
    for name in ("pat_T1_brain", "pat_T2_brain"):
        nifti(tmp_path / "none" / f"{name}.nii", head())
    command = ("--model", model, "--out", tmp_path / "out", "--no-pictures")
    assert predict(tmp_path / "all", *command) == 0
    assert told(tmp_path / "out", "pat_FLAIR_brain")["sequences"] == ["pre", "flair", "post"]
    assert predict(tmp_path / "none", *command) == 1
    assert "no FLAIR among 2 NIfTI file(s) of pat_brain" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["mask", "p_1-mask", "p_1_Mask", "p_1_seg", "p_mask_9", "p_label"])
def test_masks_by_any_name_are_no_patients(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    write_image(tmp_path / "in" / "p_1.tif", flair_of(FOUND)[0])
    write_mask(tmp_path / "in" / f"{name}.tif", make_mask(9))
    nifti(tmp_path / "in" / f"{name}.nii.gz", head())
    command = ("--model", model, "--out", tmp_path / "out", "--no-pictures", "--json")
    for given in ([tmp_path / "in"], sorted((tmp_path / "in").iterdir())):
        assert predict(*given, *command) == 0
        assert len(json.loads(capsys.readouterr().out)["studies"]) == 1
    for ending in (".tif", ".nii.gz"):
        assert predict(tmp_path / "in" / f"{name}{ending}", *command) == 1
        assert "is a mask, by its name; expected an image" in capsys.readouterr().err


# --- stacks


def test_odd_stacks_are_said(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = flair_of(FOUND)
    for number in (8, 9, 14):
        write_image(tmp_path / "in" / f"gap_{number}.tif", images[0])
    write_mask(tmp_path / "in" / "gap_8_mask.tif", make_mask(3))
    (tmp_path / "in" / "gap_10.jpg").write_bytes(b"picture")
    for name in ("twice_1", "twice_01", "twice_2"):
        write_image(tmp_path / "in" / f"{name}.tif", images[0])
    assert predict(tmp_path / "in", "--model", model, "--out", tmp_path / "out", "--no-pictures") == 1
    assert (
        "twice_01.tif and twice_1.tif are both slice 1 of twice; expected one file for each" in capsys.readouterr().err
    )
    assert told(tmp_path / "out", "gap")["warnings"] == [
        "slices are missing: after number 9 comes 14",
        "masks lie beside 1 of 3 slices: not scored",
        "beside it lie 1 file(s) in JPEG, which are not read",
    ]


def test_pictures_alone_are_named(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    for ending in ("jpg", "JPEG"):
        (tmp_path / "in" / f"a.{ending}").write_bytes(b"picture")
    assert predict(tmp_path / "in", "--model", model, "--out", tmp_path / "out") == 1
    assert "2 file(s) in JPEG; expected TIFF or PNG; convert them" in capsys.readouterr().err


def test_slices_that_a_shell_lists_are_one_stack(model: Path, tmp_path: Path) -> None:
    folder = write_known_patient(tmp_path, "case", FOUND, FOUND)
    assert predict(*sorted(folder.iterdir()), "--model", model, "--out", tmp_path / "out", "--no-pictures") == 0
    assert told(tmp_path / "out", "case")["slices"] == 2
    assert predict(folder / "case_2.tif", "--model", model, "--out", tmp_path / "one", "--no-pictures") == 0
    assert told(tmp_path / "one", "case_2")["slices"] == 1


# --- results that are there already


def test_another_truth_is_not_scored_as_the_old_one(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_known_patient(tmp_path, "case", FOUND, FOUND)
    command = (folder, "--model", model, "--out", tmp_path / "out", "--no-pictures")
    assert predict(*command) == predict(*command) == 0
    write_mask(folder / "case_1_mask.tif", FOUND[1])
    assert predict(*command) == 1
    assert "made with other masks as the truth" in capsys.readouterr().err
    assert predict(*command, "--overwrite") == 0
    assert told(tmp_path / "out", "case")["dice"] < 1


@pytest.mark.parametrize(("setting", "value"), [("threshold", 0.9), ("temperature", 2.0), ("smallest_component", 0.5)])
def test_another_setting_of_the_model_is_another_result(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, value: float
) -> None:
    folder = write_known_patient(tmp_path / "data", "case", FOUND, None)
    assert predict(folder, "--model", model, "--out", tmp_path / "out", "--no-pictures") == 0
    other = rewritten(model, tmp_path / "other", **{setting: value})
    assert predict(folder, "--model", other, "--out", tmp_path / "out", "--no-pictures") == 1
    before = {"threshold": 0.5, "temperature": 1, "smallest_component": 0}[setting]
    assert f"{setting.replace('_', '-')}".split("-", maxsplit=1)[0] in (error := capsys.readouterr().err)
    assert f"{before:g}; expected a new file" in error


def test_overwriting_leaves_nothing_of_the_other_model(model: Path, tmp_path: Path) -> None:
    folder, out = write_known_patient(tmp_path / "data", "case", FOUND, None), tmp_path / "out"
    assert predict(folder, "--model", model, "--out", out, "--probabilities", "--preview") == 0
    written = {path.name for path in (out / "case").iterdir()} - {"summary.json"}
    assert written == set(told(out, "case")["files"])
    assert len(written) == 8  # two masks, two probabilities, preview, picture, contours, GIF
    (out / "case" / "notes.txt").write_text("the user's own")
    assert predict(folder, "--model", model, "--out", out, "--no-pictures", "--overwrite") == 0
    left = {path.name for path in (out / "case").iterdir()}
    assert left == {"case_1_mask.tif", "case_2_mask.tif", "summary.json", "notes.txt"}


def test_a_summary_cannot_make_files_elsewhere_vanish(model: Path, tmp_path: Path) -> None:
    folder, out = write_known_patient(tmp_path / "data", "case", FOUND, None), tmp_path / "out"
    command = (folder, "--model", model, "--out", out, "--no-pictures")
    assert predict(*command) == 0
    (tmp_path / "precious").touch()
    files = [str(tmp_path / "precious"), "../../precious", "..", "", "none"]
    (out / "case" / "summary.json").write_text(json.dumps(told(out, "case") | {"files": files}))
    assert predict(*command, "--overwrite") == 0
    assert (tmp_path / "precious").exists()


def test_moved_results_are_where_they_are(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        write_known_patient(tmp_path / "data", name, FOUND, None)
    assert predict(tmp_path / "data", "--model", model, "--out", tmp_path / "out", "--no-pictures") == 0
    (tmp_path / "out").rename(tmp_path / "moved")
    capsys.readouterr()
    assert predict(tmp_path / "data" / "one", "--model", model, "--out", tmp_path / "moved", "--no-pictures") == 0
    assert f"{tmp_path}/moved/one (done already)" in capsys.readouterr().out
    with (tmp_path / "moved" / "summary.csv").open(newline="") as file:
        assert [row["folder"] for row in csv.DictReader(file)] == [
            f"{tmp_path}/moved/{name}" for name in ("one", "two")
        ]


# --- the table


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_call_leaves_a_table_of_what_is_complete(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    by: signal.Signals,
) -> None:
    for name in ("a", "b", "c"):
        write_known_patient(tmp_path / "data", name, FOUND, None)
    tell = command._tell

    def interrupted(result: dict[str, Any], printer: Any) -> None:
        tell(result, printer)
        if result["study"] == "b":
            if by == signal.SIGINT:  # what Python makes of it, unless whoever started it has it ignored
                raise KeyboardInterrupt
            os.kill(os.getpid(), by)

    monkeypatch.setattr(command, "_tell", interrupted)
    before = signal.signal(by, signal.default_int_handler)  # whoever started the tests may have it ignored
    try:
        assert predict(tmp_path / "data", "--model", model, "--out", tmp_path / "out", "--no-pictures") == 130
    finally:
        signal.signal(by, before)
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == ["a", "b"]
    rows = json.loads((tmp_path / "out" / "summary.json").read_text())
    complete = sorted(path.parent.name for path in (tmp_path / "out").glob("*/summary.json"))  # c may have been in hand
    assert [(row["study"], row["status"]) for row in rows] == [(name, "done") for name in complete]
    assert complete[:2] == ["a", "b"]


def test_what_was_in_hand_when_a_call_was_interrupted_is_in_the_table(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes while the first study is waited for; both in hand are finished before the table is written."""
    for name in ("a", "b", "c", "d"):
        write_known_patient(tmp_path / "data", name, FOUND, None)
    seen, both_in_hand = study_part._seen, Event()

    def slow(name: str, predictor: Any) -> bool | None:
        if name == "b":
            both_in_hand.set()
        if name == "a":
            assert both_in_hand.wait(60)  # or a thread that is just being started might not be waited for
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.3)
        return seen(name, predictor)

    monkeypatch.setattr(study_part, "_seen", slow)
    assert predict(tmp_path / "data", "--model", model, "--out", tmp_path / "out", "--no-pictures") == 130
    rows = json.loads((tmp_path / "out" / "summary.json").read_text())
    complete = sorted(path.parent.name for path in (tmp_path / "out").glob("*/summary.json"))
    assert "a" in complete
    assert "d" not in complete
    assert [(row["study"], row["status"]) for row in rows] == [(name, "done") for name in complete]
    assert not list((tmp_path / "out").glob("*/.unfinished"))


def test_failures_alone_are_in_the_table(model: Path, tmp_path: Path) -> None:
    command = ("--model", model, "--out", tmp_path / "out", "--no-pictures")
    (tmp_path / "broken.nii").write_bytes(b"no image")
    assert predict(tmp_path / "broken.nii", *command) == 1
    assert not (tmp_path / "out").exists()  # nothing to be put anywhere
    assert predict(write_known_patient(tmp_path / "data", "case", FOUND, None), *command) == 0
    assert predict(tmp_path / "broken.nii", *command) == 1
    rows = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [(row["study"], row["status"]) for row in rows] == [("broken", "failed"), ("case", "done")]


def test_results_are_told_by_what_lies_in_them(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    for name in ("one", "two"):
        write_known_patient(data, name, FOUND, None)
    (data / "two" / "summary.json").write_text('{"age": 40}')  # somebody else's
    command = ("--model", model, "--json", "--out")
    assert predict(data, *command, data / "one") == 0  # where images lie, but not its own
    assert [each["study"] for each in json.loads(capsys.readouterr().out)["studies"]] == ["one", "two"]
    assert predict(data, *command, data / "predictions", "--preview", "--probabilities") == 0
    assert predict(data, *command, tmp_path / "out", "--no-pictures") == 0  # results of another --out lie in the input
    capsys.readouterr()
    assert predict(data, *command, data) == 1
    assert "holds the images themselves" in capsys.readouterr().err


# --- measures


def test_a_diameter_does_not_cross_a_gap() -> None:
    mask = np.zeros((6, 40, 40), np.bool_)
    mask[1:3, 2:8, 2:8] = mask[4, 30, 20:35] = True
    mask[0, 39, 0] = True
    found = measure(Prediction(mask, mask.astype(np.float32), 0.5), (5.0, 1.0, 1.0))
    faces = np.array([*np.ndindex(2, 2, 2)]) - 0.5
    corners = [(np.argwhere(part)[:, None] + faces).reshape(-1, 3) * (5, 1, 1) for part in (mask[:4], mask)]
    line = np.linalg.norm([15, 0, 0])
    assert found.components == 3
    assert found.largest_diameter_mm is not None
    assert line - 1 < found.largest_diameter_mm <= np.linalg.norm([5, 1, 15])
    assert found.largest_diameter_mm < pdist(corners[1]).max() / 2
