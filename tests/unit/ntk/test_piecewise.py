"""Dual activations of functions with kinks: against closed forms and simpler integrals."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.integrate import quad
from scipy.stats import norm

from ntkscope.errors import ModelError
from ntkscope.ntk.infinite import piecewise
from ntkscope.ntk.infinite.dual_activations import dual, leaky_dual
from ntkscope.ntk.infinite.nonlinearity import Nonlinearity


def entries():
    generator = torch.Generator().manual_seed(0)
    q1, q2, rho = (torch.rand(40, generator=generator).double() for _ in range(3))
    rho, q1, q2 = 2 * rho - 1, 4 * q1, 4 * q2**4
    rho[:5] = torch.tensor([1.0, -1.0, 0.0, 1 - 1e-6, -1 + 1e-6])
    q1[5] = 0
    q1[:5], q2[:5] = 1.0, torch.tensor([1.0, 1.0, 2.0, 1.0, 3.0])
    return rho * (q1 * q2).sqrt(), q1, q2


@pytest.mark.parametrize(
    ("phi", "expected"),
    [
        (Nonlinearity("relu", F.relu, (0.0,)), dual("relu")),
        (Nonlinearity("relu", F.relu, (-1.0, 0.0)), dual("relu")),
        (Nonlinearity("leaky", lambda z: F.leaky_relu(z, 0.3), (0.0,)), leaky_dual(0.3, 0.3)),
        (Nonlinearity("tanh", torch.tanh, (0.0,)), dual("tanh")),
    ],
    ids=["relu", "relu with a kink that is none", "leaky", "tanh"],
)
def test_equals_what_is_known(phi, expected):
    K, q1, q2 = entries()
    known, found = expected.pair(K, q1, q2), piecewise.pair(phi, K, q1, q2)
    known[1][5] = expected.same(q1[5:6])[1] if phi.name != "relu" else 0  # of no variance
    torch.testing.assert_close(found[0], known[0], rtol=0, atol=2e-10)
    rest = [i for i in range(40) if i != 5]
    torch.testing.assert_close(found[1][rest], known[1][rest], rtol=0, atol=2e-9)  # 1 − ρ cancels
    for one, other in zip(piecewise.same(phi, q1), expected.same(q1), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("q1", "q2", "rho"), [(1.0, 2.0, 0.5), (0.3, 0.3, 0.99), (5.0, 1.0, -0.8)])
def test_slopes_of_a_ramp_are_probabilities(q1, q2, rho):
    """E[φ'(u)φ'(v)] of hardtanh is P(|u| < 1, |v| < 1), by one integral of normal distributions."""
    s, left = math.sqrt(q1), math.sqrt(q2 * (1 - rho**2))

    def inner(x):
        mean = rho * math.sqrt(q2) * x
        return norm.pdf(x) * (norm.cdf((1 - mean) / left) - norm.cdf((-1 - mean) / left))

    expected = quad(inner, -1 / s, 1 / s, epsabs=1e-13, limit=200)[0]
    phi = Nonlinearity("hardtanh", F.hardtanh, (-1.0, 1.0))
    tensors = torch.tensor([[rho * math.sqrt(q1 * q2)], [q1], [q2]], dtype=torch.float64)
    assert abs(float(piecewise.pair(phi, *tensors)[1]) - expected) < 1e-10


def test_what_no_rule_resolves_is_refused():
    q = torch.full((2,), 1e8).double()
    wild = Nonlinearity("|sin|", lambda z: torch.sin(z).abs(), (0.0,))
    with pytest.raises(ModelError, match=r"\|sin\| to 1e-10"):
        piecewise.pair(wild, q / 2, q, q)


def test_no_entries_and_shapes():
    phi = Nonlinearity("elu", F.elu, (0.0,))
    empty = torch.zeros(3, 0).double()
    assert piecewise.pair(phi, empty, empty, empty)[1].shape == (3, 0)
    q = torch.tensor([[1.0], [2.0]])
    value, slope = piecewise.pair(phi, torch.zeros(2, 3), q, torch.ones(1, 3))
    assert value.dtype == slope.dtype == torch.float32
    np.testing.assert_allclose(value[:, 0], value[:, 2])


@pytest.mark.parametrize("q", [1e4, 1e6, 1e9])
@pytest.mark.parametrize("phi", [F.elu, F.selu])
def test_what_happens_beside_a_kink_where_no_rule_has_a_node_is_refused(phi, q):
    """At 1e6 two rules agree, for neither sees the exponential: the NTK was off by 1e-3."""
    phi, q = Nonlinearity(phi.__name__, phi, (0.0,)), torch.tensor([q]).double()
    for K in (q, q / 2):
        with pytest.raises(ModelError, match="do not give"):
            piecewise.pair(phi, K, q, q)
    few = torch.tensor([1e3]).double()
    assert piecewise.pair(phi, few / 2, few, few)[1] > 0


@pytest.mark.parametrize("q", [1e-12, 1.0, 1e6, 1e12])
def test_what_is_linear_between_its_kinks_is_known_at_any_variance(q):
    phi = Nonlinearity("hardtanh", F.hardtanh, (-1.0, 1.0))
    q = torch.tensor([q]).double()
    expected = math.erf(float((2 * q).rsqrt()))
    assert abs(float(piecewise.pair(phi, q, q, q)[1]) - expected) < 1e-9
