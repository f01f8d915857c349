"""Drawing people so that every part has small and large tumours of every institution. Knows nothing of files or slices.

People are put in an order in which neighbours are alike; a part then takes one of every so many neighbours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, pstdev

import numpy as np

_RARE = 10  # an institution with fewer people cannot be in every part of 80/10/10: such are pooled
_POOL = "~"  # sorts behind every institution
_ATTEMPTS = 100

Groups = list[list[str]]
"""People in two or more groups."""


@dataclass(frozen=True)
class Traits:
    """What the parts are to be balanced in: institution and tumour size in pixels."""

    institution: str
    tumour_pixels: int


def in_order(people: Mapping[str, Traits]) -> list[str]:
    """Order people by tercile of tumour size, then institution (rare ones pooled), then tumour size, then name."""
    by_size = sorted(people, key=lambda person: (people[person].tumour_pixels, person))
    tercile = {person: 3 * rank // len(by_size) for rank, person in enumerate(by_size)}
    counts = Counter(traits.institution for traits in people.values())

    def key(person: str) -> tuple[int, str, int, str]:
        traits = people[person]
        group = traits.institution if counts[traits.institution] >= _RARE else _POOL
        return tercile[person], group, traits.tumour_pixels, person

    return sorted(people, key=key)


def draw(order: Sequence[str], count: int, generator: np.random.Generator) -> Groups:
    """Draw one at random from each of `count` equal stretches of the order.

    Parameters
    ----------
    order
        People, neighbours alike.
    count
        How many to draw, at most as many as there are.
    generator
        Source of chance.

    Returns
    -------
    Groups
        Who was drawn and who was not, both in order.
    """
    edges = [len(order) * place // count for place in range(count + 1)]
    chosen = {int(generator.integers(low, high)) for low, high in pairwise(edges)}
    drawn = [person for place, person in enumerate(order) if place in chosen]
    return [drawn, [person for place, person in enumerate(order) if place not in chosen]]


def deal(order: Sequence[str], folds: int, generator: np.random.Generator) -> Groups:
    """Deal people into folds: of every `folds` neighbours, each fold gets one, at random which.

    Parameters
    ----------
    order
        People, neighbours alike.
    folds
        Number of folds; their sizes differ by at most one.
    generator
        Source of chance.

    Returns
    -------
    Groups
        People of each fold, in order.
    """
    dealt: Groups = [[] for _ in range(folds)]
    for start in range(0, len(order), folds):
        hand = order[start : start + folds]
        for fold, person in zip(generator.permutation(folds), hand, strict=False):
            dealt[fold].append(person)
    return dealt


def evenest(attempt: Callable[[], Groups], people: Mapping[str, Traits]) -> Groups:
    """Of several attempts, return the one whose groups are most alike.

    Groups are compared by the range of their mean tumour sizes, in standard deviations of all people, plus the
    largest total variation distance between the institutions of a group and those of all people.

    Parameters
    ----------
    attempt
        Divides people into groups, by chance; no group may be empty.
    people
        Tumour size and institution of each person.

    Returns
    -------
    Groups
        What the best attempt gave.
    """
    spread = pstdev(traits.tumour_pixels for traits in people.values()) or 1.0
    overall = _shares(people.values())

    def unevenness(groups: Groups) -> float:
        members = [[people[person] for person in group] for group in groups]
        means = [fmean(traits.tumour_pixels for traits in group) for group in members]
        distances = [
            sum(abs(share - overall[name]) for name, share in _shares(group, overall).items()) / 2 for group in members
        ]
        return (max(means) - min(means)) / spread + max(distances)

    return min((attempt() for _ in range(_ATTEMPTS)), key=unevenness)


def _shares(people: Collection[Traits], institutions: Iterable[str] = ()) -> dict[str, float]:
    """Return the fraction of the people in each institution, and 0 for further institutions named."""
    counts = Counter(traits.institution for traits in people)
    return {name: counts[name] / len(people) for name in {**dict.fromkeys(institutions), **counts}}
