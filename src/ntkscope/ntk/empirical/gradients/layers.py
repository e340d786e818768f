"""Per-sample gradients of torch's layers and ours, registered by the public door.

Every function here takes a layer, its input `a` [B, …], its output gradients `g` [B, R, …] and the
number of samples n, of which B is a multiple (`registry.register_layer`).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ntkscope.models.network import ScaledConv2d, ScaledLinear
from ntkscope.ntk.empirical.gradients.convolution import weight_gradients_by_rows
from ntkscope.ntk.empirical.gradients.factors import (
    FactoredGradients,
    PerSampleGradients,
    allocate_gradients,
    bias_view,
    weight_view,
)
from ntkscope.ntk.empirical.gradients.im2col import (
    Convolution,
    as_weight,
    patches,
    pixels,
    window_of,
)
from ntkscope.ntk.empirical.gradients.registry import learns, register_layer
from ntkscope.ntk.empirical.tuning import TUNING, Tuning

Module = Any  # a module of a registered class


def pixel_products(module: Convolution, a: Tensor, g: Tensor) -> FactoredGradients:
    """The factored gradients of a convolution, but with pixels in place of patches."""
    seen = pixels(module, _scaled(module, a))
    if not learns(module, "weight"):
        seen = seen * 0
    width = seen.shape[-1] * math.prod(module.kernel_size)
    window = window_of(module, a)
    return FactoredGradients(seen, _by_group(module, g), _offset(module), width, window=window)


def convolution_gradients(
    module: nn.Conv2d,
    a: Tensor,
    g: Tensor,
    out: PerSampleGradients | None = None,
    tuning: Tuning = TUNING,
) -> PerSampleGradients:
    """The gradients of a convolution for which `convolution.takes_rows`, written to `out` if given.

    Args:
        module: the layer.
        a: its input [n, channel, y, x].
        g: its output gradients [n, R, channel, y, x].
        out: where they belong; None: in new memory.
        tuning: of memory and caches.
    """
    offset, outputs, width = _offset(module), len(module.weight), module.weight[0].numel()
    if out is None:
        out = allocate_gradients(g, (len(g), g.shape[1]), outputs, width, offset, tuning)
    weights = weight_view(out, outputs, width)
    weight_gradients_by_rows(module, _scaled(module, a), g, weights, tuning.row_patch_bytes)
    if offset:
        bias_view(out, outputs)[:] = g.flatten(3).sum(3) * math.sqrt(offset)
    return out


def _offset(module: Module) -> float:
    return float(getattr(module, "bias_scale", 1.0)) ** 2 if learns(module, "bias") else 0.0


def _scaled(module: Module, a: Tensor) -> Tensor:
    scale = getattr(module, "weight_scale", 1.0)
    return a if scale == 1.0 else a * scale


def _positions(g: Tensor, n: int) -> Tensor:
    """[B, R, …, O] as [n, S, R, O]; the readout's [1, R, O] stays one for all samples."""
    samples = 1 if len(g) == 1 else n
    by_output = g.unflatten(0, (samples, -1)).transpose(1, 2)  # n, R, B/n, …, O
    return torch.transpose(by_output.flatten(2, -2), 1, 2)


def _linear(module: Module, a: Tensor, g: Tensor, n: int) -> FactoredGradients:
    u = _scaled(module, a).reshape(n, 1, -1, module.in_features)
    return FactoredGradients(u, _positions(g, n).unsqueeze(1), _offset(module), u.shape[-1])


def _convolution(module: Module, a: Tensor, g: Tensor, n: int) -> FactoredGradients:
    u = patches(module, _scaled(module, a))
    return FactoredGradients(u, _by_group(module, g), _offset(module), u.shape[-1])


def _by_group(module: Module, g: Tensor) -> Tensor:
    """[n, R, channel, y, x] as [n, groups, S, R, O]."""
    found: Tensor = g.flatten(3).unflatten(2, (module.groups, -1)).permute(0, 2, 4, 1, 3)
    return found


def _embedding(module: Module, a: Tensor, g: Tensor, n: int) -> FactoredGradients:
    tokens, rows = a.reshape(n, 1, -1), _positions(g, n).unsqueeze(1)
    if module.padding_idx is not None:
        rows = rows * (tokens != module.padding_idx)[..., None, None]
    return FactoredGradients(tokens, rows, 0.0, module.num_embeddings)


def _plain_embedding(module: Module) -> bool:
    return module.max_norm is None and not module.scale_grad_by_freq


def _transposed(module: Module, gradients: Tensor) -> Tensor:
    return gradients.mT


def _channelwise(normal: Tensor, g: Tensor) -> dict[str, Tensor]:
    """Weight and bias of a norm layer that has one of each per channel (axis 1)."""
    both = {"weight": g * normal.unsqueeze(1), "bias": g}
    return {name: t.unsqueeze(3).flatten(3).sum(3) for name, t in both.items()}


def _batch_norm(module: Module, a: Tensor, g: Tensor, n: int) -> dict[str, Tensor]:
    mean, var = module.running_mean, module.running_var
    return _channelwise(F.batch_norm(a, mean, var, eps=module.eps), g)


def _group_norm(module: Module, a: Tensor, g: Tensor, n: int) -> dict[str, Tensor]:
    return _channelwise(F.group_norm(a, module.num_groups, eps=module.eps), g)


def _last_axes(module: Module, normal: Tensor, g: Tensor, n: int) -> dict[str, Tensor]:
    """Weight and bias of a norm layer over the last axes; sums over all positions."""
    shape = tuple(module.normalized_shape)

    def total(t: Tensor) -> Tensor:
        flat = torch.transpose(t.unflatten(0, (n, -1)), 1, 2)  # n, R, B/n, …
        return flat.reshape(n, t.shape[1], -1, *shape).sum(2)

    return {"weight": total(g * normal.unsqueeze(1)), "bias": total(g)}


def _layer_norm(module: Module, a: Tensor, g: Tensor, n: int) -> dict[str, Tensor]:
    return _last_axes(module, F.layer_norm(a, module.normalized_shape, eps=module.eps), g, n)


def _rms_norm(module: Module, a: Tensor, g: Tensor, n: int) -> dict[str, Tensor]:
    return _last_axes(module, F.rms_norm(a, module.normalized_shape, eps=module.eps), g, n)


_register = partial(register_layer, shares_readout=True)
for linear in (nn.Linear, ScaledLinear):
    _register(linear, factored=_linear)
for convolution in (nn.Conv1d, nn.Conv2d, ScaledConv2d):
    _register(convolution, factored=_convolution, as_weight=as_weight)
_register(nn.Embedding, factored=_embedding, applies=_plain_embedding, as_weight=_transposed)
for batch_norm in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
    _register(batch_norm, elementwise=_batch_norm)
_register(nn.GroupNorm, elementwise=_group_norm)
_register(nn.LayerNorm, elementwise=_layer_norm)
_register(nn.RMSNorm, elementwise=_rms_norm)
