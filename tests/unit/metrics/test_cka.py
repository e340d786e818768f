"""Similarities against their definitions, and what must hold of any kernels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkscope.metrics import (
    cka,
    cka_distance,
    cosine_similarity,
    debiased_cka,
    debiased_cka_distance,
    kernel_distance,
    normalise,
    u_centre,
)

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(4, 12)


def psd(generator: np.random.Generator, size: int, features: int = 4) -> np.ndarray:
    x = generator.standard_normal((size, features))
    return x @ x.T


def hsic_by_loops(a: np.ndarray, b: np.ndarray) -> float:
    """tr(HAHB), Gretton et al. 2005, element by element."""
    n = len(a)
    h = [[(i == j) - 1 / n for j in range(n)] for i in range(n)]
    ha, hb = np.zeros((n, n)), np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            ha[i, j] = sum(h[i][k] * a[k, j] for k in range(n))
            hb[i, j] = sum(h[i][k] * b[k, j] for k in range(n))
    return sum(ha[i, j] * hb[j, i] for i in range(n) for j in range(n))


def unbiased_hsic(a: np.ndarray, b: np.ndarray) -> float:
    """Song et al. 2012, eq. 5, literally."""
    n = len(a)
    a, b = a - np.diag(np.diag(a)), b - np.diag(np.diag(b))
    one = np.ones(n)
    terms = (
        np.trace(a @ b)
        + (one @ a @ one) * (one @ b @ one) / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (one @ a @ b @ one)
    )
    return terms / (n * (n - 3))


def cosine_of(hsic, a: np.ndarray, b: np.ndarray) -> float:
    return hsic(a, b) / np.sqrt(hsic(a, a) * hsic(b, b))


@pytest.mark.parametrize("seed", range(3))
def test_each_similarity_is_its_definition(seed: int) -> None:
    generator = np.random.default_rng(seed)
    a, b = psd(generator, 7), psd(generator, 7)
    np.testing.assert_allclose(cka(a, b), cosine_of(hsic_by_loops, a, b), rtol=1e-12)
    np.testing.assert_allclose(debiased_cka(a, b), cosine_of(unbiased_hsic, a, b), rtol=1e-11)
    np.testing.assert_allclose(
        cosine_similarity(a, b), cosine_of(lambda x, y: np.trace(x @ y), a, b), rtol=1e-12
    )


def test_inner_product_of_u_centred_kernels_is_the_unbiased_hsic() -> None:
    generator = np.random.default_rng(0)
    a, b = psd(generator, 6), psd(generator, 6)
    inner = (u_centre(a) * u_centre(b)).sum() / (6 * 3)
    np.testing.assert_allclose(inner, unbiased_hsic(a, b), rtol=1e-12)


@given(seeds, sizes)
def test_cka_is_symmetric_and_between_0_and_1(seed: int, size: int) -> None:
    generator = np.random.default_rng(seed)
    a, b = psd(generator, size), psd(generator, size)
    assert cka(a, b) == cka(b, a)
    assert -1e-12 <= cka(a, b) <= 1 + 1e-12


@given(seeds, sizes, st.floats(1e-30, 1e30))
def test_cka_is_blind_to_scale_shift_order_and_rotation(seed: int, size: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    x, b = generator.standard_normal((size, 4)), psd(generator, size)
    rotation = np.linalg.qr(generator.standard_normal((4, 4)))[0]
    order = generator.permutation(size)
    moved = x @ rotation + generator.standard_normal(4)
    expected = cka(x @ x.T, b)
    np.testing.assert_allclose(cka(scale * x @ x.T, b), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(cka(moved @ moved.T, b), expected, rtol=1e-9, atol=1e-12)
    shuffled = cka((x @ x.T)[np.ix_(order, order)], b[np.ix_(order, order)])
    np.testing.assert_allclose(shuffled, expected, rtol=1e-9, atol=1e-12)


@given(seeds, sizes)
def test_a_distance_is_one_minus_its_similarity_and_0_for_equal_kernels(
    seed: int, size: int
) -> None:
    generator = np.random.default_rng(seed)
    a, b = psd(generator, size), psd(generator, size)
    pairs = [
        (cka_distance, cka),
        (debiased_cka_distance, debiased_cka),
        (kernel_distance, cosine_similarity),
    ]
    for distance, similarity in pairs:
        assert distance(a, b) >= 0
        assert distance(a, a.copy()) == 0
        np.testing.assert_allclose(distance(a, b), 1 - similarity(a, b), atol=1e-12)


def test_the_distance_of_nearly_equal_float32_kernels_has_no_cancellation() -> None:
    generator = np.random.default_rng(0)
    base = psd(generator, 40, 60).astype(np.float32)
    moved = base * (1 + 1e-5 * psd(generator, 40).astype(np.float32) / 40)
    u, v = normalise(base).astype(np.longdouble), normalise(moved).astype(np.longdouble)
    exact = float(1 - (u * v).sum() / np.sqrt((u * u).sum() * (v * v).sum()))
    assert 0 < exact < 1e-9
    np.testing.assert_allclose(cka_distance(base, moved), exact, rtol=1e-6)


def test_debiased_cka_of_independent_inputs_is_0_on_average_and_plain_is_not() -> None:
    generator = np.random.default_rng(1)
    x, y = generator.standard_normal((2, 400, 16, 8))
    a, b = x @ x.swapaxes(-1, -2), y @ y.swapaxes(-1, -2)
    debiased = debiased_cka(a, b)
    assert abs(debiased.mean()) < 4 * debiased.std() / np.sqrt(400)
    assert cka(a, b).mean() > 0.25


def test_leading_axes_broadcast() -> None:
    generator = np.random.default_rng(2)
    many = np.stack([[psd(generator, 5) for _ in range(3)] for _ in range(2)])
    found = cka(many, many[0, 0])
    assert found.shape == (2, 3)
    np.testing.assert_allclose(found[1, 2], cka(many[1, 2], many[0, 0]), rtol=1e-14)


@pytest.mark.parametrize(
    "dead",
    [
        np.zeros((6, 6)),
        np.full((6, 6), 3.0),
        np.full((6, 6), 0.1, np.float32),
        np.full((6, 6), np.nan),
        np.full((6, 6), np.inf),
    ],
)
def test_a_kernel_without_direction_gives_nan_and_no_warning(dead: np.ndarray) -> None:
    alive = psd(np.random.default_rng(0), 6)
    both = np.stack([dead, alive])
    with np.errstate(all="raise"):
        found = cka(both, alive)
    assert np.isnan(found[0])
    np.testing.assert_allclose(found[1], 1)


def test_a_constant_kernel_with_float32_rounding_is_dead() -> None:
    noise = 1 + 1e-7 * np.random.default_rng(0).standard_normal((6, 6))
    assert np.isnan(normalise(noise)).all()


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_kernels_of_any_size_are_squared_safely(scale: float) -> None:
    a = psd(np.random.default_rng(0), 6)
    np.testing.assert_allclose(cka(scale * a, a), 1, rtol=1e-12)


def test_a_full_ntk_of_independent_outputs_has_the_cka_of_its_trace_ntk() -> None:
    generator = np.random.default_rng(3)
    a, b = psd(generator, 6), psd(generator, 6)
    found = cka(np.kron(a, np.eye(3)), np.kron(b, np.eye(3)), outputs=3)
    np.testing.assert_allclose(found, cka(a, b), rtol=1e-12)


def test_debiased_cka_needs_4_samples_and_one_output() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        debiased_cka(np.eye(3), np.eye(3))
    with pytest.raises(ValueError, match="one output"):
        normalise(np.eye(8), "debiased", outputs=2)
