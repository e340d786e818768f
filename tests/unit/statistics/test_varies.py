"""Equal numbers do not vary, though the rounding of their mean says that they do."""

import numpy as np
import pytest

from ntkscope.statistics.correlation import between_runs, over_all, pearson, within_runs
from ntkscope.statistics.covariate import explain
from ntkscope.statistics.paired import cohens_dz, t_p, varies
from ntkscope.statistics.trend import kendall_by_seed, slope_by_seed

COUNTS = [3, 5, 6, 7, 10, 100]


def equal(count: int) -> np.ndarray:
    """Their mean is off by 1e-17 for most counts."""
    return np.full(count, 0.1)


@pytest.mark.parametrize("count", COUNTS)
def test_equal_differences_have_no_effect_size_and_no_p(count: int) -> None:
    """d_z was 6e15, and p 1e-80."""
    assert np.isnan([cohens_dz(equal(count)), t_p(equal(count))]).all()
    assert np.isnan(cohens_dz(0.1 + np.spacing(0.1) * (np.arange(count) % 2)))
    assert np.isfinite(cohens_dz(0.1 + 1e-14 * np.arange(count)))


@pytest.mark.parametrize("count", COUNTS)
def test_constants_are_not_correlated(count: int) -> None:
    """A constant with a constant was correlated by 1, with anything by 0, in no interval."""
    other = np.random.default_rng(0).standard_normal((4, count))
    assert np.isnan(pearson(equal(count), equal(count)))
    assert np.isnan(pearson(equal(count), other[0]))
    by_run = np.repeat([[0.1], [0.2], [0.3], [0.7]], count, axis=1)
    for x, y in ((by_run, other), (other, by_run), (by_run, 3 * by_run)):
        assert np.isnan(within_runs(x, y, 0.95)[:3]).all()
    same = np.tile(equal(count), (4, 1))
    for correlation in (between_runs, over_all):
        assert np.isnan(correlation(same, other, 0.95)[:3]).all()


@pytest.mark.parametrize("count", COUNTS)
def test_there_is_no_slope_along_a_constant(count: int) -> None:
    """It was 1e16."""
    y = np.random.default_rng(0).standard_normal((2, count))
    assert np.isnan(slope_by_seed(equal(count), y)).all()
    found = explain(np.full((count, 3), 0.1), y[:1].T + np.arange(3), 0.95)
    assert np.isnan([each.estimate for each in found]).all()


def test_rows_that_vary() -> None:
    rows = np.array([[1, 2, np.nan], [1, 1, np.nan], [np.nan] * 3, [0, 0, 0], [1e-300, 2e-300, 0]])
    assert varies(rows).tolist() == [True, False, False, False, True]
    assert not varies(np.array([]))


def test_kendalls_tau_of_a_row_with_a_gap_is_not_known() -> None:
    """Its pairs counted as ties."""
    rows = np.array([[1, np.nan, 3], [1, 2, np.inf]])
    np.testing.assert_array_equal(kendall_by_seed(rows), [np.nan, 1])
