"""Which share of a work one of several machines does. Knows neither the work nor the machines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from gliomask.errors import UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """One of several equal parts, ``2/8``: of a list that all calls find alike, every eighth item from the second on.

    Parameters
    ----------
    number
        Which part, from 1.
    of
        How many there are; 1, the default, is everything.

    Raises
    ------
    UsageError
        If there is no such part.
    """

    number: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 1 <= self.number <= self.of:
            raise UsageError(f"part {self}; expected K/N with K from 1 to N, 2/8 say")

    def __str__(self) -> str:
        """Return it as it is given."""
        return f"{self.number}/{self.of}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Read ``K/N``.

        Raises
        ------
        UsageError
            If it is something else, or there is no such part.
        """
        numbers = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text, flags=re.ASCII)
        if numbers is None:
            raise UsageError(f"part {text}; expected K/N with K from 1 to N, 2/8 say")
        return cls(int(numbers[1]), int(numbers[2]))

    def mine(self, items: Sequence[T]) -> tuple[T, ...]:
        """Return this part of a list."""
        return tuple(items[self.number - 1 :: self.of])

    def others(self, items: Sequence[T]) -> tuple[T, ...]:
        """Return what the other parts have."""
        return tuple(item for place, item in enumerate(items) if place % self.of != self.number - 1)


ALL = Share()
