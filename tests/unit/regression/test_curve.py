"""Nested regressions and their parts, against references and where they are not defined."""

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group

from ntkscope.ntk.regression import RegressionError
from ntkscope.regression.curve import Samples, regress_nested
from ntkscope.regression.error_currency import (
    normalised_squared_error,
    squared_error,
    zero_one_error,
)
from ntkscope.regression.ridge import Ridges
from ntkscope.regression.spectrum import target_alignment, target_spectrum


def kernel(generator, n, least):
    """A kernel [n, n] whose smallest eigenvalue is given, relative to a mean diagonal near 1."""
    values = generator.uniform(0.5, 1.5, n)
    values[0] = least
    basis = ortho_group.rvs(n, random_state=generator)
    K = (basis * values) @ basis.T
    return (K + K.T) / 2


def test_a_ridge_of_fewer_samples_gives_way_to_the_next_that_makes_more_definite():
    generator = np.random.default_rng(0)
    K = kernel(generator, 40, -3e-3)
    y, y_test = np.sign(generator.standard_normal(40)), np.ones(5)
    assert np.linalg.eigvalsh(K[:20, :20])[0] > 0
    samples = Samples(K, K[:5], y, y_test, np.zeros(40), np.zeros(5))
    grid = (1e-6, 1e-4, 1e-2, 1.0)
    found = regress_nested(samples, (20, 40), Ridges(grid, "squared", 20), "zero_one")
    if found["ridge"][0] < 1e-2:
        assert found["ridge"][1] == 1e-2
    indefinite = Samples(K - np.eye(40), K[:5], y, y_test, np.zeros(40), np.zeros(5))
    with pytest.raises(RegressionError):
        regress_nested(indefinite, (20, 40), Ridges(grid, "squared", 20), "zero_one")


def test_sizes_above_the_samples_are_undefined_and_a_choice_is_made_without_a_size_for_it():
    generator = np.random.default_rng(1)
    K, y = kernel(generator, 30, 0.4), np.sign(generator.standard_normal(30))
    samples = Samples(K, K[:6], y, y[:6], np.zeros(30), np.zeros(6))
    grid, seen = (1e-3, 1e-1), []
    found = regress_nested(
        samples, (24, 30, 31), Ridges(grid, "zero_one", 10), "zero_one", lambda: seen.append(1)
    )
    assert len(seen) == 2
    assert found["ridge_from"].tolist() == [10, 10, 0]
    assert np.isnan(found["error"]).tolist() == [False, False, True]
    assert np.isnan(found["prediction"]).any(1).tolist() == [False, False, True]
    assert np.isnan(found["loo_error"]).all()


def test_zero_and_nan_are_errors():
    predictions, targets = np.array([0.5, 0.0, np.nan, -2.0]), np.array([1.0, 1.0, -1.0, -1.0])
    assert zero_one_error(predictions, targets) == 0.5
    assert np.isnan(squared_error(predictions, targets))
    assert normalised_squared_error(np.zeros(4), targets) == 1.0
    assert np.isnan(normalised_squared_error(np.zeros(3), np.ones(3)))


def test_spectrum_and_alignment_are_those_of_a_known_kernel():
    basis = ortho_group.rvs(6, random_state=np.random.default_rng(2))
    values = np.array([6.0, 3.0, 2.0, 0.5, 0.3, 0.2])
    K, y = (basis * values) @ basis.T, 2 * basis[:, 1] + basis[:, 4]
    eigenvalues, power = target_spectrum(K, y)
    np.testing.assert_allclose(eigenvalues, values / 12)
    np.testing.assert_allclose(power, [0, 0.8, 0, 0, 0.2, 0], atol=1e-12)
    H = np.eye(6) - 1 / 6
    inner = np.sum((H @ K @ H) * (H @ np.outer(y, y) @ H))
    expected = inner / np.linalg.norm(H @ K @ H) / np.linalg.norm(H @ np.outer(y, y) @ H)
    assert target_alignment(K, y) == pytest.approx(expected, rel=1e-12)
    assert target_alignment(torch.from_numpy(K).float(), y) == pytest.approx(expected, rel=1e-6)
    assert np.isnan(target_alignment(np.ones((3, 3)), np.array([1.0, -1.0, 1.0])))
