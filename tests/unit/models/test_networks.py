"""Architectures, their plain and stacked networks, and the initialisation."""

import math

import pytest
import torch
from torch import nn

from ntkscope.config.specs import ModelSpec
from ntkscope.models import (
    AvgPool,
    Conv,
    Dense,
    StackedNetwork,
    build_network,
    initial_parameters,
    parameter_shapes,
)
from ntkscope.models.batched_linear import batched_linear
from ntkscope.models.zoo import architecture

NTK = {"parametrisation": "ntk", "weight_std": 2**0.5, "bias_std": 0.3}
SPECS = [
    ModelSpec(kind="mlp", depth=2, width=6),
    ModelSpec(kind="mlp", depth=3, width=6, bias=False, activation="tanh", **NTK),
    ModelSpec(kind="cnn", depth=2, width=3, activation="gelu"),
    ModelSpec(kind="cnn", depth=2, width=3, **NTK),
    ModelSpec(kind="myrtle5", depth=5, width=4),
    ModelSpec(kind="myrtle10", depth=10, width=4, **NTK),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: f"{s.kind}-{s.parametrisation}")
def test_a_stack_computes_what_its_networks_compute_values_and_gradients(spec):
    layers = architecture(spec, (8, 8, 2), 3)
    drawn = [initial_parameters(layers, seed) for seed in range(3)]
    stack = StackedNetwork(
        layers, {n: torch.stack([d[n] for d in drawn]).double() for n in drawn[0]}
    )
    x = torch.randn(3, 5, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    out = stack(x)
    out.square().sum().backward()
    for number, seed in enumerate(range(3)):
        network = build_network(layers, seed).double()
        alone = network(x[number])
        torch.testing.assert_close(out[number], alone, rtol=1e-12, atol=1e-14)
        alone.square().sum().backward()
        for name, parameter in network.named_parameters():
            stacked = stack.parameter(name).grad[number]
            torch.testing.assert_close(stacked, parameter.grad, rtol=1e-10, atol=1e-12)


def test_batched_linear_has_the_right_gradients():
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 4, 3), (2, 5, 3), (2, 5))
    tensors = [
        torch.randn(s, dtype=torch.float64, generator=generator).requires_grad_() for s in shapes
    ]
    for bias in (tensors[2], None):
        torch.autograd.gradcheck(batched_linear, (*tensors[:2], bias, 0.7, 1.3))


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [("myrtle5", "ccpcpcp"), ("myrtle7", "ccpccpccp"), ("myrtle10", "cccpcccpcccp")],
)
def test_myrtle_layer_lists(kind, pattern):
    layers = architecture(ModelSpec(kind=kind, depth=int(kind[6:]), width=4), (32, 32, 3), 10)
    letters = {Conv: "c", AvgPool: "p"}
    assert "".join(letters.get(type(layer), "") for layer in layers) == pattern
    assert isinstance(layers[-1], Dense)
    assert layers[-1].inputs == 4
    assert build_network(layers)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_standard_initialisation_is_pytorchs():
    layers = architecture(ModelSpec(kind="mlp", depth=1, width=400), (8, 8, 1), 10)
    drawn, torchs = initial_parameters(layers, 0), nn.Linear(64, 400)
    for name in ("weight", "bias"):
        ours, theirs = drawn[f"hidden1.{name}"], getattr(torchs, name)
        assert ours.abs().max() <= 1 / math.sqrt(64)
        assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.1)


def test_ntk_parametrisation_has_unit_weights_and_zero_biases():
    layers = architecture(ModelSpec(kind="mlp", depth=1, width=400, **NTK), (8, 8, 1), 10)
    drawn = initial_parameters(layers, 0)
    assert drawn["hidden1.weight"].std().item() == pytest.approx(1, rel=0.05)
    assert not drawn["hidden1.bias"].any()
    scales = {layer.name: layer.weight_scale for layer in layers if isinstance(layer, Dense)}
    assert scales == {"hidden1": pytest.approx(math.sqrt(2 / 64)), "readout": pytest.approx(1 / 20)}


def test_a_seed_draws_the_same_network_in_any_company():
    layers = architecture(ModelSpec(kind="mlp", depth=1, width=4), (2, 2, 1), 3)
    torch.manual_seed(5)
    first = initial_parameters(layers, 7)
    torch.rand(10)
    again = initial_parameters(layers, 7)
    assert all(torch.equal(first[n], again[n]) for n in parameter_shapes(layers))
    assert not torch.equal(first["hidden1.weight"], initial_parameters(layers, 8)["hidden1.weight"])
