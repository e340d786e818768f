"""Per-sample gradients of any parameters of any model, by torch's function transforms.

The parameters get a copy for each sample (a view of no size), the model is mapped over both, and
ordinary back-propagation then gives the gradient of each copy. Used for what no layer's formula
knows: parameters of one's own, attention's packed projections, a weight used in two places.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from ntkscope.ntk.empirical.gradients.one_at_a_time import gradients_one_at_a_time
from ntkscope.ntk.empirical.inputs import Inputs

Copies = dict[str, Tensor]  # parameter name → [N, …]


def autograd_gradients(
    model: nn.Module, names: list[str], x: Tensor, output_vectors: Tensor, vmap_safe: bool = True
) -> dict[str, Tensor]:
    """Gradients of ⟨start_r, f(x_n)⟩ with respect to named parameters.

    Args:
        model: maps [N, …] to [N, K], each sample by itself.
        names: of its parameters.
        x: inputs [N, …].
        output_vectors: [R, K].
        vmap_safe: all samples at once by `vmap`; False: one after the other (`one_at_a_time`), for
            models with branches on values, in-place writes or operations that `vmap` has wrong.

    Returns:
        name → [N, R, P].
    """
    if not vmap_safe:
        with without_fused_attention():
            return gradients_one_at_a_time(model, names, x, output_vectors)
    parameters = dict(model.named_parameters())
    with torch.enable_grad(), without_fused_attention():
        copies = {n: parameters[n].detach().expand(len(x), *parameters[n].shape) for n in names}
        copies = {n: p.requires_grad_() for n, p in copies.items()}
        y = _at_once(model, copies, x)
    if not y.requires_grad:
        return {
            n: p.new_zeros(len(x), len(output_vectors), p[0].numel()) for n, p in copies.items()
        }
    rows = [
        torch.autograd.grad(
            y,
            list(copies.values()),
            output_vector.expand(len(x), -1),
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        for output_vector in output_vectors
    ]
    columns = zip(copies, zip(*rows, strict=True), strict=True)
    return {name: torch.stack([g.flatten(1) for g in column], 1) for name, column in columns}


def with_tensors(model: nn.Module, instead: dict[str, Tensor], x: Tensor) -> Tensor:
    """The model's outputs with some parameters replaced, wherever they stand, and none learning.

    Every place of a parameter is named: left to itself, `functional_call` returns a model of which
    two names share a module with the replacements still in it.
    """
    first = {id(p): name for name, p in model.named_parameters()}
    tensors = {}
    for prefix, module in model.named_modules():
        for attr, p in module._parameters.items():
            if p is not None:
                name = f"{prefix}.{attr}" if prefix else attr
                tensors[name] = instead.get(first[id(p)], p.detach())
    y: Tensor = functional_call(model, tensors, (x.clone(),), tie_weights=False)
    return y


def _at_once(model: nn.Module, copies: Copies, x: Tensor) -> Tensor:
    parts, by_keyword = getattr(x, "tensors", None), getattr(x, "by_keyword", False)

    def one(own: Copies, sample: Any) -> Tensor:
        some: Any = sample if parts is None else Inputs(sample, by_keyword)
        return with_tensors(model, own, some.unsqueeze(0)).squeeze(0)

    return vmap(one)(copies, x if parts is None else parts)


@contextmanager
def without_fused_attention() -> Iterator[None]:
    """Attention's inference path has no derivative, and is taken where vmap hides the graph."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
