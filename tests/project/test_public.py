"""The public names, what `import gliomask` costs, and the drawing of the errors."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys

import pytest

import gliomask
from gliomask import errors

NAMES = [
    "Conversion",
    "CrossValidation",
    "DatasetIndex",
    "Evaluation",
    "Failure",
    "GliomaskError",
    "Keep",
    "OutlineFinder",
    "Prediction",
    "Predictor",
    "RunFolder",
    "Share",
    "TrainConfig",
    "build_index",
    "choose_subset",
    "compare",
    "convert_all",
    "evaluate",
    "explore",
    "find_inputs",
    "fit",
    "fit_folds",
    "predict_all",
    "predict_study",
    "read_evaluation",
    "write_evaluation",
    "write_phantoms",
]


def loaded_after(statement: str) -> set[str]:
    """Return the packages that a new Python has loaded after a statement."""
    code = f"{statement}; import json, sys; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(result.stdout)}


def test_public_names_are_these() -> None:
    assert gliomask.__all__ == NAMES
    assert set(dir(gliomask)) == {*NAMES, "__version__"}


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_there_and_says_what_it_is(name: str) -> None:
    found = getattr(gliomask, name)
    assert found.__name__ == name
    assert found.__module__.startswith("gliomask.")
    assert found.__doc__
    assert not found.__doc__.startswith(f"{name}(")  # what a dataclass says of itself if nobody wrote anything


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        gliomask.train  # noqa: B018 - asking is the test


def test_importing_the_package_loads_nothing_heavy() -> None:
    added = loaded_after("import gliomask") - loaded_after("pass")
    assert "gliomask" in added
    assert not added & {
        "numpy",
        "torch",
        "lightning",
        "pandas",
        "scipy",
        "skimage",
        "matplotlib",
        "onnxruntime",
        "tyro",
    }


def test_prediction_needs_no_pytorch() -> None:
    loaded = loaded_after("import gliomask; gliomask.build_index, gliomask.Predictor.load(engine='onnxruntime')")
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "lightning", "pandas", "matplotlib", "scipy", "skimage"}


def test_evaluation_needs_tables_and_distances_but_no_pytorch() -> None:
    loaded = loaded_after("import gliomask; gliomask.evaluate")
    assert {"pandas", "scipy"} <= loaded
    assert not loaded & {"torch", "lightning", "matplotlib"}


def subclasses(kind: type[Exception]) -> dict[str, str]:
    """Return every subclass with its base."""
    found: dict[str, str] = {}
    for child in kind.__subclasses__():
        found |= {child.__name__: kind.__name__, **subclasses(child)}
    return found


def test_errors_are_as_drawn() -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ((?:[│ ]   )*)(?:[├└]── )?(\w+Error)\b", line)
        if match:
            depth = len(match[1]) // 4 + ("── " in line)
            above[depth:] = [match[2]]
            if depth:
                drawn[match[2]] = above[depth - 1]
    importlib.import_module("gliomask.cli.app")
    assert len(drawn) >= 7
    assert drawn == subclasses(errors.GliomaskError)


@pytest.mark.parametrize("kind", [errors.DataError, errors.UnreadableImageError, errors.SplitMismatchError])
def test_data_errors_say_what_came_what_was_expected_and_the_cure(kind: type[errors.DataError]) -> None:
    error = kind("slice.tif", "an empty file", "a slice", "copy it again")
    assert str(error) == "slice.tif: an empty file; expected a slice; copy it again"
    assert (error.path, error.found, error.expected, error.cure) == (
        "slice.tif", "an empty file", "a slice", "copy it again",
    )  # fmt: skip
