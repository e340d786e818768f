"""Spectral summaries against their definitions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ntkscope.metrics import effective_rank, participation_ratio, spectral_norm, spectrum
from ntkscope.metrics.spectrum import DENSE_LIMIT, LANCZOS_FROM, TOP


def test_effective_rank_is_exp_of_the_entropy_by_loops() -> None:
    values = [3.0, 1.0, 0.5, 0.0, -1e-9]
    total = sum(v for v in values if v > 0)
    entropy = -sum(v / total * np.log(v / total) for v in values if v > 0)
    np.testing.assert_allclose(effective_rank(np.asarray(values)), np.exp(entropy), rtol=1e-14)


@pytest.mark.parametrize("size", [1, 5, 40])
def test_identity_has_full_rank_and_a_constant_kernel_rank_1(size: int) -> None:
    for kernel, rank in ((np.eye(size), size), (np.full((size, size), 2.0), 1)):
        found = spectrum(kernel)
        np.testing.assert_allclose(found.effective_rank, rank, rtol=1e-10)
        np.testing.assert_allclose(found.participation_ratio, rank, rtol=1e-12)


def test_spectrum_of_a_batch_is_that_of_each(kernels: Callable[..., np.ndarray]) -> None:
    batch = kernels(2, 3, 9)
    found = spectrum(batch)
    for i in np.ndindex(2, 3):
        values = np.linalg.svd(batch[i], compute_uv=False)
        np.testing.assert_allclose(found.spectral_norm[i], values[0], rtol=1e-12)
        np.testing.assert_allclose(found.trace[i], values.sum(), rtol=1e-12)
        ratio = values.sum() ** 2 / (values**2).sum()
        np.testing.assert_allclose(found.participation_ratio[i], ratio, rtol=1e-12)
        np.testing.assert_allclose(found.effective_rank[i], effective_rank(values), rtol=1e-12)


def test_lanczos_and_lapack_agree_and_lanczos_is_reproducible(
    kernels: Callable[..., np.ndarray],
) -> None:
    size = LANCZOS_FROM
    batch = np.stack([kernels(size, features=300), np.eye(size), np.zeros((size, size))])
    dense = np.linalg.eigvalsh(batch)[:, -1]
    np.testing.assert_allclose(spectral_norm(batch), dense, rtol=1e-12)
    np.testing.assert_array_equal(spectral_norm(batch), spectral_norm(batch))


@pytest.mark.parametrize("subset_from", [10, 300])
def test_eigenpairs_are_the_largest_and_of_full_rank_only(
    subset_from: int, monkeypatch: pytest.MonkeyPatch, kernels: Callable[..., np.ndarray]
) -> None:
    import sys

    monkeypatch.setattr(sys.modules["ntkscope.metrics.spectrum"], "SUBSET_FROM", subset_from)
    batch = kernels(2, 20) - 0.1 * np.eye(20)  # of rank 5
    found = spectrum(batch)
    assert (found.eigenvalues.shape, found.eigenvectors.shape) == ((2, TOP), (2, 20, TOP))
    assert np.isnan(found.eigenvectors[:, :, 5:]).all()
    values, vectors = found.eigenvalues[:, None, :5], found.eigenvectors[..., :5]
    np.testing.assert_allclose(batch @ vectors, values * vectors, atol=1e-12)
    np.testing.assert_allclose((values * vectors) @ np.swapaxes(vectors, -1, -2), batch, atol=1e-12)
    np.testing.assert_array_equal(found.eigenvalues[:, 0], found.spectral_norm)
    assert (np.diff(found.eigenvalues) <= 0).all()


def test_above_the_dense_limit_only_the_entropy_is_missing(
    monkeypatch: pytest.MonkeyPatch, kernels: Callable[..., np.ndarray]
) -> None:
    import sys

    small = kernels(30, features=40)
    dense = spectrum(small)
    assert DENSE_LIMIT > 30
    monkeypatch.setattr(sys.modules["ntkscope.metrics.spectrum"], "DENSE_LIMIT", 20)
    found = spectrum(small)
    np.testing.assert_allclose(found.spectral_norm, dense.spectral_norm, rtol=1e-12)
    assert np.isnan(found.effective_rank)
    assert np.isfinite(found.participation_ratio)
    np.testing.assert_allclose(found.eigenvalues, dense.eigenvalues, rtol=1e-12)
    along = np.sum(found.eigenvectors * dense.eigenvectors, axis=0)
    np.testing.assert_allclose(np.abs(along), 1, rtol=1e-10)


def test_a_kernel_that_is_not_finite_is_nan_and_the_others_are_not() -> None:
    batch = np.stack([np.eye(4), np.full((4, 4), np.inf)])
    for values in spectrum(batch):
        assert np.isfinite(values[0]).all()
        assert np.isnan(values[1]).all()
    assert np.isnan(spectral_norm(batch)[1])


def test_a_zero_kernel_has_norm_0_and_no_rank() -> None:
    found = spectrum(np.zeros((4, 4)))
    assert found.spectral_norm == 0
    assert (found.eigenvalues == 0).all()
    assert np.isnan(found.eigenvectors).all()
    assert np.isnan(found.effective_rank)
    assert np.isnan(participation_ratio(np.zeros((4, 4))))


@pytest.mark.parametrize("exponent", [-1060, -537, -400, 0, 400, 505, 1015])
def test_ratios_know_no_unit_at_any_size(exponent: int) -> None:
    """Squares of 1e-161 keep one digit, and those of 1e155 none."""
    values = np.diag(np.arange(1.0, 9.0))
    scaled = np.ldexp(values, exponent)
    assert participation_ratio(scaled) == participation_ratio(values)
    assert effective_rank(np.diag(scaled)) == effective_rank(np.diag(values))
