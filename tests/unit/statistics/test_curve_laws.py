"""Laws of learning curves on values that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ntkscope.statistics.offset_law import fit_offset_law, offset_by_seed
from ntkscope.statistics.paired import Interval
from ntkscope.statistics.sampling_error import binomial_error, squared_error_error
from ntkscope.statistics.spectrum_exponents import effective_dimension, spectrum_exponents
from ntkscope.statistics.two_samples import best_by_others, resolution, welch

N = np.asarray([250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0])


@pytest.mark.parametrize("alpha", [0.05, 0.4, 1.3])
@pytest.mark.parametrize("offset", [0.0, 0.003, 0.05])
def test_an_exact_law_with_offset_is_found(alpha: float, offset: float) -> None:
    y = 0.3 * np.asarray([[1.0], [1.7]]) * (N / N[0]) ** -alpha + offset
    found, share, floor = offset_by_seed(N, y)
    np.testing.assert_allclose(found, alpha, atol=1e-6)
    np.testing.assert_allclose(floor, offset, atol=1e-6)
    np.testing.assert_allclose(share, floor / y[:, -1], atol=1e-6)


def test_the_law_with_offset_knows_no_unit() -> None:
    y = 0.3 * (N / N[0]) ** -0.7 + 0.02 * (1 + 0.1 * np.sin(N))
    found = offset_by_seed(N, y[None])
    scaled = offset_by_seed(N / 7, 5 * y[None])
    np.testing.assert_allclose(scaled[0], found[0], rtol=1e-6)
    np.testing.assert_allclose(scaled[2], 5 * found[2], rtol=1e-6)


def test_seeds_are_fitted_by_themselves() -> None:
    generator = np.random.default_rng(0)
    y = (0.3 * (N / N[0]) ** -0.7 + 0.02) * np.exp(0.05 * generator.standard_normal((9, 6)))
    together = np.stack(offset_by_seed(N, y))
    alone = np.concatenate([np.stack(offset_by_seed(N, y[i : i + 1])) for i in range(9)], axis=1)
    np.testing.assert_array_equal(together, alone)


def test_a_floor_is_identified_and_a_pure_law_is_not() -> None:
    noise = np.exp(0.01 * np.random.default_rng(1).standard_normal((5, 6)))
    floor = fit_offset_law(N, (0.3 * (N / N[0]) ** -0.8 + 0.03) * noise, 0.95)
    assert floor.identified
    assert floor.exponent.low < 0.8 < floor.exponent.high
    pure = fit_offset_law(N, 0.3 * (N / N[0]) ** -0.8 * noise, 0.95)
    assert (pure.identified, pure.reason) == (False, "no floor resolved")


def test_a_seed_without_every_value_is_left_out() -> None:
    y = np.tile(0.3 * (N / N[0]) ** -0.8 + 0.03, (4, 1))
    y[1, 2], y[2, 0] = np.nan, 0.0
    found = fit_offset_law(N, y, 0.95)
    assert np.isnan(found.per_seed).tolist() == [False, True, True, False]
    few = fit_offset_law(N[:3], y[:, :3], 0.95)
    assert (few.identified, few.reason) == (False, "fewer than 4 points")


def test_welch_is_scipy_s() -> None:
    generator = np.random.default_rng(2)
    first, second = generator.standard_normal(5), 3 * generator.standard_normal(7) + 1
    theirs = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.9)
    ours = welch(np.append(first, np.nan), second, 0.9)
    np.testing.assert_allclose([ours.low, ours.high], [theirs.low, theirs.high])
    assert ours.n == 5
    assert resolution(ours) == pytest.approx((theirs.high - theirs.low) / 2)
    assert np.isnan(welch(first[:1], second, 0.9).low)
    assert np.isnan(welch(first[:0], second, 0.9).estimate)


def test_resolution_is_half_the_interval() -> None:
    middle, low, high, n = (np.asarray(value) for value in (1.0, 0.5, 2.5, 5))
    assert resolution(Interval(middle, low, high, n)) == 1.0


def test_the_best_of_the_others_is_not_ones_own() -> None:
    y = np.asarray([[0.0, 5.0, 3.0], [4.0, 5.0, 3.0], [4.0, 5.0, 3.0]])
    assert best_by_others(y).tolist() == [2, 0, 0]


def test_errors_of_test_samples() -> None:
    shares = np.random.default_rng(3).binomial(4000, 0.2, 20000) / 4000
    assert binomial_error(np.asarray(0.2), 4000) == pytest.approx(shares.std(), rel=0.02)
    residuals = np.random.default_rng(4).standard_normal((4000, 500))
    spread = (residuals**2).mean(axis=1).std()
    assert squared_error_error(np.asarray(1.0), 500) == pytest.approx(spread, rel=0.05)


def test_effective_dimension_is_of_the_eigenvalues() -> None:
    values = np.asarray([3.0, 1.0, 0.0, -1e-9])
    assert effective_dimension(values, 1.0) == pytest.approx(0.75 + 0.5)


def test_exponents_of_a_spectrum_know_no_unit_and_refuse_what_is_too_small() -> None:
    index = np.arange(1, 301.0)
    found = spectrum_exponents(index**-1.5, index**-1.4)
    scaled = spectrum_exponents(7 * index**-1.5, 3 * index**-1.4)
    np.testing.assert_allclose(scaled, found, rtol=1e-9)
    assert found.predicted == pytest.approx(min(found.source - 1, 2 * found.capacity))
    both = spectrum_exponents(np.stack([index**-1.5, np.nan * index]), np.stack([index**-1.4] * 2))
    assert np.isnan(both.capacity).tolist() == [False, True]
    assert np.isnan(spectrum_exponents(index[:150], index[:150]).capacity)
    low_rank = np.where(index < 100, index**-1.5, 0.0)
    assert np.isnan(spectrum_exponents(low_rank, index).capacity)


@pytest.mark.parametrize("exponent", [-400, -280, 0, 280, 400])
def test_welch_knows_no_unit(exponent: int) -> None:
    """Squares of variances of 1e-170 are 0: the degrees of freedom were 1, and the ends wide."""
    first, second = np.random.default_rng(0).standard_normal((2, 6))
    expected = welch(first, second[:4], 0.95)
    found = welch(np.ldexp(first, exponent), np.ldexp(second[:4], exponent), 0.95)
    for one, other in zip(found[:3], expected[:3], strict=True):
        assert np.ldexp(one, -exponent) == pytest.approx(float(other), rel=1e-13)
