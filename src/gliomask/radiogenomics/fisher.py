"""Fisher's exact test for tables of any size. Knows no feature and no patient.

SciPy's own `fisher_exact` is exact for 2 x 2 tables only; for larger ones (from version 1.15) it draws tables at
random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln
from scipy.stats import random_table

DRAWS = 99_999
"""Random tables where not all are counted."""
MOST_TABLES = 5_000_000
"""Most tables that are counted one by one."""
_SEED = 0
_CLOSE = 1e-7  # two probabilities this close, relatively, are equal; as in R


@dataclass(frozen=True)
class FisherResult:
    """A p-value, NaN where there is nothing to test, and how it was found: by counting all tables or drawing some."""

    p: float
    method: Literal["exact", "Monte Carlo"]


def fisher_test(
    table: ArrayLike, *, most_tables: int = MOST_TABLES, draws: int = DRAWS, seed: int = _SEED
) -> FisherResult:
    """Test whether rows and columns are independent (Freeman and Halton 1951, doi:10.1093/biomet/38.1-2.141).

    The p-value is the probability, given the sums of rows and columns, of a table that is no more probable than the one
    observed. With two rows or two columns all tables are counted, unless they are too many; else the p-value is
    (1 + b) / (1 + draws), b of the random tables being no more probable than the observed one, which cannot be 0
    (Phipson and Smyth 2010, doi:10.2202/1544-6115.1585).

    Parameters
    ----------
    table
        (R, C) counts. Empty rows and columns say nothing and are left out.
    most_tables
        Draw instead of counting where there may be more tables than this.
    draws, seed
        How many random tables, and what they are drawn with: the same seed gives the same p-value.

    Returns
    -------
    FisherResult
        NaN if fewer than two rows or columns are left.

    Raises
    ------
    ValueError
        If the table is not two-dimensional, or an entry is negative or no whole number.
    """
    counts = np.asarray(table)
    if counts.ndim != 2 or not (counts >= 0).all() or (counts != np.floor(counts)).any():
        raise ValueError(f"a table {counts.tolist()}; expected rows of counts")
    counts = counts.astype(np.int64)[counts.any(axis=1)][:, counts.any(axis=0)]
    if min(counts.shape, default=0) < 2:
        return FisherResult(float("nan"), "exact")
    if counts.shape[1] == 2:
        counts = counts.T
    if len(counts) == 2 and np.prod(np.sort(counts.sum(axis=0))[:-1] + 1.0) <= most_tables:
        return FisherResult(_count_all(counts), "exact")
    return FisherResult(_draw(counts, draws, seed), "Monte Carlo")


def _count_all(counts: NDArray[np.int64]) -> float:
    """Sum the probabilities of all 2 x C tables with these sums that are no more probable than this one.

    A table is known by its first row; rows grow column by column, the largest column, which the others decide, last.
    """
    counts = counts[:, np.argsort(counts.sum(axis=0))]
    columns, total = counts.sum(axis=0), counts[0].sum()
    room = columns.sum() - np.cumsum(columns)  # what the columns still to come can hold
    sums, weights = np.zeros(1, np.int64), np.zeros(1)
    for column, left in zip(columns[:-1], room[:-1], strict=True):
        chosen = np.arange(column + 1)
        sums = (sums[:, None] + chosen).ravel()
        weights = (weights[:, None] + _log_binomial(column, chosen)).ravel()
        possible = (sums <= total) & (sums + left >= total)
        sums, weights = sums[possible], weights[possible]
    weights = weights + _log_binomial(columns[-1], total - sums)
    observed = _log_binomial(columns, counts[0]).sum()
    probabilities = np.exp(weights - _log_binomial(columns.sum(), total))
    return min(1.0, float(probabilities[weights <= observed + _CLOSE].sum()))


def _draw(counts: NDArray[np.int64], draws: int, seed: int) -> float:
    sums = counts.sum(axis=1), counts.sum(axis=0)
    drawn = random_table.rvs(*sums, size=draws, random_state=np.random.default_rng(seed))
    weights = -gammaln(drawn + 1).sum(axis=(1, 2))  # log probabilities, less what all tables share
    rare = weights <= -gammaln(counts + 1).sum() + _CLOSE
    return float((1 + rare.sum()) / (1 + draws))


def _log_binomial(number: ArrayLike, chosen: ArrayLike) -> NDArray[np.float64]:
    n, k = np.asarray(number), np.asarray(chosen)
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
