"""What each layer's kernel is made of, for a chunk of samples: one pass there, one way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ntkscope.ntk.empirical.gradients.autograd import autograd_gradients
from ntkscope.ntk.empirical.gradients.convolution import takes_rows
from ntkscope.ntk.empirical.gradients.factors import (
    FactoredGradients,
    LayerGradients,
    PerSampleGradients,
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
from ntkscope.ntk.empirical.plan import Plan, PlannedLayer
from ntkscope.ntk.empirical.sequential.backward import sequential_passes

CallGradients = list[tuple[Call, Tensor]]  # a layer's calls, and what flows back to each


def per_sample_gradients(
    model: nn.Module, plan: Plan, x: Tensor, out: Mapping[str, LayerGradients] | None = None
) -> dict[str, LayerGradients]:
    """PlannedLayer name → term of the samples x [n, …], in the plan's order.

    Gradients that are made are written to their `out`, where there is one.
    """
    output_gradients = forward_backward(model, plan, x, plan.output_vectors)
    sums = (
        autograd_gradients(model, plan.fallback_parameters, x, plan.output_vectors, plan.vmap_safe)
        if plan.fallback_parameters
        else {}
    )
    found: dict[str, LayerGradients] = {}
    for layer in plan.known:
        term = None
        if not plan.is_tied(layer):
            term = _term(layer, output_gradients[layer.name], len(x), (out or {}).get(layer.name))
        if term is None:
            _add(sums, layer, output_gradients[layer.name], len(x))
        else:
            found[layer.name] = term
        del output_gradients[layer.name]
    for layer in plan.layers:
        if layer.name not in found and layer.owns:
            found[layer.name] = _gradients(sums, layer, len(x), plan.output_vectors)
    return {layer.name: found[layer.name] for layer in plan.layers if layer.name in found}


def _term(
    layer: PlannedLayer, output_gradients: CallGradients, n: int, out: LayerGradients | None
) -> LayerGradients | None:
    """What a layer's strategy wants; None for layers whose gradients are no outer products."""
    if layer.strategy != "materialised":
        return factored_gradients(output_gradients, n, layer.strategy == "pixels")
    assert out is None or isinstance(out, PerSampleGradients)
    if len(output_gradients) == 1 and takes_rows(layer.module):
        ((call, g),) = output_gradients
        return convolution_gradients(call.module, call.inputs, g, out)  # type: ignore[arg-type]
    products = factored_gradients(output_gradients, n)
    return None if products is None else materialise(products, out)


def forward_backward(
    model: nn.Module, plan: Plan, x: Tensor, output_vectors: Tensor
) -> dict[str, CallGradients]:
    """Known layer's name → its calls and what flows back; calls without effect are left out."""
    if plan.sequential_layers is not None:
        wanted, summed = {id(layer.module) for layer in plan.known}, plan.pairs == "trace"
        return by_layer(
            plan.known,
            *sequential_passes(plan.sequential_layers, x, output_vectors, wanted, summed=summed),
        )
    with FasterBackward():
        y, calls = record(model, x, [layer.module for layer in plan.known])
    return by_layer(plan.known, calls, backpropagate(y, calls, output_vectors))


def by_layer(
    layers: list[PlannedLayer], calls: Sequence[Call], flows: Sequence[Tensor | None]
) -> dict[str, CallGradients]:
    """Layer's name → its calls and what flows back to each, where anything does."""
    found: dict[str, CallGradients] = {layer.name: [] for layer in layers}
    names = {id(layer.module): layer.name for layer in layers}
    for call, g in zip(calls, flows, strict=True):
        if g is not None:
            found[names[id(call.module)]].append((call, g))
    return found


def factored_gradients(
    output_gradients: CallGradients, n: int, by_pixels: bool = False
) -> FactoredGradients | None:
    """The outer products of all calls of a layer; None for layers without."""
    if by_pixels:
        ((call, g),) = output_gradients
        return pixel_products(call.module, call.inputs, g)  # type: ignore[arg-type]
    terms = []
    for call, g in output_gradients:
        term = outer_products(call.module, call.inputs, g, n)
        if term is None:
            return None
        term.shared = len(term.output_gradients) == 1 and call.top
        terms.append(term)
    return join_calls(terms) if terms else None


def _add(
    sums: dict[str, Tensor], layer: PlannedLayer, output_gradients: CallGradients, n: int
) -> None:
    """Add a layer's gradients to those of the same parameters: sums first, products later."""
    for call, g in output_gradients:
        for attr, gradient in parameter_gradients(call.module, call.inputs, g, n).items():
            name = layer.learns[attr]
            every = gradient.expand(n, *gradient.shape[1:])
            sums[name] = sums[name] + every if name in sums else every


def _gradients(
    sums: dict[str, Tensor], layer: PlannedLayer, n: int, output_vectors: Tensor
) -> PerSampleGradients:
    """A layer's share of the sums; zero where the outputs do not depend on it."""
    parts = [sums[name].flatten(2) for name in layer.owns if name in sums]
    return PerSampleGradients(
        torch.cat(parts, 2) if parts else output_vectors.new_zeros(n, len(output_vectors), 1)
    )
