"""Dual activations by expansion: against closed forms and quadrature in two dimensions."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from ntkscope import empirical_ntk, infinite_ntk
from ntkscope.errors import ModelError
from ntkscope.ntk import infinite_kernels
from ntkscope.ntk.infinite import hermite
from ntkscope.ntk.infinite.dual_activations import dual
from ntkscope.ntk.infinite.nonlinearity import Nonlinearity

ERF = Nonlinearity("erf", torch.erf)
NODES = np.linspace(-9, 9, 901)
WEIGHTS = np.exp(-(NODES**2) / 2) * (NODES[1] - NODES[0]) / math.sqrt(2 * math.pi)


def erf(x):
    return np.vectorize(math.erf)(x)


def normal(x):
    return np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


# φ and φ' without torch
SMOOTH = {
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "gelu": (
        lambda x: x * (1 + erf(x / math.sqrt(2))) / 2,
        lambda x: (1 + erf(x / math.sqrt(2))) / 2 + x * normal(x),
    ),
}


def by_quadrature(function, k, q1, q2):
    """E[f(u)f(v)], u = √q1 z, v = (k/q1) u + √(q2 − k²/q1) z'."""
    u = math.sqrt(q1) * NODES
    v = k / q1 * u[:, None] + math.sqrt(max(q2 - k * k / q1, 0)) * NODES
    return WEIGHTS @ (function(u)[:, None] * function(v)) @ WEIGHTS


@pytest.mark.parametrize("scale", [1e-6, 0.1, 1.0, 10.0])
def test_the_expansion_of_erf_is_its_closed_form(scale):
    generator = torch.Generator().manual_seed(0)
    q1, q2, rho = (torch.rand(9, 9, generator=generator).double() for _ in range(3))
    rho = 2 * rho - 1
    rho[0], rho[1], rho[2] = 1, -1, 0
    q1, q2 = q1 * scale, q2 * scale
    K = rho * (q1 * q2).sqrt()
    found, expected = hermite.pair(ERF, K, q1, q2), dual("erf").pair(K, q1, q2)
    torch.testing.assert_close(found[0], expected[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(found[1], expected[1], rtol=0, atol=1e-10)
    for one, other in zip(hermite.same(ERF, q1), dual("erf").same(q1), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("q1", "q2", "rho"), [(0.3, 2.0, 0.7), (1.0, 1.0, -0.99), (4.0, 0.5, 0.9999), (3.0, 5.0, 1.0)]
)
@pytest.mark.parametrize("kind", SMOOTH)
def test_equals_quadrature_in_two_dimensions(kind, q1, q2, rho):
    k = rho * math.sqrt(q1 * q2)
    tensors = torch.tensor([[k], [q1], [q2]], dtype=torch.float64)
    for found, function in zip(dual(kind).pair(*tensors), SMOOTH[kind], strict=True):
        assert abs(float(found) - by_quadrature(function, k, q1, q2)) < 1e-9
    for found, function in zip(dual(kind).same(tensors[1]), SMOOTH[kind], strict=True):
        assert abs(float(found) - by_quadrature(function, q1, q1, q1)) < 1e-12


@pytest.mark.parametrize("kind", SMOOTH)
def test_no_variance_is_a_constant(kind):
    zero, one = torch.zeros(1).double(), torch.ones(1).double()
    value, slope = dual(kind).pair(zero, zero, one)
    function, derivative = SMOOTH[kind]
    assert float(value) == pytest.approx(function(0.0) * by_quadrature(function, 1, 1, 1) ** 0.5)
    mean = WEIGHTS @ derivative(NODES)
    assert float(slope) == pytest.approx(derivative(0.0) * mean)


def test_kinks_and_huge_variances_are_refused():
    q = torch.full((3,), 400.0).double()
    with pytest.raises(ModelError, match=r"tanh to 1e-10\n.*variance up to 400\n.*smaller W_std"):
        dual("tanh").pair(q / 2, q, q)
    with pytest.raises(ModelError, match="kernel of relu"):
        hermite.pair(Nonlinearity("relu", torch.relu), q / 2, q, q)


def network(activation, width, images):
    first = [nn.Conv2d(2, width, 3, padding=1)] if images else [nn.Flatten(), nn.Linear(72, width)]
    then = nn.Conv2d(width, width, 3, padding=1) if images else nn.Linear(width, width)
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten()] if images else []
    return nn.Sequential(
        *first, activation, then, activation, *head, nn.Linear(width, 3)
    ).double()  # fmt: skip


@pytest.mark.parametrize("images", [False, True])
@pytest.mark.parametrize("activation", [nn.Tanh(), nn.GELU()], ids=["tanh", "gelu"])
def test_wide_networks_agree(activation, images):
    torch.manual_seed(0)
    x, width = torch.randn(3, 2, 6, 6).double(), 100 if images else 700
    drawn = torch.stack([empirical_ntk(network(activation, width, images), x) for _ in range(6)])
    off = (drawn.mean(0) - infinite_ntk(network(activation, width, images), x)).norm()
    assert drawn.std(0).norm() / 6**0.5 < 0.08 * drawn.mean(0).norm()
    assert off < 3 * drawn.std(0).norm() / 6**0.5


@pytest.mark.parametrize("activation", [nn.Tanh(), nn.GELU()], ids=["tanh", "gelu"])
def test_tiles_symmetry_and_single_precision(activation):
    torch.manual_seed(0)
    x, model = torch.randn(9, 2, 6, 6).double(), network(activation, 5, images=False)
    x[4] = x[3]
    both = infinite_kernels(model, x, W_std=1.5, b_std=0.1)
    for whole, tiled, single in zip(
        both,
        infinite_kernels(model, x, W_std=1.5, b_std=0.1, tile=4),
        infinite_kernels(model, x.float(), W_std=1.5, b_std=0.1),
        strict=True,
    ):
        assert torch.equal(whole, whole.T)
        assert torch.linalg.eigvalsh(whole)[0] > -1e-9
        torch.testing.assert_close(tiled, whole, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(single.double(), whole, rtol=1e-5, atol=1e-5)
