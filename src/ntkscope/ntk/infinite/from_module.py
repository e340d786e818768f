"""A plain `nn.Sequential` as the layers whose infinite width is known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.models import Activation, Architecture, AvgPool, Conv, Dense, Flatten, GlobalAvgPool
from ntkscope.models.architecture import Layer
from ntkscope.models.network import Elementwise, ScaledConv2d, ScaledLinear
from ntkscope.ntk.empirical.sequential.recognise import is_altered

Stds = float | Sequence[float] | None
"""One value for all layers with parameters, or one for each."""

_KNOWN = """
Linear; Conv2d of odd square kernels, stride 1, and zero padding that keeps the image's size;
ReLU, GELU() and Tanh; AvgPool2d(n), AdaptiveAvgPool2d(1), Flatten(); Identity, and Dropout in eval
mode; and Sequentials of these
"""
_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
_CLASSES = (
    *(nn.Linear, ScaledLinear, nn.Conv2d, ScaledConv2d, Elementwise, nn.ReLU, nn.Tanh, nn.GELU),
    *(nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Flatten, *_NOTHING),
)
"""Exactly these: a subclass may compute anything."""


def as_architecture(
    network: Architecture | nn.Module, x: Tensor, weight_stds: Stds, bias_stds: Stds
) -> Architecture:
    """The layers of a network, and of a module as it is initialised or as W_std and b_std say.

    Args:
        network: layers, which are given back, or a module (see `infinite_ntk`).
        x: inputs; of vectors [N, inputs] a Flatten is added.
        weight_stds, bias_stds: W_std and b_std of a module; None: no NTK parametrisation.

    Raises:
        ModelError: a module whose limit is not known, or standard deviations of what has its own.
    """
    if isinstance(network, nn.Module):
        layers = tuple(layer for layer in _translated(network) if layer is not None)
        layers = _scaled(layers, weight_stds, bias_stds)
    elif not isinstance(network, tuple | list):
        remedy = "give an nn.Sequential, or a sequence of layers as of `build_network`"
        raise _refused("network", f"it is a {type(network).__name__}", remedy)
    else:
        layers = tuple(network)
        if weight_stds is not None or bias_stds is not None:
            raise _refused("W_std and b_std", "layers have their own scales", "give none")
    return (Flatten(), *layers) if x.dim() == 2 and layers[:1] != (Flatten(),) else layers


def _translated(network: nn.Module) -> Iterator[Layer | None]:
    seen: set[nn.Module] = set()
    for name, module in _leaves(network, ""):
        if any(not p.requires_grad for p in module.parameters()):
            remedy = "let all parameters require gradients: the limit is of a network that learns"
            raise _refused(f"module {name}", "it is frozen", remedy)
        if module in seen and any(True for _ in module.parameters()):
            remedy = "give each place a module of its own"
            raise _refused(f"module {name}", "its weights are used twice", remedy)
        seen.add(module)
        yield _layer(name, module)


def _leaves(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    if is_altered(module):
        what = "it has hooks, or a forward of its own"
        raise _refused(f"module {path or '(the network)'}", what, "remove them")
    if type(module) is not nn.Sequential:
        yield path or "(the network)", module
        return
    for name, child in module._modules.items():  # named_children leaves repeated ones out
        assert child is not None
        yield from _leaves(child, f"{path}.{name}" if path else name)


def _layer(name: str, module: nn.Module) -> Layer | None:
    if type(module) not in _CLASSES:
        raise _unknown(name, module)
    match module:
        case nn.Linear():
            dense = Dense(name, module.in_features, module.out_features, module.bias is not None)
            return _own_scales(dense, module)
        case nn.Conv2d() if _keeps_the_size(module):
            size = module.kernel_size[0]
            conv = Conv(
                name, module.in_channels, module.out_channels, size, module.bias is not None
            )
            return _own_scales(conv, module)
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
    if isinstance(module, _NOTHING):
        if isinstance(module, nn.Identity) or module.p == 0 or not module.training:
            return None
        raise _refused(f"module {name}", "it drops units at random", "call eval() on the network")
    raise _unknown(name, module)


def _unknown(name: str, module: nn.Module) -> ModelError:
    allowed = " ".join(_KNOWN.split())
    return _refused(
        f"module {name} = {module}", "its infinite width is not known", f"use {allowed}"
    )


def _own_scales(layer: Dense | Conv, module: nn.Module) -> Dense | Conv:
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


def _scaled(layers: Architecture, weight_stds: Stds, bias_stds: Stds) -> Architecture:
    """In the NTK parametrisation: W_std/√fan_in and b_std."""
    if weight_stds is None and bias_stds is None:
        return layers
    places = [i for i, layer in enumerate(layers) if isinstance(layer, Dense | Conv)]
    scaled = list(layers)
    weights, biases = (
        _each("W_std", weight_stds, len(places)),
        _each("b_std", bias_stds, len(places)),
    )
    for i, weight, bias in zip(places, weights, biases, strict=True):
        layer = scaled[i]
        assert isinstance(layer, Dense | Conv)
        if layer.ntk:
            raise _refused(f"module {layer.name}", "it has scales of its own", "give no W_std")
        scale = weight / math.sqrt(layer.fan_in)
        scaled[i] = replace(layer, ntk=True, weight_scale=scale, bias_scale=bias)
    return tuple(scaled)


def _each(name: str, stds: Stds, layers: int) -> list[float]:
    if stds is None:
        if name == "W_std":
            raise _refused("b_std", "it belongs to the NTK parametrisation", "give W_std too")
        return [0.0] * layers
    each = [float(stds)] * layers if isinstance(stds, int | float) else [float(s) for s in stds]
    if len(each) != layers or min(each, default=0.0) < 0:
        remedy = f"give one value, or {layers}, none below 0"
        raise _refused(f"{name} = {stds}", f"the network has {layers} layers with weights", remedy)
    return each


def _refused(where: str, why: str, remedy: str) -> ModelError:
    return ModelError(f"no infinite-width kernel: {why}", where=where, remedy=remedy)
