"""Every formula and way of back-propagation is held against autograd before it is trusted.

A layer whose weight is also used elsewhere, whose batch axis is not the first, or that is called in
some way of its own gives another gradient than autograd, and is left to the fallback: slower, and
right. The fallback's mapping over samples is held against autograd too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ntkscope.ntk.empirical.backpropagation import Recorded, Sequential
from ntkscope.ntk.empirical.gradients.autograd import autograd_gradients
from ntkscope.ntk.empirical.gradients.hooks import Call
from ntkscope.ntk.empirical.gradients.registry import gradients_of_parameters
from ntkscope.ntk.empirical.layer_gradients import CallGradients, forward_backward
from ntkscope.ntk.empirical.plan import Plan, PlannedLayer
from ntkscope.ntk.empirical.validation import beyond_rounding, differ

Named = dict[str, Tensor]  # parameter's name → gradient [n, …]


def choose_backpropagation(
    model: nn.Module, plan: Plan, probe: Tensor
) -> tuple[dict[str, CallGradients], set[str]]:
    """Give the plan the fastest way to its output gradients that autograd confirms.

    Layers that autograd contradicts go to the fallback, and all that share parameters with them.

    Args:
        model: of the plan.
        plan: of which `backpropagation`, the layers' strategies, `tied` and `vmap_safe` are set.
        probe: samples.

    Returns:
        Layer's name → its calls and their output gradients [B, 1, …] on the probe, recorded;
        and the names of layers of which one output vector stands for all.
    """
    vector = _random_output_vector(plan)
    expected = _true_gradients(model, plan, probe, vector)
    plan.backpropagation = Recorded(model, plan.tuning)
    found = forward_backward(plan, probe, vector)
    wrong = _contradicted(plan, found, len(probe), expected) | set(plan.fallback_parameters)
    while caught := [layer for layer in plan.known if wrong & set(layer.learns.values())]:
        for layer in caught:
            layer.strategy = "fallback"
            wrong |= set(layer.learns.values())
    users = [name for layer in plan.known for name in layer.learns.values()]
    plan.tied = {name for name in users if users.count(name) > 1}
    if plan.fallback_parameters:
        plan.vmap_safe = _may_be_mapped(model, plan, probe, vector, expected)
    elif not plan.tied and (way := Sequential.of(model, probe, plan.tuning)) is not None:
        recorded, plan.backpropagation = plan.backpropagation, way
        collapsed = _collapsed(plan, probe)
        again = forward_backward(plan, probe, vector)
        if collapsed is not None and not _contradicted(plan, again, len(probe), expected):
            return found, collapsed
        plan.backpropagation = recorded
    return found, set()


def _collapsed(plan: Plan, probe: Tensor) -> set[str] | None:
    """Layers of which one output vector stands for all; None if it does not for one of them.

    Σ_r g_r(x)[p] g_r(x')[q] has to be g(x)[p] g(x')[q] of the one, at any positions p, q of a unit:
    held against each other at x' = x, q = p, and with samples and positions in reverse.
    """
    if plan.pairs != "trace" or len(plan.output_vectors) == 1:
        return set()
    every = forward_backward(plan, probe, plan.output_vectors)
    found = set()
    for name, calls in forward_backward(plan, probe, plan.output_vectors, trace=True).items():
        for (_, one), (_, g) in zip(calls, every[name], strict=True):
            if one.shape[1] == 1:
                found.add(name)
                for axes in ((), (0, *range(3, g.ndim))):
                    if differ((one * one.flip(axes)).sum(1), (g * g.flip(axes)).sum(1)):
                        return None
    return found


def _random_output_vector(plan: Plan) -> Tensor:
    """[1, K], which depends on nothing but K."""
    generator = torch.Generator().manual_seed(0)
    size = plan.output_vectors.shape[1]
    return torch.randn(1, size, generator=generator).to(plan.output_vectors)


def _true_gradients(model: nn.Module, plan: Plan, probe: Tensor, vector: Tensor) -> Named:
    """Of each sample's output by autograd: name → [n, shape of the parameter]."""
    named = dict(model.named_parameters())
    names = [name for layer in plan.layers for name in layer.owns]
    with torch.enable_grad():
        y = model(probe)
    if not y.requires_grad:
        return {name: named[name].new_zeros(len(probe), *named[name].shape) for name in names}
    each = [
        torch.autograd.grad(
            y,
            [named[n] for n in names],
            torch.zeros_like(y).index_copy_(0, torch.tensor([i], device=y.device), vector),
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        for i in range(len(probe))
    ]
    return {
        name: torch.stack(column)
        for name, column in zip(names, zip(*each, strict=True), strict=True)
    }


def _contradicted(
    plan: Plan, output_gradients: dict[str, CallGradients], n: int, expected: Named
) -> set[str]:
    """Parameters of layers whose gradients of any sample are not autograd's."""
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
    """[n, …] of each parameter; empty where the formula does not fit, or mixes output vectors."""
    try:
        two = torch.cat([g, -2 * g], 1)
        each = gradients_of_parameters(call.module, call.inputs, two, n)
        if any(differ(gradient[:, 1], -2 * gradient[:, 0]) for gradient in each.values()):
            return {}
    except (RuntimeError, ValueError, IndexError):
        return {}
    found = {layer.learns[attr]: gradient[:, 0] for attr, gradient in each.items()}
    return found if all(g.shape[1:] == like[name].shape[1:] for name, g in found.items()) else {}


def _differing(layer: PlannedLayer, found: Named, expected: Named) -> set[str]:
    """A layer's parameters together: the gradient of one may be nothing but rounding."""
    names = set(layer.learns.values())
    errors = [(found.get(name, 0) - expected[name]).abs().max() for name in names]
    scales = [expected[name].abs().max() for name in names]
    return names if beyond_rounding(max(errors), max(scales)) else set()


def _may_be_mapped(
    model: nn.Module, plan: Plan, probe: Tensor, vector: Tensor, expected: Named
) -> bool:
    """Whether vmap has the gradients right; of embeddings it pads the first sample's only."""
    layers = [layer.module for layer in plan.layers if layer.strategy == "fallback"]
    if any(getattr(module, "padding_idx", None) is not None for module in layers):
        return False
    try:
        found = autograd_gradients(model, plan.fallback_parameters, probe.flip(0), vector)
    except (RuntimeError, ValueError):
        return False
    return not any(
        differ(found[n][-1, 0], expected[n][0].flatten()) for n in plan.fallback_parameters
    )
