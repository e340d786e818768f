"""One value per seed: mean, t interval, two exact tests against 0, and two effect sizes.

The values are differences between a run and its twin of the same seed, so that each is one
independent observation. The t interval over seeds covers nominally at five seeds where bootstrap
and pooled intervals do not. The Wilcoxon test is exact and so, with n seeds, its two-sided p is
never below 2^(1−n): 0.0625 at n = 5, whatever the effect. Read the interval and the effect size.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Interval(NamedTuple):
    """Mean of the finite values with its t interval; each of the shape of the leading axes.

    Attributes:
        estimate: mean; NaN without values.
        low, high: t interval; NaN for fewer than two values.
        n: values used.
    """

    estimate: FloatArray
    low: FloatArray
    high: FloatArray
    n: NDArray[np.int64]


class ZeroTests(NamedTuple):
    """Tests of the finite values against 0, and effect sizes; NaN without values.

    Attributes:
        p_wilcoxon: Wilcoxon signed-rank, two-sided.
        p_sign: sign test, two-sided.
        effect_dz: Cohen's d_z = mean / standard deviation; NaN for fewer than two values.
        effect_rank_biserial: matched-pairs rank-biserial correlation, in [−1, 1].
    """

    p_wilcoxon: float
    p_sign: float
    effect_dz: float
    effect_rank_biserial: float


def varies(values: FloatArray) -> NDArray[np.bool_]:
    """Whether values differ by more than rounding, over the last axis: (…, point) → (…).

    The mean of equal numbers is not always their value: 0.1 three times is off by 1e-17, and a
    standard deviation, slope or correlation made of that is noise. Leaves out NaN.
    """
    kept = np.isfinite(values)
    high = np.where(kept, values, -np.inf).max(axis=-1, initial=-np.inf)
    low = np.where(kept, values, np.inf).min(axis=-1, initial=np.inf)
    return np.asarray(high - low > 4 * np.finfo(np.float64).eps * np.maximum(high, -low))


def t_interval(values: FloatArray, confidence: float) -> Interval:
    """Mean and t interval over the last axis, leaving out NaN.

    Args:
        values: (…, seed).
        confidence: such as 0.95.
    """
    from scipy.special import stdtrit

    used = np.isfinite(values)
    n = used.sum(axis=-1)
    mean = np.where(used, values, 0.0).sum(axis=-1) / np.maximum(n, 1)
    squares = np.where(used, values - mean[..., None], 0.0) ** 2
    error = np.sqrt(squares.sum(axis=-1) / np.maximum(n - 1, 1) / np.maximum(n, 1))
    half = stdtrit(np.maximum(n - 1, 1), (1 + confidence) / 2) * error
    half = np.where(n > 1, half, np.nan)
    mean = np.where(n > 0, mean, np.nan)
    return Interval(mean, mean - half, mean + half, n)


def median(values: FloatArray) -> FloatArray:
    """Median over the last axis, leaving out NaN; an infinite value is one not reached.

    With one common end of observation this is the median of Kaplan & Meier 1958.

    Args:
        values: (…, seed).

    Returns:
        (…); NaN without values, or where the median itself is not reached.
    """
    ordered = np.sort(np.where(np.isnan(values), np.inf, values), axis=-1)
    n = (~np.isnan(values)).sum(axis=-1)
    places = np.stack([np.maximum(n - 1, 0) // 2, np.minimum(n // 2, values.shape[-1] - 1)], -1)
    middle = np.take_along_axis(ordered, places, axis=-1)
    reached = np.isfinite(middle).all(axis=-1)
    return np.where(reached, np.where(reached[..., None], middle, 0.0).mean(axis=-1), np.nan)


def against_zero(values: FloatArray) -> ZeroTests:
    """Both tests and effect sizes of one value per seed, leaving out NaN.

    Args:
        values: (seed,).
    """
    kept = values[np.isfinite(values)]
    return ZeroTests(wilcoxon_p(kept), sign_p(kept), cohens_dz(kept), rank_biserial(kept))


def wilcoxon_p(differences: FloatArray) -> float:
    """Two-sided p of the Wilcoxon signed-rank test (Wilcoxon 1945), zeros dropped.

    Exact up to 13 values, and up to 50 without ties; 1 if all are zero, NaN without values.
    """
    from scipy.stats import wilcoxon

    nonzero = differences[differences != 0]
    if nonzero.size == 0:
        return 1.0 if differences.size else float("nan")
    return float(wilcoxon(nonzero).pvalue)


def sign_p(differences: FloatArray) -> float:
    """Two-sided p of the sign test, exact, zeros dropped; 1 if all are zero, NaN without values."""
    from scipy.stats import binomtest

    nonzero = differences[differences != 0]
    if nonzero.size == 0:
        return 1.0 if differences.size else float("nan")
    return float(binomtest(int((nonzero > 0).sum()), nonzero.size).pvalue)


def t_p(differences: FloatArray) -> float:
    """Two-sided p of the paired t test; NaN for fewer than two values or no variation."""
    from scipy.special import stdtr

    n = differences.size
    effect = cohens_dz(differences)
    return float(2 * stdtr(n - 1, -abs(effect) * np.sqrt(n))) if n > 1 else float("nan")


def cohens_dz(differences: FloatArray) -> float:
    """Mean over standard deviation of paired differences (Cohen 1988); NaN without variation."""
    spread = differences.std(ddof=1) if differences.size > 1 and varies(differences) else 0.0
    return float(differences.mean() / spread) if spread > 0 else float("nan")


def rank_biserial(differences: FloatArray) -> float:
    """(W₊ − W₋) / (W₊ + W₋), W the rank sums by sign, zeros dropped (Kerby 2014, eq. 8).

    1 if all differences are positive, −1 if all are negative, 0 if all are zero.
    """
    from scipy.stats import rankdata

    if differences.size == 0:
        return float("nan")
    nonzero = differences[differences != 0]
    if nonzero.size == 0:
        return 0.0
    ranks = rankdata(np.abs(nonzero))
    return float((ranks * np.sign(nonzero)).sum() / ranks.sum())
