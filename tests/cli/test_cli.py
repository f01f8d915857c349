"""The door: every command answers --help, starts quickly, loads only what it needs, and ends in the promised status."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn, get_args

import numpy as np
import pytest

from builders import block, make_mask, tiny_dataset, write_known_model, write_known_patient
from fresh import TRAINING, WITHOUT, run_fresh
from gliomask import __version__, errors
from gliomask.cli import models
from gliomask.cli.app import COMMANDS, main
from gliomask.config import ModelName
from gliomask.models.catalogue import ALIASES
from gliomask.volumes.slices import write_mask

HEAVY = {
    "torch", "lightning", "onnx", "onnxruntime", "matplotlib", "pandas", "scipy", "skimage", "PIL", "numpy",
    "starlette", "uvicorn", "anyio",
}  # fmt: skip


# --- help


def test_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown and summary in shown for name, summary in COMMANDS.items())


def test_no_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: gliomask COMMAND" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gliomask {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(importlib.import_module(f"gliomask.cli.{command}").main)
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    shown = capsys.readouterr().out
    assert left.value.code == 0
    assert f"usage: gliomask {command}" in shown
    assert "--quiet" in shown
    assert "--json" in shown


def test_python_m_is_the_same() -> None:
    call = [sys.executable, "-m", "gliomask", "--version"]
    assert subprocess.run(call, capture_output=True, text=True, check=True).stdout == f"gliomask {__version__}\n"


# --- quick and light


@pytest.mark.parametrize("arguments", [["--help"], ["index", "--help"]])
def test_help_takes_no_longer_than_three_times_the_library_that_writes_it(arguments: list[str]) -> None:
    """In turns, and the best pair of a few, for other programs may be running."""
    bare = "import tyro\ndef main(number: int = 0): ...\ntyro.cli(main, args=['--help'])"

    def seconds(*command: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], capture_output=True, check=True)
        return time.perf_counter() - start

    pairs = [(seconds("-m", "gliomask", *arguments), seconds("-c", bare)) for _ in range(5)]
    assert min(ours / library for ours, library in pairs) < 3


def test_help_loads_nothing_heavy() -> None:
    _, loaded = run_fresh(["--help"], *([command, "--help"] for command in COMMANDS))
    assert not loaded & HEAVY


@pytest.fixture
def known(tmp_path: Path) -> tuple[str, str]:
    """Return a folder of two patients with truth, and a model that is right about them."""
    found = np.stack([block(slice(4, 12), slice(6, 20)), block(slice(0, 0), slice(0, 0))])
    for name in ("TCGA_CS_0001_20000101", "TCGA_DU_0002_20000101"):
        write_known_patient(tmp_path / "data", name, found, found)
    return str(tmp_path / "data"), str(write_known_model(tmp_path / "model"))


def test_commands_that_do_not_train_need_no_pytorch(known: tuple[str, str], tmp_path: Path) -> None:
    data, model = known
    commands = [
        ["index", data],
        ["predict", data, "--model", model, "--out", str(tmp_path / "predictions")],
        ["evaluate", data, "--model", model, "--subset", "all"],
        ["explore", data, "--out", str(tmp_path / "explored")],
        ["models"],
        ["phantom", str(tmp_path / "phantoms"), "--patients", "1", "--size", "64"],
    ]
    lines, loaded = run_fresh(*commands, before=WITHOUT)
    assert [line for line in lines if line.startswith(("status", "left"))] == ["status 0"] * len(commands)
    assert not loaded & set(TRAINING)
    assert (tmp_path / "explored" / "distribution.png").is_file()
    assert not (tmp_path / "explored" / "augmentations.png").exists()
    assert any("augmentations is left out" in line and ".[train]" in line for line in lines)


def test_commands_that_do_not_train_do_not_load_pytorch_where_it_is(known: tuple[str, str], tmp_path: Path) -> None:
    data, model = known
    predict = ["predict", data, "--model", model, "--out", str(tmp_path / "out"), "--no-pictures"]
    lines, loaded = run_fresh(["index", data])
    assert lines == ["status 0"]
    assert not loaded & {"torch", "lightning", "matplotlib", "pandas", "scipy", "skimage"}
    lines, loaded = run_fresh(predict)
    assert lines == ["status 0"]
    assert not loaded & {"torch", "lightning", "matplotlib", "pandas", "skimage"}  # SciPy counts the components
    lines, loaded = run_fresh([*predict[:-1], "--overwrite"])
    assert lines == ["status 0"]
    assert list((tmp_path / "out").rglob("*_contours_1.png"))
    assert not loaded & {"torch", "lightning", "matplotlib", "pandas"}  # pictures of predictions are Pillow's
    lines, loaded = run_fresh(["evaluate", data, "--model", model, "--subset", "all"])
    assert lines == ["status 0"]
    assert not loaded & {"torch", "lightning", "matplotlib"}


@pytest.mark.parametrize("command", ["train", "export"])
def test_missing_extra_is_named_in_one_line(tmp_path: Path, command: str) -> None:
    tiny_dataset(tmp_path / "data", patients=3)
    lines, _ = run_fresh([command, str(tmp_path / "data")], before=WITHOUT)
    assert len(lines) == 2
    assert lines[0].startswith(f"gliomask {command}: ")
    assert lines[0].endswith(
        "is not installed; it comes with: pip install -c constraints.txt '.[train]', in gliomask's folder"
    )
    assert lines[1] == "status 2"


# --- wrong usage and errors


def test_unknown_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segment"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("gliomask: unknown command 'segment'; expected one of ")
    assert told.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_option_is_wrong_usage(command: str) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "somewhere", "--no-such-option"])
    assert left.value.code == 2


ERRORS = (
    (errors.UsageError("wrong"), 2),
    (errors.MissingExtraError("torch", "train"), 2),
    (errors.GliomaskError("wrong"), 1),
    (errors.DataError("here", "that", "this", "do it"), 1),
    (errors.UnreadableImageError("here", "that", "this", "do it"), 1),
    (errors.ResultExistsError("here", "that", "this", "do it"), 1),
    (errors.SplitMismatchError("here", "that", "this", "do it"), 1),
    (errors.ModelFileError("wrong"), 1),
    (errors.WeightsError("wrong"), 1),
    (PermissionError(13, "Permission denied", "/somewhere"), 1),
    (KeyboardInterrupt(), 130),
)


@pytest.mark.parametrize(("error", "status"), ERRORS, ids=lambda value: type(value).__name__)
def test_errors_are_one_line_and_a_status(
    error: BaseException, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(models, "main", fail)
    assert main(["models"]) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("gliomask models: ")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(("error", "status"), ERRORS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("arguments", [["--json"], ["name", "--json", "--quiet"]], ids=len)
def test_errors_are_one_object_for_machines(
    error: BaseException,
    status: int,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(models, "main", fail)
    assert main(["models", *arguments]) == status
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"error": printed.err.removesuffix("\n")}
    assert printed.err.startswith("gliomask models: ")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("command", ["train", "leak"])
def test_one_of_several_processes_tells_machines_of_an_error(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for rank, talks in (("0", True), ("1", False)):
        monkeypatch.setenv("RANK", rank)
        assert main([command, str(tmp_path / "absent"), "--name", "r", "--runs", str(tmp_path), "--json"]) == 1
        printed = capsys.readouterr()
        assert bool(printed.out) == talks
        assert "no such folder" in printed.err


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError("no file is to blame"), ModuleNotFoundError(name="x")])
def test_mistakes_of_our_own_are_not_hidden(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(models, "main", fail)
    with pytest.raises(type(error)):
        main(["models"])


# --- index, models, phantom


def test_index_of_good_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = tiny_dataset(tmp_path / "data", patients=3)
    assert main(["index", str(tmp_path / "data"), "--out", str(tmp_path / "new" / "table.csv")]) == 0
    printed = capsys.readouterr()
    assert all(name in printed.out for name in names)
    assert "no problems" in printed.out
    assert printed.err == ""
    assert len((tmp_path / "new" / "table.csv").read_text().splitlines()) == 4


def test_index_lists_problems_with_their_cure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, *_ = tiny_dataset(tmp_path / "data", patients=3)
    path = f"{name}/{name}_2_mask.tif"
    write_mask(tmp_path / "data" / path, make_mask(5, size=20))
    assert main(["index", str(tmp_path / "data")]) == 1
    printed = capsys.readouterr()
    assert "1 problems" in printed.out
    assert printed.err == (
        f"{path}: a mask of 20 x 20 pixels; expected 16 x 16, the size of its image; "
        "make the mask on the grid of the image\n"
    )


def test_index_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, *_ = tiny_dataset(tmp_path / "data", patients=3)
    (tmp_path / "data" / name / "notes.txt").write_text("by hand")
    assert main(["index", str(tmp_path / "data"), "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert (printed["patients"], printed["slices"], printed["slices_with_tumour"]) == (3, 9, 6)
    assert [set(problem) for problem in printed["problems"]] == [{"path", "found", "expected", "cure"}]
    assert printed["problems"][0]["path"] == f"{name}/notes.txt"


def test_index_of_nothing_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", str(tmp_path / "nowhere")]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"gliomask index: {tmp_path}/nowhere: no such folder; expected")
    assert (printed.out, printed.err.count("\n")) == ("", 1)


def test_quiet_commands_print_nothing(
    known: tuple[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, model = known
    out = str(tmp_path / "out")
    commands = [["index", data], ["models"], ["phantom", out, "--patients", "1", "--size", "64"],
                ["predict", data, "--model", model, "--out", out, "--no-pictures"],
                ["evaluate", data, "--model", model, "--subset", "all"]]  # fmt: skip
    assert [main([*command, "--quiet"]) for command in commands] == [0] * 5
    assert capfd.readouterr() == ("", "")


def test_scores_with_mirror_images_are_kept_apart_and_tell_their_cost(
    known: tuple[str, str], capfd: pytest.CaptureFixture[str], slow_engine: float
) -> None:
    data, model = known
    told = {}
    for folder, option in (("all", ()), ("all-flips", ("--flips",))):
        assert main(["evaluate", data, "--model", model, "--subset", "all", *option]) == 0
        summary = json.loads((Path(model).parent / folder / "summary.json").read_text())
        assert summary["view"]["flips"] == bool(option)
        told[folder] = (summary["scores"], re.findall(r"slices took ([0-9.]+) of ([0-9.]+) s", capfd.readouterr().out))
    (plain, nothing), (mirrored, ((cost, spent),)) = told.values()
    assert nothing == []
    assert plain == mirrored  # the model looks at each pixel alone
    assert slow_engine - 0.1 <= float(cost) <= float(spent) - slow_engine + 0.1  # told to a tenth of a second


def test_commands_for_machines_print_one_object(
    known: tuple[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, model = known
    out = str(tmp_path / "out")
    commands = {
        "index": ["index", data],
        "models": ["models"],
        "phantom": ["phantom", out, "--patients", "1", "--size", "64"],
        "predict": ["predict", data, "--model", model, "--out", out, "--no-pictures"],
        "evaluate": ["evaluate", data, "--model", model, "--subset", "all"],
        "train": ["train", data, "--print-config"],
    }
    for name, command in commands.items():
        assert main([*command, "--json"]) == 0, name
        printed = capfd.readouterr()
        assert isinstance(json.loads(printed.out), dict), name
        assert printed.err == "", name


def test_models_can_be_named_to_train(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    listed = {card["name"] for card in json.loads(capsys.readouterr().out)["models"]}
    assert listed | set(ALIASES) == set(get_args(ModelName))
