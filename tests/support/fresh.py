"""Runs commands in a new Python, with the extra for training or as if it were not installed. Proves nothing."""

from __future__ import annotations

import json
import subprocess
import sys

TRAINING = ("torch", "lightning", "safetensors", "onnx", "onnxscript", "tensorboard")


WITHOUT = f"""
import sys
from importlib.machinery import PathFinder

class WithoutExtras(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {TRAINING} else super().find_spec(name, path, target)

sys.meta_path = [WithoutExtras if finder is PathFinder else finder for finder in sys.meta_path]
"""
"""Makes Python behave as if the extra for training were not installed."""


RUN = """
import json, sys
from gliomask.cli.app import main
for arguments in json.loads(sys.argv[1]):
    try:
        print("status", main(arguments), file=sys.stderr)
    except SystemExit as left:
        print("left", left.code, file=sys.stderr)
print(*sys.modules, file=sys.stderr)
"""


def run_fresh(*commands: list[str], before: str = "") -> tuple[list[str], set[str]]:
    """Run commands in a new Python; return the lines of its standard error, and the packages that were loaded."""
    call = [sys.executable, "-W", "error", "-c", before + RUN, json.dumps(commands)]
    result = subprocess.run(call, capture_output=True, text=True, timeout=120, check=True)
    *lines, loaded = result.stderr.splitlines()
    return lines, {name.partition(".")[0] for name in loaded.split()}
