"""The detector of shifts: its stated rate of false alarms, hits, ranks alone, NaN."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from ntkscope.statistics.shift_detector import ShiftDetector, ShiftDetectorError

RATE, VALUES = 0.05, 20_000


def alarms(series, rate=RATE, window=None, apart=1):
    """Whether each value raises an alarm, (step,)."""
    detector = ShiftDetector(rate, window, apart)
    return np.asarray([detector.update(value) for value in series])


def autoregressive(phi, values=VALUES):
    """A stationary series whose neighbours correlate by phi."""
    noise = np.random.default_rng(1).standard_normal(values)
    series = np.empty(values)
    series[0] = noise[0]
    for step in range(1, values):
        series[step] = phi * series[step - 1] + np.sqrt(1 - phi**2) * noise[step]
    return series


@pytest.mark.parametrize("window", [None, 40, 200])
@pytest.mark.parametrize("heavy", [False, True])
def test_independent_values_alarm_at_the_stated_rate(window, heavy):
    """The number of alarms is that of a binomial: the ranks of independent values are independent
    but for the window's overlap; its quantiles are taken wide."""
    generator = np.random.default_rng(0)
    series = generator.standard_cauchy(VALUES) if heavy else generator.standard_normal(VALUES)
    found = alarms(series, window=window)
    among = (1 + (window or 19)) * RATE
    stated = np.floor(among + 1e-9) / (1 + (window or 19))
    low, high = binom.ppf([1e-4, 1 - 1e-4], VALUES, stated)
    assert low < found.sum() < high


def test_a_falling_factor_makes_false_alarms_rarer_never_more_frequent():
    noise = np.exp(np.random.default_rng(0).standard_normal(VALUES))
    falling = np.exp(-np.arange(VALUES) / 30)
    plain, settled = alarms(noise), alarms(noise * falling)
    assert settled.sum() < 0.6 * plain.sum()
    assert not (settled & ~plain).any()  # value by value, as the proof has it


def test_autocorrelation_raises_the_rate_and_distance_restores_it():
    """What the docstring says does not hold, and what does: values 60 apart correlate by 0.002."""
    series = autoregressive(0.9, 3 * VALUES)
    assert alarms(series).mean() > 1.5 * RATE
    assert alarms(series, apart=60).mean() < 1.15 * RATE
    moving = np.convolve(np.random.default_rng(2).standard_normal(VALUES), np.ones(4), "valid")
    found = alarms(moving, apart=4).mean()  # exact: independent at 4 apart
    assert abs(found / RATE - 1) < 0.15


def test_a_step_is_hit_at_once_and_then_got_used_to():
    series = np.random.default_rng(0).standard_normal(600)
    series[300:] += 10
    found = alarms(series, window=99)
    assert found[300]
    assert found[300:400].sum() < 4 * 99 * RATE  # as new records among themselves
    assert found[400:].mean() < 2 * RATE


def test_only_ranks_count():
    series = np.exp(np.random.default_rng(0).standard_normal(500))
    expected = alarms(series)
    assert expected.any()
    for changed in (1e-9 * series, 3 + 1e6 * series, np.log(series)):
        np.testing.assert_array_equal(alarms(changed), expected)


def test_nan_raises_no_alarm_and_hides_none():
    series = np.random.default_rng(0).standard_normal(400)
    series[300] = 20.0
    known = alarms(series)
    for places in ([0], [299], range(100, 299), range(0, 800, 2)):
        holes = np.insert(series, [place for place in places if place < 400], np.nan)
        found = alarms(holes)
        assert not found[np.isnan(holes)].any()
        np.testing.assert_array_equal(found[~np.isnan(holes)], known)


def test_constants_never_alarm_and_infinity_does():
    detector = ShiftDetector(0.1)
    assert not any(detector.update(1.0) for _ in range(50))
    assert detector.update(np.inf)
    assert detector.p == 0.1
    assert not detector.update(np.nan)
    assert detector.p == 1.0


def test_no_alarm_before_one_is_possible():
    detector = ShiftDetector(0.1, window=30)
    assert not any(detector.update(value) for value in range(9))
    assert detector.update(9)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rate": 0.0}, "no share"),
        ({"rate": 1.0}, "no share"),
        ({"rate": float("nan")}, "no share"),
        ({"rate": "1%"}, "no share"),
        ({"rate": 0.01, "window": 98}, "give at least 99"),
        ({"rate": 0.01, "window": 100.5}, "among 100.5"),
        ({"apart": 0}, "counts values"),
    ],
)
def test_what_cannot_be_is_refused(options, says):
    with pytest.raises(ShiftDetectorError, match=says):
        ShiftDetector(**options)
