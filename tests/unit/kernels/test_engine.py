"""The engine, on every kind of layer and every way of using one, against the definition."""

import pytest
import torch
from torch import nn

from ntkscope.errors import ModelError
from ntkscope.kernels import KINDS, empirical_ntk
from ntkscope.kernels.strategies import STRATEGIES
from tests.oracles.networks import NAMES, network
from tests.oracles.ntk import ntk

torch.set_num_threads(1)


def relative_error(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_definition(name):
    model, x1, x2 = network(name)
    for kind in KINDS:
        for other in (None, x2):
            expected = ntk(model, x1, x1 if other is None else other, kind)
            assert relative_error(empirical_ntk(model, x1, other, kind=kind), expected) < 1e-10


@pytest.mark.parametrize("force", STRATEGIES)
@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_gives_the_same(name, force):
    model, x1, x2 = network(name)
    for kind in ("trace", "full"):
        expected = ntk(model, x1, x2, kind)
        assert (
            relative_error(empirical_ntk(model, x1, x2, kind=kind, force=force), expected) < 1e-10
        )
