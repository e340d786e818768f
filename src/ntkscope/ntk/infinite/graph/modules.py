"""Modules whose infinite width is known: what each adds to the steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ntkscope.models import Dense
from ntkscope.models.network import ScaledConv2d, ScaledLinear
from ntkscope.ntk.infinite.attention import GlobalSelfAttention
from ntkscope.ntk.infinite.from_module import with_own_scales
from ntkscope.ntk.infinite.graph.builder import Builder
from ntkscope.ntk.infinite.graph.probes import averaged, rearranged
from ntkscope.ntk.infinite.graph.signal import INPUT, Elementwise, Signal
from ntkscope.ntk.infinite.graph.steps import Normalise
from ntkscope.ntk.infinite.graph.window import window_of

_Module = Any  # one whose class is in the tables below

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, ScaledConv2d)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
DROPOUTS = (
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    *(nn.AlphaDropout, nn.FeatureAlphaDropout),
)
_POOLS = (
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.Upsample, nn.ZeroPad1d, nn.ZeroPad2d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
)
_RESHAPES = (nn.Flatten, nn.Unflatten)


def of_module(build: Builder, module: nn.Module, x: Signal | Elementwise) -> Signal | None:
    """What a module makes of a signal; None: it is not known as it stands."""
    for kinds, way in _WAYS:
        if type(module) in kinds:
            return way(build, module, build.computed(x))
    return None


def _linear(build: Builder, module: _Module, x: Signal) -> Signal | None:
    if x.channel != len(x.shape) - 1:
        raise build.refused(
            f"it acts on the last axis of a sample {x.shape}, whose channels are on another",
            "let it act on channels: transpose before it",
        )
    _check_channels(build, module.in_features, x)
    shape = (*x.shape[:-1], module.out_features)
    return build.affine(x, layer_of(build.where, module, module.in_features), shape)


def _convolution(build: Builder, module: _Module, x: Signal) -> Signal | None:
    if x.channel != 0 or len(x.shape) != len(module.kernel_size) + 1:
        raise build.refused(
            f"it cannot take an input of shape {x.shape}", "give images [N, channel, y, x]"
        )
    _check_channels(build, module.in_channels, x)
    window = window_of(module, x.positions, build.device)
    if min(window.outputs) < 1:
        raise build.refused(f"its window is larger than an input of shape {x.shape}", "pad it")
    if module.groups > 1:
        _check_groups(build, x)
    layer = layer_of(build.where, module, module.in_channels // module.groups * window.taps)
    depthwise = module.groups == module.in_channels > 1
    return build.affine(x, layer, (module.out_channels, *window.outputs), window, depthwise)


def _check_groups(build: Builder, x: Signal) -> None:
    """Every group sees channels of the same law, and in the limit many."""
    if INPUT in x.roots:
        raise build.refused(
            "its groups see different channels of the inputs, and have kernels of their own",
            "put a convolution without groups (groups=1) before it",
        )
    if not build.alike(x):
        raise build.refused(
            "its groups see channels of different branches, and have kernels of their own",
            "put a convolution without groups (groups=1) behind torch.cat",
        )


def layer_of(where: str, module: _Module, fan_in: int) -> Dense:
    """A layer with weights as the law of it needs it: by its fan-in."""
    layer = Dense(where, fan_in, len(module.weight), module.bias is not None)
    return with_own_scales(layer, module)


def _check_channels(build: Builder, wanted: int, x: Signal) -> None:
    if x.shape[x.channel] != wanted:
        raise build.refused(
            f"it cannot take an input of shape {x.shape}: it has {wanted} input channels",
            "give inputs of the size the network was made for",
        )


def _pool(build: Builder, module: _Module, x: Signal) -> Signal | None:
    found = averaged(build.tried(module), x)
    if found is None or found.channel is None:
        return None
    return build.move(x, found.matrix, found.shape, found.channel)


def _reshape(build: Builder, module: _Module, x: Signal) -> Signal | None:
    found = rearranged(build.tried(module), x)
    if found is None:
        return None
    if found.channel is None:
        return build.flatten(x, found.shape[0])
    return build.move(x, found.matrix, found.shape, found.channel)


def _layer_norm(build: Builder, module: _Module, x: Signal) -> Signal | None:
    over = len(module.normalized_shape)
    if over != 1 or x.channel != len(x.shape) - 1:
        return None
    bias = getattr(module, "bias", None) is not None
    eps = torch.finfo(torch.float32).eps if module.eps is None else module.eps
    step = Normalise(eps, together=False, weight=module.weight is not None, bias=bias)
    return build.normalise(x, step, centres=isinstance(module, nn.LayerNorm))


def _group_norm(build: Builder, module: _Module, x: Signal) -> Signal | None:
    if x.channel != 0:
        return None
    if module.num_groups == module.num_channels:
        raise build.refused(
            "its groups are single channels, over which nothing averages as they become many",
            "use fewer groups",
        )
    if module.num_groups > 1 and not build.alike(x):
        raise build.refused("its groups are of different branches", "use one group")
    step = Normalise(module.eps, together=True, weight=module.affine, bias=module.affine)
    return build.normalise(x, step, centres=True)


def _batch_norm(build: Builder, module: _Module, x: Signal) -> Signal | None:
    if module.training or module.running_mean is None:
        raise build.refused(
            "batch normalisation by the batch mixes samples",
            "call eval() on the network; the layer must track running statistics",
        )
    if bool((module.running_mean != 0).any() or (module.running_var != 1).any()):
        raise build.refused(
            "its running statistics are not those of an untrained network",
            "call reset_running_stats(): channels must be alike",
        )
    if x.channel != 0:
        return None
    step = Normalise(module.eps, False, weight=module.affine, bias=module.affine, fixed=True)
    return build.normalise(x, step, centres=False)


def _attention(build: Builder, module: _Module, x: Signal) -> Signal | None:
    if x.channel != 1 or len(x.shape) != 2:
        raise build.refused(
            f"it cannot take an input of shape {x.shape}", "give it tokens [N, tokens, channels]"
        )
    where = build.where
    build.where = f"{where}.key"
    keys = _linear(build, module.key, x)
    build.where = f"{where}.value"
    values = _linear(build, module.value, x)
    build.where = f"{where}.out"
    assert keys is not None
    assert values is not None
    return _linear(build, module.out, build.attend(values, keys))


def _nothing(build: Builder, module: _Module, x: Signal) -> Signal:
    if type(module) in DROPOUTS and module.training and module.p > 0:
        raise build.refused("it drops units at random", "call eval() on the network")
    return x


_WAYS: tuple[tuple[tuple[type, ...], Callable[..., Signal | None]], ...] = (
    ((nn.Linear, ScaledLinear), _linear),
    (_CONVOLUTIONS, _convolution),
    (_POOLS, _pool),
    (_RESHAPES, _reshape),
    ((nn.LayerNorm, nn.RMSNorm), _layer_norm),
    ((nn.GroupNorm,), _group_norm),
    (_BATCH_NORMS, _batch_norm),
    ((GlobalSelfAttention,), _attention),
    ((nn.Identity, *DROPOUTS), _nothing),
)
