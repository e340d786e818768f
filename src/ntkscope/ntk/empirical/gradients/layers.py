"""Per-sample gradients of the layers that are known, from what entered and what flows back.

Every function here takes a layer, what entered it in one call `a` [B, …], what flows back to its
output `g` [B, R, …] and the number of samples n, of which B is a multiple. A layer is known by its
exact class: a subclass may compute anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable
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
    bias_gradients,
    bias_view,
    weight_gradients,
    weight_view,
)
from ntkscope.ntk.empirical.gradients.im2col import (
    Convolution,
    as_weight,
    patches,
    pixels,
    window_of,
)

Module = Any  # a module whose class is one of the tables' keys


def is_known(module: nn.Module) -> bool:
    """Whether the module's own parameters are those its class has, and its class is known."""
    own = dict(module.named_parameters(recurse=False))
    known = type(module) in PRODUCTS or type(module) in ELEMENTWISE
    plain = set(own) <= {"weight", "bias"} and isinstance(getattr(module, "weight", None), Tensor)
    if isinstance(module, nn.Embedding):
        plain = plain and module.max_norm is None and not module.scale_grad_by_freq
    return known and plain


def outer_products(module: Module, a: Tensor, g: Tensor, n: int) -> FactoredGradients | None:
    """The gradients as a sum of outer products; None for a layer that has no such form."""
    make = PRODUCTS.get(type(module))
    return None if make is None else make(module, a, g, n)


def pixel_products(module: Convolution, a: Tensor, g: Tensor) -> FactoredGradients:
    """The same of a convolution, but with pixels in place of patches."""
    seen = pixels(module, _scaled(module, a))
    if not _learns(module, "weight"):
        seen = seen * 0
    width = seen.shape[-1] * math.prod(module.kernel_size)
    window = window_of(module, a)
    return FactoredGradients(seen, _by_group(module, g), _offset(module), width, window=window)


def convolution_gradients(
    module: nn.Conv2d, a: Tensor, g: Tensor, out: PerSampleGradients | None = None
) -> PerSampleGradients:
    """The gradients of a convolution for which `convolution.takes_rows`, in their out if given.

    Args:
        module: the layer.
        a: what entered it [n, channel, y, x].
        g: what flows back to its output [n, R, channel, y, x].
        out: where they belong; None: in new memory.
    """
    offset, outputs, width = _offset(module), len(module.weight), module.weight[0].numel()
    if out is None:
        out = allocate_gradients(g, (len(g), g.shape[1]), outputs, width, offset)
    weight_gradients_by_rows(module, _scaled(module, a), g, weight_view(out, outputs, width))
    if offset:
        bias_view(out, outputs)[:] = g.flatten(3).sum(3) * math.sqrt(offset)
    return out


def parameter_gradients(module: Module, a: Tensor, g: Tensor, n: int) -> dict[str, Tensor]:
    """`weight` and `bias`, as far as they learn, → [n, R, shape of the parameter]."""
    term = outer_products(module, a, g, n)
    if term is None:
        every = g.expand(len(a), *g.shape[1:])
        found = ELEMENTWISE[type(module)](module, a, every, n)
        return {name: v for name, v in found.items() if _learns(module, name)}
    found = {}
    if _learns(module, "weight"):
        found["weight"] = _in_shape(module, weight_gradients(term))
    if _learns(module, "bias"):
        found["bias"] = bias_gradients(term)
    return found


def _in_shape(module: Module, gradients: Tensor) -> Tensor:
    """[n, R, O, D] in the shape of the module's weight."""
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return as_weight(module, gradients)
    return gradients.mT if isinstance(module, nn.Embedding) else gradients


def _learns(module: Module, name: str) -> bool:
    parameter = getattr(module, name, None)
    return parameter is not None and bool(parameter.requires_grad)


def _offset(module: Module) -> float:
    return float(getattr(module, "bias_scale", 1.0)) ** 2 if _learns(module, "bias") else 0.0


def _scaled(module: Module, a: Tensor) -> Tensor:
    scale = getattr(module, "weight_scale", 1.0)
    return a if scale == 1.0 else a * scale


def _positions(g: Tensor, n: int) -> Tensor:
    """[B, R, …, O] as [n, S, R, O]; the top's [1, R, O] stays one for all samples."""
    samples = 1 if len(g) == 1 else n
    by_output = g.unflatten(0, (samples, -1)).transpose(1, 2)  # n, R, B/n, …, O
    return torch.transpose(by_output.flatten(2, -2), 1, 2)


def _linear(module: Module, a: Tensor, g: Tensor, n: int) -> FactoredGradients:
    u = _scaled(module, a).reshape(n, 1, -1, module.in_features)
    if not _learns(module, "weight"):
        u = u[..., :0]
    return FactoredGradients(u, _positions(g, n).unsqueeze(1), _offset(module), u.shape[-1])


def _convolution(module: Module, a: Tensor, g: Tensor, n: int) -> FactoredGradients:
    u = patches(module, _scaled(module, a))
    if not _learns(module, "weight"):
        u = u[..., :0]
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


def _channelwise(normal: Tensor, g: Tensor) -> dict[str, Tensor]:
    """Weight and bias of a norm layer that has one of each a channel (axis 1)."""
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


PRODUCTS: dict[type, Callable[[Module, Tensor, Tensor, int], FactoredGradients]] = {
    nn.Linear: _linear,
    ScaledLinear: _linear,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    ScaledConv2d: _convolution,
    nn.Embedding: _embedding,
}
ELEMENTWISE: dict[type, Callable[[Module, Tensor, Tensor, int], dict[str, Tensor]]] = {
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.BatchNorm3d: _batch_norm,
    nn.GroupNorm: _group_norm,
    nn.LayerNorm: _layer_norm,
    nn.RMSNorm: _rms_norm,
}
