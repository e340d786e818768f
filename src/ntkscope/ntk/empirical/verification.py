"""Every formula is held against autograd on the first two samples before it is trusted.

A layer whose weight is also used elsewhere, whose batch axis is not the first, or that is called in
some way of its own gives another gradient than autograd, and is moved to the fallback: slower, and
right. The fallback's mapping over samples is held against autograd too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ntkscope.ntk.empirical.gradients.autograd import autograd_gradients
from ntkscope.ntk.empirical.gradients.hooks import Call, backpropagate, record
from ntkscope.ntk.empirical.gradients.layers import parameter_gradients
from ntkscope.ntk.empirical.layer_gradients import CallGradients, by_layer
from ntkscope.ntk.empirical.plan import Plan, PlannedLayer
from ntkscope.ntk.empirical.sequential.backward import sequential_passes
from ntkscope.ntk.empirical.sequential.recognise import sequential_layers
from ntkscope.ntk.empirical.validation import beyond_rounding, differ

Named = dict[str, Tensor]  # parameter's name → gradient


def trusted(model: nn.Module, plan: Plan, probe: Tensor) -> dict[str, CallGradients]:
    """What flows back to the known layers; those that autograd contradicts go to the fallback.

    So does all that shares parameters with them.

    Returns:
        Layer's name → its calls and what flows back [B, 1, …], for one cotangent of one sample.
    """
    output_vector = _random_output_vector(plan)
    y, calls = record(model, probe, [layer.module for layer in plan.known])
    with torch.enable_grad():
        first = y[:1]
    expected = _true_gradients(model, plan, first, output_vector)
    output_vectors = torch.stack(
        [output_vector, *(torch.zeros_like(output_vector) for _ in probe[1:])], 1
    )
    output_gradients = by_layer(plan.known, calls, backpropagate(y, calls, output_vectors))
    wrong = _contradicted(plan, output_gradients, len(probe), expected) | set(
        plan.fallback_parameters
    )
    while caught := [layer for layer in plan.known if wrong & set(layer.learns.values())]:
        for layer in caught:
            layer.strategy = "fallback"
            wrong |= set(layer.learns.values())
    if plan.fallback_parameters:
        plan.vmap_safe = _may_be_mapped(model, plan, probe, output_vector, expected)
    return output_gradients


def sequential_way(
    model: nn.Module, plan: Plan, probe: Tensor, output_gradients: dict[str, CallGradients]
) -> tuple[list[nn.Module] | None, set[str]]:
    """The steps of a straight model, if what they send back is what autograd does.

    Args:
        model, plan, probe: as for `trusted`.
        output_gradients: by `trusted`.

    Returns:
        The steps or None, and the names of layers of which one cotangent stands for all.
    """
    steps = None if plan.fallback_parameters or plan.tied else sequential_layers(model, probe)
    if steps is None:
        return None, set()
    wanted = {id(layer.module) for layer in plan.known}
    found = by_layer(
        plan.known,
        *sequential_passes(steps, probe, _random_output_vector(plan), wanted, summed=False),
    )
    for layer in plan.known:
        for (_, mine), (_, g) in zip(found[layer.name], output_gradients[layer.name], strict=True):
            if differ(mine[:1], g[:1]):
                return None, set()
    if plan.pairs != "trace" or len(plan.output_vectors) == 1:
        return steps, set()
    calls, flows = sequential_passes(steps, probe, plan.output_vectors, wanted, summed=True)
    collapsed = {id(c.module) for c, g in zip(calls, flows, strict=True) if g.shape[1] == 1}
    return steps, {layer.name for layer in plan.known if id(layer.module) in collapsed}


def _random_output_vector(plan: Plan) -> Tensor:
    """A cotangent [1, K] that depends on nothing but K."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, plan.output_vectors.shape[1], generator=generator).to(plan.output_vectors)


def _true_gradients(model: nn.Module, plan: Plan, first: Tensor, output_vector: Tensor) -> Named:
    """Of the first sample's output [1, K], by autograd."""
    named = dict(model.named_parameters())
    names = [name for layer in plan.layers for name in layer.owns]
    if not first.requires_grad:
        return {name: torch.zeros_like(named[name]) for name in names}
    found = torch.autograd.grad(
        first,
        [named[n] for n in names],
        output_vector,
        retain_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
    return dict(zip(names, found, strict=True))


def _contradicted(
    plan: Plan, output_gradients: dict[str, CallGradients], n: int, expected: Named
) -> set[str]:
    """Parameters of layers whose formulas err; the other sample's gradient has to be zero."""
    found: Named = {}
    wrong: set[str] = set()
    for layer in plan.known:
        for call, g in output_gradients[layer.name]:
            each = _attempt(layer, call, g, expected, n)
            wrong |= set() if each else set(layer.learns.values())
            for name, gradient in each.items():
                found[name] = found[name] + gradient if name in found else gradient
    return wrong.union(*(_differing(layer, found, expected) for layer in plan.known))


def _attempt(layer: PlannedLayer, call: Call, g: Tensor, like: Named, n: int) -> Named:
    """Empty where the layer was called on shapes that its formula does not fit."""
    try:
        each = parameter_gradients(call.module, call.inputs, g, n)
    except RuntimeError:
        return {}
    found = {layer.learns[attr]: gradient[:, 0] for attr, gradient in each.items()}
    return found if all(g.shape[1:] == like[name].shape for name, g in found.items()) else {}


def _differing(layer: PlannedLayer, found: Named, expected: Named) -> set[str]:
    """A layer's parameters together: the gradient of one may be nothing but rounding."""
    names = set(layer.learns.values())
    errors, scales = [], []
    for name in names:
        goal = expected[name]
        mine = found.get(name, goal.new_zeros(1, *goal.shape))
        errors += [(mine[0] - goal).abs().max(), *(other.abs().max() for other in mine[1:])]
        scales.append(goal.abs().max())
    return names if beyond_rounding(max(errors), max(scales)) else set()


def _may_be_mapped(
    model: nn.Module, plan: Plan, probe: Tensor, output_vector: Tensor, expected: Named
) -> bool:
    """Whether vmap has the gradients right; of embeddings it pads the first sample's only."""
    layers = [layer.module for layer in plan.layers if layer.strategy == "fallback"]
    if any(getattr(module, "padding_idx", None) is not None for module in layers):
        return False
    try:
        found = autograd_gradients(model, plan.fallback_parameters, probe.flip(0), output_vector)
    except (RuntimeError, ValueError):
        return False
    return not any(differ(found[n][-1, 0], expected[n].flatten()) for n in plan.fallback_parameters)
