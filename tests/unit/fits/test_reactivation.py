"""Each quantity on trajectories whose values can be read off."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ntkscope.fits.boundary_window import BEFORE, BoundaryWindow
from ntkscope.fits.effects import (
    QUANTITIES,
    arm_quantities,
    checkmark,
    deflection,
    distance,
    log_velocity,
    minimum_step,
    norm_before,
    norm_change_end,
    norm_drop,
    peak_velocity,
    recovery,
    recovery_step,
    spike_over_baseline,
)
from ntkscope.fits.forgetting import forgetting, loss_jump

STEPS = np.arange(0, 13)
AROUND = BoundaryWindow(STEPS, boundary=5, end=12, window=3)
#                 0  1  2  3  4  5 |6  7  8  9 10 11 12
NORM = np.asarray([9, 9, 9, 10, 11, 9, 9.5, 4, 5, 6, 7, 9, 6], float)


def half_recovery_step(norm: np.ndarray, around: BoundaryWindow) -> np.ndarray:
    return recovery_step(norm, around, 0.5)


def every_curve(norm: np.ndarray) -> dict[str, np.ndarray]:
    """All curves that quantities are made of, each `norm`, for two tasks where tasks count."""
    plain = dict.fromkeys(("velocity", "spectral_norm", "distance_from_boundary"), norm)
    return plain | dict.fromkeys(("loss", "accuracy"), np.stack([norm, 2 * norm], -1))


def test_the_norm_falls_from_10_to_4_and_rises_to_9() -> None:
    np.testing.assert_allclose(norm_drop(NORM, AROUND), 0.6)
    np.testing.assert_allclose(checkmark(NORM, AROUND), 0.5)
    assert minimum_step(NORM, AROUND) == 2
    np.testing.assert_allclose(recovery(NORM, AROUND), 2 / 6)
    np.testing.assert_allclose(norm_change_end(NORM, AROUND), -0.4)
    assert half_recovery_step(NORM, AROUND) == 5
    assert recovery_step(NORM, AROUND, 5 / 6) == 6
    assert recovery_step(NORM, AROUND, 1.0) == np.inf


def test_before_are_the_steps_of_the_window_up_to_and_including_the_boundary() -> None:
    """Steps 3, 4, 5 of a window of 3 at 5; the minimum is of the steps after it."""
    assert STEPS[AROUND.before].tolist() == [3, 4, 5]
    np.testing.assert_allclose(norm_before(NORM, AROUND), (10 + 11 + 9) / 3)
    at_boundary = np.where(STEPS == 5, 1.0, 10.0)
    np.testing.assert_allclose(norm_before(at_boundary, AROUND), 7)
    np.testing.assert_allclose(norm_drop(at_boundary, AROUND), (7 - 10) / 7)
    assert BEFORE.format(window=3) == "the 3 steps up to and including the boundary's"


def test_a_norm_that_only_grows_has_no_checkmark_and_no_recovery() -> None:
    growing = np.arange(10.0, 23.0)
    assert norm_drop(growing, AROUND) < 0
    assert checkmark(growing, AROUND) == 0
    assert np.isnan(recovery(growing, AROUND))
    assert np.isnan(half_recovery_step(growing, AROUND))


def test_a_norm_that_stays_down_has_a_drop_and_no_checkmark() -> None:
    step = np.where(STEPS <= 5, 10.0, 3.0)
    np.testing.assert_allclose(norm_drop(step, AROUND), 0.7)
    assert checkmark(step, AROUND) == 0
    assert recovery(step, AROUND) == 0
    assert half_recovery_step(step, AROUND) == np.inf


def test_only_the_task_after_the_boundary_counts() -> None:
    later = NORM.copy()
    later[10:] = 0.1
    cut = BoundaryWindow(STEPS, boundary=5, end=9, window=3, ends_stream=False)
    np.testing.assert_allclose(norm_drop(later, cut), 0.6)


def test_spike_is_the_first_step_over_twin_and_over_the_window_before() -> None:
    velocity = np.full(13, 2.0)
    velocity[[0, 1, 2, 4, 5, 6]] = [50.0, 50.0, 1.0, 30.0, 200.0, 1000.0]
    velocity[12] = np.nan
    np.testing.assert_allclose(log_velocity(velocity, AROUND), np.log(200))
    np.testing.assert_allclose(spike_over_baseline(velocity, AROUND), np.log(100))


def test_the_baseline_takes_only_steps_that_have_a_velocity_within_the_task() -> None:
    steps = np.asarray([0, 1, 3, 4, 5, 6, 7])
    velocity = np.asarray([1.0, np.nan, 4.0, 8.0, 16.0, 1.0, np.nan])
    around = BoundaryWindow(steps, boundary=5, end=7, window=3)
    np.testing.assert_allclose(spike_over_baseline(velocity, around), np.log(16 / 6))
    two = BoundaryWindow(steps, boundary=5, end=7, window=3, dt=2)
    speeds = np.asarray([np.nan, 9.0, 4.0, 7.0, 16.0, np.nan, np.nan])
    np.testing.assert_allclose(spike_over_baseline(speeds, two), np.log(16 / 4))
    none = BoundaryWindow(steps, boundary=5, end=7, window=3, dt=50)
    assert np.isnan(spike_over_baseline(velocity, none))


def test_the_peak_is_the_largest_velocity_measured_within_the_task() -> None:
    velocity = np.full(13, 2.0)
    velocity[[4, 8, 12]] = 100.0, 7.0, np.nan
    np.testing.assert_allclose(peak_velocity(velocity, AROUND), np.log(7))
    cut = BoundaryWindow(STEPS, boundary=5, end=8, window=3, ends_stream=False)
    np.testing.assert_allclose(peak_velocity(velocity, cut), np.log(2))
    far = BoundaryWindow(STEPS, boundary=5, end=12, window=3, dt=50)
    assert np.isnan(peak_velocity(velocity, far))


def test_loss_jump_and_forgetting_are_read_off_at_the_boundary_and_at_the_end() -> None:
    around = BoundaryWindow(STEPS, boundary=5, end=9, window=3, task=2)
    loss, accuracy = np.zeros((13, 3)), np.zeros((13, 3))
    loss[5] = [9.0, 0.25, 2.0]
    accuracy[[5, 9], 1] = 0.9, 0.2
    assert loss_jump(loss, around) == 1.75
    np.testing.assert_allclose(forgetting(accuracy, around), 0.7)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_no_velocity_has_no_log_and_no_warning(value: float) -> None:
    with np.errstate(all="raise"):
        assert np.isnan(log_velocity(np.full(13, value), AROUND))


def test_deflection_keeps_the_sign_of_the_largest_difference_in_the_window() -> None:
    twin = np.linspace(0, 1, 13)
    difference = np.asarray([9, 9, 9, 9, 9, 9, 0.1, -0.4, 0.3, 5, 5, 5, 5])
    np.testing.assert_allclose(deflection(twin + difference, twin, AROUND), -0.4)
    np.testing.assert_allclose(deflection(twin - difference, twin, AROUND), 0.4)


def test_distance_is_taken_at_the_end_of_the_window_but_not_at_the_next_boundary() -> None:
    curve = STEPS.astype(float)
    assert distance(curve, AROUND) == 8
    assert distance(curve, BoundaryWindow(STEPS, 5, 8, 3, ends_stream=False)) == 7
    assert distance(curve, BoundaryWindow(STEPS, 5, 8, 3, ends_stream=True)) == 8
    sparse = np.asarray([4, 5, 6, 7, 12])
    assert distance(sparse.astype(float), BoundaryWindow(sparse, 5, 12, 3)) == 7
    lone = np.asarray([4, 5, 12])
    assert np.isnan(distance(lone.astype(float), BoundaryWindow(lone, 5, 12, 3)))


def test_a_seed_that_diverged_is_nan_and_its_neighbour_is_not() -> None:
    both = np.stack([NORM, NORM])
    both[1, 9:] = np.nan
    found = arm_quantities(every_curve(both), AROUND)
    for name in ("norm_drop", "checkmark", "minimum_step", "recovery", "half_recovery_step"):
        assert np.isfinite(found[name][0]), name
        assert np.isnan(found[name][1]), name


def test_every_quantity_is_made_and_described() -> None:
    assert {*arm_quantities(every_curve(NORM), AROUND), "deflection"} == set(QUANTITIES)


def test_quantities_batch_over_leading_axes(  # (arm, seed, snapshot)
) -> None:
    stack = np.random.default_rng(0).uniform(1, 2, (2, 3, 13))
    functions: list[Callable[[np.ndarray, BoundaryWindow], np.ndarray]] = [
        norm_drop,
        checkmark,
        minimum_step,
        recovery,
        half_recovery_step,
        log_velocity,
        peak_velocity,
        norm_change_end,
        spike_over_baseline,
    ]
    for function in functions:
        single = [[function(curve, AROUND) for curve in arm] for arm in stack]
        np.testing.assert_array_equal(function(stack, AROUND), single)
