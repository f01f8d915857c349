"""Whether a feature goes with a molecular subtype: tests, corrections, effect sizes, AUC. Knows no mask and no file.

A patient without a label of a subtype takes no part in its tests, and is counted; nothing is imputed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri
from scipy.stats import chi2_contingency, false_discovery_control, kruskal

from gliomask.config import CutName
from gliomask.radiogenomics.fisher import fisher_test

SUBTYPES = ("RNASeqCluster", "MethylationCluster", "miRNACluster", "CNCluster", "COCCluster")
"""The molecular subtypes of data.csv that the earlier studies tested."""
LEVEL = 0.95
"""Of the intervals."""
_HAIR = 1e-9
_SHARES = {"median": [0.5], "quartiles": [0.25, 0.5, 0.75]}


@dataclass(frozen=True)
class Association:
    """One feature tested against one subtype.

    Attributes
    ----------
    feature, subtype
        Columns that were tested.
    patients
        Patients with a value and a label, who took part.
    unlabelled, unmeasured
        Patients left out: without a label of this subtype; with one, but without a value.
    clusters
        Labels, in order.
    cuts
        Values at which the feature is cut; a value equal to a cut belongs to the class below it.
    table
        Patients by class (low to high) and cluster; for a test without classes one row: patients in each cluster.
    test
        ``Fisher, exact``, ``Fisher, Monte Carlo`` or ``Kruskal-Wallis``.
    p
        NaN where there is nothing to test.
    bonferroni, benjamini_hochberg
        The same, corrected for all tests that were made with it.
    effect, effect_name
        Cramer's V with Bergsma's correction (2013, doi:10.1016/j.jkss.2012.10.002), or epsilon squared H / (n - 1).
    """

    feature: str
    subtype: str
    patients: int
    unlabelled: int
    unmeasured: int
    clusters: tuple[str, ...]
    cuts: tuple[float, ...]
    table: tuple[tuple[int, ...], ...]
    test: str
    p: float
    effect: float
    effect_name: str
    bonferroni: float = float("nan")
    benjamini_hochberg: float = float("nan")


@dataclass(frozen=True)
class ClusterAuc:
    """How well a feature tells one cluster from the rest.

    Attributes
    ----------
    feature, subtype, cluster
        What from what.
    patients, others
        Patients in the cluster, and labelled otherwise.
    auc, low, high
        Probability that the feature of a patient in the cluster is above that of another, equal ones counting half, and
        its 95 % interval; NaN where a side has nobody, or fewer than two.
    """

    feature: str
    subtype: str
    cluster: str
    patients: int
    others: int
    auc: float
    low: float
    high: float


def associate(values: pd.DataFrame, labels: pd.DataFrame, *, cut: CutName = "median") -> list[Association]:
    """Test every feature against every subtype.

    Parameters
    ----------
    values
        One row a patient, one column a feature; NaN where there is no value.
    labels
        The same patients, in any order; one column a subtype, text; blank or missing where there is no label.
    cut
        At the median, or the quartiles, of the patients who take part in the test, followed by Fisher's exact test; or
        not at all, and the test is that of Kruskal and Wallis.

    Raises
    ------
    KeyError
        If a patient has no row of labels.
    """
    known = labels.loc[values.index]
    pairs = [(feature, subtype) for feature in map(str, values) for subtype in map(str, known)]
    return _corrected([_associate(*pair, values[pair[0]], known[pair[1]], cut) for pair in pairs])


def discretise(
    values: NDArray[np.float64], cut: Literal["median", "quartiles"]
) -> tuple[NDArray[np.int64], list[float]]:
    """Return the class of every value, 0 for the lowest, and the cuts; values equal to a cut belong below it."""
    cuts = np.quantile(values, _SHARES[cut])
    return np.searchsorted(cuts, values, side="left"), cuts.tolist()


def cramers_v(table: NDArray[np.int64]) -> float:
    """Return Cramer's V with Bergsma's correction, 0 to 1; NaN where a row or a column is left alone."""
    table = table[table.any(axis=1)][:, table.any(axis=0)]
    if min(table.shape, default=0) < 2:
        return float("nan")
    total, (rows, columns) = table.sum(), table.shape
    if total < 3:
        return float("nan")
    squared = chi2_contingency(table, correction=False).statistic / total
    squared = max(0.0, squared - (rows - 1) * (columns - 1) / (total - 1))
    smaller = min(size - (size - 1) ** 2 / (total - 1) for size in (rows, columns)) - 1
    return float(np.sqrt(squared / smaller)) if smaller > 0 else float("nan")


def auc_interval(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the area under the ROC curve with its 95 % interval.

    The interval is Newcombe's (2006, doi:10.1002/sim.2324, method 5): all areas whose distance from the one that was
    found is at most z of the standard errors that they themselves would have. It holds for small clusters, too, and
    never has width 0.

    Parameters
    ----------
    inside, outside
        Values of the patients in the cluster and of the others.

    Returns
    -------
    tuple of float
        AUC, low, high; all NaN if a side is empty, an interval of NaN if one has fewer than two patients.
    """
    if not len(inside) or not len(outside):
        return (float("nan"),) * 3
    wins = (inside[:, None] > outside) + 0.5 * (inside[:, None] == outside)
    auc = float(wins.mean())
    if min(wins.shape) < 2:
        return auc, float("nan"), float("nan")
    quantile = float(ndtri((1 + LEVEL) / 2))

    def excess(area: float) -> float:
        return abs(auc - area) - quantile * _auc_error(area, *wins.shape)

    low = brentq(excess, 0, auc - _HAIR) if auc > 0 else 0.0  # at 0 and 1 the standard error is 0, which is no bound
    high = brentq(excess, auc + _HAIR, 1) if auc < 1 else 1.0
    return auc, float(low), float(high)


def _auc_error(area: float, inside: int, outside: int) -> float:
    """Return the standard error of an area (Hanley and McNeil 1982, with Newcombe's common number of patients)."""
    common = (inside + outside) / 2 - 1
    spread = 1 + common * (1 - area) / (2 - area) + common * area / (1 + area)
    return float(np.sqrt(area * (1 - area) * spread / (inside * outside)))


def cluster_aucs(values: pd.DataFrame, labels: pd.DataFrame) -> list[ClusterAuc]:
    """Return the AUC of every feature for every cluster against the rest; parameters as in `associate`."""
    found = []
    for subtype in map(str, labels):
        for feature in map(str, values):
            measured = values[feature].dropna()
            known = _labelled(labels[subtype].loc[measured.index])
            measured = measured.loc[known.index]
            for cluster in _ordered(known):
                inside, outside = (measured[(known == cluster) == member].to_numpy(float) for member in (True, False))
                areas = auc_interval(inside, outside)
                found.append(ClusterAuc(feature, subtype, cluster, len(inside), len(outside), *areas))
    return found


def _associate(feature: str, subtype: str, values: pd.Series, labels: pd.Series, cut: CutName) -> Association:
    labelled = _labelled(labels)
    known = labelled[values.loc[labelled.index].notna()]
    measured = values.loc[known.index].to_numpy(float)
    clusters = _ordered(known)
    members = np.array([known.to_numpy() == cluster for cluster in clusters]).reshape(len(clusters), len(known))
    counted = (len(known), len(labels) - len(labelled), len(labelled) - len(known), tuple(clusters))
    if cut == "none":
        groups = [measured[rows] for rows in members]
        statistic, p = _kruskal(groups)
        sizes = tuple(map(len, groups))
        epsilon = statistic / (len(measured) - 1) if len(measured) > 1 else float("nan")
        return Association(
            feature, subtype, *counted, (), (sizes,), "Kruskal-Wallis", p, epsilon, "epsilon squared",
        )  # fmt: skip
    classes, cuts = discretise(measured, cut) if len(measured) else (np.zeros(0, np.int64), [])
    table = np.array([[(rows & (classes == each)).sum() for rows in members] for each in range(len(_SHARES[cut]) + 1)])
    result = fisher_test(table.reshape(len(table), -1))
    return Association(
        feature, subtype, *counted, tuple(cuts), tuple(map(tuple, table.tolist())), f"Fisher, {result.method}",
        result.p, cramers_v(table), "Cramer's V",
    )  # fmt: skip


def _kruskal(groups: list[NDArray[np.float64]]) -> tuple[float, float]:
    """Return statistic and p-value; NaN where there are fewer than two groups or two different values."""
    if len(groups) < 2 or len(np.unique(np.concatenate(groups))) < 2:
        return float("nan"), float("nan")
    result = kruskal(*groups)
    return float(result.statistic), float(result.pvalue)


def _corrected(found: list[Association]) -> list[Association]:
    """Correct for the number of tests that could be made."""
    p = np.array([each.p for each in found])
    tested = ~np.isnan(p)
    bonferroni, discovery = (np.full(len(p), np.nan) for _ in range(2))
    if tested.any():
        bonferroni[tested] = np.minimum(1, p[tested] * tested.sum())
        discovery[tested] = false_discovery_control(p[tested], method="bh")
    return [
        replace(each, bonferroni=float(one), benjamini_hochberg=float(other))
        for each, one, other in zip(found, bonferroni, discovery, strict=True)
    ]


def _labelled(labels: pd.Series) -> pd.Series:
    """Return the labels that are not blank, as text."""
    text = labels.dropna().astype(str).str.strip()
    return text[text != ""]


def _ordered(labels: Iterable[str]) -> list[str]:
    """Return the different labels: numbers by size, then text by letters."""
    return sorted(set(labels), key=lambda label: (not label.isdecimal(), int(label) if label.isdecimal() else 0, label))
