"""A plain `nn.Sequential` as the layers whose infinite width is known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, TypeVar

from torch import Tensor, nn

from ntkscope.models import Activation, Architecture, AvgPool, Conv, Dense, Flatten, GlobalAvgPool
from ntkscope.models.architecture import Layer
from ntkscope.models.network import Elementwise, ScaledConv2d, ScaledLinear
from ntkscope.ntk.empirical.sequential.recognise import is_altered
from ntkscope.ntk.infinite.refusal import refused
from ntkscope.ntk.infinite.validation import unfit

Stds = float | Sequence[float] | None
"""One value for all layers with parameters, or one for each."""

_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
_CLASSES = (
    *(nn.Linear, ScaledLinear, nn.Conv2d, ScaledConv2d, Elementwise, nn.ReLU, nn.Tanh, nn.GELU),
    *(nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Flatten, *_NOTHING),
)
"""Exactly these: a subclass may compute anything."""


def as_layers(
    network: Architecture | nn.Module, x: Tensor, weight_stds: Stds, bias_stds: Stds
) -> Architecture | None:
    """The layers of a network that is one after another; None for any other module.

    Args:
        network: layers, or a module (see `infinite_ntk`).
        x: inputs; of vectors [N, inputs] a Flatten is added.
        weight_stds, bias_stds: W_std and b_std of a module; None: no NTK parametrisation.

    Raises:
        ModelError: layers that do not fit, or standard deviations of what has its own.
    """
    shape = tuple(x.shape[1:])
    if isinstance(network, nn.Module):
        chain = as_chain(network)
        if chain is None or unfit(chain := _ordered(chain, x), shape) is not None:
            return None
        return scaled(chain, weight_stds, bias_stds)
    if not isinstance(network, tuple | list):
        remedy = "give an nn.Module, such as nn.Sequential, or layers as of `build_network`"
        raise refused("network", f"it is a {type(network).__name__}", remedy)
    if weight_stds is not None or bias_stds is not None:
        raise refused("W_std and b_std", "layers have their own scales", "give none")
    layers = _ordered(tuple(network), x)
    problem = unfit(layers, shape)
    if problem is not None:
        raise problem
    return layers


def _ordered(layers: Architecture, x: Tensor) -> Architecture:
    """Vectors are flattened; activations, which commute with Flatten, come before it.

    Behind it a channel is of one position, and no longer distributed like the others.
    """
    found = list(layers)
    if x.dim() == 2 and layers[:1] != (Flatten(),):
        found.insert(0, Flatten())
    for i in range(1, len(found)):
        k = i
        while k and isinstance(found[k], Activation) and found[k - 1] == Flatten():
            found[k - 1 : k + 1] = [found[k], found[k - 1]]
            k -= 1
    return tuple(found)


def as_chain(network: nn.Module) -> Architecture | None:
    """The layers of a plain `nn.Sequential`, one after another; None for any other module.

    Its kernels have a fast way of their own; whatever is None here is left to `graph`.
    """
    layers: list[Layer] = []
    seen: set[int] = set()
    for name, module in _leaves(network, ""):
        parameters = list(module.parameters())
        if is_altered(module) or any(not p.requires_grad or id(p) in seen for p in parameters):
            return None
        seen |= {id(p) for p in parameters}
        if type(module) in _NOTHING and not (module.training and getattr(module, "p", False)):
            continue
        layer = _layer(name, module)
        if layer is None:
            return None
        layers.append(layer)
    return tuple(layers)


def _leaves(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    if type(module) is not nn.Sequential or is_altered(module):
        yield path, module
        return
    for name, child in module._modules.items():  # named_children leaves repeated ones out
        assert child is not None
        yield from _leaves(child, f"{path}.{name}" if path else name)


def _layer(name: str, module: nn.Module) -> Layer | None:
    if type(module) not in _CLASSES:
        return None
    match module:
        case nn.Linear():
            dense = Dense(name, module.in_features, module.out_features, module.bias is not None)
            return with_own_scales(dense, module)
        case nn.Conv2d() if _keeps_the_size(module):
            size = module.kernel_size[0]
            conv = Conv(
                name, module.in_channels, module.out_channels, size, module.bias is not None
            )
            return with_own_scales(conv, module)
        case Elementwise():
            return Activation(module.kind)
        case nn.ReLU():
            return Activation("relu")
        case nn.Tanh():
            return Activation("tanh")
        case nn.GELU(approximate="none"):
            return Activation("gelu")
        case nn.AvgPool2d() if _tiles(module):
            return AvgPool(_square(module.kernel_size))
        case nn.AdaptiveAvgPool2d() if module.output_size in (1, (1, 1)):
            return GlobalAvgPool()
        case nn.Flatten(start_dim=1, end_dim=-1):
            return Flatten()
    return None


L = TypeVar("L", Dense, Conv)


def with_own_scales(layer: L, module: nn.Module) -> L:
    """With the scales of a layer that `build_network` made."""
    if not isinstance(module, ScaledLinear | ScaledConv2d):
        return layer
    weight, bias = module.weight_scale, module.bias_scale
    return replace(layer, ntk=True, weight_scale=weight, bias_scale=bias)


def _keeps_the_size(module: nn.Conv2d) -> bool:
    size = module.kernel_size[0]
    padded = module.padding in ("same", (size // 2, size // 2)) and module.padding_mode == "zeros"
    plain = module.stride == module.dilation == (1, 1) and module.groups == 1
    return module.kernel_size == (size, size) and size % 2 == 1 and padded and plain


def _tiles(module: nn.AvgPool2d) -> bool:
    """Whether its windows lie side by side."""
    size = _square(module.kernel_size)
    plain = not module.ceil_mode and module.divisor_override is None
    return size > 0 and _square(module.stride) == size and module.padding in (0, (0, 0)) and plain


def _square(size: int | tuple[int, ...]) -> int:
    """The side of a square window; 0 of another."""
    sides = {size} if isinstance(size, int) else set(size)
    return sides.pop() if len(sides) == 1 else 0


def scaled(layers: Sequence[Layer], weight_stds: Stds, bias_stds: Stds) -> Architecture:
    """In the NTK parametrisation, W_std/√fan_in and b_std; as they are if both are None.

    Raises:
        ModelError: standard deviations of what has its own, or another number of them.
    """
    if weight_stds is None and bias_stds is None:
        return tuple(layers)
    places = [i for i, layer in enumerate(layers) if isinstance(layer, Dense | Conv)]
    scaled = list(layers)
    weights = _each("W_std", weight_stds, len(places))
    biases = _each("b_std", bias_stds, len(places))
    for i, weight, bias in zip(places, weights, biases, strict=True):
        layer = scaled[i]
        assert isinstance(layer, Dense | Conv)
        if layer.ntk:
            raise refused(layer.name, "it has scales of its own", "give no W_std")
        scale = weight / math.sqrt(layer.fan_in)
        scaled[i] = replace(layer, ntk=True, weight_scale=scale, bias_scale=bias)
    return tuple(scaled)


def _each(name: str, stds: Stds, layers: int) -> list[float]:
    if stds is None:
        if name == "W_std":
            raise refused("b_std", "it belongs to the NTK parametrisation", "give W_std too")
        return [0.0] * layers
    given: Any = stds
    one = isinstance(given, Real) or getattr(given, "ndim", 1) == 0
    try:
        each = [float(s) for s in ([given] * layers if one else given)]
    except (TypeError, ValueError):
        each = []
    if len(each) != layers or min(each, default=0.0) < 0:
        remedy = f"give one value, or {layers}, none below 0"
        raise refused(f"{name} = {stds!r}", f"the network has {layers} layers with weights", remedy)
    return each
