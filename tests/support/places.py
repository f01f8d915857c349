"""Where the project lies, and the real slices if they are at hand."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNPACKED = ROOT / "data" / "kaggle_3m"
PACKED = ROOT.parent / "shared" / "lgg"
