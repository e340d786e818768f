"""Intervals, tests and effect sizes against their definitions, and their coverage."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ntkscope.statistics.paired import (
    against_zero,
    cohens_dz,
    median,
    rank_biserial,
    sign_p,
    t_interval,
    t_p,
    wilcoxon_p,
)

FEW = st.lists(st.integers(-5, 5), min_size=1, max_size=7)


def signed_rank_sum(values: np.ndarray) -> float:
    return float((stats.rankdata(abs(values)) * np.sign(values)).sum())


def wilcoxon_by_enumeration(values: np.ndarray) -> float:
    """Share of all sign patterns whose rank sum is at least as extreme."""
    flips = [
        signed_rank_sum(np.abs(values) * np.asarray(signs))
        for signs in itertools.product((-1, 1), repeat=len(values))
    ]
    return float(np.mean(np.abs(flips) >= abs(signed_rank_sum(values)) - 1e-9))


@given(FEW)
def test_wilcoxon_is_exact_with_ties_and_zeros(few: list[int]) -> None:
    values = np.asarray(few, float)
    nonzero = values[values != 0]
    expected = wilcoxon_by_enumeration(nonzero) if len(nonzero) else 1.0
    np.testing.assert_allclose(wilcoxon_p(values), expected, rtol=1e-12)


@given(FEW)
def test_sign_test_counts_sign_patterns(few: list[int]) -> None:
    signs = np.sign([v for v in few if v])
    sums = [sum(p) for p in itertools.product((-1, 1), repeat=len(signs))]
    expected = np.mean(np.abs(sums) >= abs(signs.sum())) if len(signs) else 1.0
    np.testing.assert_allclose(sign_p(np.asarray(few, float)), expected, rtol=1e-12)


@given(FEW)
def test_rank_biserial_by_loops(few: list[int]) -> None:
    values = [v for v in few if v]
    ranks = stats.rankdata(np.abs(values)) if values else []
    up = sum(r for r, v in zip(ranks, values, strict=True) if v > 0)
    down = sum(r for r, v in zip(ranks, values, strict=True) if v < 0)
    expected = (up - down) / (up + down) if values else 0.0
    np.testing.assert_allclose(rank_biserial(np.asarray(few, float)), expected, atol=1e-15)


def test_five_seeds_cannot_reach_p_below_one_sixteenth() -> None:
    found = against_zero(np.asarray([1.0, 2.0, 3.0, 4.0, 5.0]))
    assert found.p_wilcoxon == found.p_sign == 2.0 ** (1 - 5)
    assert found.effect_rank_biserial == 1


def test_t_interval_and_test_agree_with_scipy() -> None:
    values = np.random.default_rng(0).standard_normal((3, 7)) + 1
    found = t_interval(values, 0.9)
    for row, low, high in zip(values, found.low, found.high, strict=True):
        expected = stats.ttest_1samp(row, 0).confidence_interval(0.9)
        np.testing.assert_allclose((low, high), expected, rtol=1e-12)
        np.testing.assert_allclose(t_p(row), stats.ttest_1samp(row, 0).pvalue, rtol=1e-10)
        np.testing.assert_allclose(cohens_dz(row), row.mean() / row.std(ddof=1), rtol=1e-12)


def test_missing_seeds_are_left_out_and_counted() -> None:
    whole = np.asarray([1.0, 2.0, 4.0])
    holes = np.asarray([1.0, np.nan, 2.0, np.inf, 4.0])
    for found, expected in zip(t_interval(holes, 0.95), t_interval(whole, 0.95), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(against_zero(holes), against_zero(whole))


def test_too_few_seeds_have_no_interval_and_no_warning() -> None:
    with np.errstate(all="raise"):
        one, none = t_interval(np.asarray([[3.0], [np.nan]]), 0.95).low
        assert np.isnan([one, none]).all()
        assert t_interval(np.asarray([3.0]), 0.95).estimate == 3
        assert np.isnan(against_zero(np.asarray([np.nan]))).all()
        assert np.isnan(t_p(np.asarray([1.0])))


@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_the_interval_of_paired_differences_covers_nominally(seeds: int) -> None:
    generator = np.random.default_rng(seeds)
    shared = 3 * generator.standard_normal((20000, seeds))
    shift = shared + 0.7 + generator.standard_normal((20000, seeds))
    twin = shared + generator.standard_normal((20000, seeds))
    found = t_interval(shift - twin, 0.95)
    covered = np.mean((found.low <= 0.7) & (found.high >= 0.7))
    assert 0.945 < covered < 0.955


@given(st.lists(st.sampled_from([1.0, 2.0, 3.5, np.inf, np.nan]), min_size=1, max_size=7))
def test_the_median_is_numpys_where_it_is_reached(few: list[float]) -> None:
    values = np.asarray(few)
    kept = np.sort(values[~np.isnan(values)])
    middle = kept[[(len(kept) - 1) // 2, len(kept) // 2]] if len(kept) else np.asarray([np.nan])
    expected = middle.mean() if np.isfinite(middle).all() else np.nan
    np.testing.assert_array_equal(median(values), expected)
