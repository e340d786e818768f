"""What each layer's kernel is made of, for a chunk of samples: one pass there, one way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ntkscope.ntk.empirical.gradients.autograd import any_gradients
from ntkscope.ntk.empirical.gradients.convolution import takes_rows
from ntkscope.ntk.empirical.gradients.factors import (
    Gradients,
    OuterProducts,
    Term,
    join_calls,
    materialise,
)
from ntkscope.ntk.empirical.gradients.fast_ops import FasterBackward
from ntkscope.ntk.empirical.gradients.hooks import Call, backpropagate, record
from ntkscope.ntk.empirical.gradients.layers import (
    convolution_gradients,
    outer_products,
    parameter_gradients,
    pixel_products,
)
from ntkscope.ntk.empirical.plan import Layer, Plan
from ntkscope.ntk.empirical.sequential.backward import straight_passes

Returned = list[tuple[Call, Tensor]]  # a layer's calls, and what flows back to each


def terms_of(
    model: nn.Module, plan: Plan, x: Tensor, room: Mapping[str, Term] | None = None
) -> dict[str, Term]:
    """Layer name → term of the samples x [n, …], in the plan's order.

    Gradients that are made are written to their `room`, where there is one.
    """
    returned = there_and_back(model, plan, x, plan.starts)
    sums = any_gradients(model, plan.strays, x, plan.starts, plan.mapped) if plan.strays else {}
    found: dict[str, Term] = {}
    for layer in plan.known:
        term = None
        if not plan.is_tied(layer):
            term = _term(layer, returned[layer.name], len(x), (room or {}).get(layer.name))
        if term is None:
            _add(sums, layer, returned[layer.name], len(x))
        else:
            found[layer.name] = term
        del returned[layer.name]
    for layer in plan.layers:
        if layer.name not in found and layer.owns:
            found[layer.name] = _gradients(sums, layer, len(x), plan.starts)
    return {layer.name: found[layer.name] for layer in plan.layers if layer.name in found}


def _term(layer: Layer, returned: Returned, n: int, room: Term | None) -> Term | None:
    """What a layer's strategy wants; None for layers whose gradients are no outer products."""
    if layer.strategy != "materialised":
        return layer_products(returned, n, layer.strategy == "pixels")
    assert room is None or isinstance(room, Gradients)
    if len(returned) == 1 and takes_rows(layer.module):
        ((call, g),) = returned
        return convolution_gradients(call.module, call.inputs, g, room)  # type: ignore[arg-type]
    products = layer_products(returned, n)
    return None if products is None else materialise(products, room)


def there_and_back(model: nn.Module, plan: Plan, x: Tensor, starts: Tensor) -> dict[str, Returned]:
    """Known layer's name → its calls and what flows back; calls without effect are left out."""
    if plan.steps is not None:
        wanted, summed = {id(layer.module) for layer in plan.known}, plan.pairs == "summed"
        return by_layer(plan.known, *straight_passes(plan.steps, x, starts, wanted, summed=summed))
    with FasterBackward():
        y, calls = record(model, x, [layer.module for layer in plan.known])
    return by_layer(plan.known, calls, backpropagate(y, calls, starts))


def by_layer(
    layers: list[Layer], calls: Sequence[Call], flows: Sequence[Tensor | None]
) -> dict[str, Returned]:
    """Layer's name → its calls and what flows back to each, where anything does."""
    found: dict[str, Returned] = {layer.name: [] for layer in layers}
    names = {id(layer.module): layer.name for layer in layers}
    for call, g in zip(calls, flows, strict=True):
        if g is not None:
            found[names[id(call.module)]].append((call, g))
    return found


def layer_products(returned: Returned, n: int, by_pixels: bool = False) -> OuterProducts | None:
    """The outer products of all calls of a layer; None for layers without."""
    if by_pixels:
        ((call, g),) = returned
        return pixel_products(call.module, call.inputs, g)  # type: ignore[arg-type]
    terms = []
    for call, g in returned:
        term = outer_products(call.module, call.inputs, g, n)
        if term is None:
            return None
        term.shared = len(term.gradients) == 1 and call.top
        terms.append(term)
    return join_calls(terms) if terms else None


def _add(sums: dict[str, Tensor], layer: Layer, returned: Returned, n: int) -> None:
    """Add a layer's gradients to those of the same parameters: sums first, products later."""
    for call, g in returned:
        for attr, gradient in parameter_gradients(call.module, call.inputs, g, n).items():
            name = layer.learns[attr]
            every = gradient.expand(n, *gradient.shape[1:])
            sums[name] = sums[name] + every if name in sums else every


def _gradients(sums: dict[str, Tensor], layer: Layer, n: int, starts: Tensor) -> Gradients:
    """A layer's share of the sums; zero where the outputs do not depend on it."""
    parts = [sums[name].flatten(2) for name in layer.owns if name in sums]
    return Gradients(torch.cat(parts, 2) if parts else starts.new_zeros(n, len(starts), 1))
