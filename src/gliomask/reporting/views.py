"""What a model was shown and how it was computed, in words. Knows evaluations by what they say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WORDS = {"flair_alone": "FLAIR alone", "one_by_one": "each slice by itself", "flips": "every slice mirrored as well"}


def shown(facts: Mapping[str, Any]) -> str | None:
    """Return what a model saw of each patient; None for masks of another program, and evaluations that do not tell."""
    view = facts.get("view")
    if not isinstance(view, dict):
        return None
    return ", ".join(words for name, words in _WORDS.items() if view.get(name)) or "all sequences, whole volumes"
