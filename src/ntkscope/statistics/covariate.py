"""How much of an effect a covariate explains: analysis of covariance over controls and seeds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ntkscope.statistics.correlation import over_all, within_runs
from ntkscope.statistics.paired import FloatArray, Interval, t_interval
from ntkscope.statistics.trend import slope_by_seed


class Explained(NamedTuple):
    """What a covariate x explains of y.

    Attributes:
        slope: of y on x over the controls: one slope per seed, t interval over seeds.
        adjusted_slope: of y ~ x + C(control), errors clustered by seed: the jackknife over seeds
            (CV3 of MacKinnon, Nielsen & Webb 2023), t of seeds − 1. At five seeds it covers, where
            the usual cluster-robust errors fall to 90%.
        r2: share of the variance of y over controls and seeds that x alone explains.
        partial_r2: partial R² of x given C(control): share of what the controls' means leave.
    """

    slope: Interval
    adjusted_slope: Interval
    r2: Interval
    partial_r2: Interval


def explain(x: FloatArray, y: FloatArray, confidence: float) -> Explained:
    """Analysis of covariance of y with covariate x.

    Args:
        x, y: (control, seed), at least 3 of each, complete.
        confidence: such as 0.95.

    Returns:
        Intervals; those of R² are from the jackknife over seeds on Fisher's z of the correlation.
    """
    slopes = np.asarray([slope_by_seed(a, b) for a, b in zip(x.T, y.T, strict=True)])
    return Explained(
        t_interval(slopes, confidence),
        _adjusted_slope(x, y, confidence),
        _squared(over_all(x, y, confidence)),
        _squared(within_runs(x, y, confidence)),
    )


def _adjusted_slope(x: FloatArray, y: FloatArray, confidence: float) -> Interval:
    from scipy.special import stdtrit

    seeds = x.shape[1]
    slope = _slope_given_controls(x, y)
    left = np.asarray(
        [_slope_given_controls(np.delete(x, s, 1), np.delete(y, s, 1)) for s in range(seeds)]
    )
    error = np.sqrt((seeds - 1) / seeds * ((left - left.mean()) ** 2).sum())
    half = stdtrit(seeds - 1, (1 + confidence) / 2) * error
    return Interval(*(np.asarray(end) for end in (slope, slope - half, slope + half, seeds)))


def _slope_given_controls(x: FloatArray, y: FloatArray) -> float:
    """Coefficient of x in y ~ x + C(control); NaN where x does not vary within any control."""
    from statsmodels.regression.linear_model import OLS

    if np.allclose(x, x.mean(axis=1, keepdims=True), rtol=1e-9, atol=0):
        return float("nan")
    controls = np.repeat(np.eye(len(x)), x.shape[1], axis=0)
    return float(OLS(y.ravel(), np.column_stack([x.ravel(), controls])).fit().params[0])


def _squared(r: Interval) -> Interval:
    """R² of an interval of a correlation; its low end is 0 where the correlation's sign is open."""
    ends = np.square([r.low, r.high])
    low = np.where(r.low * r.high < 0, 0.0, ends.min(axis=0))
    return Interval(r.estimate**2, np.where(np.isnan(r.low), np.nan, low), ends.max(axis=0), r.n)
