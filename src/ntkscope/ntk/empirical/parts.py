"""Modules whose parameters are captured by their uses, in parts that have a formula each."""

from __future__ import annotations

from dataclasses import replace

from ntkscope.ntk.empirical.gradients.registry import is_factored
from ntkscope.ntk.empirical.gradients.uses import Use
from ntkscope.ntk.empirical.layer_gradients import CallGradients
from ntkscope.ntk.empirical.plan import Plan, PlannedLayer


def with_parts(plan: Plan, calls: dict[str, CallGradients]) -> dict[str, CallGradients]:
    """Set a plan's layers and `tied`: parameters that are used together are one.

    Args:
        plan: whose layers are modules.
        calls: layer's name → its calls in a pass.

    Returns:
        The same for the layers as they are now.
    """
    found, layers = {}, []
    plan.tied = set()
    for layer in plan.layers:
        mine = calls.get(layer.name, [])
        groups = _groups(layer, mine) if layer.by_use else [set(layer.learns.values())]
        for group in groups:
            part = layer if len(groups) == 1 else _part(layer, group)
            layers.append(part)
            found[part.name] = [each for each in mine if group & _names(each[0], layer)]
            if layer.by_use and not _is_one_map(group, found[part.name]):
                plan.tied |= group
    plan.layers = layers
    users = [name for layer in plan.known for name in layer.learns.values()]
    plan.tied |= {name for name in users if users.count(name) > 1}
    return {layer.name: found[layer.name] for layer in plan.known}


def _names(call: object, layer: PlannedLayer) -> set[str]:
    return set(call.parameters) if isinstance(call, Use) else set(layer.learns.values())


def _groups(layer: PlannedLayer, calls: CallGradients) -> list[set[str]]:
    """The layer's parameters: those that meet in a call together."""
    groups: list[set[str]] = [{name} for name in layer.learns.values()]
    for call, _ in calls:
        names = _names(call, layer)
        met = [group for group in groups if group & names]
        if met:
            groups = [group for group in groups if group not in met] + [set().union(*met)]
    order = list(layer.learns.values())
    return sorted(groups, key=lambda group: min(map(order.index, group)))


def _part(layer: PlannedLayer, group: set[str]) -> PlannedLayer:
    learns = {attr: name for attr, name in layer.learns.items() if name in group}
    owns = [name for name in layer.owns if name in group]
    return replace(layer, learns=learns, owns=owns, part=next(iter(learns.values())))


def _is_one_map(group: set[str], calls: CallGradients) -> bool:
    """Whether all calls are of one linear map, whose weight and bias are these parameters."""
    maps = []
    for call, _ in calls:
        whole = call.whole() if isinstance(call, Use) else None
        if whole is None or set(whole.values()) != group or not is_factored(call.module):
            return False
        orders = [call.weights[attr].stride() for attr in whole]  # type: ignore[attr-defined]
        maps.append((type(call.module), whole, orders))
    return bool(maps) and all(each == maps[0] for each in maps)
