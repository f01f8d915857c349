"""How sure a mean is: bootstrap intervals over patients. Knows no score and no mask.

Patients are drawn with replacement and each brings all of its slices along, because slices of one patient resemble
each other; a person who was scanned twice is drawn with both scans. Every mean over patients or slices is a ratio of
two sums over patients, so one function serves all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 10_000
"""Bootstrap samples."""
LEVEL = 0.95
"""Share of the samples that an interval holds."""
_SEED = 0


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval; the interval is NaN where there are fewer than two persons."""

    mean: float
    low: float
    high: float

    def as_values(self) -> dict[str, float | None]:
        """Return mean, low and high, ready for JSON (NaN becomes None)."""
        return {name: None if np.isnan(value) else value for name, value in vars(self).items()}


def ratio_interval(numerators: ArrayLike, denominators: ArrayLike, persons: Sequence[str] | None = None) -> Estimate:
    """Return the ratio of two sums over patients with its bootstrap interval.

    The percentile interval (Efron 1981, doi:10.2307/3314608) of 10,000 samples of patients, seeded: the same numbers
    give the same interval. Samples in which the denominator is 0 are left out.

    Parameters
    ----------
    numerators, denominators
        (P,) one number a patient: for a mean over patients the values and ones; for a mean over slices the patient's
        sum and its number of slices. Denominators are not negative.
    persons
        (P,) who each patient is, where one may be there twice (`gliomask.data.naming.person`); None if nobody is.

    Raises
    ------
    ValueError
        If the lengths differ.
    """
    upper, lower = np.asarray(numerators, float), np.asarray(denominators, float)
    if upper.shape != lower.shape or upper.ndim != 1:
        raise ValueError(f"numerators {upper.shape} and denominators {lower.shape}; expected (P,) twice")
    if persons is not None:
        if len(persons) != len(upper):
            raise ValueError(f"{len(persons)} persons of {len(upper)} patients; expected as many")
        ranks = {person: rank for rank, person in enumerate(dict.fromkeys(persons))}  # in the order of the patients
        rows = np.array([ranks[person] for person in persons], np.int64)
        upper, lower = (np.bincount(rows, values, len(ranks)) for values in (upper, lower))
    total = lower.sum()
    mean = float(upper.sum() / total) if total > 0 else float("nan")
    if (lower > 0).sum() < 2:
        return Estimate(mean, float("nan"), float("nan"))
    weights = _weights(len(upper))
    sums, counts = weights @ upper, weights @ lower
    drawn = sums[counts > 0] / counts[counts > 0]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(mean, float(low), float(high))


def mean_interval(values: ArrayLike, persons: Sequence[str] | None = None) -> Estimate:
    """Return the mean over patients with its bootstrap interval.

    Parameters
    ----------
    values
        (P,) one value a patient; NaN where a patient has none, who is then left out.
    persons
        As for `ratio_interval`.
    """
    array = np.asarray(values, float)
    known = ~np.isnan(array)
    return ratio_interval(np.where(known, array, 0.0), known, persons)


@lru_cache(maxsize=8)
def _weights(patients: int) -> NDArray[np.float64]:
    """Return (DRAWS, P): how often each patient is in each sample."""
    drawn = np.random.default_rng(_SEED).multinomial(patients, np.full(patients, 1 / patients), size=DRAWS)
    return drawn.astype(np.float64)
