"""What is said of an error that nobody foresaw: where it happened, and nothing that names a patient or a file."""

from __future__ import annotations

import traceback
from pathlib import Path


def place_of(error: BaseException) -> str:
    """Return the kind of an error and the place it came from, as ``TypeError at canvas.py:31``, without its text."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def sentence(error: BaseException) -> str:
    """Return what a user is told."""
    cure = "try again with less, and if it stays, report this line (it names nobody)"
    return f"an unexpected error ({place_of(error)}); expected none; {cure}"
