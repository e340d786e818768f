"""Which networks are sequential: known layers one after another, each used once.

Their passes need no recording (`sequential.backward`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from ntkscope.models.network import Elementwise, ScaledConv2d, ScaledLinear
from ntkscope.ntk.empirical.gradients.fast_ops import both_ways

Module = Any  # a module whose class is one of the tables below

LINEAR = (nn.Linear, ScaledLinear)
CONVOLUTION = (nn.Conv2d, ScaledConv2d)
NORM = (nn.BatchNorm1d, nn.BatchNorm2d)  # in eval mode
NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)  # in eval mode
ELEMENTWISE = (
    Elementwise,
    nn.ReLU,
    nn.Tanh,
    nn.Sigmoid,
    nn.GELU,
    nn.SiLU,
    nn.ELU,
    nn.LeakyReLU,
    nn.Softplus,
)
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def sequential_layers(model: nn.Module, x: Tensor) -> list[nn.Module] | None:
    """The layers in order; None for a network that is, or may be, anything else.

    Args:
        model: a sequence, or a sequence of sequences, of known classes, without hooks.
        x: some inputs, to see the shapes.
    """
    layers = known_layers(model)
    if layers is None:
        return None
    x = x.clone()
    with torch.no_grad():
        for layer in layers:
            y = layer(x)
            if not _has_shapes(layer, x, y):
                return None
            x = y
    return layers


def known_layers(model: nn.Module) -> list[nn.Module] | None:
    """The same, whatever the inputs."""
    layers = _unrolled(model)
    if not layers or len({id(layer) for layer in layers}) < len(layers):
        return None
    if any(getattr(torch_module, f"_global{name}") for name in _HOOKS):
        return None
    return layers if type(layers[-1]) in LINEAR else None


def starts_in_place(layers: list[nn.Module]) -> bool:
    """Whether the first layer that computes anything writes into the network's inputs."""
    for layer in layers:
        if type(layer) is not nn.Flatten and type(layer) not in NOTHING:
            return bool(getattr(layer, "inplace", False))
    return False


def is_altered(module: nn.Module) -> bool:
    """Whether it computes something else than its class: it has hooks, or a forward of its own."""
    return any(getattr(module, name) for name in _HOOKS) or "forward" in vars(module)


def _unrolled(module: nn.Module) -> list[nn.Module] | None:
    if is_altered(module):
        return None
    if type(module) is not nn.Sequential:
        return [module] if _is_known(module) else None
    found: list[nn.Module] = []
    for child in module:
        layers = _unrolled(child)
        if layers is None:
            return None
        found += layers
    return found


def _is_known(module: Module) -> bool:
    kind = type(module)
    if kind in CONVOLUTION:
        return module.padding_mode == "zeros" and not isinstance(module.padding, str)
    if kind is nn.AvgPool2d:
        return _is_disjoint(module) and module.divisor_override is None
    if kind is nn.MaxPool2d:
        plain = both_ways(module.dilation) == (1, 1) and not module.return_indices
        return plain and _is_disjoint(module)
    if kind in NORM:
        return not module.training and module.running_var is not None
    if kind is nn.AdaptiveAvgPool2d:
        return both_ways(module.output_size) == (1, 1)
    if kind is nn.Flatten:
        return (module.start_dim, module.end_dim) == (1, -1)
    if kind in NOTHING:
        return kind is nn.Identity or not module.training
    if kind in ELEMENTWISE:  # derivatives are taken at the inputs; of relu, at the outputs
        return kind is nn.ReLU or not getattr(module, "inplace", False)
    return kind in LINEAR


def _is_disjoint(pooling: Module) -> bool:
    """Whether its windows do not overlap and have no padding."""
    disjoint = both_ways(pooling.stride) == both_ways(pooling.kernel_size)
    return disjoint and not pooling.ceil_mode and not any(both_ways(pooling.padding))


def _has_shapes(layer: Module, a: Tensor, y: Tensor) -> bool:
    """Whether the formulas are of inputs of such a shape."""
    kind = type(layer)
    if kind in LINEAR:
        return a.ndim == 2
    if kind in CONVOLUTION or kind is nn.AdaptiveAvgPool2d:
        return a.ndim == 4
    if kind in NORM:
        return a.ndim == (2 if kind is nn.BatchNorm1d else 4)
    if kind in (nn.AvgPool2d, nn.MaxPool2d):
        covered = tuple(
            n * k for n, k in zip(y.shape[2:], both_ways(layer.kernel_size), strict=True)
        )
        return a.ndim == 4 and a.shape[2:] == covered
    return True
