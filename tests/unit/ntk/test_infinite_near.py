"""Nearly equal inputs at infinite width: all digits of the NTK, against 50-digit arithmetic."""

import mpmath as mp
import numpy as np
import pytest
import torch
from torch import nn

from ntkscope import infinite_ntk
from ntkscope.errors import ModelError
from ntkscope.models import Activation, Dense
from ntkscope.models.network import Elementwise
from ntkscope.ntk import infinite_kernels
from ntkscope.ntk.infinite import analytic_duals
from ntkscope.ntk.infinite.dual_activations import DUALS, analytic_dual
from ntkscope.ntk.infinite.nonlinearity import Nonlinearity

DISTANCES = [1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10, 1e-13]
W, B = 1.4, 0.3


@pytest.fixture(autouse=True)
def _fifty_digits():
    with mp.workdps(50):
        yield


class Steps:
    """S of a pair, of each of the two samples, and Θ, through the layers of a network."""

    def __init__(self, u, v):
        def mean(a, b):
            pairs = zip(a.tolist(), b.tolist(), strict=True)
            return mp.fsum(mp.mpf(p) * mp.mpf(q) for p, q in pairs) / len(a)

        self.S, self.q, self.r, self.T = mean(u, v), mean(u, u), mean(v, v), mp.mpf(0)

    def affine(self, w, b=0.0, gradient=None, bias_gradient=None):
        w, b = mp.mpf(w), mp.mpf(b)
        gradient = w if gradient is None else gradient
        self.T = w * self.T + gradient * self.S + (b if bias_gradient is None else bias_gradient)
        self.S, self.q, self.r = (w * s for s in (self.S, self.q, self.r))
        if bias_gradient is not None:
            self.S, self.q, self.r = self.S + b, self.q + b, self.r + b

    def leaky(self, a=0):
        """Of a·z + (1 − a)·relu(z); a = −1: |z|."""
        a = mp.mpf(a)
        size = mp.sqrt(self.q * self.r)
        angle = mp.acos(min(self.S / size, mp.mpf(1)))
        left = mp.pi - angle
        self.T *= a + (1 - a) ** 2 * left / (2 * mp.pi)
        bent = (size * mp.sin(angle) + left * self.S) / (2 * mp.pi)
        self.S = a * self.S + (1 - a) ** 2 * bent
        self.q, self.r = self.q * (1 + a**2) / 2, self.r * (1 + a**2) / 2

    def norm(self, eps):
        one, other = (1 / mp.sqrt(q + mp.mpf(eps)) for q in (self.q, self.r))
        self.S, self.T = self.S * one * other, self.T * one * other
        self.q, self.r = self.q * one**2, self.r * other**2
        self.T += self.S + 1


def two(distance, inputs=12, seed=0):
    torch.manual_seed(seed)
    x, v = torch.randn(2, inputs, dtype=torch.float64)
    return torch.stack([x, x + distance * v])


def off(found, expected):
    return float(abs(mp.mpf(found.item()) / expected - 1))


def mlp(*activations, width=6):
    inner = [m for phi in activations for m in (phi, nn.Linear(width, width))]
    return nn.Sequential(nn.Linear(12, width), *inner)


class Absolute(nn.Module):
    def forward(self, x):
        return x.abs()


KINKED = {
    "relu": (nn.ReLU(), 0, 5e-13),
    "leaky": (nn.LeakyReLU(0.2), 0.2, 5e-13),
    "rising and falling": (nn.LeakyReLU(-1.0), -1, 5e-12),
    "absolute": (Absolute(), -1, 5e-12),
}


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("name", KINKED)
def test_all_digits_at_any_distance(name, distance):
    module, a, tolerance = KINKED[name]
    depth = 3
    x = two(distance)
    steps = Steps(x[0], x[1])
    steps.affine(W**2, B**2)
    for _ in range(depth):
        steps.leaky(a)
        steps.affine(W**2, B**2)
    found = infinite_kernels(mlp(*[module] * depth), x, W_std=W, b_std=B)
    assert off(found.ntk[0, 1], steps.T) < tolerance
    assert off(found.nngp[0, 1], steps.S) < tolerance
    crossed = infinite_ntk(mlp(*[module] * depth), x[:1], x[1:], W_std=W, b_std=B)
    torch.testing.assert_close(crossed[0, 0], found.ntk[0, 1], rtol=5e-13, atol=0)


class Normed(nn.Module):
    def __init__(self, w=6):
        super().__init__()
        self.a, self.b, self.read = nn.Linear(12, w), nn.Linear(w, w), nn.Linear(w, 1)
        self.norm = nn.LayerNorm(w)

    def forward(self, x):
        x = self.a(x)
        x = x + 0.5 * self.b(torch.relu(self.norm(x)))
        return self.read(torch.relu(x))


@pytest.mark.parametrize("distance", DISTANCES)
def test_norms_and_residual_sums_keep_them(distance):
    x = two(distance)
    trunk, branch = Steps(x[0], x[1]), Steps(x[0], x[1])
    trunk.affine(W**2, B**2)
    branch.affine(W**2, B**2)
    branch.norm(Normed().norm.eps)
    branch.leaky()
    branch.affine(W**2, B**2)
    for name in ("S", "q", "r", "T"):
        setattr(trunk, name, getattr(trunk, name) + getattr(branch, name) / 4)
    trunk.leaky()
    trunk.affine(W**2, B**2)
    found = infinite_ntk(Normed(), x, W_std=W, b_std=B)
    assert off(found[0, 1], trunk.T) < 5e-13


def test_angles_that_shrink_with_depth():
    """Two unlike inputs of 24 layers as PyTorch initialises them: 1e-7 apart at the end."""
    x, width, depth = two(1.0), 6, 24
    steps = Steps(x[0], x[1])
    steps.affine(mp.mpf(1) / 3, mp.mpf(1) / 36, 12, 1)
    for _ in range(depth):
        steps.leaky()
        steps.affine(mp.mpf(1) / 3, mp.mpf(1) / (3 * width), width, 1)
    layers = [Dense("first", 12, width)]
    for number in range(depth):
        layers += [Activation("relu"), Dense(f"{number}", width, width)]
    assert abs(steps.S / mp.sqrt(steps.q * steps.r) - 1) < 1e-13
    for network in (tuple(layers), mlp(*[nn.ReLU()] * depth)):
        assert off(infinite_ntk(network, x)[0, 1], steps.T) < 5e-13


class Convolutions(nn.Module):
    def __init__(self, w=4):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, w, 3, padding=1), nn.Conv2d(w, w, 3, stride=2)
        self.norm, self.read = nn.GroupNorm(1, w), nn.Linear(w, 1)

    def forward(self, x):
        x = torch.relu(self.b(torch.relu(self.a(x))))
        return self.read(x.mean((2, 3)))


@pytest.mark.parametrize("network", [Convolutions(), mlp(nn.ReLU(), nn.ReLU(), nn.ReLU())])
def test_the_kernel_falls_in_proportion_to_the_distance(network):
    torch.manual_seed(0)
    shape = (2, 5, 5) if isinstance(network, Convolutions) else (12,)
    x, v = torch.randn(2, *shape, dtype=torch.float64)
    rates = []
    for distance in (1e-6, 1e-8):
        K = infinite_ntk(network, torch.stack([x, x + distance * v]), W_std=W)
        rates.append((K[0, 0] + K[1, 1] - 2 * K[0, 1]).item() / distance)
        assert torch.linalg.eigvalsh(K)[0] > 0.1 * rates[-1] * distance
    assert rates[0] > 0
    assert abs(rates[1] / rates[0] - 1) < 1e-4


@pytest.mark.parametrize("network", [mlp(nn.ReLU(), nn.ReLU()), mlp(nn.LeakyReLU(0.1), nn.ReLU())])
def test_nearly_equal_pairs_among_others_in_any_tiles(network):
    torch.manual_seed(0)
    x = torch.randn(9, 12, dtype=torch.float64)
    x[7], x[8], x[3] = x[2] + 1e-9, x[5], x[5] - 1e-7
    whole = infinite_ntk(network, x, W_std=W)
    assert torch.equal(whole, whole.T)
    for tile in (1, 5, 30):
        torch.testing.assert_close(
            infinite_ntk(network, x, W_std=W, tile=tile), whole, rtol=1e-14, atol=0
        )
        crossed = infinite_ntk(network, x[:4], x[2:], W_std=W, tile=tile)
        torch.testing.assert_close(crossed, whole[:4, 2:], rtol=1e-14, atol=0)


def test_samples_without_variance_are_near_nothing():
    x = torch.zeros(3, 12, dtype=torch.float64)
    x[1, 0] = 1e-170
    found = infinite_ntk(mlp(nn.ReLU(), nn.ReLU()), x, W_std=W, b_std=B)
    assert bool(torch.isfinite(found).all())


class Sum(nn.Module):
    """|z| by quadrature, of a function with a kink that has no closed form here."""

    def forward(self, x):
        return torch.relu(x) + torch.relu(-x)


@pytest.mark.parametrize("distance", [1e-2, 1e-8, 1e-12])
def test_functions_with_kinks_by_quadrature(distance):
    x = two(distance)
    steps = Steps(x[0], x[1])
    steps.affine(W**2, B**2)
    steps.leaky(-1)
    steps.affine(W**2, B**2)
    assert off(infinite_ntk(mlp(Sum()), x, W_std=W, b_std=B)[0, 1], steps.T) < 1e-10


@pytest.mark.parametrize("chain", [True, False])
@pytest.mark.parametrize("factor", [1.9, 3.0, 1e3, 1e6])
def test_parallel_vectors_of_any_lengths_cost_half_of_the_digits_at_most(factor, chain):
    x = two(0.0)[:1]
    module, a = (nn.ReLU(), 0) if chain else (nn.LeakyReLU(0.2), 0.2)
    steps = Steps(x[0], factor * x[0])
    steps.affine(W**2, B**2)
    for _ in range(2):
        steps.leaky(a)
        steps.affine(W**2, B**2)
    found = infinite_ntk(mlp(module, module), x, factor * x, W_std=W, b_std=B)
    assert off(found[0, 0], steps.T) < 5e-8


CLOSED = {
    "gelu": nn.functional.gelu,
    "sine": torch.sin,
    "cosine": torch.cos,
    "exponential": torch.exp,
}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms_equal_the_integral(name):
    """By Gauss and Hermite's rule in two dimensions."""
    x, w = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(80))
    w = w / w.sum()
    q1, q2, rho = torch.tensor(
        [[0.3, 1.0, 2.0, 0.02], [0.5, 1.0, 1.2, 0.01], [0.4, -0.9, 0.99, -0.2]], dtype=torch.float64
    )
    both = Nonlinearity(name, CLOSED[name]).both
    found = getattr(analytic_duals, name)(rho * (q1 * q2).sqrt(), q1, q2)
    for i in range(4):
        u = q1[i].sqrt() * x
        v = q2[i].sqrt() * (rho[i] * x[:, None] + (1 - rho[i] ** 2).sqrt() * x)
        for value, one, other in zip(found, both(u), both(v), strict=True):
            expected = w @ (one[:, None] * other) @ w
            torch.testing.assert_close(value[i], expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("distance", [1.0, 1e-3, 1e-7, 1e-12])
def test_sines_keep_all_digits(distance):
    class Sine(nn.Module):
        def forward(self, x):
            return torch.sin(x)

    x = two(distance)
    steps = Steps(x[0], x[1])
    steps.affine(W**2, B**2)
    half = mp.exp(-(steps.q + steps.r) / 2)
    steps.T, steps.S = half * mp.cosh(steps.S) * steps.T, half * mp.sinh(steps.S)
    steps.affine(W**2, B**2)
    found = infinite_kernels(mlp(Sine()), x, W_std=W, b_std=B)
    assert off(found.ntk[0, 1], steps.T) < 1e-14
    assert off(found.nngp[0, 1], steps.S) < 1e-14


@pytest.mark.parametrize("module", [nn.Tanh(), nn.SiLU(), nn.Sigmoid(), nn.Softplus(), nn.GELU()])
def test_smooth_activations_are_continuous_at_equal_inputs(module):
    """What a series leaves out is not on the diagonal only: the difference is quadratic."""
    x, width = two(1e-7), 6
    network = nn.Sequential(nn.Linear(12, width), module, nn.Linear(width, 1))
    for K in infinite_kernels(network, x, W_std=W, b_std=B):
        assert abs(K[0, 0] + K[1, 1] - 2 * K[0, 1]) < 2e-14 * K[0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sample_that_is_not_finite_hides_no_pair(dtype):
    x = torch.cat([two(1e-4), two(1e-4, seed=1)]).to(dtype)
    exact = infinite_ntk(mlp(nn.ReLU()), x.double(), W_std=W)
    x[3, 0] = torch.nan
    found = infinite_ntk(mlp(nn.ReLU()), x, W_std=W)
    assert bool(found[3].isnan().all())
    tolerance = 10 * torch.finfo(dtype).eps
    torch.testing.assert_close(found[:3, :3].double(), exact[:3, :3], rtol=tolerance, atol=0)


@pytest.mark.parametrize("scale", [50, 255, 2e4])
@pytest.mark.parametrize("kind", ["relu", "gelu", "erf"])
def test_single_precision_at_large_variances(kind, scale):
    torch.manual_seed(0)
    x = scale * torch.rand(4, 12)
    x = torch.cat([x, 1.001 * x, x + 1e-3 * scale * torch.randn(4, 12)])
    layers = mlp(Elementwise(kind))
    exact = infinite_ntk(layers, x.double(), W_std=W, b_std=B)
    found = infinite_ntk(layers, x, W_std=W, b_std=B).double()
    torch.testing.assert_close(found, exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize("kind", ["gelu", "sine", "cosine"])
def test_closed_forms_of_huge_variances(kind):
    """In the limit GELU is relu."""
    q = torch.tensor([1e9, 1e14, 1e17, 1e25, 1e60], dtype=torch.float64)
    closed = DUALS[kind] if kind in DUALS else analytic_dual(getattr(analytic_duals, kind))
    value, slope = closed.same(q)
    half = torch.full_like(q, 0.5)
    wanted = q / 2 if kind == "gelu" else half
    torch.testing.assert_close(value, wanted, rtol=1e-4, atol=0)
    torch.testing.assert_close(slope, half, rtol=1e-4, atol=0)
    for almost in (q * (1 - 2**-52), q * (1 + 2**-52), -q):
        for found in closed.pair(almost, q, q):
            assert bool(found.isfinite().all())
            assert bool((found.abs() <= 1.001 * torch.maximum(wanted, slope)).all())


class Exponential(nn.Module):
    def forward(self, x):
        return x.exp()


@pytest.mark.parametrize(("module", "scale"), [(nn.ReLU(), 1e80), (Exponential(), 1e3)])
def test_a_kernel_that_overflows_is_refused(module, scale):
    with pytest.raises(ModelError, match=r"not finite|products overflow"):
        infinite_ntk(mlp(module), scale * two(1.0))


def test_no_samples_have_an_empty_kernel():
    x = two(1.0)
    assert infinite_ntk(mlp(nn.ReLU()), x.float(), x[:0].float()).shape == (2, 0)


class Inside(nn.Module):
    """No plain sequence: it is traced, and computed in float64."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x) + 0


@pytest.mark.parametrize(
    ("dtype", "scale", "fits"),
    [
        (torch.float32, 2.0**-20, True),
        (torch.float32, 2.0**-30, False),
        (torch.float64, 2.0**-240, True),
        (torch.float64, 2.0**-260, False),
    ],
)
@pytest.mark.parametrize("traced", [False, True])
def test_what_underflows_is_refused(dtype, scale, fits, traced):
    """A kernel of ReLUs without biases scales with the square of its inputs."""
    layers = [nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1)]
    network = Inside(nn.Sequential(*layers)) if traced else nn.Sequential(*layers)
    x = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    if fits:
        found = infinite_ntk(network, (x * scale).to(dtype), W_std=W).double() / scale**2
        torch.testing.assert_close(found, infinite_ntk(network, x, W_std=W), rtol=1e-6, atol=1e-6)
    elif dtype == torch.float64 or not traced:
        with pytest.raises(ModelError, match="underflow"):
            infinite_ntk(network, (x * scale).to(dtype), W_std=W)


def test_a_brighter_copy_of_an_image_behind_pooling_is_no_near_pair():
    """Parallel images of which one has more than twice the contrast; torch failed on no pairs."""
    network = nn.Sequential(
        *(nn.Conv1d(2, 8, 3, padding=1), nn.LeakyReLU(0.5), nn.Conv1d(8, 8, 3)),
        *(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 1)),
    )
    x = torch.randn(3, 2, 6, generator=torch.Generator().manual_seed(0)).double()
    found = infinite_ntk(network, torch.cat([x, 3 * x]), W_std=1.5)
    torch.testing.assert_close(found[3:, :3], 3 * found[:3, :3], rtol=1e-7, atol=0)
    torch.testing.assert_close(found[3:, 3:], 9 * found[:3, :3], rtol=1e-7, atol=0)


@pytest.mark.parametrize("first", [(), ("linear",), ("tanh",)])
@pytest.mark.parametrize("kind", ["relu", "gelu", "erf"])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("distance", [0, 1e-5, 1e-3])
def test_equal_and_opposite_inputs_keep_their_digits_in_single_precision(
    first, kind, sign, distance
):
    """The NTK of opposite ones, nearly 0, was off by 1e-4 of the diagonal.

    So was that of nearly equal ones where other layers stand before the activation.
    """
    layers = [Dense("a", 10, 8, True, True, 10**-0.5, 0.1)]
    for other in first:
        layers += [Activation(other)] if other != "linear" else []
        layers += [Dense("b", 8, 8, True, True, 8**-0.5, 0.1)]
    layers += [Activation(kind), Dense("c", 8, 1, True, True, 8**-0.5, 0.1)]
    draw = torch.Generator().manual_seed(0)
    x = (1 if "tanh" in first else 5) * torch.randn(6, 10, generator=draw)
    x = torch.cat([x, sign * x + distance * torch.randn(6, 10, generator=draw)])
    found, exact = infinite_ntk(layers, x), infinite_ntk(layers, x.double())
    size = (exact.diag()[:, None] * exact.diag()).sqrt()
    assert ((found - exact).abs() / size).max() < 2e-6
