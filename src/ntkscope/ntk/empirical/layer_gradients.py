"""Per-sample gradients of each layer, for a chunk of samples: one forward and backward pass."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ntkscope.ntk.empirical.gradients.autograd import autograd_gradients
from ntkscope.ntk.empirical.gradients.convolution import takes_rows
from ntkscope.ntk.empirical.gradients.factors import (
    FactoredGradients,
    LayerGradients,
    PerSampleGradients,
    at_one_position,
    join_calls,
    materialise,
    select,
)
from ntkscope.ntk.empirical.gradients.hooks import Call
from ntkscope.ntk.empirical.gradients.layers import convolution_gradients, pixel_products
from ntkscope.ntk.empirical.gradients.registry import factored_form, gradients_of_parameters
from ntkscope.ntk.empirical.gradients.uses import Use
from ntkscope.ntk.empirical.last_resort import MorePositionsError, UnlikeTheProbeError
from ntkscope.ntk.empirical.plan import Plan, PlannedLayer
from ntkscope.ntk.empirical.tuning import Tuning

CallGradients = list[tuple[Call, Tensor]]
"""A layer's calls, and the output gradients [B, R, …] of each."""


def per_sample_gradients(
    model: nn.Module, plan: Plan, x: Tensor, out: Mapping[str, LayerGradients] | None = None
) -> dict[str, LayerGradients]:
    """Layer name → gradients of the samples x [n, …], in the plan's order.

    Those that are materialised are written to their `out`, where there is one.
    """
    if len(x) == 1 and plan.captures:  # what all samples share is seen where there are two
        twice = per_sample_gradients(model, plan, torch.cat([x, x]))
        return {name: select(gradients, slice(0, 1)) for name, gradients in twice.items()}
    vectors, names = plan.output_vectors, plan.fallback_parameters
    calls = forward_backward(plan, x, vectors, trace=plan.pairs == "trace")
    sums = autograd_gradients(model, names, x, vectors, plan.vmap_safe) if names else {}
    found: dict[str, LayerGradients] = {}
    for layer in plan.known:
        gradients, mine = None, calls.pop(layer.name)
        if not plan.is_tied(layer):
            gradients = _in_form(layer, mine, len(x), (out or {}).get(layer.name), plan.tuning)
        if gradients is None:
            _add(sums, layer, mine, len(x))
        else:
            found[layer.name] = gradients
        del mine
    for layer in plan.layers:
        if layer.name not in found and layer.owns:
            found[layer.name] = _sum_of(sums, layer, len(x), vectors)
    return {layer.name: found[layer.name] for layer in plan.layers if layer.name in found}


def _in_form(
    layer: PlannedLayer, calls: CallGradients, n: int, out: LayerGradients | None, tuning: Tuning
) -> LayerGradients | None:
    """What a layer's strategy wants; None for layers whose gradients have no factors."""
    if layer.one_position:
        every = factored_gradients(calls, n)
        one = None if every is None else at_one_position(every)
        if one is None:
            raise MorePositionsError(f"layer {layer.name or '(model)'} has several positions")
        return one
    if layer.strategy != "materialised":
        return factored_gradients(calls, n, layer.strategy == "pixels")
    assert out is None or isinstance(out, PerSampleGradients)
    if len(calls) == 1 and takes_rows(calls[0][0].module, tuning):
        ((call, g),) = calls
        return convolution_gradients(call.module, call.inputs, g, out, tuning)  # type: ignore[arg-type]
    factors = factored_gradients(calls, n)
    if factors is None:
        return None
    module = calls[0][0].module
    tall = isinstance(module, nn.Linear) and module.out_features >= factors.width > 0
    return materialise(factors, out, tuning, by_input=tall)


def forward_backward(
    plan: Plan, x: Tensor, output_vectors: Tensor, *, trace: bool = False
) -> dict[str, CallGradients]:
    """Known layer's name → its calls and their output gradients, where there are any.

    trace: as of `backpropagation.Backpropagation.output_gradients`.

    Raises:
        UnlikeTheProbeError: a layer has other calls, or rows for a sample, than in the probe, or
            they come in another order: of equal layers, outputs do not tell.
    """
    if not plan.known:
        return {}
    assert plan.backpropagation is not None
    modules = [layer.module for layer in plan.known if not layer.by_use]
    calls, gradients = plan.backpropagation.output_gradients(
        x, output_vectors, modules, trace=trace
    )
    found: dict[str, CallGradients] = {layer.name: [] for layer in plan.known}
    hooked = {id(layer.module): layer.name for layer in plan.known if not layer.by_use}
    used = {
        name: layer.name for layer in plan.known if layer.by_use for name in layer.learns.values()
    }
    order = []
    for call, g in zip(calls, gradients, strict=True):
        names = call.parameters if isinstance(call, Use) else ()
        place = next((used[name] for name in names if name in used), hooked.get(id(call.module)))
        if g is not None and place is not None:
            found[place].append((call, g))
            if not names:
                order.append(place)
    for layer in plan.known:
        rows = tuple(len(call.inputs) for call, _ in found[layer.name])
        if layer.rows is not None and rows != tuple(each * len(x) for each in layer.rows):
            raise UnlikeTheProbeError(f"layer {layer.name or '(model)'} is called as the data ask")
    if plan.backpropagation.runs_model:
        plan.order = order if plan.order is None else plan.order
        if order != [name for name in plan.order if name in hooked.values()]:
            raise UnlikeTheProbeError("layers are called in the order that the data ask")
    return found


def factored_gradients(
    calls: CallGradients, n: int, by_pixels: bool = False
) -> FactoredGradients | None:
    """The factors of all calls of a layer; None for a layer without."""
    if by_pixels:
        ((call, g),) = calls
        return pixel_products(call.module, call.inputs, g)  # type: ignore[arg-type]
    each = []
    for call, g in calls:
        factors = factored_form(call.module, call.inputs, g, n)
        if factors is None:
            return None
        factors.shared = len(factors.output_gradients) == 1 and call.top
        each.append(factors)
    return join_calls(each) if each else None


def _add(sums: dict[str, Tensor], layer: PlannedLayer, calls: CallGradients, n: int) -> None:
    """Add a layer's gradients to those of the same parameters: sums first, products later."""
    for call, g in calls:
        for name, gradient in named_gradients(layer, call, g, n).items():
            every = gradient.expand(n, *gradient.shape[1:])
            sums[name] = sums[name] + every if name in sums else every


def named_gradients(layer: PlannedLayer, call: Call, g: Tensor, n: int) -> dict[str, Tensor]:
    """Parameter's name → what a call adds to its gradients: [n, R, …]."""
    each = gradients_of_parameters(call.module, call.inputs, g, n)
    if isinstance(call, Use):
        return call.named(each)
    return {layer.learns[attr]: gradient for attr, gradient in each.items()}


def _sum_of(
    sums: dict[str, Tensor], layer: PlannedLayer, n: int, output_vectors: Tensor
) -> PerSampleGradients:
    """A layer's share of the sums; zero where the outputs do not depend on it."""
    own = [sums[name].flatten(2) for name in layer.owns if name in sums]
    zero = output_vectors.new_zeros(n, len(output_vectors), 1)
    return PerSampleGradients(torch.cat(own, 2) if own else zero)
