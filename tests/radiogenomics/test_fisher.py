"""Fisher's test against SciPy, against whole numbers, against all permutations; drawn p-values against counted ones."""

from __future__ import annotations

import tracemalloc
from itertools import permutations, product
from math import comb, prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from gliomask.radiogenomics.fisher import fisher_test

Table = list[list[int]]

small = st.integers(0, 12)


def counted(table: Table) -> float:
    """Return the p-value of a 2 x k table by going through all first rows, in whole numbers."""
    columns, total = [sum(column) for column in zip(*table, strict=True)], sum(table[0])

    def ways(row: tuple[int, ...]) -> int:
        return prod(comb(column, chosen) for column, chosen in zip(columns, row, strict=True))

    each = [ways(row) for row in product(*(range(column + 1) for column in columns)) if sum(row) == total]
    observed = ways(tuple(table[0]))
    return sum(way for way in each if way <= observed) / sum(each)


@given(table=st.lists(st.lists(small, min_size=2, max_size=2), min_size=2, max_size=2))
@settings(deadline=None)
def test_two_by_two_agrees_with_scipy(table: Table) -> None:
    found = fisher_test(table)
    if np.isnan(found.p):
        assert 0 in (*np.sum(table, axis=0), *np.sum(table, axis=1))
    else:
        assert found.p == pytest.approx(fisher_exact(table).pvalue, rel=1e-9)
        assert found.method == "exact"


@given(columns=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=5))
@settings(deadline=None)
def test_two_by_k_agrees_with_an_enumeration_in_whole_numbers(columns: list[tuple[int, int]]) -> None:
    table = [[column[row] for column in columns] for row in (0, 1)]
    found = fisher_test(table)
    if not np.isnan(found.p):
        assert found.p == pytest.approx(counted(table), rel=1e-9)
        assert fisher_test(np.transpose(table)).p == pytest.approx(found.p, rel=1e-9)
        assert fisher_test(table[::-1]).p == pytest.approx(found.p, rel=1e-9)


def test_table_of_a_textbook() -> None:
    assert fisher_test([[3, 1], [1, 3]]).p == pytest.approx(34 / 70)  # Fisher's lady tasting tea, two-sided


def test_a_hundred_patients_in_five_clusters_are_counted() -> None:
    found = fisher_test([[1, 2, 22, 6, 24], [3, 11, 12, 15, 13]])
    assert found.method == "exact"
    assert found.p == pytest.approx(fisher_test([[1, 2, 22, 6, 24], [3, 11, 12, 15, 13]], most_tables=0).p, rel=0.2)


@pytest.mark.parametrize("table", [[[5, 1, 2], [2, 6, 5]], [[8, 1], [2, 9]], [[3, 3, 3], [3, 3, 3]]])
def test_drawing_agrees_with_counting(table: Table) -> None:
    exact, drawn = fisher_test(table), fisher_test(table, most_tables=0)
    assert (exact.method, drawn.method) == ("exact", "Monte Carlo")
    error = np.sqrt(exact.p * (1 - exact.p) / 99_999)
    assert drawn.p == pytest.approx(exact.p, abs=4 * error + 1e-5)
    assert fisher_test(table, most_tables=0) == drawn
    assert fisher_test(table, most_tables=0, seed=1) != drawn or exact.p == 1


def test_larger_tables_are_drawn_and_agree_with_all_permutations() -> None:
    table = np.array([[3, 0, 0], [0, 2, 0], [0, 1, 2]])
    rows, columns = (np.repeat(np.arange(3), table.sum(axis=axis)) for axis in (1, 0))
    shuffled = np.array(list(permutations(columns)))
    tables = np.zeros((len(shuffled), 9), np.int64)
    for row, labels in zip(rows, shuffled.T, strict=True):
        tables[np.arange(len(tables)), 3 * row + labels] += 1
    factorials = np.array([prod(range(1, n + 1)) for n in range(9)])
    weights = factorials[tables].prod(axis=1)  # the more, the less probable the table
    expected = np.mean(weights >= factorials[table].prod())
    found = fisher_test(table)
    assert found.method == "Monte Carlo"
    assert found.p == pytest.approx(expected, abs=4 * np.sqrt(expected / 99_999))


def test_memory_is_that_of_the_tables_counted() -> None:
    table = np.array([[6, 6, 6, 200], [6, 6, 6, 200]])  # 13 * 13 * 13 tables; the last column follows from the others
    fisher_test(table)
    tracemalloc.start()
    assert fisher_test(table).method == "exact"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_drawn_p_value_is_never_zero() -> None:
    assert fisher_test([[40, 0, 0], [0, 40, 0], [0, 0, 40]], draws=999).p == pytest.approx(1 / 1000)


@pytest.mark.parametrize("table", [[[3, 4]], [[3, 0], [4, 0]], [[0, 0], [0, 0]], np.zeros((2, 0))])
def test_nothing_to_test_has_no_p_value(table: Table) -> None:
    assert np.isnan(fisher_test(table).p)


def test_empty_clusters_change_nothing() -> None:
    assert fisher_test([[3, 0, 1], [1, 0, 3], [0, 0, 0]]) == fisher_test([[3, 1], [1, 3]])


@pytest.mark.parametrize("table", [[1, 2], [[1, -1], [2, 2]], [[0.5, 1], [1, 1]]])
def test_what_is_no_table_of_counts_is_refused(table: Table) -> None:
    with pytest.raises(ValueError, match="expected rows of counts"):
        fisher_test(table)
