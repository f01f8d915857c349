"""Runs docs/make_results.py. Proves nothing."""

from __future__ import annotations

import runpy

import pytest

from places import ROOT

SCRIPT = ROOT / "docs" / "make_results.py"


def make_results(*arguments: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [str(SCRIPT), *arguments])
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(SCRIPT), run_name="__main__")
    assert left.value.code == 0
