"""Products with the operator against products with the kernel by its definition, in float64."""

import copy
import re

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import eigsh
from torch import nn

from ntkscope.errors import ModelError
from ntkscope.ntk import KINDS, empirical_ntk
from ntkscope.ntk.empirical import engine
from ntkscope.ntk.operator import NTKOperator, VectorError, largest_eigenvalue, ntk_operator
from ntkscope.ntk.operator.autograd_jacobian import AutogradPart
from ntkscope.ntk.operator.known_layers import LayerPart
from tests.oracles.networks import NAMES, network
from tests.oracles.ntk import ntk


def dense(model, x1, x2, kind):
    found = ntk(model, x1, x2, kind)
    return found.flatten(2).flatten(0, 1) if kind == "full" else found


def relative_error(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


def least_memory(model, x, kind):
    """What the refusal of too little memory says is enough; nothing is kept then."""
    with pytest.raises(ModelError, match="do not fit") as refusal:
        NTKOperator(model, x, kind=kind, memory=1)
    return int(re.search(r"at least (\d+) bytes", str(refusal.value)).group(1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_products_equal_those_of_the_definition(name, kind):
    model, x1, x2 = network(name)
    expected = dense(model, x1, x1, kind)
    vectors = torch.randn(len(expected), 2, generator=torch.Generator().manual_seed(1)).double()
    for settings in ({}, {"memory": least_memory(model, x1, kind)}, {"force": "autograd"}):
        operator = NTKOperator(model, x1, kind=kind, **settings)
        assert operator.shape == expected.shape
        assert relative_error(operator.product(vectors), expected @ vectors) < 1e-12
    across = NTKOperator(model, x1, x2, kind=kind, chunk=2)
    other = dense(model, x1, x2, kind)
    assert relative_error(across.H.product(vectors), other.T @ vectors) < 1e-12
    some = vectors[: other.shape[1]]
    assert relative_error(across.product(some), other @ some) < 1e-12


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["vectors", "residual batch norm", "attention"])
def test_symmetric_and_the_same_for_every_chunk(name, kind):
    model, x, _ = network(name, samples=7)
    identity = torch.eye(7 * (NTKOperator(model, x, kind=kind).outputs), dtype=torch.float64)
    whole = NTKOperator(model, x, kind=kind).product(identity)
    assert relative_error(whole, whole.T) < 1e-13
    for settings in ({"chunk": 1}, {"chunk": 3}, {"memory": least_memory(model, x, kind)}):
        assert (
            relative_error(NTKOperator(model, x, kind=kind, **settings) @ identity, whole) < 1e-13
        )


def test_a_dead_unit_and_a_chunk_of_dead_units_are_no_exception():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double()
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).double()
    model[0].bias.data[0], model[0].weight.data[1] = -100, 50 * x[5]
    expected = ntk(model, x, x, "trace")
    for chunk in (None, 1, 2):
        found = NTKOperator(model, x, chunk=chunk).product(torch.eye(6))
        assert relative_error(found, expected) < 1e-13


def test_it_is_a_linear_operator_of_numpy_and_of_torch():
    model, x, _ = network("vectors", samples=6)
    operator, kernel = NTKOperator(model, x), empirical_ntk(model, x).numpy()
    vectors = np.random.default_rng(0).standard_normal((6, 3))
    np.testing.assert_allclose(operator @ vectors, kernel @ vectors, rtol=1e-12)
    np.testing.assert_allclose(operator @ vectors[:, 0], kernel @ vectors[:, 0], rtol=1e-12)
    np.testing.assert_allclose((2 * operator).T @ vectors, 2 * kernel @ vectors, rtol=1e-12)
    np.testing.assert_allclose(operator @ torch.from_numpy(vectors), kernel @ vectors, rtol=1e-12)
    assert operator.products == 10
    values = eigsh(operator, 2, return_eigenvectors=False)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(kernel)[-2:], rtol=1e-10)


def test_float32_and_sums_in_float64():
    model, x, _ = network("vectors", samples=50)
    kernel = empirical_ntk(model, x).numpy()
    single = copy.deepcopy(model).float()
    for float64_sums in (False, True):
        operator = NTKOperator(single, x.float(), chunk=4, float64_sums=float64_sums)
        assert operator.dtype == np.float32
        np.testing.assert_allclose(operator @ np.ones(50), kernel.sum(1), rtol=1e-5)
        found = largest_eigenvalue(operator, 1e-4)
        assert abs(found.value - np.linalg.eigvalsh(kernel)[-1]) < found.error + 1e-5 * found.value


def test_the_model_is_left_as_it_was_found():
    model, x, _ = network("residual batch norm")
    before = copy.deepcopy(model.state_dict())
    for settings in ({}, {"force": "autograd"}):
        NTKOperator(model, x, **settings).product(torch.ones(5))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model.training and all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones(4), "shape"),
        (torch.ones(5, 1, 1), "shape"),
        (np.ones(5, complex), "dtype"),
        (np.full(5, "a"), "dtype"),
        (np.array([1, 1, 1, 1, np.nan]), "finite"),
    ],
)
def test_vectors_that_cannot_be_multiplied(vectors, message):
    model, x, _ = network("vectors")
    with pytest.raises(VectorError, match=message):
        NTKOperator(model, x).product(vectors)


def test_models_that_have_no_kernel_are_refused():
    model, x, _ = network("batch norm 1d")
    with pytest.raises(ModelError, match="mixes samples"):
        NTKOperator(model.train(), x)
    with pytest.raises(ModelError, match="float32 or float64"):
        NTKOperator(nn.Linear(4, 2).bfloat16(), x.bfloat16())
    with pytest.raises(ValueError, match="kind"):
        NTKOperator(model, x, kind="mean")


def test_a_change_of_the_model_is_noticed():
    model, x, _ = network("batch norm 1d")
    operator = NTKOperator(model, x)
    with torch.no_grad():
        model[0].weight.mul_(2)
    with pytest.raises(ModelError, match="changed since"):
        operator.product(torch.ones(5))
    operator = NTKOperator(model, x)
    model.train()
    with pytest.raises(ModelError, match="mixes samples"):
        operator.product(torch.ones(5))


def test_a_kernel_that_is_not_finite_is_refused():
    model, x, _ = network("vectors")
    x[2, 0] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        NTKOperator(model, x).product(torch.ones(5))


@pytest.mark.parametrize("kind", ["trace", "full", "pseudo"])
@pytest.mark.parametrize("name", ["vectors", "attention"])
def test_a_wrong_product_or_diagonal_is_refused(name, kind, monkeypatch):
    model, x, _ = network(name)
    for part in (LayerPart, AutogradPart):
        right = part.product
        monkeypatch.setattr(part, "product", lambda self, v, right=right: right(self, v) * 1.001)
    operator = NTKOperator(model, x, kind=kind)
    with pytest.raises(ModelError, match="by brute force"):
        operator.product(torch.ones(operator.shape[1]))
    unverified = NTKOperator(model, x, x[:2], kind=kind, verify="off")
    unverified.product(torch.ones(unverified.shape[1]))
    monkeypatch.setattr(ntk_operator, "compute_kernels", _wrong)
    with pytest.raises(ModelError, match="by brute force"):
        NTKOperator(model, x, kind=kind).diagonal()


def _wrong(*arguments, **options):
    return {name: k * 1.001 for name, k in engine.compute_kernels(*arguments, **options).items()}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_largest_eigenvalue_of_2000_samples(dtype):
    generator = torch.Generator().manual_seed(0)
    layers = [nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)]
    model = nn.Sequential(*layers).double()
    x = torch.rand(2000, 784, generator=generator).double()
    expected = eigsh(empirical_ntk(model, x).numpy(), 1, return_eigenvectors=False)[0]
    found = largest_eigenvalue(NTKOperator(model.to(dtype), x.to(dtype)), 1e-4)
    assert abs(found.value / expected - 1) < 1e-4
    assert found.products <= 10


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["vectors", "residual batch norm", "attention"])
def test_on_a_gpu(name):
    model, x, _ = network(name)
    expected = ntk(model, x, x, "trace")
    for settings in ({}, {"force": "autograd"}):
        operator = NTKOperator(copy.deepcopy(model).cuda(), x.cuda(), **settings)
        found = operator.product(torch.eye(5))
        assert found.is_cuda
        assert relative_error(found.cpu(), expected) < 1e-10
        np.testing.assert_allclose(operator @ np.eye(5), expected, rtol=1e-8)
