"""One call at a time writes a study's folder; what an interrupted one left is removed, and nobody else's file is."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from builders import write_known_model
from dicom_builders import write_series
from gliomask.cli import predict as command
from gliomask.cli.app import main
from gliomask.errors import EngineError, ResultExistsError, UsageError
from gliomask.inference import engine
from gliomask.inference.predictor import Predictor
from gliomask.results import study as study_part
from gliomask.results.claim import claimed
from gliomask.results.loaded import Keep
from gliomask.results.measures import measure
from gliomask.studies.inputs import find_inputs
from gliomask.studies.volume import VolumeStudy
from scans import interrupted, read_nifti, scan, turned, write_nifti

MASKS = Keep(pictures=False)
posix = pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_known_model(tmp_path_factory.mktemp("known")))


def volume(path: Path, *, last: int = 4) -> VolumeStudy:
    """Write a volume whose tumour reaches up to a slice, and return it as a study called flair."""
    values, tumour = scan()
    values[..., last:][tumour[..., last:]] = 60
    return VolumeStudy("flair", write_nifti(path, *turned(values, (0, 1, 2), (1, 1, 1), (5.0, 5.0, 5.0))))


@posix
def test_a_folder_has_one_writer_at_a_time(tmp_path: Path) -> None:
    with claimed(tmp_path / "a") as claim:
        claim.declare(["mine"])
        with pytest.raises(ResultExistsError, match="another call"), claimed(tmp_path / "a"):
            pytest.fail("two writers")
        with claimed(tmp_path / "b"):
            pass
        assert json.loads((tmp_path / "a" / ".unfinished").read_text()) == ["mine"]
    assert list((tmp_path / "a").iterdir()) == []
    with claimed(tmp_path / "a"):
        pass


@pytest.mark.parametrize("is_new", [True, False])
def test_a_claim_that_came_to_nothing_leaves_nothing(tmp_path: Path, is_new: bool) -> None:
    folder = tmp_path / "a"
    if not is_new:
        folder.mkdir()
    with pytest.raises(UsageError), claimed(folder):
        raise UsageError("refused")
    assert folder.exists() is not is_new
    assert not (folder / ".unfinished").exists()


def test_what_an_interrupted_writer_declared_is_removed_and_nothing_else(tmp_path: Path) -> None:
    def stop() -> None:
        with claimed(tmp_path) as claim:
            claim.declare(["a.nii", "b.png", "never.png"])
            for name in ("a.nii", ".b.png.0123.part", "mine.txt", ".mine.txt.0123.part"):
                (tmp_path / name).touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    with claimed(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".mine.txt.0123.part", ".unfinished", "mine.txt"]


@posix
def test_two_patients_of_one_name_are_never_mixed(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls at once, both with a study called flair: one of them is told, the other's folder is its own."""
    both = Barrier(2, timeout=20)
    once = iter([True])

    def slow(*arguments: Any) -> Any:
        if next(once, False):
            both.wait()  # until the other call has been refused
        return measure(*arguments)

    monkeypatch.setattr(study_part, "measure", slow)
    out = tmp_path / "out"

    def first() -> dict[str, Any]:
        return study_part.predict_study(volume(tmp_path / "1" / "flair.nii"), Predictor.load(model), out, MASKS)

    def second() -> str:
        while not list(out.glob("flair/*_mask.nii.gz")):
            pass
        try:
            study_part.predict_study(volume(tmp_path / "2" / "flair.nii", last=2), Predictor.load(model), out, MASKS)
        except ResultExistsError as error:
            return str(error)
        finally:
            both.wait()
        return "nothing was said"

    with ThreadPoolExecutor(2) as pool:
        summary, said = pool.submit(first), pool.submit(second)
        assert "is being written by another call" in said.result()
        assert summary.result()["tumour_voxels"] == read_nifti(out / "flair" / "flair_mask.nii.gz")[0].sum()
    with pytest.raises(ResultExistsError, match="made from other files"):
        study_part.predict_study(volume(tmp_path / "2" / "flair.nii", last=2), Predictor.load(model), out, MASKS)


def test_nothing_of_an_interrupted_call_lies_beside_another_patients_result(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, out = Predictor.load(model), tmp_path / "out"
    monkeypatch.setattr(study_part, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study_part.predict_study(
            volume(tmp_path / "1" / "flair.nii"), predictor, out, Keep(pictures=False, probabilities=True)
        )
    monkeypatch.undo()
    assert (out / "flair" / "flair_probability.nii.gz").is_file()
    study_part.predict_study(volume(tmp_path / "2" / "flair.nii", last=2), predictor, out, MASKS)
    assert sorted(path.name for path in (out / "flair").iterdir()) == ["flair_mask.nii.gz", "summary.json"]


@pytest.mark.parametrize("image", ["a_1.tif", "other.nii.gz", "IM0001"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_masks_are_not_written_among_other_images(model: str, tmp_path: Path, image: str, overwrite: bool) -> None:
    """A copy of the data as the folder of results: masks would be taken for truth, and hide the images."""
    study, folder = volume(tmp_path / "in" / "flair.nii"), tmp_path / "copy" / "flair"
    if image == "IM0001":
        array, affine = turned(scan()[0][..., :1], (0, 1, 2), (-1, -1, 1), (5.0, 5.0, 5.0))
        (path,) = write_series(folder, array, affine)
        path.rename(folder / image)
    else:
        folder.mkdir(parents=True)
        (folder / image).touch()
    with pytest.raises(UsageError, match=f"holds other images .{image}."):
        study_part.predict_study(
            study, Predictor.load(model), tmp_path / "copy", Keep(pictures=False, overwrite=overwrite)
        )
    assert [path.name for path in folder.iterdir()] == [image]


def test_a_segmentation_that_lacked_its_extra_is_said_once_that_is_there(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    array, affine = turned(scan()[0], (0, 1, 2), (-1, -1, 1), (5.0, 5.0, 5.0))
    write_series(tmp_path / "in" / "p", array, affine)
    call = ["predict", str(tmp_path / "in"), "--model", model, "--out", str(tmp_path / "out"), "--no-pictures"]
    monkeypatch.setitem(sys.modules, "highdicom", None)
    monkeypatch.setattr(study_part, "find_spec", lambda _: None)
    assert main(call) == 0
    assert main(call) == 0  # there is nothing that could be done about it
    monkeypatch.undo()
    capsys.readouterr()
    assert main(call) == 1
    assert "made without a DICOM segmentation" in capsys.readouterr().err
    assert main([*call, "--overwrite"]) == 0
    assert list((tmp_path / "out").glob("*/*_seg.dcm"))


def test_a_segmentation_for_which_there_is_no_room_fails_its_study(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    array, affine = turned(scan()[0], (0, 1, 2), (-1, -1, 1), (5.0, 5.0, 5.0))
    write_series(tmp_path / "in" / "p", array, affine)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "p_seg.dcm")

    monkeypatch.setattr("pydicom.dataset.Dataset.save_as", full)
    call = ["predict", str(tmp_path / "in"), "--model", model, "--out", str(tmp_path / "out"), "--no-pictures"]
    assert main(call) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*/summary.json"))


def test_an_engine_that_fails_stops_one_study_and_not_the_others(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        volume(tmp_path / "in" / f"{name}.nii")
    predictor = Predictor.load(model)
    session, fails = predictor.engine._session, iter([True])  # type: ignore[attr-defined]

    class OutOfMemory:
        def run(self, *arguments: Any) -> Any:
            if next(fails, False):
                raise RuntimeError("failed to allocate\n memory")
            return session.run(*arguments)

    monkeypatch.setattr(predictor.engine, "_session", OutOfMemory())
    monkeypatch.setattr(Predictor, "load", lambda *_, **__: predictor)
    assert main(["predict", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--no-pictures"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    failed, done = "ab" if line.startswith("a") else "ba"  # either may be first
    assert line.startswith(f"{failed}: ONNX Runtime, cpu, float32 could not compute")
    assert "failed to allocate memory" in line
    assert [path.parent.name for path in (tmp_path / "out").glob("*/summary.json")] == [done]


def test_openvino_fails_with_the_same_error(model: str) -> None:
    with pytest.raises(EngineError, match="OpenVINO, cpu, float32 could not compute"):
        engine.load_engine(
            Path(model) / "model.onnx" if Path(model).is_dir() else Path(model), engine="openvino"
        ).logits(np.zeros((1, 2, 3, 3), np.float32))


def test_a_folder_that_may_not_be_entered_stops_nobody_else(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, locked = volume(tmp_path / "good.nii").flair, tmp_path / "locked" / "flair.nii"
    assert isinstance(good, Path)
    look = Path.is_file

    def refused(path: Path) -> bool:
        if path == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(Path, "is_file", refused)
    found = find_inputs([locked, good])
    assert [study.name for study in found.studies] == ["good"]
    assert "Permission denied" in str(found.errors[0])


def test_a_failure_alone_begins_no_table(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    volume(tmp_path / "data" / "p" / "p.nii")
    assert main(["predict", str(tmp_path / "data"), "--model", model, "--out", str(tmp_path / "data")]) == 1
    assert "hold" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["p"]


def test_a_table_that_cannot_be_written_hides_no_outcome(
    model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    volume(tmp_path / "a.nii")

    def read_only(*_: Any) -> None:
        raise PermissionError(13, "Permission denied", "summary.csv")

    monkeypatch.setattr("gliomask.results.batch.write_table", read_only)
    call = ["predict", str(tmp_path / "a.nii"), "--model", model, "--out", str(tmp_path / "out"), "--no-pictures"]
    assert main([*call, "--json"]) == 1
    told = capsys.readouterr()
    assert [each["study"] for each in json.loads(told.out)["studies"]] == ["a"]
    assert "summary.csv" in told.err
    monkeypatch.setattr(command, "_tell", interrupted)
    caplog.clear()
    assert main([*call, "--overwrite"]) == 130
    assert "Permission denied (summary.csv)" in caplog.text
