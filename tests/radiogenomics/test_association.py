"""Features against subtypes: who takes part, how features are cut, corrections, effect sizes, AUC, agreement."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kruskal, mannwhitneyu

from gliomask.radiogenomics.agreement import agree
from gliomask.radiogenomics.association import associate, auc_interval, cluster_aucs, cramers_v, discretise
from gliomask.radiogenomics.fisher import fisher_test

NAN = float("nan")


def frame(**columns: list[object]) -> pd.DataFrame:
    size = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=[f"patient {number}" for number in range(size)])


def test_only_the_labelled_take_part_and_decide_the_cut() -> None:
    values = frame(size=[1.0, 2.0, 3.0, 4.0, 100.0, 200.0, NAN])
    labels = frame(group=["1", "1", "2", "2", None, " ", "2"])
    (found,) = associate(values, labels)
    assert (found.patients, found.unlabelled, found.unmeasured) == (4, 2, 1)
    assert found.clusters == ("1", "2")
    assert found.cuts == (2.5,)
    assert found.table == ((2, 0), (0, 2))
    assert found.p == pytest.approx(1 / 3)
    assert found.test == "Fisher, exact"


def test_patients_are_joined_by_name() -> None:
    values, labels = frame(size=[1.0, 2.0, 3.0, 4.0]), frame(group=["1", "2", "1", "2"])
    assert associate(values, labels) == associate(values, labels.iloc[::-1])
    with pytest.raises(KeyError):
        associate(values, labels.iloc[:3])


@given(st.lists(st.integers(0, 9).map(float), min_size=1, max_size=30))
def test_a_value_equal_to_the_median_is_below_it(values: list[float]) -> None:
    classes, cuts = discretise(np.array(values), "median")
    assert cuts == [np.median(values)]
    assert classes.tolist() == [int(value > np.median(values)) for value in values]


def test_quartiles_make_four_classes() -> None:
    classes, _ = discretise(np.arange(12.0), "quartiles")
    assert np.bincount(classes).tolist() == [3, 3, 3, 3]
    values = frame(size=list(np.arange(40.0)))
    labels = frame(group=[str(number // 10) for number in range(40)])
    (found,) = associate(values, labels, cut="quartiles")
    assert found.test == "Fisher, Monte Carlo"
    assert found.p == pytest.approx(1e-5)
    assert found.effect == pytest.approx(1)


def test_without_a_cut_the_test_is_that_of_kruskal_and_wallis() -> None:
    rng = np.random.default_rng(0)
    values, groups = rng.random(30), rng.integers(1, 4, 30)
    (found,) = associate(frame(size=list(values)), frame(group=list(map(str, groups))), cut="none")
    expected = kruskal(*(values[groups == group] for group in (1, 2, 3)))
    assert (found.p, found.effect) == pytest.approx((expected.pvalue, expected.statistic / 29))
    assert found.table == (tuple(np.bincount(groups)[1:].tolist()),)


@pytest.mark.parametrize("cut", ["median", "none"])
@pytest.mark.parametrize(
    ("values", "labels"),
    [([1.0, 2.0, 3.0], [None, None, None]), ([1.0, 2.0, 3.0], ["1", "1", "1"]), ([5.0, 5.0, 5.0], ["1", "2", "2"])],
)
def test_nothing_to_test_has_no_p_value_and_counts_as_no_test(
    cut: str, values: list[object], labels: list[object]
) -> None:
    good = frame(size=[1.0, 2.0, 3.0])
    both = pd.concat([good, frame(other=values)], axis=1)
    groups = frame(group=["1", "2", "2"], another=labels)
    found = {(each.feature, each.subtype): each for each in associate(both, groups, cut=cut)}  # type: ignore[arg-type]
    empty = found["other", "another"]
    assert np.isnan([empty.p, empty.bonferroni, empty.benjamini_hochberg, empty.effect]).all()
    tested = [each for each in found.values() if not np.isnan(each.p)]
    assert [each.bonferroni for each in tested] == [min(1, len(tested) * each.p) for each in tested]


def test_corrections_by_hand() -> None:
    rng = np.random.default_rng(3)
    values = frame(**{f"feature {number}": list(rng.random(60) + number * np.arange(60) / 90) for number in range(3)})
    labels = frame(group=[str(number // 20) for number in range(60)])
    found = associate(values, labels)
    p = sorted(each.p for each in found)
    assert [each.bonferroni for each in found] == [min(1, 3 * each.p) for each in found]
    adjusted = [min(p[later] * 3 / (later + 1) for later in range(rank, 3)) for rank in range(3)]
    assert sorted(each.benjamini_hochberg for each in found) == pytest.approx(adjusted)


def test_cramers_v_is_one_for_the_same_partition_and_none_by_chance() -> None:
    assert cramers_v(np.diag([4, 7, 9])) == pytest.approx(1)
    assert cramers_v(np.full((2, 3), 5)) == 0
    rng = np.random.default_rng(0)
    drawn = [cramers_v(np.bincount(rng.integers(0, 9, 40), minlength=9).reshape(3, 3)) for _ in range(200)]
    assert np.mean(drawn) < 0.1  # 0.22 without the correction
    assert np.isnan(cramers_v(np.array([[3, 4], [0, 0]])))


def test_clusters_are_ordered_as_numbers() -> None:
    values, labels = frame(size=[1.0, 2.0, 3.0, 4.0]), frame(group=["10", "9", "b", "a"])
    assert associate(values, labels)[0].clusters == ("9", "10", "a", "b")


samples = st.lists(st.integers(0, 8).map(float), min_size=1, max_size=12)


@given(inside=samples, outside=samples)
@settings(deadline=None)
def test_auc_is_the_statistic_of_mann_and_whitney(inside: list[float], outside: list[float]) -> None:
    area, low, high = auc_interval(np.array(inside), np.array(outside))
    statistic = (
        mannwhitneyu(inside, outside, method="asymptotic").statistic if set(inside + outside) != {inside[0]} else None
    )
    if statistic is not None:
        assert area == pytest.approx(statistic / (len(inside) * len(outside)))
    if min(len(inside), len(outside)) > 1:
        assert 0 <= low <= area <= high <= 1
    else:
        assert np.isnan([low, high]).all()
    assert auc_interval(np.array(outside), np.array(inside))[0] == pytest.approx(1 - area)


@pytest.mark.parametrize(("inside", "outside"), [(30, 50), (2, 90), (4, 90), (5, 12), (19, 59)])
@pytest.mark.parametrize(("apart", "truth"), [(0.0, 0.5), (1.0, 0.7602), (1.6, 0.8711)])
def test_interval_of_the_auc_holds_the_truth_as_often_as_it_says(
    inside: int, outside: int, apart: float, truth: float
) -> None:
    """Of normal samples that many standard deviations apart."""
    rng = np.random.default_rng(0)
    held = []
    for _ in range(400):
        _, low, high = auc_interval(rng.normal(apart, 1, inside), rng.normal(0, 1, outside))
        held.append(low <= truth <= high)
    assert 0.92 <= np.mean(held) <= 0.995


def test_interval_of_a_perfect_auc_has_a_width() -> None:
    area, low, high = auc_interval(np.array([10.0, 11.0]), np.arange(9.0))
    assert (area, high) == (1, 1)
    assert 0.3 < low < 0.9


def test_each_cluster_against_the_rest() -> None:
    values, labels = frame(size=[4.0, 5.0, 1.0, 2.0, 3.0, NAN]), frame(group=["1", "1", "2", "2", None, "2"])
    found = {each.cluster: each for each in cluster_aucs(values, labels)}
    assert (found["1"].auc, found["2"].auc) == (1.0, 0.0)
    assert (found["2"].patients, found["2"].others) == (2, 2)


def test_agreement_by_hand() -> None:
    manual, predicted = frame(size=[1.0, 2.0, 3.0, 4.0, NAN]), frame(size=[2.0, 2.5, 4.5, 4.0, 9.0])
    (found,) = agree(manual, predicted.iloc[::-1])
    assert (found.patients, found.left_out) == (4, 1)
    assert found.pearson == pytest.approx(np.corrcoef([1, 2, 3, 4], [2, 2.5, 4.5, 4])[0, 1])
    assert found.pearson_low < found.pearson < found.pearson_high
    assert found.spearman == pytest.approx(0.8)
    spread = 1.96 * np.std([1, 0.5, 1.5, 0], ddof=1)
    assert (found.bias, found.lower_limit, found.upper_limit) == pytest.approx((0.75, 0.75 - spread, 0.75 + spread))


def test_equal_masks_agree_wholly() -> None:
    values = frame(size=[0.3, 0.1, 0.7, 0.4])
    (found,) = agree(values, values)
    assert (found.pearson, found.spearman, found.bias, found.upper_limit) == pytest.approx((1, 1, 0, 0))


@pytest.mark.parametrize("values", [[1.0, 2.0, NAN, NAN], [2.0, 2.0, 2.0, 2.0 + 1e-15], [NAN] * 4])
def test_what_cannot_be_correlated_is_not(values: list[object]) -> None:
    (found,) = agree(frame(size=[1.0, 2.0, 3.0, 4.0]), frame(size=values))
    assert np.isnan([found.pearson, found.pearson_low, found.spearman]).all()


def test_patients_with_one_kind_of_masks_are_counted() -> None:
    values = frame(size=[1.0, 2.0, 3.0, 5.0, 4.0])
    assert agree(values, values.iloc[:4])[0].left_out == 1


def test_p_value_is_that_of_its_table() -> None:
    rng = np.random.default_rng(5)
    values, labels = frame(size=list(rng.random(50))), frame(group=list(map(str, rng.integers(1, 5, 50))))
    (found,) = associate(values, labels)
    assert found.p == fisher_test(found.table).p
    assert np.sum(found.table) == 50
