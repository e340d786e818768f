"""How many floating-point operations an empirical NTK takes, counted from the network's layers.

Products of matrices only, two operations a multiply-add; N samples, P = N (N + 1) / 2 pairs, K
outputs; a layer has S positions, D inputs each (C of them channels) and O outputs:

    forward               N Σ S O D
    backward              N K Σ S O D, without the first layer (nothing flows on) and the readout
                          (what flows back from it is its weight)
    dense layer           trace P (D + K O), full P (D + K² O); the readout P D; trace, the layer
                          below the readout P (D + O), since its K gradients share a mask
    convolution, the least of
      materialised        trace P K O D + N K O D S, full P K² O D + N K O D S
      structured          trace P S² (D + K O), full P S² (D + K² O)
      from pixel products the same with C + D / C for D

(Novak et al. 2022, "Fast finite width neural tangent kernel", §3; the pairs are halved because the
kernel is symmetric.) Whatever a library really does, its rate is these operations over its time: a
way that needs more of them gets a lower rate. Normalisations, activations and pooling are not
counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class _Layer:
    """A layer's sizes; `first`: nothing flows back through it."""

    positions: int
    inputs: int
    channels: int
    outputs: int
    first: bool

    @property
    def forward(self) -> int:
        """Multiply-adds for one sample."""
        return self.positions * self.outputs * self.inputs


def ntk_flops(network: nn.Module, x: Tensor, outputs: int, kind: str) -> float:
    """Operations for the symmetric NTK of x [N, …].

    Args:
        network: Linear and Conv2d layers are counted; the last is the readout.
        x: the inputs; the first is passed through.
        outputs: K.
        kind: trace or full.
    """
    layers = _layers(network, x[:1])
    N, K, pairs = len(x), outputs, len(x) * (len(x) + 1) / 2
    total = N * sum(layer.forward for layer in layers)
    total += N * K * sum(layer.forward for layer in layers[:-1] if not layer.first)
    for place, layer in enumerate(layers):
        below = len(layers) - 1 - place
        if layer.positions > 1:
            total += _convolution(layer, N, pairs, K, kind)
        else:
            total += pairs * (layer.inputs + _gradients(layer, K, kind, below))
    return 2.0 * total


def _gradients(layer: _Layer, K: int, kind: str, below: int) -> int:
    """Multiply-adds a pair for the products of a dense layer's gradients."""
    if below == 0:
        return 0
    if kind == "trace":
        return layer.outputs if below == 1 else K * layer.outputs
    return K**2 * layer.outputs


def _convolution(layer: _Layer, N: int, pairs: float, K: int, kind: str) -> float:
    S, D, C, O = layer.positions, layer.inputs, layer.channels, layer.outputs  # noqa: E741
    R = K if kind == "trace" else K**2
    materialised = pairs * R * O * D + N * K * O * D * S
    structured = pairs * S**2 * (min(D, C + D // C) + R * O)
    return min(materialised, structured)


def _layers(network: nn.Module, x: Tensor) -> list[_Layer]:
    """Sizes of the layers, in the order in which one sample meets them."""
    found: list[_Layer] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        weight: Tensor = module.weight  # type: ignore[assignment]
        positions = output[0, 0].numel() if output.ndim == 4 else 1
        sizes = (positions, weight[0].numel(), weight.shape[1], len(weight))
        found.append(_Layer(*sizes, first=not inputs[0].requires_grad))

    known = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    hooks = [module.register_forward_hook(note) for module in known]
    try:
        with torch.enable_grad():
            network(x)
    finally:
        for hook in hooks:
            hook.remove()
    return found
