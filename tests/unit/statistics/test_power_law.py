"""Exponents: recovered, covered, and refused where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from ntkscope.statistics.concavity import curvature_by_seed
from ntkscope.statistics.paired import t_interval
from ntkscope.statistics.power_law import (
    clustered,
    compare,
    fit_power_law,
)
from ntkscope.statistics.trend import slope_by_seed

WIDTHS = 64.0 * 2.0 ** np.arange(6)
SEEDS = np.arange(1.0, 6.0)


def test_an_exact_law_is_recovered() -> None:
    law = fit_power_law(WIDTHS, SEEDS[:, None] * WIDTHS**-0.7, 0.95)
    np.testing.assert_allclose(law.exponent[:3], -0.7, rtol=1e-12)
    np.testing.assert_allclose(law.cluster[:3], -0.7, rtol=1e-6)
    np.testing.assert_allclose(law.curvature.estimate, 0, atol=1e-12)
    assert (law.reason, int(law.exponent.n)) == ("", 5)


def test_slopes_and_curvatures_are_least_squares() -> None:
    log_y = np.random.default_rng(0).standard_normal((3, 6))
    x = np.log(WIDTHS)
    for row, slope, bend in zip(
        log_y, slope_by_seed(x, log_y), curvature_by_seed(x, log_y), strict=True
    ):
        np.testing.assert_allclose(slope, np.polyfit(x, row, 1)[0], rtol=1e-10)
        np.testing.assert_allclose(bend, np.polyfit(x, row, 2)[0], rtol=1e-8)


def test_the_pooled_fit_is_that_of_statsmodels() -> None:
    log_y = np.random.default_rng(1).standard_normal((4, 6))
    x = np.log(WIDTHS)
    design = sm.add_constant(np.tile(x, 4))
    groups = {"groups": np.repeat(range(4), 6)}
    fit = sm.OLS(log_y.ravel(), design).fit(cov_type="cluster", cov_kwds=groups, use_t=True)
    found = clustered(x, log_y, 0.95)
    np.testing.assert_allclose((found.low, found.high), fit.conf_int()[1], rtol=1e-12)
    np.testing.assert_allclose(found.estimate, slope_by_seed(x, log_y).mean(), rtol=1e-12)


@pytest.mark.parametrize("spread", [0.0, 0.05])
def test_the_interval_covers_nominally_at_5_seeds_whether_or_not_slopes_vary(
    spread: float,
) -> None:
    generator = np.random.default_rng(7)
    x, shape = np.log(WIDTHS), (10000, 5)
    slopes = -0.7 + spread * generator.standard_normal(shape)
    offsets = 0.05 * generator.standard_normal(shape)
    noise = 0.05 * generator.standard_normal((*shape, len(x)))
    found = t_interval(slope_by_seed(x, offsets[..., None] + slopes[..., None] * x + noise), 0.95)
    covered = np.mean((found.low <= -0.7) & (found.high >= -0.7))
    assert 0.93 < covered < 0.97


def test_a_curved_law_shows_in_its_curvature() -> None:
    generator = np.random.default_rng(2)
    noise = np.exp(0.01 * generator.standard_normal((5, 6)))
    law = fit_power_law(WIDTHS, (WIDTHS**-0.7 + 0.02) * noise, 0.95)
    assert law.curvature.low > 0


def test_seeds_without_a_positive_value_everywhere_are_left_out_and_counted() -> None:
    y = SEEDS[:, None] * WIDTHS**-0.5
    y[0, 2], y[1, 0], y[1, 1], y[2, 5] = -0.1, 0.0, np.nan, np.nan
    law = fit_power_law(WIDTHS, y, 0.95)
    np.testing.assert_array_equal(np.isnan(law.per_seed), [True, True, True, False, False])
    assert (law.nonpositive, law.incomplete, int(law.exponent.n)) == (1, 2, 2)
    np.testing.assert_allclose(law.exponent.estimate, -0.5)


def test_a_width_that_no_seed_has_is_dropped() -> None:
    y = SEEDS[:, None] * WIDTHS**-0.5
    y[:, 3] = np.nan
    law = fit_power_law(WIDTHS, y, 0.95)
    np.testing.assert_allclose(law.per_seed, -0.5)
    assert law.incomplete == 0


@pytest.mark.parametrize(
    ("y", "reason"),
    [
        (np.ones((5, 2)), "fewer than 3 points"),
        (-np.ones((5, 4)), "fewer than 2 seeds"),
        (np.full((5, 4), np.nan), "fewer than 3 points"),
    ],
)
def test_no_law_says_why(y: np.ndarray, reason: str) -> None:
    law = fit_power_law(WIDTHS[: y.shape[1]], y, 0.95)
    assert np.isnan(law.exponent.estimate)
    assert law.reason.startswith(reason)


def test_two_exponents_are_compared_by_pairs_of_seeds() -> None:
    first = np.asarray([-0.5, -0.6, -0.7, -0.8, np.nan])
    found = compare(first, first + np.asarray([0.1, 0.1, 0.1, 0.11, 0.1]), 0.95)
    np.testing.assert_allclose(found.difference.estimate, -0.1025)
    assert int(found.difference.n) == 4
    assert found.difference.high < 0
    assert found.p_t < 1e-4
