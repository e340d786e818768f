"""Velocity and alignment against their definitions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ntkscope.metrics import (
    alignment,
    cka,
    cka_distance,
    label_kernel,
    later_snapshot,
    velocity,
)


@pytest.mark.parametrize("dt", [1, 2, 5])
def test_velocity_is_there_exactly_where_a_snapshot_follows_at_dt(
    dt: int, kernels: Callable[..., np.ndarray]
) -> None:
    steps = np.asarray([0, 1, 2, 5, 7, 12, 13])
    stream = kernels(len(steps), 2, 6)
    found = velocity(stream, steps, dt)
    for i, step in enumerate(steps):
        later = np.flatnonzero(steps == step + dt)
        if len(later):
            expected = cka_distance(stream[i], stream[later[0]]) / dt
            np.testing.assert_allclose(found[i], expected, rtol=1e-12)
        else:
            assert np.isnan(found[i]).all()


def test_a_dead_kernel_has_no_velocity_to_or_from_it(kernels: Callable[..., np.ndarray]) -> None:
    stream = kernels(4, 6)
    stream[2] = 1.0
    found = velocity(stream, np.arange(4), 1)
    np.testing.assert_array_equal(np.isnan(found), [False, True, True, True])


def test_dt_is_at_least_one_step() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        later_snapshot(np.arange(3), 0)


def test_alignment_is_cka_with_the_one_hot_labels(kernels: Callable[..., np.ndarray]) -> None:
    labels = np.asarray([3, 3, 7, 7, 1, 7])
    one_hot = np.asarray([[label == c for c in (1, 3, 7)] for label in labels], float)
    np.testing.assert_array_equal(label_kernel(labels), one_hot @ one_hot.T)
    kernel = kernels(6)
    np.testing.assert_allclose(alignment(kernel, labels), cka(kernel, one_hot @ one_hot.T))
    np.testing.assert_allclose(alignment(one_hot @ one_hot.T, labels), 1)


def test_alignment_of_a_full_ntk_reduces_to_that_of_its_trace_ntk(
    kernels: Callable[..., np.ndarray],
) -> None:
    labels, kernel = np.asarray([0, 0, 1, 1, 2, 2]), kernels(6)
    full = np.kron(kernel, np.eye(3))
    np.testing.assert_allclose(alignment(full, labels, 3), alignment(kernel, labels), rtol=1e-12)


def test_alignment_with_labels_all_alike_is_undefined(kernels: Callable[..., np.ndarray]) -> None:
    assert np.isnan(alignment(kernels(6), np.zeros(6)))
