"""The cases' networks as torch modules, for the peers that take those."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.cases import TODAY, Case, inputs, weights
from benchmarks.peers.today import network_of_today
from ntkscope.config.specs import ModelSpec
from ntkscope.models import Architecture, build_network
from ntkscope.models.zoo import architecture


def layers_of(case: Case) -> Architecture:
    """The architecture: standard parametrisation, or that of the NTK for infinite width."""
    options = {}
    if case.group == "infinite":
        options = {"parametrisation": "ntk", "weight_std": 2**0.5, "bias_std": 0.1}
    spec = ModelSpec(
        kind=case.network, depth=case.depth, width=case.width, bias=case.bias, **options
    )
    return architecture(spec, case.shape, case.outputs)


def network_of(case: Case) -> nn.Module:
    """The network with the case's weights, float32."""
    if case.network in TODAY:
        return network_of_today(case)
    network = build_network(layers_of(case))
    drawn = [torch.from_numpy(array) for layer in weights(case) for array in layer]
    names = network.state_dict().keys()
    network.load_state_dict(dict(zip(names, drawn, strict=True)))
    return network


def tensors(case: Case) -> tuple[Tensor, Tensor | None]:
    """The case's inputs."""
    x1, x2 = inputs(case)
    return torch.from_numpy(x1), None if x2 is None else torch.from_numpy(x2)


def torch_version() -> str:
    """Of torch."""
    return f"torch {torch.__version__}"
