"""Every formula and way of back-propagation is compared with autograd before it is trusted.

A layer whose weight is also used elsewhere, whose batch axis is not the first, or that is called in
some way of its own gives another gradient than autograd, and is left to the fallback: slower, and
right. The fallback's mapping over samples is compared with autograd too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.backpropagation import Recorded, Sequential
from ntkscope.ntk.empirical.gradients.autograd import autograd_gradients
from ntkscope.ntk.empirical.gradients.hooks import Call
from ntkscope.ntk.empirical.gradients.registry import gradients_of_parameters, is_foreign
from ntkscope.ntk.empirical.layer_gradients import CallGradients, forward_backward
from ntkscope.ntk.empirical.plan import Plan, PlannedLayer
from ntkscope.ntk.empirical.validation import beyond_rounding, differ

Named = dict[str, Tensor]  # parameter's name → gradient
_WEIGHTS = (1.0, 3.0)  # of the probe's samples in one sum: two errors would have to cancel in it


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
    contradicted = _contradicted(plan, found, len(probe), expected)
    for layer in plan.known:
        layer.rejected = layer.rule is not None and bool(contradicted & set(layer.learns.values()))
    wrong = contradicted | set(plan.fallback_parameters)
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
        if collapsed is not None and _agree(forward_backward(plan, probe, vector), found):
            return found, collapsed
        plan.backpropagation = recorded
    return found, set()


def _agree(these: dict[str, CallGradients], those: dict[str, CallGradients]) -> bool:
    """Whether two ways give the same output gradients, to rounding."""
    return not any(
        differ(g, h)
        for name in those
        for (_, g), (_, h) in zip(these[name], those[name], strict=True)
    )


def _collapsed(plan: Plan, probe: Tensor) -> set[str] | None:
    """Layers of which one output vector stands for all; None if it does not for one of them.

    Σ_r g_r(x)[p] g_r(x')[q] has to be g(x)[p] g(x')[q] of the one, at any positions p, q of a unit:
    compared at x' = x, q = p, and with samples and positions in reverse.
    """
    if plan.pairs != "trace" or len(plan.output_vectors) == 1:
        return set()
    two = plan.output_vectors[:2]  # what the others do is the same
    every = forward_backward(plan, probe, two)
    found = set()
    for name, calls in forward_backward(plan, probe, two, trace=True).items():
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
    """Of ⟨v, f(x)⟩ by autograd, summed over the samples with their weights."""
    named = dict(model.named_parameters())
    names = [name for layer in plan.layers for name in layer.owns]
    with torch.enable_grad():
        y = model(probe)
    if not y.requires_grad:
        return {name: torch.zeros_like(named[name]) for name in names}
    found = torch.autograd.grad(
        y,
        [named[n] for n in names],
        torch.cat([weight * vector for weight in _WEIGHTS[: len(y)]]),
        allow_unused=True,
        materialize_grads=True,
    )
    return dict(zip(names, found, strict=True))


def _weighted(gradients: Tensor, n: int) -> Tensor:
    """The sum over samples, of [n, …] or [1, …] where all have the same."""
    if len(gradients) == 1:
        return gradients[0] * sum(_WEIGHTS[:n])
    found = gradients[0] * _WEIGHTS[0]
    return found.add_(gradients[1], alpha=_WEIGHTS[1])


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
    """Weighted sums of each parameter's; empty where the formula does not fit, or mixes outputs.

    Raises:
        ModelError: a formula of the user's own fails in another way than by shapes that do not fit.
    """
    try:
        each = gradients_of_parameters(call.module, call.inputs, g, n)
        if is_foreign(call.module):
            two = torch.cat([g, -2 * g], 1)
            again = gradients_of_parameters(call.module, call.inputs, two, n)
            for name, gradient in each.items():
                if differ(again[name], torch.cat([gradient, -2 * gradient], 1)):
                    return {}
        found = {layer.learns[attr]: _weighted(value[:, 0], n) for attr, value in each.items()}
    except (RuntimeError, ValueError, IndexError):
        return {}
    except Exception as error:
        if not is_foreign(call.module):
            raise
        raise ModelError(
            f"the formula registered for {type(call.module).__name__} fails: {error!r}",
            where=f"layer {layer.name or '(model)'}",
            remedy="mend it; `help(ntkscope.register_layer)` says what it is given and gives",
        ) from error
    fits = all(len(value) in (1, n) for value in each.values())
    return found if fits and all(g.shape == like[k].shape for k, g in found.items()) else {}


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
        differ(_weighted(found[name][:, 0].flip(0), len(probe)), expected[name].flatten())
        for name in plan.fallback_parameters
    )
