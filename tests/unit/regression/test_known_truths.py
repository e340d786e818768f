"""What theory says of kernels, their networks and their regressions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ntkscope.config.specs import ModelSpec
from ntkscope.models import build_network
from ntkscope.models.zoo import architecture
from ntkscope.ntk import empirical_ntk, infinite_ntk
from ntkscope.regression.curve import Samples, regress_nested
from ntkscope.regression.ridge import Ridges

NTK = {"parametrisation": "ntk", "weight_std": 2**0.5, "bias_std": 0.1}
TINY = Ridges((1e-12,), "squared", 1000)


def sphere(generator, n, d):
    x = torch.from_numpy(generator.standard_normal((n, d)))
    return x / x.norm(dim=1, keepdim=True) * d**0.5


def regress(K, cross, y, y_test, f0=None, test_f0=None, ridges=TINY, sizes=None):
    f0 = np.zeros(len(y)) if f0 is None else f0
    test_f0 = np.zeros(len(y_test)) if test_f0 is None else test_f0
    samples = Samples(K, cross, y, y_test, f0, test_f0)
    return regress_nested(samples, sizes or [len(y)], ridges, "squared")


def test_on_its_own_gaussian_process_a_kernel_attains_the_posterior_variance():
    """Mean over draws of the squared error: the trace of the posterior covariance (GPML, 2.24)."""
    generator, draws, n, tests = np.random.default_rng(0), 300, 64, 40
    layers = architecture(ModelSpec(kind="mlp", depth=2, width=1, **NTK), (5,), 1)
    x, test = sphere(generator, n, 5), sphere(generator, tests, 5)
    whole = infinite_ntk(layers, torch.cat([x, test])).numpy()
    K, cross = whole[:n, :n], whole[n:, :n]
    factor = np.linalg.cholesky(whole + 1e-10 * np.eye(n + tests) * whole[0, 0])
    sizes = [8, 16, 32, 64]
    errors = []
    for _ in range(draws):
        f = factor @ generator.standard_normal(n + tests)
        errors.append(regress(K, cross, f[:n], f[n:], sizes=sizes)["squared_error"])
    found, deviation = np.mean(errors, 0), np.std(errors, 0, ddof=1) / draws**0.5
    for at, m in enumerate(sizes):
        posterior = whole[n:, n:] - cross[:, :m] @ np.linalg.solve(K[:m, :m], cross[:, :m].T)
        expected = np.trace(posterior) / tests
        assert deviation[at] < 0.05 * expected
        assert abs(found[at] - expected) < 3 * deviation[at]
    assert (np.diff(found) < 0).all()


@pytest.mark.slow
def test_initial_kernels_approach_the_infinite_as_the_width_to_the_minus_one_half():
    """The relative deviation of K_0 is O(width^-1/2) (Jacot et al. 2018; Arora et al. 2019)."""
    widths, seeds = 2 ** np.arange(6, 13), 10
    x = sphere(np.random.default_rng(1), 8, 6)
    limit = infinite_ntk(architecture(ModelSpec(kind="mlp", depth=2, width=1, **NTK), (6,), 1), x)
    deviations = []
    for width in widths:
        layers = architecture(ModelSpec(kind="mlp", depth=2, width=int(width), **NTK), (6,), 1)
        kernels = [empirical_ntk(build_network(layers, s).double(), x) for s in range(seeds)]
        squares = torch.stack([(K - limit).square().sum() for K in kernels])
        deviations.append(float((squares.mean() / limit.square().sum()).sqrt()))
    slope = np.polyfit(np.log(widths), np.log(deviations), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.1)


def jacobian(network, x):
    """Gradient of each output by all parameters, [N, P], by autograd alone."""
    parameters = list(network.parameters())
    rows = (torch.autograd.grad(network(each[None])[0, 0], parameters) for each in x)
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


def test_a_linearised_network_trained_to_convergence_is_the_regression_with_its_offset():
    """f₀ + Jθ by gradient descent: f₀ + regression of y − f₀ with K_0 (Lee et al. 2019, eq. 11)."""
    generator = np.random.default_rng(2)
    spec = ModelSpec(kind="mlp", depth=2, width=64, **NTK)
    network = build_network(architecture(spec, (4,), 1), 3).double()
    x, test = sphere(generator, 12, 4), sphere(generator, 20, 4)
    y, y_test = (np.sign(generator.standard_normal(count)) for count in (12, 20))
    J, J_test = jacobian(network, x), jacobian(network, test)
    with torch.no_grad():
        f0, test_f0 = network(x)[:, 0], network(test)[:, 0]
    eigenvalues = torch.linalg.eigvalsh(J @ J.T)
    rate, decay = polyak(eigenvalues[0], eigenvalues[-1])
    change, velocity = (torch.zeros(J.shape[1], dtype=torch.float64) for _ in range(2))
    for _ in range(3000):
        residual = f0 + J @ change - torch.from_numpy(y)
        velocity = decay * velocity - rate * J.T @ residual
        change = change + velocity
    assert residual.abs().max() < 1e-9
    trained = (test_f0 + J_test @ change).numpy()
    K, cross = empirical_ntk(network, x), empirical_ntk(network, test, x)
    found = regress(K, cross, y, y_test, f0.numpy(), test_f0.numpy())
    np.testing.assert_allclose(found["prediction"][0], trained, rtol=0, atol=1e-4)
    without = regress(K, cross, y, y_test)
    assert np.abs(without["prediction"][0] - trained).max() > 0.05


def polyak(low, high):
    """Rate and decay of the heavy ball that converges fastest on eigenvalues [low, high]."""
    small, large = low.sqrt(), high.sqrt()
    return float(4 / (small + large) ** 2), float(((large - small) / (large + small)) ** 2)


def test_near_convergence_a_networks_kernel_on_its_own_samples_predicts_as_the_network():
    """K_n(n) of a network that fits its n samples, to 0.04 in error; K_0 is off by 0.16."""
    generator = np.random.default_rng(4)
    network = build_network(architecture(ModelSpec(kind="mlp", depth=2, width=32), (6,), 1), 4)
    network = network.double()
    x, test = sphere(generator, 300, 6), sphere(generator, 400, 6)
    y, y_test = (torch.sign(each[:, 0] * each[:, 1]) for each in (x, test))
    initial = empirical_ntk(network, x), empirical_ntk(network, test, x)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for _ in range(1500):
        optimiser.zero_grad()
        loss = (network(x)[:, 0] - y).square().mean()
        loss.backward()
        optimiser.step()
    assert loss < 1e-3
    with torch.no_grad():
        outputs = network(test)[:, 0].numpy()
    after = empirical_ntk(network, x), empirical_ntk(network, test, x)
    ridges = Ridges(tuple(10.0 ** np.arange(-6, 3)), "zero_one", 1000)
    found = [
        regress(*pair, y.numpy(), y_test.numpy(), ridges=ridges)["prediction"][0]
        for pair in (initial, after)
    ]
    error, *errors = ((np.sign(each) != y_test.numpy()).mean() for each in (outputs, *found))
    assert abs(errors[1] - error) < 0.04
    assert errors[0] - error > 0.1
    assert (np.sign(found[1]) == np.sign(outputs)).mean() > 0.93
    assert np.corrcoef(found[1], outputs)[0, 1] > 0.95 > np.corrcoef(found[0], outputs)[0, 1] + 0.1
