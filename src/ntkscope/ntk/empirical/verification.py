"""Every formula and way of back-propagation is compared with autograd before it is trusted.

A layer whose weight is also used elsewhere, whose batch axis is not the first, or that is called in
some way of its own gives another gradient than autograd, and is left to the fallback: slower, and
right. The fallback's mapping over samples is compared with autograd too. What is compared are
the gradients of each of some samples (`evidence`), not sums of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.backpropagation import Recorded, Sequential
from ntkscope.ntk.empirical.evidence import Evidence, largest
from ntkscope.ntk.empirical.gradients.autograd import autograd_gradients
from ntkscope.ntk.empirical.gradients.graph import UsedElsewhereError
from ntkscope.ntk.empirical.gradients.hooks import Call
from ntkscope.ntk.empirical.gradients.registry import gradients_of_parameters, is_foreign
from ntkscope.ntk.empirical.gradients.uses import UnknownUseError, Use
from ntkscope.ntk.empirical.last_resort import is_of_the_way
from ntkscope.ntk.empirical.layer_gradients import CallGradients, forward_backward, named_gradients
from ntkscope.ntk.empirical.parts import with_parts
from ntkscope.ntk.empirical.plan import Plan, PlannedLayer
from ntkscope.ntk.empirical.rounding import same_rows
from ntkscope.ntk.empirical.truth import Named


def choose_backpropagation(
    model: nn.Module, plan: Plan, evidence: Evidence, *, uses: bool
) -> tuple[dict[str, CallGradients], set[str]]:
    """Give the plan the fastest way to its output gradients that autograd confirms.

    Of layers that are not known, or that autograd contradicts, the parameters are captured where
    they are used. If autograd contradicts that too, they go to the fallback, and all layers that
    share parameters with them.
    `plan.in_doubt` says whether a difference was small enough to be rounding, and too large to be
    let through.

    Args:
        model: of the plan.
        plan: of which `backpropagation`, the layers' strategies, `tied` and `vmap_safe`
            are set, and layers of which only parts are known.
        evidence: samples with their gradients.
        uses: whether parameters of layers that are not known may be captured where they are used.

    Returns:
        Layer's name → its calls and their output gradients [B, 1, …] on the samples, recorded;
        and the names of layers of which one output vector stands for all.
    """
    x, vector = evidence.x, evidence.vector
    sequential = Sequential.of(model, x, plan.tuning)
    proven = sequential is not None
    if uses:
        _capture(layer for layer in plan.layers if layer.strategy == "fallback")
    found = _pass(plan, evidence, uses=uses)
    wrong = _contradicted(plan, found, evidence, proven=proven)
    for layer in plan.known:
        layer.rejected = layer.rule is not None and bool(wrong & set(layer.learns.values()))
    others = [layer for layer in _sharing(plan, wrong) if not layer.by_use]
    if others and uses:
        _capture(others)
        found = _pass(plan, evidence, uses=uses)
        wrong = _contradicted(plan, found, evidence, proven=proven)
    wrong |= set(plan.fallback_parameters)
    if caught := _sharing(plan, wrong):
        for layer in caught:
            layer.strategy, layer.by_use = "fallback", False
        found = _pass(plan, evidence, uses=uses)
    found = with_parts(plan, found)
    if plan.fallback_parameters:
        plan.vmap_safe = _may_be_mapped(model, plan, evidence)
    elif not plan.tied and not plan.captures and sequential is not None:
        recorded, plan.backpropagation = plan.backpropagation, sequential
        collapsed = _collapsed(plan, x)
        if collapsed is not None and _agree(plan, forward_backward(plan, x, vector), found):
            return found, collapsed
        plan.backpropagation = recorded
    return found, set()


def _capture(layers: Iterable[PlannedLayer]) -> None:
    for layer in layers:
        layer.strategy, layer.by_use = "materialised", True


def _sharing(plan: Plan, names: set[str]) -> list[PlannedLayer]:
    """Known layers with any of these parameters, or that share others with such a layer."""
    names, found = set(names), []
    left = plan.known
    while caught := [layer for layer in left if names & set(layer.learns.values())]:
        left = [layer for layer in left if not names & set(layer.learns.values())]
        names.update(*(layer.learns.values() for layer in caught))
        found += caught
    return found


def _pass(plan: Plan, evidence: Evidence, *, uses: bool) -> dict[str, CallGradients]:
    """The calls and uses of all known layers; those that cannot be recorded are known no longer."""
    while True:
        used = {n for layer in plan.known if layer.by_use for n in layer.learns.values()}
        plan.backpropagation, plan.order = Recorded(plan.model, plan.tuning, frozenset(used)), None
        try:
            found = forward_backward(plan, evidence.x, evidence.vector)
        except UsedElsewhereError as error:
            _give_up(plan, error.parameters, uses=uses)
            continue
        except UnknownUseError as error:
            unknown = error.names & used
        except Exception as error:
            if not (used and is_of_the_way(error)):
                raise
            unknown = used
        else:
            return found
        for layer in plan.known:
            if layer.by_use and unknown & set(layer.learns.values()):
                layer.strategy, layer.by_use = "fallback", False


def _give_up(plan: Plan, parameters: Set[int], *, uses: bool) -> None:
    """Of layers whose parameters are used elsewhere too, capture these, or leave them."""
    named = plan.model.named_parameters()
    for layer in _sharing(plan, {name for name, p in named if id(p) in parameters}):
        layer.strategy, layer.by_use = ("materialised", True) if uses else ("fallback", False)


def _agree(plan: Plan, these: dict[str, CallGradients], those: dict[str, CallGradients]) -> bool:
    """Whether two ways give the same output gradients, to rounding."""
    return all(
        _same(plan, g.expand_as(h) if g.shape[1:] == h.shape[1:] else g, h)
        for name in those
        for (_, g), (_, h) in zip(these[name], those[name], strict=True)
    )


def _same(plan: Plan, found: Tensor, expected: Tensor) -> bool:
    same, doubt = same_rows(found, expected, plan.rounding)
    plan.in_doubt |= not same and doubt
    return same


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
                    if not _same(plan, (one * one.flip(axes)).sum(1), (g * g.flip(axes)).sum(1)):
                        return None
    return found


def _contradicted(
    plan: Plan, output_gradients: dict[str, CallGradients], evidence: Evidence, *, proven: bool
) -> set[str]:
    """Parameters of layers whose gradients are not autograd's, for any sample, or unknown.

    proven: the layers are known classes one after another: no gradient need be known.
    """
    n = len(evidence.x)
    found: Named = {}
    wrong: set[str] = set()
    for layer in plan.known:
        calls = output_gradients[layer.name]
        if any(len(call.inputs) % n for call, _ in calls):
            wrong |= set(layer.learns.values())
        for call, g in calls:
            each = _attempt(layer, call, g, evidence)
            if not each:
                wrong |= set(layer.learns.values())
                wrong |= set(call.parameters) if isinstance(call, Use) else set()
            for name, gradient in each.items():
                found[name] = found[name] + gradient if name in found else gradient
    if not (evidence.informative or proven):
        return {name for layer in plan.known for name in layer.learns.values()}
    return wrong.union(*(_differing(plan, layer, found, evidence, proven) for layer in plan.known))


def _attempt(layer: PlannedLayer, call: Call, g: Tensor, evidence: Evidence) -> Named:
    """Each parameter's [n, …]; empty where the formula does not fit, or mixes outputs.

    Raises:
        ModelError: a formula of the user's own fails in another way than by shapes that do not fit.
    """
    n, like = len(evidence.x), evidence.gradients[0]
    try:
        if is_foreign(call.module):
            each = gradients_of_parameters(call.module, call.inputs, g, n)
            two = torch.cat([g, -2 * g], 1)
            again = gradients_of_parameters(call.module, call.inputs, two, n)
            for name, gradient in each.items():
                both = torch.cat([gradient, -2 * gradient], 1)
                if again[name].shape != both.shape or not torch.allclose(
                    again[name], both, rtol=1e-4, atol=1e-4 * float(both.abs().max())
                ):
                    return {}
        found = named_gradients(layer, call, g, n)
    except (RuntimeError, ValueError, IndexError):
        return {}
    except Exception as error:
        if isinstance(call, Use):
            return {}
        if not is_foreign(call.module):
            raise
        raise ModelError(
            f"the formula registered for {type(call.module).__name__} fails: {error!r}",
            where=f"layer {layer.name or '(model)'}",
            remedy="mend it; `help(ntkscope.register_layer)` says what it is given and gives",
        ) from error
    if any(len(value) not in (1, n) for value in found.values()):
        return {}
    if any(value.shape[2:] != like[name].shape for name, value in found.items() if name in like):
        return {}
    return {name: value[:, 0].expand(n, *value.shape[2:]) for name, value in found.items()}


def _differing(
    plan: Plan, layer: PlannedLayer, found: Named, evidence: Evidence, proven: bool
) -> set[str]:
    """A layer's parameters together: the gradient of one may be nothing but rounding.

    Where all are zero nothing is known of the layer, and it counts as differing.
    """
    names = set(layer.learns.values())
    known = proven
    for i, expected in enumerate(evidence.gradients):
        error = largest([(found[n][i] if n in found else 0) - expected[n] for n in names])
        scale = largest([expected[n] for n in names])
        beside = largest(list(expected.values()))
        if not bool(beside.isfinite()):
            continue
        known |= bool(scale > 0)
        if not plan.rounding.allows(error, scale, beside):
            plan.in_doubt |= plan.rounding.doubts(error, scale)
            return names
    return set() if known else names


def _may_be_mapped(model: nn.Module, plan: Plan, evidence: Evidence) -> bool:
    """Whether vmap has the gradients right; of embeddings it pads the first sample's only."""
    layers = [layer.module for layer in plan.layers if layer.strategy == "fallback"]
    if any(getattr(module, "padding_idx", None) is not None for module in layers):
        return False
    names = plan.fallback_parameters
    try:
        x = evidence.x.flip(0)
        found = autograd_gradients(model, names, x.clone(), evidence.vector)
    except (RuntimeError, ValueError):
        return False
    expected = torch.stack([_flat(g, names) for g in evidence.gradients])
    return _same(plan, torch.cat([found[name][:, 0].flip(0) for name in names], 1), expected)


def _flat(gradients: Named, names: list[str]) -> Tensor:
    return torch.cat([gradients[name].flatten() for name in names])
