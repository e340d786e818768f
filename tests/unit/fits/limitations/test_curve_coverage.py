"""Intervals of learning curves cover the truth as often as they say, at 5 seeds, on simulated data.

Errors are simulated as they arise: each seed has its own level and slope, and then its own 4000
test samples (binomial). 4000 replicates tell a coverage to ±0.7% (2 binomial errors), the 1000 of
the fast tests to ±1.4%.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ntkscope.fits.limitations.curves import fit
from ntkscope.fits.limitations.table import Row, as_table
from ntkscope.statistics.concavity import curvature_by_seed
from ntkscope.statistics.offset_law import MOST, STEEPEST, WIDEST, fit_offset_law, offset_by_seed
from ntkscope.statistics.paired import Interval, t_interval
from ntkscope.statistics.spectrum_exponents import spectrum_exponents
from ntkscope.statistics.trend import slope_by_seed
from ntkscope.statistics.two_samples import welch
from tests.unit.fits.limitations.test_curves import ABOUT
from tests.unit.fits.test_coverage import Simulated, slow

SEEDS, TEST = 5, 4000
N = np.asarray([500.0, 1000.0, 2000.0, 4000.0])
LONG = np.asarray([250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0])
Generator = np.random.Generator


def errors(
    generator: Generator,
    count: int,
    exponent: float,
    *,
    at_first: float = 0.35,
    spread: float = 0.03,
    offset: float = 0.0,
    n: np.ndarray = N,
    shared: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Errors (replicate, seed, point) of a n^-exponent + offset on binomial test samples."""
    normal = generator.standard_normal
    slopes = exponent + spread * normal((count, SEEDS, 1))
    levels = 0.03 * normal((count, SEEDS, 1)) + shared
    true = at_first * np.exp(levels) * (n / n[0]) ** -slopes + offset
    return np.asarray(generator.binomial(TEST, np.clip(true, 0, 0.9)) / TEST)


def slope(exponent: float, spread: float, at_first: float) -> Callable[..., Simulated]:
    def simulate(generator: Generator, count: int) -> Simulated:
        found = errors(generator, count, exponent, at_first=at_first, spread=spread)
        return Simulated(-slope_by_seed(np.log(N), np.log(found)), exponent)

    return simulate


def near_chance(generator: Generator, count: int) -> Simulated:
    """A first point at .4, in the fit or left out as its mean over seeds falls."""
    found = errors(generator, count, 0.15, at_first=0.4, spread=0.01)
    logs = np.log(found)
    whole, rest = -slope_by_seed(np.log(N), logs), -slope_by_seed(np.log(N[1:]), logs[..., 1:])
    used = found[..., 0].mean(axis=1, keepdims=True) <= 0.4
    return Simulated(np.where(used, whole, rest), 0.15)


def difference(generator: Generator, count: int) -> Simulated:
    """Two curves of the same samples: what makes a seed's task hard is shared."""
    shared = 0.05 * generator.standard_normal((count, SEEDS, 1))
    first = errors(generator, count, 0.5, shared=shared)
    second = errors(generator, count, 0.25, shared=shared)
    slopes = [-slope_by_seed(np.log(N), np.log(each)) for each in (first, second)]
    return Simulated(slopes[0] - slopes[1], 0.25)


def doubling(generator: Generator, count: int) -> Simulated:
    found = errors(generator, count, 0.45, n=np.asarray([500.0, 1000.0]))
    return Simulated(np.log(found[..., 1] / found[..., 0]), -0.45 * np.log(2))


def curvature(generator: Generator, count: int) -> Simulated:
    flat = errors(generator, count, 0.4).reshape(-1, len(N))
    found = curvature_by_seed(np.log(N), np.log(flat))
    return Simulated(found.reshape(count, SEEDS), 0.0)


def offset_law(
    exponent: float, offset: float, n: np.ndarray
) -> Callable[[Generator, int], Simulated]:
    def simulate(generator: Generator, count: int) -> Simulated:
        found = errors(generator, count, exponent, offset=offset, n=n, spread=0.02)
        return Simulated(offset_by_seed(n, found)[0], exponent)

    return simulate


CASES: dict[str, Callable[[Generator, int], Simulated]] = {
    "exponent .5, one slope": slope(0.5, 0.0, 0.35),
    "exponent .5, slopes vary": slope(0.5, 0.03, 0.35),
    "exponent .1 of a weak kernel": slope(0.1, 0.01, 0.39),
    "exponent .9 to few errors": slope(0.9, 0.05, 0.1),
    "a point left out or not": near_chance,
    "difference of exponents": difference,
    "doubling of m": doubling,
    "curvature": curvature,
    "offset 1.0, c .05, 4 points": offset_law(1.0, 0.05, N),
    "offset .7, c .03, 6 points": offset_law(0.7, 0.03, LONG),
}


@pytest.mark.parametrize(("count", "low", "high"), [(1000, 0.92, 0.98), slow(4000, 0.935, 0.965)])
@pytest.mark.parametrize("case", CASES)
def test_intervals_cover_at_five_seeds(case: str, count: int, low: float, high: float) -> None:
    assert low < CASES[case](np.random.default_rng(11), count).covered() < high


def welch_coverage(count: int) -> float:
    """Independent tasks of unlike spread."""
    generator = np.random.default_rng(12)
    first, second = (
        -slope_by_seed(np.log(N), np.log(errors(generator, count, alpha, spread=spread)))
        for alpha, spread in ((0.5, 0.06), (0.3, 0.01))
    )
    found = [welch(one, other, 0.95) for one, other in zip(first, second, strict=True)]
    return float(np.mean([each.low <= 0.2 <= each.high for each in found]))


@pytest.mark.parametrize(("count", "low", "high"), [(400, 0.92, 0.985), slow(4000, 0.935, 0.97)])
def test_independent_differences_cover(count: int, low: float, high: float) -> None:
    assert low < welch_coverage(count) < high


def quoted(exponent: float, offset: float, n: np.ndarray, count: int) -> tuple[float, float]:
    """How often the exponent with offset is quoted, and how often that is wrong."""
    generator = np.random.default_rng(13)
    found = errors(generator, count, exponent, offset=offset, n=n, spread=0.02)
    alphas, shares, _ = offset_by_seed(n, found)
    bends = curvature_by_seed(np.log(n), np.log(found.reshape(-1, len(n)))).reshape(count, SEEDS)
    of, bend = t_interval(alphas, 0.95), t_interval(bends, 0.95)
    identified = (bend.low > 0) & (of.high - of.low <= 2 * WIDEST)
    inside = (alphas > 1e-6) & (alphas < STEEPEST - 1e-6) & (shares < MOST - 1e-6)
    identified &= inside.all(axis=1)
    wrong = identified & ~((of.low <= exponent) & (exponent <= of.high))
    return float(identified.mean()), float(wrong.mean())


FLOORS = {
    "no floor": (0.5, 0.0, N, 0.0),
    "a weak kernel": (0.15, 0.0, N, 0.0),
    "a floor not seen": (0.5, 0.02, N, 0.0),
    "a floor half seen": (0.5, 0.05, N, 0.1),
    "a floor": (1.0, 0.05, N, 0.9),
    "a floor, 6 points": (0.7, 0.03, LONG, 0.9),
}


@pytest.mark.parametrize(("count", "less", "most"), [(400, 0.05, 0.08), slow(4000, 0.0, 0.06)])
@pytest.mark.parametrize("case", FLOORS)
def test_an_offset_is_seldom_quoted_and_wrong(
    case: str, count: int, less: float, most: float
) -> None:
    exponent, offset, n, often = FLOORS[case]
    identified, wrong = quoted(exponent, offset, n, count)
    assert identified >= often - less
    assert wrong < most


def test_the_law_with_offset_is_judged_as_simulated() -> None:
    generator = np.random.default_rng(14)
    for (exponent, offset, n, _), asked in ((FLOORS["a floor"], True), (FLOORS["no floor"], False)):
        found = [
            fit_offset_law(n, each, 0.95).identified
            for each in errors(generator, 20, exponent, offset=offset, n=n, spread=0.02)
        ]
        assert np.mean(found) > 0.8 if asked else np.mean(found) < 0.2


def spectra(
    generator: Generator, count: int, b: float, a: float, samples: int
) -> tuple[np.ndarray, np.ndarray]:
    """Spectra (replicate, seed, eigen) of Gaussian features with λ_i = i^-b and c_i² = i^-a.

    Features beyond 8 · samples are so many that they act as their mean: a ridge, and noise.
    """
    features = 8 * samples
    index = np.arange(1, features + 1.0)
    beyond = [(features + 0.5) ** (1 - power) / (power - 1) for power in (b, a)]
    values, powers = np.empty((2, count, SEEDS, samples))
    signs = np.sign(generator.standard_normal(features))
    for place in np.ndindex(count, SEEDS):
        z = generator.standard_normal((samples, features))
        kernel = (z * index**-b) @ z.T / samples + np.eye(samples) * beyond[0] / samples
        y = z @ (signs * index ** (-a / 2))
        y += np.sqrt(beyond[1]) * generator.standard_normal(samples)
        found, vectors = np.linalg.eigh(kernel)
        values[place] = found[::-1] / found.sum()
        powers[place] = ((vectors.T @ y) ** 2)[::-1] / (y @ y)
    return values, powers


def spectrum_coverage(count: int, samples: int) -> dict[str, float]:
    b, a = 1.4, 1.5
    found = spectrum_exponents(*spectra(np.random.default_rng(15), count, b, a, samples))
    truths = {"capacity": b, "source": a, "predicted": a - 1}
    intervals: dict[str, Interval] = {
        name: t_interval(getattr(found, name), 0.95) for name in truths
    }
    return {
        name: float(np.mean((each.low <= truths[name]) & (truths[name] <= each.high)))
        for name, each in intervals.items()
    }


def test_capacity_and_source_are_found_without_bias() -> None:
    """Of 40 spectra, of which 3 standard errors are .003 in b and .02 in a."""
    found = spectrum_exponents(*spectra(np.random.default_rng(15), 8, 1.4, 1.5, 200))
    assert found.capacity.mean() == pytest.approx(1.4, abs=0.005)
    assert found.source.mean() == pytest.approx(1.5, abs=0.03)
    np.testing.assert_allclose(found.predicted, found.source - 1)


@pytest.mark.slow
def test_capacity_and_source_cover() -> None:
    for name, covered in spectrum_coverage(1000, 256).items():
        assert 0.92 < covered < 0.98, name


def experiment(found: np.ndarray) -> float:
    """Whether `fit` covers the exponent .5: errors (seed, point)."""
    said = np.full(SEEDS, "", "U1")
    rows = [
        Row(
            {**ABOUT, "curve": "network", "n": int(n)},
            {"error": column, "squared_error": column},
            said,
        )
        for n, column in zip(N, found.T, strict=True)
    ]
    data = as_table(
        rows, [], range(SEEDS), currency={"pairs": "zero_one"}, test={"pairs": TEST}, facts={}
    )
    fits = fit(data, (500, 4000), 0.4, 0.95, "scaling")
    return float(fits["exponent_low"][0] <= 0.5 <= fits["exponent_high"][0])


def test_a_power_law_is_recovered_by_the_whole_stage() -> None:
    found = errors(np.random.default_rng(16), 60, 0.5)
    assert np.mean([experiment(each) for each in found]) > 0.86
