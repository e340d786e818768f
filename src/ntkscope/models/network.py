"""An architecture as an ordinary `nn.Sequential`."""

from __future__ import annotations

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from ntkscope.models.activations import ACTIVATIONS
from ntkscope.models.architecture import (
    Activation,
    Architecture,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Layer,
)
from ntkscope.models.initialise import initial_parameters


class ScaledLinear(nn.Linear):
    """`nn.Linear` whose weight and bias are scaled in the forward pass (NTK parametrisation)."""

    def __init__(self, layer: Dense) -> None:
        super().__init__(layer.inputs, layer.outputs, layer.bias)
        self.weight_scale, self.bias_scale = layer.weight_scale, layer.bias_scale

    def forward(self, input: Tensor) -> Tensor:
        """[…, inputs] to […, outputs]."""
        bias = None if self.bias is None else self.bias * self.bias_scale
        return F.linear(input, self.weight * self.weight_scale, bias)


class ScaledConv2d(nn.Conv2d):
    """`nn.Conv2d` whose weight and bias are scaled in the forward pass (NTK parametrisation)."""

    def __init__(self, layer: Conv) -> None:
        super().__init__(
            layer.inputs, layer.outputs, layer.size, padding=layer.size // 2, bias=layer.bias
        )
        self.weight_scale, self.bias_scale = layer.weight_scale, layer.bias_scale

    def forward(self, input: Tensor) -> Tensor:
        """[N, inputs, y, x] to [N, outputs, y, x]."""
        bias = None if self.bias is None else self.bias * self.bias_scale
        return F.conv2d(input, self.weight * self.weight_scale, bias, padding=self.padding)


class Elementwise(nn.Module):
    """An activation by name."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, input: Tensor) -> Tensor:
        """Elementwise."""
        return ACTIVATIONS[self.kind](input)

    def extra_repr(self) -> str:
        """The name, for printing."""
        return self.kind


def build_network(layers: Architecture, seed: int | None = None) -> nn.Sequential:
    """A torch network of float32 parameters on the CPU; inputs are [N, channel, y, x].

    Args:
        layers: the architecture.
        seed: of the initialisation (`initial_parameters`); None: torch's own and its global RNG.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for number, layer in enumerate(layers):
        name = layer.name if isinstance(layer, Dense | Conv) else f"{number}"
        modules[name] = _module(layer)
    network = nn.Sequential(modules)
    if seed is not None:
        network.load_state_dict(initial_parameters(layers, seed))
    return network


def _module(layer: Layer) -> nn.Module:
    match layer:
        case Dense(ntk=True):
            return ScaledLinear(layer)
        case Dense():
            return nn.Linear(layer.inputs, layer.outputs, layer.bias)
        case Conv(ntk=True):
            return ScaledConv2d(layer)
        case Conv():
            padding = layer.size // 2
            return nn.Conv2d(layer.inputs, layer.outputs, layer.size, 1, padding, bias=layer.bias)
        case Activation():
            return Elementwise(layer.kind)
        case AvgPool():
            return nn.AvgPool2d(layer.size)
        case GlobalAvgPool():
            return nn.AdaptiveAvgPool2d(1)
        case Flatten():
            return nn.Flatten()
