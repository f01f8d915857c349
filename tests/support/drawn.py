"""What tests ask of the words in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple


class Word(NamedTuple):
    """A text that Pillow has drawn: where (left, upper, right, lower), and how large the picture is."""

    text: str
    box: tuple[float, float, float, float]
    picture: tuple[int, int]


def legible(words: Sequence[Word]) -> None:
    """Make sure that words of one picture are not cut off and do not overlap."""
    for word in words:
        left, upper, right, lower = word.box
        assert left >= 0, word
        assert upper >= 0, word
        assert right <= word.picture[0], word
        assert lower <= word.picture[1], word
    for first, second in combinations(words, 2):
        apart = first.box[2] <= second.box[0] or second.box[2] <= first.box[0]
        assert apart or first.box[3] <= second.box[1] or second.box[3] <= first.box[1], (first, second)
