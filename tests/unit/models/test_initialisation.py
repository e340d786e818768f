"""He initialisation and the 5-layer CNN: their numbers, and their infinite limits."""

import math

import numpy as np
import pytest
import torch

from ntkscope.config.specs import ModelSpec
from ntkscope.models import AvgPool, Conv, GlobalAvgPool, build_network, initial_parameters
from ntkscope.models.zoo import architecture
from ntkscope.ntk.empirical import empirical_ntk
from ntkscope.ntk.infinite import infinite_nngp, infinite_ntk
from tests.oracles.infinite import infinite_kernels

NTK = {"parametrisation": "ntk", "weight_std": 2**0.5, "bias_std": 0.3}


def drawn(seed=3, kind="mlp", **settings):
    return initial_parameters(
        architecture(ModelSpec(kind=kind, depth=2, width=300, **settings), (4, 4, 1), 50), seed
    )


def test_he_has_gain_root_two_a_readout_of_gain_one_and_no_biases():
    he = drawn(initialisation="he")
    for name, gain, fan_in in (("hidden2", 2**0.5, 300), ("readout", 1, 300)):
        weight = he[f"{name}.weight"]
        assert weight.abs().max() <= gain * math.sqrt(3 / fan_in)
        assert weight.std().item() == pytest.approx(gain / math.sqrt(fan_in), rel=0.02)
        assert not he[f"{name}.bias"].any()


def test_he_weights_are_pytorchs_scaled():
    he, torchs = drawn(initialisation="he"), drawn()
    for name, ratio in (("hidden1", 6**0.5), ("hidden2", 6**0.5), ("readout", 3**0.5)):
        torch.testing.assert_close(he[f"{name}.weight"], ratio * torchs[f"{name}.weight"])


def test_the_default_initialisation_leaves_identities_as_they_are():
    plain = ModelSpec(kind="mlp", depth=2, width=3)
    assert "initialisation" not in plain.model_dump(mode="json")
    assert "initialisation" in ModelSpec(
        kind="mlp", depth=2, width=3, initialisation="he"
    ).model_dump(mode="json")


def test_cnn5_layer_list():
    layers = architecture(ModelSpec(kind="cnn5", depth=5, width=4), (8, 8, 2), 3)
    letters = {Conv: "c", AvgPool: "p", GlobalAvgPool: "g"}
    assert "".join(letters.get(type(layer), "") for layer in layers) == "ccpcpcg"
    assert [layer.outputs for layer in layers if isinstance(layer, Conv)] == [4, 8, 16, 32]
    network = build_network(layers)
    assert network(torch.zeros(2, 2, 8, 8)).shape == (2, 3)
    assert network.readout.in_features == 32


LIMITS = [
    ModelSpec(kind="mlp", depth=2, width=1024, **NTK),
    ModelSpec(kind="cnn5", depth=5, width=64, **NTK),
    ModelSpec(kind="mlp", depth=2, width=1024, initialisation="he"),
    ModelSpec(kind="cnn5", depth=5, width=64, initialisation="he"),
]


@pytest.mark.parametrize("spec", LIMITS, ids=lambda s: f"{s.kind}-{s.parametrisation}")
def test_the_infinite_kernel_is_the_limit_of_the_empirical_one(spec):
    layers = architecture(spec, (4, 4, 8), 1)
    x = torch.randn(6, 8, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    finite = [empirical_ntk(build_network(layers, seed).double(), x) for seed in range(20)]
    limit = infinite_ntk(layers, x)
    error = (torch.stack(finite).mean(0) - limit).norm() / limit.norm()
    assert error < 0.05


def test_he_s_infinite_kernels_are_those_of_the_oracle():
    layers = architecture(
        ModelSpec(kind="cnn5", depth=5, width=3, initialisation="he"), (4, 4, 1), 1
    )
    x = torch.randn(3, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    nngp, ntk = infinite_kernels(layers, x.numpy())
    np.testing.assert_allclose(infinite_nngp(layers, x), nngp, rtol=1e-10)
    np.testing.assert_allclose(infinite_ntk(layers, x), ntk, rtol=1e-10)
