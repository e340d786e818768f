"""Every formula is held against autograd on the first two samples before it is trusted.

A layer whose weight is also used elsewhere, whose batch axis is not the first, or that is called in
some way of its own gives another gradient than autograd, and is moved to the fallback: slower, and
right. The fallback's mapping over samples is held against autograd too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ntkscope.kernels.fallback import any_gradients
from ntkscope.kernels.features import there_and_back
from ntkscope.kernels.layers import parameter_gradients
from ntkscope.kernels.plan import Layer, Plan
from ntkscope.kernels.recording import Call
from ntkscope.kernels.refusals import differ

Named = dict[str, Tensor]  # parameter's name → gradient


def distrust(model: nn.Module, plan: Plan, probe: Tensor) -> None:
    """Move to the fallback what autograd contradicts, and all that shares parameters with it."""
    start = _random_start(plan)
    expected = _true_gradients(model, plan, probe, start)
    wrong = _contradicted(model, plan, probe, start, expected) | set(plan.strays)
    while caught := [layer for layer in plan.known if wrong & set(layer.learns.values())]:
        for layer in caught:
            layer.strategy = "fallback"
            wrong |= set(layer.learns.values())
    if plan.strays:
        plan.mapped = _may_be_mapped(model, plan, probe, start, expected)


def _random_start(plan: Plan) -> Tensor:
    """A cotangent [1, K] that depends on nothing but K."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, plan.starts.shape[1], generator=generator).to(plan.starts)


def _true_gradients(model: nn.Module, plan: Plan, probe: Tensor, start: Tensor) -> Named:
    """Of the first sample's output, by autograd."""
    named = dict(model.named_parameters())
    names = [name for layer in plan.layers for name in layer.owns]
    with torch.enable_grad():
        first = model(probe)[:1]
    if not first.requires_grad:
        return {name: torch.zeros_like(named[name]) for name in names}
    found = torch.autograd.grad(
        first, [named[n] for n in names], start, allow_unused=True, materialize_grads=True
    )
    return dict(zip(names, found, strict=True))


def _contradicted(
    model: nn.Module, plan: Plan, probe: Tensor, start: Tensor, expected: Named
) -> set[str]:
    """Parameters of layers whose formulas err; the other sample's gradient has to be zero."""
    n = len(probe)
    starts = torch.stack([start, *(torch.zeros_like(start) for _ in range(n - 1))], 1)
    returned = there_and_back(model, plan, probe, starts)
    found = {name: g.new_zeros(n, *g.shape) for name, g in expected.items()}
    wrong: set[str] = set()
    for layer in plan.known:
        for call, g in returned[layer.name]:
            each = _attempt(layer, call, g, found, n)
            wrong |= set() if each else set(layer.learns.values())
            for name, gradient in each.items():
                found[name] = found[name] + gradient
    return wrong.union(*(_differing(layer, found, expected) for layer in plan.known))


def _attempt(layer: Layer, call: Call, g: Tensor, like: Named, n: int) -> Named:
    """Empty where the layer was called on shapes that its formula does not fit."""
    try:
        each = parameter_gradients(call.module, call.inputs, g, n)
    except RuntimeError:
        return {}
    found = {layer.learns[attr]: gradient[:, 0] for attr, gradient in each.items()}
    return found if all(g.shape == like[name].shape for name, g in found.items()) else {}


def _differing(layer: Layer, found: Named, expected: Named) -> set[str]:
    """A layer's parameters together: the gradient of one may be nothing but rounding."""
    names = set(layer.learns.values())
    goal = torch.cat([expected[n].flatten() for n in names])
    mine = torch.cat([found[n].flatten(1) for n in names], 1)
    return names if differ(mine, torch.stack([goal, *([goal * 0] * (len(mine) - 1))])) else set()


def _may_be_mapped(
    model: nn.Module, plan: Plan, probe: Tensor, start: Tensor, expected: Named
) -> bool:
    """Whether vmap has the gradients right; of embeddings it pads the first sample's only."""
    layers = [layer.module for layer in plan.layers if layer.strategy == "fallback"]
    if any(getattr(module, "padding_idx", None) is not None for module in layers):
        return False
    try:
        found = any_gradients(model, plan.strays, probe.flip(0), start)
    except (RuntimeError, ValueError):
        return False
    return not any(differ(found[n][-1, 0], expected[n].flatten()) for n in plan.strays)
