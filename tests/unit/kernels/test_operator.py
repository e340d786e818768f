"""Products with the operator against products with the kernel by its definition, in float64."""

import pytest
import torch

from ntkscope.kernels import KINDS
from ntkscope.kernels.operator import NTKOperator
from tests.oracles.networks import NAMES, network
from tests.oracles.ntk import ntk

torch.set_num_threads(1)


def dense(model, x1, x2, kind):
    found = ntk(model, x1, x2, kind)
    return found.flatten(2).flatten(0, 1) if kind == "full" else found


def relative_error(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_products_equal_those_of_the_definition(name, kind):
    model, x1, x2 = network(name)
    generator = torch.Generator().manual_seed(1)
    for other in (None, x2):
        expected = dense(model, x1, x1 if other is None else other, kind)
        vectors = torch.randn(expected.shape[1], 3, generator=generator, dtype=torch.float64)
        for settings in ({}, {"chunk": 2, "memory": 10**5}, {"force": "autograd"}):
            operator = NTKOperator(model, x1, other, kind=kind, **settings)
            assert operator.shape == expected.shape
            assert relative_error(operator.product(vectors), expected @ vectors) < 1e-12
            back = operator.H.product(expected @ vectors)
            assert relative_error(back, expected.T @ (expected @ vectors)) < 1e-12
