"""How a feature of predicted masks agrees with that of manual ones. Knows no mask and no subtype."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr

LIMITS = 1.96
"""Standard deviations between the bias and a limit of agreement."""
_ROUNDING = 1e-9  # what differs by less, relatively, does not vary


@dataclass(frozen=True)
class Agreement:
    """One feature, predicted against manual, over the patients who have both.

    Attributes
    ----------
    feature
        Which.
    patients, left_out
        Patients with both values, and those who lack one.
    pearson, pearson_low, pearson_high
        Correlation and its 95 % interval by Fisher's transformation; NaN where it cannot be told.
    spearman
        Correlation of the ranks.
    bias
        Mean of predicted less manual.
    lower_limit, upper_limit
        Limits of agreement: bias less and plus 1.96 standard deviations of the differences (Bland and Altman 1986,
        doi:10.1016/S0140-6736(86)90837-8).
    """

    feature: str
    patients: int
    left_out: int
    pearson: float
    pearson_low: float
    pearson_high: float
    spearman: float
    bias: float
    lower_limit: float
    upper_limit: float


def agree(manual: pd.DataFrame, predicted: pd.DataFrame) -> list[Agreement]:
    """Compare every feature of predicted masks with that of manual ones.

    Parameters
    ----------
    manual, predicted
        One row a patient, one column a feature, the same columns; NaN where there is no value. Patients with one of the
        two alone are left out and counted.
    """
    patients = manual.index.union(predicted.index)
    truth, found = manual.reindex(patients), predicted.reindex(patients)
    return [_agree(feature, truth[feature], found[feature]) for feature in map(str, manual)]


def _agree(feature: str, manual: pd.Series, predicted: pd.Series) -> Agreement:
    both = (manual.notna() & predicted.notna()).to_numpy()
    truth, found = manual.to_numpy(float)[both], predicted.to_numpy(float)[both]
    difference = found - truth
    bias = float(difference.mean()) if len(difference) else float("nan")
    spread = LIMITS * float(difference.std(ddof=1)) if len(difference) > 1 else float("nan")
    return Agreement(
        feature, int(both.sum()), int((~both).sum()), *_correlations(truth, found), bias, bias - spread, bias + spread
    )


def _correlations(truth: NDArray[np.float64], found: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """Return Pearson's with its interval and Spearman's; NaN for fewer than three patients or where nothing varies."""
    if len(truth) < 3 or any(np.ptp(values) <= _ROUNDING * np.abs(values).max() for values in (truth, found)):
        return (float("nan"),) * 4
    pearson = pearsonr(truth, found)
    interval = pearson.confidence_interval(0.95) if len(truth) > 3 else (float("nan"), float("nan"))
    return float(pearson.statistic), float(interval[0]), float(interval[1]), float(spearmanr(truth, found).statistic)
