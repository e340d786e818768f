"""Every kind of kernel, on every architecture, against its definition in float64."""

import pytest
import torch
from torch import nn

from ntkscope.config.specs import ModelSpec
from ntkscope.errors import ModelError
from ntkscope.models import build_network
from ntkscope.models.zoo import architecture
from ntkscope.ntk import empirical_ntk
from tests.oracles.ntk import ntk

KINDS = ("trace", "full", "pseudo")
ARCHITECTURES = {
    "mlp-1": (ModelSpec(kind="mlp", depth=1, width=6), (3, 3, 1)),
    "mlp-3-gelu": (ModelSpec(kind="mlp", depth=3, width=5, activation="gelu"), (3, 3, 2)),
    "mlp-2-erf-no-bias": (
        ModelSpec(kind="mlp", depth=2, width=5, activation="erf", bias=False),
        (3, 3, 1),
    ),
    "cnn-tanh": (ModelSpec(kind="cnn", depth=2, width=3, activation="tanh"), (4, 4, 2)),
    "myrtle5": (ModelSpec(kind="myrtle5", depth=5, width=3), (8, 8, 3)),
    "myrtle7": (ModelSpec(kind="myrtle7", depth=7, width=2), (8, 8, 1)),
    "myrtle10": (ModelSpec(kind="myrtle10", depth=10, width=2), (8, 8, 1)),
}


def network_of(name, parametrisation, seed=0):
    """A random float64 network, and inputs [5, …] and [3, …]."""
    spec, shape = ARCHITECTURES[name]
    if parametrisation == "ntk":
        update = {"parametrisation": "ntk", "weight_std": 2**0.5, "bias_std": 0.3}
        spec = spec.model_copy(update=update)
    network = build_network(architecture(spec, shape, 3), seed).double()
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    size = (5, shape[2], shape[0], shape[1])
    x1, x2 = (torch.randn(size, generator=generator, dtype=torch.float64) for _ in range(2))
    return network, x1, x2[:3]


def relative_error(found, expected):
    return ((found.reshape(expected.shape) - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parametrisation", ["standard", "ntk"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_equals_the_definition(name, parametrisation, kind):
    network, x1, x2 = network_of(name, parametrisation)
    for other in (None, x2):
        expected = ntk(network, x1, x1 if other is None else other, kind)
        assert relative_error(empirical_ntk(network, x1, other, kind=kind), expected) < 1e-10


@pytest.mark.parametrize("name", ["mlp-3-gelu", "cnn-tanh"])
def test_layer_ntks_are_those_of_their_parameters_alone(name):
    network, x1, _ = network_of(name, "standard")
    by_layer = empirical_ntk(network, x1, by_layer=True)
    assert list(by_layer) == [
        m for m, child in network.named_children() if list(child.parameters())
    ]
    for chosen, kernel in by_layer.items():
        for child_name, child in network.named_children():
            child.requires_grad_(child_name == chosen)
        assert relative_error(kernel, empirical_ntk(network, x1)) < 1e-10


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["mlp-3-gelu", "cnn-tanh"])
def test_symmetric_exactly_and_positive_semidefinite(name, kind):
    network, x1, _ = network_of(name, "ntk")
    kernel = empirical_ntk(network, x1, kind=kind)
    matrix = kernel.reshape(int(kernel.numel() ** 0.5), -1)
    assert torch.equal(matrix, matrix.T)
    values = torch.linalg.eigvalsh(matrix)
    assert values[0] > -1e-12 * values[-1]


@pytest.mark.parametrize("name", ["mlp-3-gelu", "cnn-tanh"])
def test_permuted_samples_permute_the_kernel(name):
    network, x1, _ = network_of(name, "standard")
    order = torch.tensor([3, 0, 4, 1, 2])
    kernel, permuted = empirical_ntk(network, x1), empirical_ntk(network, x1[order])
    torch.testing.assert_close(permuted, kernel[order][:, order], rtol=1e-12, atol=0)


def test_float32_is_right_to_rounding():
    network, x1, _ = network_of("mlp-3-gelu", "standard")
    exact = empirical_ntk(network, x1)
    found = empirical_ntk(network.float(), x1.float())
    assert relative_error(found.double(), exact) < 1e-5


def test_the_model_is_left_as_it_was_found():
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(9, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)
    ).eval()
    network[1].weight.grad = torch.ones_like(network[1].weight)
    before = {n: t.clone() for n, t in network.state_dict().items()}
    random = torch.get_rng_state()
    empirical_ntk(network, torch.randn(3, 1, 3, 3, generator=torch.Generator().manual_seed(0)))
    assert all(torch.equal(t, before[n]) for n, t in network.state_dict().items())
    assert torch.equal(network[1].weight.grad, torch.ones_like(network[1].weight))
    assert network[3].weight.grad is None
    assert not any(module.training for module in network.modules())
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), "call model.eval()"),
        (nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)), "call model.eval()"),
        (nn.Linear(4, 3).requires_grad_(False), "requires_grad_"),
        (nn.Unflatten(1, (2, 2)), "requires_grad_"),
        (nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (2, 2))), "logits [N, K]"),
    ],
)
def test_models_without_a_kernel_are_refused(model, says):
    with pytest.raises(ModelError) as error:
        empirical_ntk(model, torch.randn(3, 4))
    assert says in str(error.value)
