"""Estimates of what is never formed: they converge, and their errors say how far they are."""

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator

from ntkscope.metrics.alignment import alignment
from ntkscope.metrics.cka import cka
from ntkscope.ntk.operator import (
    ConvergenceError,
    VectorError,
    cka_between,
    cka_with_labels,
    frobenius_norm,
    largest_eigenpairs,
    largest_eigenvalue,
    xtrace,
)

SIZE = 120


def symmetric(values, seed):
    vectors = np.linalg.qr(np.random.default_rng(seed).standard_normal((SIZE, SIZE)))[0]
    return (vectors * values) @ vectors.T


POWERS = 1 / np.arange(1, SIZE + 1)
KERNEL, OTHER = symmetric(POWERS, 0), symmetric(POWERS, 0) + 0.4 * symmetric(POWERS, 1)
LABELS = np.arange(SIZE) % 3
ESTIMATORS = {
    "xtrace": (xtrace, (KERNEL,), np.trace(KERNEL)),
    "frobenius": (frobenius_norm, (KERNEL,), np.linalg.norm(KERNEL)),
    "cka": (cka_between, (KERNEL, OTHER), cka(KERNEL, OTHER)),
}


def sample(name, products, seeds=40):
    """Deviations from the truth, and the errors that were stated."""
    estimator, kernels, truth = ESTIMATORS[name]
    operators = [aslinearoperator(kernel) for kernel in kernels]
    found = [estimator(*operators, products=products, seed=seed) for seed in range(seeds)]
    assert all(estimate.products <= products for estimate in found)
    return np.array([e.value - truth for e in found]), np.array([e.error for e in found])


@pytest.mark.parametrize("name", ESTIMATORS)
def test_deviations_are_covered_by_the_errors_and_shrink(name):
    deviation, error = sample(name, 24)
    assert (abs(deviation) <= 2 * error).mean() >= 0.8
    assert abs(deviation.mean()) < 4 * deviation.std() / np.sqrt(len(deviation))
    size = np.sqrt((deviation**2).mean())
    assert size / 2 < np.sqrt((error**2).mean()) < 4 * size
    finer = np.sqrt((sample(name, 72, 10)[0] ** 2).mean())
    assert finer < 0.6 * size


def test_alignment_with_labels_has_the_norms_error_only():
    found = [cka_with_labels(aslinearoperator(KERNEL), LABELS, 40, seed) for seed in range(20)]
    truth = alignment(KERNEL, LABELS)
    assert np.mean([abs(e.value - truth) <= 2 * e.error for e in found]) >= 0.8
    assert abs(found[0].value / truth - 1) < 0.05
    assert found[0].products == 40 + 3


def test_low_rank_is_exact():
    kernel = aslinearoperator(symmetric(np.where(np.arange(SIZE) < 5, 2.0, 0), 0))
    for found, truth in (
        (xtrace(kernel), 10),
        (frobenius_norm(kernel), 20**0.5),
        (cka_between(kernel, kernel), 1),
    ):
        assert found.value == pytest.approx(truth, rel=1e-10)
        assert found.error < 1e-10


def test_zero_has_no_direction():
    zero = aslinearoperator(np.zeros((SIZE, SIZE)))
    assert xtrace(zero).value == frobenius_norm(zero).value == 0
    assert np.isnan(cka_between(zero, aslinearoperator(KERNEL)).value)
    assert np.isnan(cka_with_labels(zero, LABELS).value)


@pytest.mark.parametrize(("count", "block"), [(1, 1), (4, 1), (4, 3), (SIZE, 7)])
def test_eigenpairs_and_their_bounds(count, block):
    found = largest_eigenpairs(aslinearoperator(KERNEL), count, 1e-6, block)
    np.testing.assert_allclose(found.values, POWERS[:count], atol=1e-9)
    residuals = np.linalg.norm(KERNEL @ found.vectors - found.vectors * found.values, axis=0)
    np.testing.assert_allclose(found.errors, residuals, atol=1e-12)
    assert (abs(found.values - POWERS[:count]) <= found.errors + 1e-14).all()
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(count), atol=1e-12)
    assert found.products <= SIZE


def test_multiple_eigenvalues_are_found_by_a_block():
    values = np.concatenate([[2.0] * 3, POWERS[3:]])
    found = largest_eigenpairs(aslinearoperator(symmetric(values, 0)), 4, 1e-8, block=3)
    np.testing.assert_allclose(found.values, values[:4], rtol=1e-10)


def test_a_krylov_space_that_ends_is_begun_anew():
    found = largest_eigenpairs(aslinearoperator(np.eye(6)), 6, 1e-12)
    np.testing.assert_allclose(found.values, np.ones(6), rtol=1e-12)


def test_what_does_not_converge_or_fit_is_refused():
    kernel = aslinearoperator(KERNEL)
    with pytest.raises(ConvergenceError, match="after 3 products"):
        largest_eigenvalue(kernel, 1e-8, most=3)
    with pytest.raises(VectorError, match="count = 200"):
        largest_eigenpairs(kernel, 200)
    with pytest.raises(VectorError, match="not symmetric"):
        xtrace(aslinearoperator(np.ones((3, 2))))
    with pytest.raises(VectorError, match="products = 120"):
        frobenius_norm(kernel, 120)
    with pytest.raises(VectorError, match="labels of shape"):
        cka_with_labels(kernel, LABELS[:5])
    with pytest.raises(VectorError, match="1 classes"):
        cka_with_labels(kernel, 0 * LABELS)


@pytest.mark.parametrize("estimator", [xtrace, frobenius_norm])
def test_an_operator_too_small_to_be_estimated_is_told_so(estimator):
    small = aslinearoperator(np.eye(6))
    with pytest.raises(VectorError, match="too small") as caught:
        estimator(small, products=6)
    assert "by 6 products" in str(caught.value)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_operators_whose_squares_are_no_numbers_are_refused(scale):
    """Residuals of 1e-200 had norm 0: any number was λ_max, with error 0."""
    x = np.random.default_rng(0).standard_normal((20, 3))
    operator = aslinearoperator(scale * (x @ x.T))
    for estimate in (xtrace, frobenius_norm):
        with pytest.raises(VectorError, match="scale the operator"):
            estimate(operator, 10)
    with pytest.raises(VectorError, match="scale the operator"):
        largest_eigenvalue(operator)
