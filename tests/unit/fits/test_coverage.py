"""Intervals cover the truth as often as they say, at 5 seeds, on simulated data.

4000 replicates tell a coverage to ±0.7% (2 binomial errors), the 400 of the fast tests to ±2.2%.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from ntkscope.fits.boundary_window import BoundaryWindow
from ntkscope.fits.effects import log_velocity, norm_drop
from ntkscope.statistics.concavity import first_share_by_seed
from ntkscope.statistics.correlation import between_runs, within_runs
from ntkscope.statistics.covariate import explain
from ntkscope.statistics.paired import Interval, t_interval
from ntkscope.statistics.saturation import saturation_by_seed
from ntkscope.statistics.trend import kendall_by_seed, slope_by_seed

SEEDS = 5
STEPS = np.arange(0, 41)
AROUND = BoundaryWindow(STEPS, boundary=20, end=40, window=10)
X = np.arange(1.0, 6.0)


class Simulated(NamedTuple):
    """Values (replicate, seed) and what they estimate."""

    values: np.ndarray
    truth: float

    def covered(self) -> float:
        """How often the interval of 95% has the truth."""
        found = t_interval(self.values, 0.95)
        return float(np.mean((found.low <= self.truth) & (self.truth <= found.high)))


def slow(*values: float) -> Any:
    """A case of more than a few seconds."""
    return pytest.param(*values, marks=pytest.mark.slow)


def spike(generator: np.random.Generator, count: int) -> Simulated:
    """Arms share most of a seed's log velocity; the shift's is 2 higher at the boundary."""
    normal = generator.standard_normal
    shared, own = normal((count, 1, SEEDS, 1)), normal((count, 2, SEEDS, len(STEPS)))
    jump = 2.0 * (STEPS == 20) * np.asarray([1.0, 0.0])[:, None, None]
    log_v = log_velocity(np.exp(shared + 0.5 * own + jump), AROUND)
    return Simulated(log_v[:, 0] - log_v[:, 1], 2.0)


def drop(generator: np.random.Generator, count: int) -> Simulated:
    """Noisy norms with a dip whose depth varies by seed; the truth is the mean over all seeds."""
    normal = generator.standard_normal
    depth = 0.4 + 0.1 * normal((count, SEEDS, 1))
    dip = np.stack([depth * np.exp(-((STEPS - 24) ** 2) / 8), np.zeros((count, SEEDS, 41))], 1)
    curves = np.exp(0.3 * normal((count, 1, SEEDS, 1))) * (1 - dip)
    drops = norm_drop(curves * np.exp(0.02 * normal(curves.shape)), AROUND)
    values = drops[:, 0] - drops[:, 1]
    return Simulated(values, float(values.mean()))


def exponent(spread: float) -> Callable[[np.random.Generator, int], Simulated]:
    def simulate(generator: np.random.Generator, count: int) -> Simulated:
        log_x = np.log(64.0 * 2.0 ** np.arange(6))
        slopes = -0.7 + spread * generator.standard_normal((count, SEEDS, 1))
        noise = 0.05 * generator.standard_normal((count, SEEDS, 6))
        offsets = 0.05 * generator.standard_normal((count, SEEDS, 1))
        return Simulated(slope_by_seed(log_x, offsets + slopes * log_x + noise), -0.7)

    return simulate


def trend(spread: float) -> Callable[[np.random.Generator, int], Simulated]:
    def simulate(generator: np.random.Generator, count: int) -> Simulated:
        slopes = 0.1 + spread * generator.standard_normal((count, SEEDS, 1))
        noise = 0.1 * generator.standard_normal((count, SEEDS, 5))
        return Simulated(slope_by_seed(X, slopes * X + noise), 0.1)

    return simulate


def tau(generator: np.random.Generator, count: int) -> Simulated:
    values = kendall_by_seed(0.1 * X + 0.3 * generator.standard_normal((count, SEEDS, 5)))
    return Simulated(values, float(values.mean()))


def saturating(
    rate: float, spread: float, error: float
) -> Callable[[np.random.Generator, int], Simulated]:
    def simulate(generator: np.random.Generator, count: int) -> Simulated:
        rates = rate + spread * generator.standard_normal((count, SEEDS, 1))
        size = 0.7 * (1 + 0.1 * generator.standard_normal((count, SEEDS, 1)))
        y = size * -np.expm1(-rates * X) + error * generator.standard_normal((count, SEEDS, 5))
        return Simulated(saturation_by_seed(X, y), rate)

    return simulate


def share(generator: np.random.Generator, count: int) -> Simulated:
    y = -np.expm1(-0.5 * X) + 0.03 * generator.standard_normal((count, SEEDS, 5))
    values = first_share_by_seed(y)
    return Simulated(values, float(values.mean()))


CASES = {
    "spike": spike,
    "norm drop": drop,
    "exponent, one slope": exponent(0.0),
    "exponent, slopes vary": exponent(0.05),
    "trend, one slope": trend(0.0),
    "trend, slopes vary": trend(0.05),
    "Kendall's tau": tau,
    "share of the first step": share,
    "saturation, slight": saturating(0.2, 0.0, 0.03),
    "saturation, rates vary": saturating(0.5, 0.05, 0.03),
    "saturation, strong": saturating(1.0, 0.1, 0.02),
}


@pytest.mark.parametrize(("count", "low", "high"), [(400, 0.92, 0.98), slow(4000, 0.93, 0.97)])
@pytest.mark.parametrize("case", CASES)
def test_intervals_cover_at_five_seeds(case: str, count: int, low: float, high: float) -> None:
    assert low < CASES[case](np.random.default_rng(7), count).covered() < high


def correlated(generator: np.random.Generator, rho: float, shape: tuple[int, int]) -> np.ndarray:
    first, second = generator.standard_normal((2, *shape))
    return np.stack([first, rho * first + np.sqrt(1 - rho**2) * second])


def within(generator: np.random.Generator) -> tuple[Interval, float]:
    """Runs that share what their seeds do: half of the variance within runs."""
    shared, own = (correlated(generator, 0.5, shape) for shape in ((1, SEEDS), (20, SEEDS)))
    runs = 2 * correlated(generator, 0.6, (20, 1))
    x, y = runs + np.sqrt(0.5) * (shared + own)
    return within_runs(x, y, 0.95), 0.5


def between(generator: np.random.Generator) -> tuple[Interval, float]:
    x, y = correlated(generator, 0.6, (20, 1)) + 0.1 * correlated(generator, 0.6, (20, SEEDS))
    return between_runs(x, y, 0.95), 0.6


def adjusted_slope(generator: np.random.Generator) -> tuple[Interval, float]:
    """Four controls; the seeds shift x and y in all of them."""
    normal = generator.standard_normal
    x = np.asarray([3.0, 4.0, 2.0, 5.0])[:, None] + 0.3 * (normal((1, SEEDS)) + normal((4, SEEDS)))
    means = np.asarray([0.5, -0.2, 0.1, 0.3])[:, None]
    y = means + 0.5 * x + 0.3 * (normal((1, SEEDS)) + normal((4, SEEDS)))
    return explain(x, y, 0.95).adjusted_slope, 0.5


@pytest.mark.slow
@pytest.mark.parametrize("simulate", [within, between, adjusted_slope])
def test_correlations_and_covariates_cover(
    simulate: Callable[[np.random.Generator], tuple[Interval, float]],
) -> None:
    """The jackknife of 5 seeds may cover a little more than it says."""
    generator = np.random.default_rng(3)
    found = [simulate(generator) for _ in range(1500)]
    covered = np.mean([interval.low <= truth <= interval.high for interval, truth in found])
    assert 0.93 < covered < 0.985
