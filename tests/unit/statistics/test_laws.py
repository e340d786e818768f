"""Trend, concavity, saturation, lowest point, correlation and covariate, against known answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ntkscope.statistics.concavity import bend_by_seed, curvature_by_seed, first_share_by_seed
from ntkscope.statistics.correlation import between_runs, within_runs
from ntkscope.statistics.covariate import explain
from ntkscope.statistics.minimum import lowest_by_seed
from ntkscope.statistics.saturation import evidence_for_saturation, saturation_by_seed
from ntkscope.statistics.trend import kendall_by_seed, slope_by_seed

X = np.arange(1.0, 6.0)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape)


def test_slopes_are_numpys() -> None:
    y = noise(3, 5)
    expected = [np.polyfit(X, row, 1)[0] for row in y]
    np.testing.assert_allclose(slope_by_seed(X, y), expected, rtol=1e-10)


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, np.inf]), min_size=3, max_size=6))
def test_kendalls_tau_counts_pairs(row: list[float]) -> None:
    pairs = [np.sign(np.nan_to_num(b - a)) for i, a in enumerate(row) for b in row[i + 1 :]]
    np.testing.assert_allclose(kendall_by_seed(np.asarray([row]))[0], np.mean(pairs))


def test_a_parabola_has_its_bend_and_a_line_has_none() -> None:
    y = np.stack([3 * X, 10 * X - X**2 + 7, -X])
    np.testing.assert_allclose(bend_by_seed(X, y), [0, -25 / 32, np.nan], atol=1e-12)
    np.testing.assert_allclose(curvature_by_seed(X, y), [0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(first_share_by_seed(y), [0.2, 16 / 32, np.nan])


@pytest.mark.parametrize("rate", [-0.3, 0.0, 0.02, 0.5, 3.0])
def test_an_exact_saturating_law_is_recovered(rate: float) -> None:
    y = 0.7 * (X if rate == 0 else (1 - np.exp(-rate * X)) / rate)
    np.testing.assert_allclose(saturation_by_seed(X, y[None])[0], rate, atol=1e-6)
    np.testing.assert_allclose(saturation_by_seed(X / 9, y[None])[0], 9 * rate, atol=1e-5)


def test_a_rate_that_the_points_do_not_tell_is_nan() -> None:
    flat, late = np.ones(5), np.asarray([0.0, 0.0, 0.0, 0.0, 1.0])
    assert np.isnan(saturation_by_seed(X, np.stack([flat, late]))).all()
    assert np.isnan(evidence_for_saturation(X, np.stack([flat, X])))


def test_aicc_prefers_the_line_where_it_is_one_and_the_law_where_it_bends() -> None:
    errors = 0.01 * noise(5, 5)
    assert evidence_for_saturation(X, 0.2 * X + errors) < 0
    assert evidence_for_saturation(X, 1 - np.exp(-0.5 * X) + errors) > 0


def test_the_lowest_point_is_a_parabolas_vertex_inside_and_an_end_outside() -> None:
    y = np.stack([(X - 2.7) ** 2, X, -X, np.full(5, np.nan)])
    np.testing.assert_allclose(lowest_by_seed(X, y), [2.7, 1, 5, np.nan])
    late = np.asarray([[9.0, 4.0, 3.0, np.inf, np.inf]])
    assert lowest_by_seed(X, late)[0] == 3


def test_the_correlation_between_runs_is_scipys() -> None:
    x, y = noise(2, 12, 5)
    found = between_runs(x, y, 0.9)
    expected = stats.pearsonr(x.mean(1), y.mean(1))
    np.testing.assert_allclose(found.estimate, expected.statistic)
    np.testing.assert_allclose((found.low, found.high), expected.confidence_interval(0.9))


def test_the_correlation_within_runs_is_the_partial_one() -> None:
    """Bakdash & Marusich 2017, eq. 3: r² = SS of x / (SS of x + SS of error), given the runs."""
    x, y = noise(2, 4, 5)
    y = y + 0.8 * x + np.arange(4)[:, None]
    frame = pd.DataFrame({"x": x.ravel(), "y": y.ravel(), "run": np.repeat(range(4), 5)})
    full, without = (smf.ols(f, frame).fit() for f in ("y ~ C(run) + x", "y ~ C(run)"))
    found = within_runs(x, y, 0.95)
    np.testing.assert_allclose(found.estimate**2, 1 - full.ssr / without.ssr)
    assert found.low < found.estimate < found.high


def test_missing_seeds_are_left_out_of_correlations() -> None:
    x, y = noise(2, 6, 5)
    holes = x.copy()
    holes[:, 4] = np.nan
    for correlation in (between_runs, within_runs):
        found, whole = correlation(holes, y, 0.95), correlation(x[:, :4], y[:, :4], 0.95)
        np.testing.assert_allclose(found, whole)


@pytest.mark.parametrize("correlation", [between_runs, within_runs])
def test_too_few_runs_or_seeds_have_no_correlation_and_no_warning(correlation: object) -> None:
    assert callable(correlation)
    for shape in ((0, 0), (1, 2), (3, 1)):
        with np.errstate(all="raise"):
            assert np.isnan(correlation(np.ones(shape), np.ones(shape), 0.95).low)


def test_the_covariate_is_fitted_as_statsmodels_does() -> None:
    x, y = noise(2, 4, 5)
    y = y + 0.5 * x + np.asarray([0.0, 1.0, -2.0, 3.0])[:, None]
    frame = pd.DataFrame({"x": x.ravel(), "y": y.ravel(), "c": np.repeat(range(4), 5)})
    full, without = (smf.ols(f, frame).fit() for f in ("y ~ x + C(c)", "y ~ C(c)"))
    found = explain(x, y, 0.95)
    np.testing.assert_allclose(found.adjusted_slope.estimate, full.params["x"])
    np.testing.assert_allclose(found.partial_r2.estimate, 1 - full.ssr / without.ssr)
    np.testing.assert_allclose(found.r2.estimate, smf.ols("y ~ x", frame).fit().rsquared)
    slopes = [np.polyfit(a, b, 1)[0] for a, b in zip(x.T, y.T, strict=True)]
    np.testing.assert_allclose(found.slope.estimate, np.mean(slopes))
    for interval in (found.r2, found.partial_r2):
        assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
