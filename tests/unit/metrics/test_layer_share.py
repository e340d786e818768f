"""Which layers a change lies in, against its definition in plain loops."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ntkscope.metrics import layer_share

Make = Callable[..., np.ndarray]


def by_definition(before: np.ndarray, after: np.ndarray) -> list[float]:
    size = before.shape[-1]
    centring = np.eye(size) - np.ones((size, size)) / size
    changes = [centring @ (b - a) @ centring for a, b in zip(before, after, strict=True)]
    whole = sum(changes)
    return [float(np.trace(part @ whole) / np.trace(whole @ whole)) for part in changes]


def test_shares_are_their_definition_and_sum_to_one(kernels: Make) -> None:
    before, after = kernels(4, 3, 7, seed=1), kernels(4, 3, 7, seed=2)
    found = layer_share(before, after)
    expected = [by_definition(a, b) for a, b in zip(before, after, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-11)
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-12)


def test_outputs_are_centred_each_by_itself(kernels: Make) -> None:
    before, after = kernels(3, 7, seed=1), kernels(3, 7, seed=2)
    full = (np.kron(each, np.eye(2)) for each in (before, after))
    np.testing.assert_allclose(layer_share(*full, outputs=2), by_definition(before, after))


def test_a_layer_alone_has_it_all_and_one_that_goes_back_is_negative(kernels: Make) -> None:
    still, other = kernels(2, 6, seed=3)
    before, more = np.stack([still, still]), 2 * other
    alone = layer_share(before, before + np.stack([other, 0 * other]))
    np.testing.assert_allclose(alone, [1, 0], atol=1e-15)
    against = layer_share(before, before + np.stack([more, -other]))
    np.testing.assert_allclose(against, [2, -1], rtol=1e-12)


@pytest.mark.parametrize("change", [0.0, 3.0, 1e-8, np.inf, np.nan])
def test_no_change_of_shape_and_nothing_finite_is_nan(change: float, kernels: Make) -> None:
    before = kernels(2, 6)
    after = before + (change * before if change == 1e-8 else change)
    assert np.isnan(layer_share(before, after)).all()


def test_shares_do_not_depend_on_scale(kernels: Make) -> None:
    before, after = kernels(3, 6, seed=1), kernels(3, 6, seed=2)
    for scale in (1e-200, 1e200):
        found = layer_share(scale * before, scale * after)
        np.testing.assert_allclose(found, layer_share(before, after), rtol=1e-10)
