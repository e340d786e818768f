"""Many networks of one architecture (a run's seeds) as one, with a leading model axis."""

from __future__ import annotations

from collections.abc import Mapping

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
from ntkscope.models.batched_linear import batched_linear


class StackedNetwork(nn.Module):
    """M networks at once: dense layers by batched products, convolutions by groups.

    Args:
        layers: the architecture.
        parameters: name → [M, …], names as in `build_network`.
    """

    def __init__(self, layers: Architecture, parameters: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.layers = layers
        self.models = next(iter(parameters.values())).shape[0]
        self._tensors = nn.ParameterDict(
            {_key(name): nn.Parameter(value) for name, value in parameters.items()}
        )

    def parameter(self, name: str) -> nn.Parameter | None:
        """A stacked parameter [M, …] by its name in the plain network, or None if there is none."""
        found: nn.Parameter | None = self._tensors.get(_key(name), None)
        return found

    def parameter_dict(self) -> dict[str, nn.Parameter]:
        """All stacked parameters by their names in the plain network."""
        return {key.replace("/", "."): value for key, value in self._tensors.items()}

    def differentiable(self) -> dict[str, nn.Parameter]:
        """The same: they are leaves of the graph themselves."""
        return self.parameter_dict()

    def constant_dict(self) -> dict[str, Tensor]:
        """Layers that can be stacked have no constants."""
        return {}

    def gradients(self) -> dict[str, Tensor]:
        """Name → [M, …]; None before a backward pass."""
        return {name: value.grad for name, value in self.parameter_dict().items()}  # type: ignore[misc]

    def begin_step(self, step: int) -> None:
        """Nothing: no layer is random, or has another train mode."""

    def forward(self, x: Tensor) -> Tensor:
        """Images [M, B, channel, y, x] (each network its own) to logits [M, B, K]."""
        for layer in self.layers:
            x = self._layer(layer, x)
        return x

    def _layer(self, layer: Layer, x: Tensor) -> Tensor:
        match layer:
            case Dense():
                x = self._dense(layer, x)
            case Conv():
                x = self._conv(layer, x)
            case Activation():
                x = ACTIVATIONS[layer.kind](x)
            case AvgPool():
                x = F.avg_pool2d(x.flatten(0, 1), layer.size).unflatten(0, x.shape[:2])
            case GlobalAvgPool():
                x = x.mean((-2, -1), keepdim=True)
            case Flatten():
                x = x.flatten(2)
        return x

    def _dense(self, layer: Dense, x: Tensor) -> Tensor:
        weight, bias = self._tensors[f"{layer.name}/weight"], self.parameter(f"{layer.name}.bias")
        return batched_linear(x, weight, bias, layer.weight_scale, layer.bias_scale)

    def _conv(self, layer: Conv, x: Tensor) -> Tensor:
        weight, bias = self._tensors[f"{layer.name}/weight"], self.parameter(f"{layer.name}.bias")
        models, batch = x.shape[:2]
        grouped = x.transpose(0, 1).reshape(batch, -1, *x.shape[3:])
        kernels = weight.flatten(0, 1) * layer.weight_scale
        offsets = None if bias is None else bias.flatten() * layer.bias_scale
        out = F.conv2d(grouped, kernels, offsets, padding=layer.size // 2, groups=models)
        per_model: Tensor = out.unflatten(1, (models, layer.outputs))
        return per_model.transpose(0, 1)


def _key(name: str) -> str:
    """Parameter names hold dots, which torch does not allow in a `ParameterDict`."""
    return name.replace(".", "/")
