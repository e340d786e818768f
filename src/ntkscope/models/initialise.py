"""Initial parameters, each seed's drawn by itself: its network is the same in any company."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ntkscope.models.architecture import Architecture, Conv, Dense
from ntkscope.seeds import RandomStream, torch_seed


def parameter_shapes(layers: Architecture) -> dict[str, tuple[int, ...]]:
    """Name → shape of every parameter, in the order of the layers."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in layers:
        if isinstance(layer, Dense | Conv):
            kernel = (layer.size, layer.size) if isinstance(layer, Conv) else ()
            shapes[f"{layer.name}.weight"] = (layer.outputs, layer.inputs, *kernel)
            if layer.bias:
                shapes[f"{layer.name}.bias"] = (layer.outputs,)
    return shapes


def initial_parameters(layers: Architecture, seed: int) -> dict[str, Tensor]:
    """Float32 parameters of one network on the CPU.

    Standard parametrisation: U(±1/√fan_in) for weights and biases, PyTorch's default (Kaiming
    uniform with a = √5). With a gain: U(±gain·√(3/fan_in)) for weights, biases 0 (He et al. 2015,
    equation 10, has √2 where a ReLU follows); its weights are PyTorch's times gain·√3. NTK
    parametrisation: unit normal weights; biases start at zero (Jacot et al. 2018 and
    neural-tangents draw them from N(0, 1)).
    """
    generator = torch.Generator().manual_seed(torch_seed(seed, RandomStream.INITIALISATION))
    shapes, drawn = parameter_shapes(layers), {}
    for layer in layers:
        if not isinstance(layer, Dense | Conv):
            continue
        for name in (n for n in shapes if n.rpartition(".")[0] == layer.name):
            drawn[name] = _draw(layer, shapes[name], name.endswith("bias"), generator)
    return drawn


def _draw(
    layer: Dense | Conv, shape: tuple[int, ...], is_bias: bool, generator: torch.Generator
) -> Tensor:
    if layer.ntk:
        return torch.zeros(shape) if is_bias else torch.randn(shape, generator=generator)
    bound = 1 / math.sqrt(layer.fan_in)
    if layer.gain is not None:
        bound *= 0.0 if is_bias else layer.gain * math.sqrt(3)
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)
