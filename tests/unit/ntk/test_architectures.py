"""Networks of today: every kernel equals its definition to 1e-10 in float64, 1e-5 in float32."""

from functools import cache

import pytest
import torch

from ntkscope.ntk import empirical_ntk
from ntkscope.ntk.operator import NTKOperator
from tests.oracles.architectures import LARGE, SMALL, architecture
from tests.oracles.ntk import of_kind
from tests.oracles.one_by_one import jacobian

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")
ALLOWED = {torch.float64: 1e-10, torch.float32: 1e-5}


@cache
def full_kernel(name):
    """[N, K, N, K], N = 5 or 3, by its definition."""
    model, x = architecture(name, samples_of(name))
    every = jacobian(model, x).flatten(0, 1)
    return (every @ every.T).unflatten(1, (len(x), -1)).unflatten(0, (len(x), -1))


def samples_of(name):
    return 3 if name in LARGE else 5


def cases(name, dtype):
    """The network in some precision; pairs of inputs, and their kernels of kind full."""
    model, x = architecture(name, samples_of(name))
    x, full = x.to(dtype) if x.is_floating_point() else x, full_kernel(name)
    n = len(x) - len(x) // 2
    return model.to(dtype), [(x, None, full), (x[:n], x[n:], full[:n, :, n:])]


def error(found, expected):
    return float((found.double() - expected).abs().max() / expected.abs().max())


def check_kernels(name, dtype, kinds):
    model, inputs = cases(name, dtype)
    for x1, x2, full in inputs:
        for kind in kinds:
            expected = of_kind(full, kind)
            found = empirical_ntk(model, x1, x2, kind=kind)
            assert error(found, expected) < ALLOWED[dtype], kind
            layers = empirical_ntk(model, x1, x2, kind=kind, by_layer=True, chunk=2)
            assert error(sum(layers.values()), expected) < ALLOWED[dtype], kind


def check_operators(name, dtype, kinds):
    model, inputs = cases(name, dtype)
    for x1, x2, full in inputs:
        for kind in kinds:
            expected = of_kind(full, kind)
            if kind == "full":
                expected = expected.flatten(2).flatten(0, 1)
            operator = NTKOperator(model, x1, x2, kind=kind)
            found = operator @ torch.eye(operator.shape[1], dtype=dtype)
            assert error(found, expected) < ALLOWED[dtype], kind
            back = operator.T @ torch.eye(operator.shape[0], dtype=dtype)
            assert error(back, expected.T) < ALLOWED[dtype], kind
            if x2 is None:
                assert error(operator.diagonal(), expected.diagonal()) < ALLOWED[dtype], kind


@pytest.mark.parametrize("name", SMALL)
def test_a_small_network(name):
    check_kernels(name, torch.float64, ["trace"])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ALLOWED, ids=str)
@pytest.mark.parametrize("name", SMALL)
def test_kernels_of_all_kinds(name, dtype):
    check_kernels(name, dtype, ["trace", "full", "pseudo", "diagonal"])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ALLOWED, ids=str)
@pytest.mark.parametrize("name", SMALL)
def test_operators_of_all_kinds(name, dtype):
    check_operators(name, dtype, ["trace", "full", "pseudo"])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ALLOWED, ids=str)
@pytest.mark.parametrize("name", LARGE)
def test_a_large_network(name, dtype):
    model, ((x, _, full), (x1, x2, across)) = cases(name, dtype)
    layers = empirical_ntk(model, x, kind="full", by_layer=True)
    assert error(sum(layers.values()), full) < ALLOWED[dtype]
    for kind in ("trace", "pseudo", "diagonal"):
        found = empirical_ntk(model, x1, x2, kind=kind)
        assert error(found, of_kind(across, kind)) < ALLOWED[dtype], kind
    operator = NTKOperator(model, x1, x2)
    found = operator @ torch.eye(len(x2), dtype=dtype)
    assert error(found, of_kind(across, "trace")) < ALLOWED[dtype]
