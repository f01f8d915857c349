"""Habits of the whole package that a reader relies on, checked on its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from places import ROOT

PACKAGE = ROOT / "src" / "gliomask"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 450


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def places(*kinds: type[ast.AST], of: list[Path] = MODULES) -> list[str]:
    """Return where such nodes are, as module:line."""
    return [
        f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}"
        for path in of
        for node in ast.walk(tree(path))
        if isinstance(node, kinds)
    ]


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_the_package_is_found() -> None:
    assert len(MODULES) > 40
    assert len(places(ast.FunctionDef)) > 100


def test_modules_are_short_and_say_why_they_exist() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}
    assert [path for path in MODULES if not ast.get_docstring(tree(path))] == []


def test_input_is_never_checked_by_assert() -> None:
    assert places(ast.Assert) == []


def test_only_the_command_line_prints() -> None:
    silent = [path for path in MODULES if path.relative_to(PACKAGE).parts[0] != "cli"]
    assert [path for path in silent for name, _ in calls(path) if name in {"print", "sys.stdout.write"}] == []
    assert len(silent) < len(MODULES)


def test_rooms_import_nothing_when_they_are_entered() -> None:
    doors = [door for door in PACKAGE.rglob("__init__.py") if door.parent != PACKAGE]
    assert {door.parent for door in doors} == {path.parent for path in MODULES} - {PACKAGE}
    assert places(ast.Import, ast.ImportFrom, of=doors) == []


def test_files_cannot_smuggle_code_in() -> None:
    """Model files are safetensors, ONNX and JSON; pickles of others are read as weights only, arrays without them."""
    needed = {"torch.load": "weights_only=True", "np.load": "allow_pickle=False"}
    for path in MODULES:
        for name, call in calls(path):
            assert name not in {"torch.save", "pickle.load", "pickle.loads", "eval", "exec", "yaml.load"}, path
            given = {f"{keyword.arg}={ast.unparse(keyword.value)}" for keyword in call.keywords}
            assert needed.get(name, "") in {"", *given}, path


def test_errors_are_defined_in_one_place() -> None:
    for path in MODULES:
        classes = (node for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef))
        bases = {ast.unparse(base) for node in classes for base in node.bases}
        assert path.name == "errors.py" or not [base for base in bases if base.endswith(("Error", "Exception"))], path
