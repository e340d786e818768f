"""Operations on parameters, as layers that do the same.

Linear maps, convolutions, embeddings and normalisations are the layers of torch, whose gradients
have formulas (`layers`); tensors that are spread over the samples, or added to them, have one here;
any other operation is differentiated by itself, a copy of its parameters for each sample.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.nn import functional as F
from torch.utils._pytree import tree_flatten, tree_unflatten

from ntkscope.ntk.empirical.gradients.hooks import Layout, samples_first
from ntkscope.ntk.empirical.gradients.registry import register_layer

_HOLDERS = (tuple, list, dict)


@dataclass
class Used:
    """An operation as a layer.

    Attributes:
        layer: with what it needs in place of parameters.
        inputs: [n, …], samples first.
        weights: attribute → tensor made of parameters.
        layout: where in the operation's output they are.
    """

    layer: nn.Module
    inputs: Tensor
    weights: dict[str, Tensor]
    layout: Layout = "first"


class Spread(nn.Module):
    """A tensor that is the same for all samples, added to them or put in their place."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self._parameters["weight"] = weight  # type: ignore[assignment]


class Alone(nn.Module):
    """Any operation of one sample, and of tensors made of parameters."""

    def __init__(self, func: Callable[..., Any], leaves: list[Any], tree: Any) -> None:
        super().__init__()
        self.func, self.leaves, self.tree = func, leaves, tree
        self.sampled: list[int] = []


def tensors_in(value: Any) -> list[Tensor]:
    """Of arguments or results: in tuples, lists and dicts too."""
    if isinstance(value, Tensor):
        return [value]
    found: list[Tensor] = []
    if isinstance(value, _HOLDERS):
        for each in value.values() if isinstance(value, dict) else value:
            if isinstance(each, Tensor):  # most are no holders: no call for each
                found.append(each)
            elif isinstance(each, _HOLDERS):
                found += tensors_in(each)
    return found


def layer_of(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    made: Container[int],
    sampled: list[Tensor],
    n: int,
    layout: Layout | None,
) -> Used | None:
    """The layer that does what an operation does; None if there is none.

    Args:
        func, args, kwargs: the operation.
        made: ids of tensors made of parameters.
        sampled: of the arguments, those that depend on the samples.
        n: how many samples there are.
        layout: where they are, if that is known.
    """
    if func in _ADDING and not kwargs and len(args) == 2 and len(sampled) == 1:
        (weight,) = (t for t in args if t is not sampled[0])
        if isinstance(weight, Tensor) and weight.ndim <= sampled[0].ndim and len(sampled[0]) == n:
            return spread_layer(weight, sampled[0])
    maker = _MAKERS.get(func)
    if maker is not None and len(sampled) == 1:
        used = maker(*args, **kwargs)
        if used is not None and used.inputs is sampled[0]:
            layout = layout or _layout_of(used, n)
            return used if layout == "first" else _moved(used, layout, n)
    return _alone(func, args, kwargs, made, sampled, n)


def spread_layer(weight: Tensor, onto: Tensor) -> Used:
    """Of a tensor that is the same for all samples: [n, …]."""
    return Used(Spread(weight), onto.new_empty(len(onto), 0), {"weight": weight})


def _layout_of(used: Used, n: int) -> Layout:
    a = used.inputs
    by_position = isinstance(used.layer, nn.Linear | nn.LayerNorm | nn.RMSNorm | nn.Embedding)
    second = by_position and a.ndim > 1 and a.shape[1] == n != len(a)
    return "second" if second else "first"


def _moved(used: Used, layout: Layout, n: int) -> Used:
    return replace(used, inputs=samples_first(used.inputs, layout, n), layout=layout)


@cache
def _template(kind: Callable[..., nn.Module], *settings: Any) -> nn.Module:
    return kind(*settings, device="meta")


def _used(
    template: nn.Module,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    **buffers: Tensor | None,
) -> Used:
    layer, both = copy.copy(template), {"weight": weight, "bias": bias}
    layer.__dict__["_parameters"], layer.__dict__["_buffers"] = both, buffers
    return Used(
        layer, x, {name: t for name, t in both.items() if t is not None and t.requires_grad}
    )


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Used | None:
    if weight.ndim != 2:
        return None
    return _used(_template(nn.Linear, weight.shape[1], len(weight)), input, weight, bias)


def _matmul(input: Tensor, other: Tensor) -> Used | None:
    return _linear(input, other.mT) if other.ndim == 2 and input.ndim > 1 else None


def _addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1
) -> Used | None:
    if (beta, alpha) != (1, 1) or input.ndim != 1:
        return None
    return _linear(mat1, mat2.mT, input)


def _convolution(kind: type[nn.Module], axes: int) -> Callable[..., Used | None]:
    def made(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Used | None:
        if input.ndim != axes + 2:
            return None
        padding = padding if isinstance(padding, str) else _each(padding)
        settings = (tuple(weight.shape[2:]), _each(stride), padding, _each(dilation), groups)
        template = _template(cast(Any, kind), weight.shape[1] * groups, len(weight), *settings)
        return _used(template, input, weight, bias)

    return made


def _each(size: Any) -> Any:
    return size if isinstance(size, int) else tuple(size)


def _embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Used | None:
    if max_norm is not None or scale_grad_by_freq:
        return None
    template = _template(nn.Embedding, *weight.shape, padding_idx)
    return _used(template, input, weight, None)


def _layer_norm(
    input: Tensor,
    normalized_shape: list[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Used:
    return _used(_template(nn.LayerNorm, tuple(normalized_shape), eps), input, weight, bias)


def _rms_norm(
    input: Tensor,
    normalized_shape: list[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Used:
    return _used(_template(nn.RMSNorm, tuple(normalized_shape), eps), input, weight, None)


def _group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Used:
    template = _template(nn.GroupNorm, num_groups, input.shape[1], eps)
    return _used(template, input, weight, bias)


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Used | None:
    if training or running_mean is None:
        return None
    statistics = {"running_mean": running_mean, "running_var": running_var}
    return _used(_template(nn.BatchNorm1d, input.shape[1], eps), input, weight, bias, **statistics)


_MAKERS: dict[Any, Callable[..., Used | None]] = {
    F.linear: _linear,
    torch.addmm: _addmm,
    F.conv1d: _convolution(nn.Conv1d, 1),
    F.conv2d: _convolution(nn.Conv2d, 2),
    F.embedding: _embedding,
    F.layer_norm: _layer_norm,
    F.rms_norm: _rms_norm,
    F.group_norm: _group_norm,
    F.batch_norm: _batch_norm,
}
_MAKERS |= {
    f: _matmul for f in (torch.matmul, torch.mm, Tensor.matmul, Tensor.mm, Tensor.__matmul__)
}

_ADDING = frozenset(
    {torch.add, Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__radd__, Tensor.__iadd__}
)
SPREADING = frozenset(
    {
        Tensor.expand,
        Tensor.expand_as,
        Tensor.broadcast_to,
        torch.broadcast_to,
        Tensor.repeat,
        torch.tile,
        Tensor.tile,
    }
)
"""Operations by which a tensor gets an axis of samples."""

_OUT_OF_PLACE = {
    getattr(Tensor, f"__i{name}__"): getattr(Tensor, f"__{name}__")
    for name in ("add", "sub", "mul", "truediv")
} | {getattr(Tensor, f"{name}_"): getattr(Tensor, name) for name in ("add", "sub", "mul", "div")}


def _alone(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    made: Container[int],
    sampled: list[Tensor],
    n: int,
) -> Used | None:
    """The operation itself, by `torch.func`, for each sample."""
    if any(not t.ndim or len(t) != n for t in sampled):
        return None
    in_place = func in _OUT_OF_PLACE
    leaves, tree = tree_flatten((args, kwargs))
    ids = {id(t) for t in sampled}
    weights = {}
    layer = Alone(_OUT_OF_PLACE.get(func, func), leaves, tree)
    for place, leaf in enumerate(leaves):
        if not isinstance(leaf, Tensor):
            continue
        if id(leaf) in ids:
            layer.sampled.append(place)
            leaves[place] = leaf.detach().clone() if in_place else leaf.detach()
        elif id(leaf) in made:
            weights[str(place)] = leaf
    layer.__dict__["_parameters"] = weights
    return Used(layer, leaves[layer.sampled[0]], weights)


def _gradients_alone(layer: Any, a: Tensor, g: Tensor, n: int) -> dict[str, Tensor]:
    weights = {key: w.detach() for key, w in layer._parameters.items()}
    with torch.enable_grad():
        copies = {k: w.expand(n, *w.shape).requires_grad_() for k, w in weights.items()}

        def one(own: dict[str, Tensor], samples: list[Tensor]) -> Tensor:
            leaves = list(layer.leaves)
            for place, sample in zip(layer.sampled, samples, strict=True):
                leaves[place] = sample.unsqueeze(0)
            for key, weight in own.items():
                leaves[int(key)] = weight
            args, kwargs = tree_unflatten(leaves, layer.tree)
            found: Tensor = layer.func(*args, **kwargs)
            return found.squeeze(0)

        y = vmap(one)(copies, [layer.leaves[place] for place in layer.sampled])
    each = [
        torch.autograd.grad(y, list(copies.values()), g[:, r], retain_graph=True)
        for r in range(g.shape[1])
    ]
    return {
        k: torch.stack(rows, 1) for k, rows in zip(copies, zip(*each, strict=True), strict=True)
    }


def _gradients_spread(layer: Any, a: Tensor, g: Tensor, n: int) -> dict[str, Tensor]:
    """Sums over the axes along which it was spread, of each sample by itself."""
    shape = layer._parameters["weight"].shape
    padded = (1,) * (g.ndim - 1 - len(shape)) + tuple(shape)
    axes = [axis + 1 for axis, size in enumerate(padded) if axis and size == 1]
    found = g.sum(axes, keepdim=True) if axes else g
    return {"weight": found.reshape(*g.shape[:2], *shape)}


register_layer(Spread, elementwise=_gradients_spread, parameters=("weight",))
register_layer(Alone, elementwise=_gradients_alone, parameters=())
