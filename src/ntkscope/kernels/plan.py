"""How a model's kernel will be taken: which layers are known, and the strategy of each.

Every formula is held against autograd on the first two samples before it is trusted. A layer whose
weight is also used elsewhere, whose batch axis is not the first, or that is called in some way of
its own fails, and its parameters go to the fallback: slower, and right.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ntkscope.kernels.conventions import cotangents
from ntkscope.kernels.fallback import any_gradients
from ntkscope.kernels.layers import is_known, outer_products, parameter_gradients
from ntkscope.kernels.materialised import materialise
from ntkscope.kernels.recording import Call, backpropagate, record
from ntkscope.kernels.refusals import count_outputs, differ
from ntkscope.kernels.strategies import cheapest
from ntkscope.kernels.terms import (
    Gradients,
    OuterProducts,
    Term,
    bytes_per_sample,
    join_calls,
)

Returned = list[tuple[Call, Tensor]]  # a layer's calls, and what flows back to each


@dataclass
class Layer:
    """A module with parameters of its own that learn.

    Attributes:
        name: in the model.
        module: itself.
        learns: attribute → name in `model.named_parameters()`, of the parameter's first owner.
        owns: those names that are first met here; the layer's kernel is of them.
        strategy: one of `strategies.STRATEGIES`.
    """

    name: str
    module: nn.Module
    learns: dict[str, str]
    owns: list[str]
    strategy: str = "materialised"


@dataclass
class Plan:
    """All layers, and what they need.

    Attributes:
        layers: in the model's order.
        starts: cotangents [R, K].
        full: whether all pairs of cotangents are wanted.
        tied: names of parameters that several known layers use.
        working_bytes: what a forward and backward pass takes for each sample, about.
        term_bytes: what a sample's terms take.
    """

    layers: list[Layer]
    starts: Tensor
    full: bool
    tied: set[str] = field(default_factory=set)
    working_bytes: int = 0
    term_bytes: int = 0

    @property
    def known(self) -> list[Layer]:
        """Layers with a formula of their own."""
        return [layer for layer in self.layers if layer.strategy != "fallback"]

    def strategy(self, name: str) -> str:
        """Of the layer of that name."""
        return next(layer.strategy for layer in self.layers if layer.name == name)


def make_plan(
    model: nn.Module, x: Tensor, kind: str, pairs: float, samples: int, force: str | None = None
) -> Plan:
    """Look at the first two samples and choose.

    Args:
        model: maps [N, …] to [N, K].
        x: inputs [N, …].
        kind: trace, full or pseudo.
        pairs, samples: how many the kernel is of.
        force: a strategy to take wherever it is possible.
    """
    outputs = count_outputs(model, x)
    like = next(p for p in model.parameters() if p.requires_grad)
    plan = Plan(_layers(model), cotangents(kind, outputs, like.detach()), kind == "full")
    probe = x[:2]
    for layer in plan.layers:
        if force == "fallback" or not is_known(layer.module):
            layer.strategy = "fallback"
    _distrust(model, plan, probe)
    users = [name for layer in plan.known for name in layer.learns.values()]
    plan.tied = {name for name in users if users.count(name) > 1}
    _choose(model, plan, probe, (pairs, samples), force)
    return plan


def _layers(model: nn.Module) -> list[Layer]:
    names = {id(p): name for name, p in model.named_parameters()}
    met: set[str] = set()
    found = []
    for name, module in model.named_modules():
        own = module.named_parameters(recurse=False)
        learns = {attr: names[id(p)] for attr, p in own if p.requires_grad}
        if learns:
            found.append(Layer(name, module, learns, [n for n in learns.values() if n not in met]))
            met |= set(learns.values())
    return found


def _distrust(model: nn.Module, plan: Plan, probe: Tensor) -> None:
    """Move to the fallback what autograd contradicts, and all that shares parameters with it."""
    wrong = _contradicted(model, plan, probe)
    wrong |= {n for layer in plan.layers if layer not in plan.known for n in layer.learns.values()}
    while True:
        caught = [layer for layer in plan.known if wrong & set(layer.learns.values())]
        if not caught:
            return
        for layer in caught:
            layer.strategy = "fallback"
            wrong |= set(layer.learns.values())


def _contradicted(model: nn.Module, plan: Plan, probe: Tensor) -> set[str]:
    """Parameters whose gradient of a random output of the first sample is not as autograd has it.

    Only the first sample's output is differentiated: the second's gradient must be zero.
    """
    parameters = dict(model.named_parameters())
    y, calls = record(model, probe, [layer.module for layer in plan.known])
    random = torch.Generator().manual_seed(0)
    weights = torch.randn(y.shape[1], generator=random, dtype=torch.float64)
    start = torch.zeros_like(y).unsqueeze(0)
    start[0, 0] = weights.to(y)
    returned = sort_calls(plan, calls, backpropagate(y, calls, start))
    names = sorted({name for layer in plan.known for name in layer.learns.values()})
    if not names or not y.requires_grad:
        return set()
    expected = torch.autograd.grad(
        y, [parameters[n] for n in names], start[0], allow_unused=True, materialize_grads=True
    )
    found = {name: torch.zeros_like(parameters[name]).unsqueeze(0) for name in names}
    wrong: set[str] = set()
    for layer in plan.known:
        for call, g in returned[layer.name]:
            each = _tried(call, g, len(probe))
            for attr, name in layer.learns.items():
                if each is None or each[attr].shape[2:] != parameters[name].shape:
                    wrong.add(name)
                else:
                    found[name] = found[name] + each[attr][:, 0]
    goal = dict(zip(names, expected, strict=True))
    for layer in plan.known:
        mine = set(layer.learns.values())
        if mine & wrong or _differ(mine, found, goal):
            wrong |= mine
    return wrong


def _differ(names: set[str], found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    """A layer's parameters together: one's gradient may be nothing but rounding."""
    first = [found[n][:1].flatten() for n in names]
    others = [found[n][1:].flatten() for n in names]
    goal = torch.cat([expected[n].flatten() for n in names])
    rest = torch.cat(others)
    return differ(torch.cat([*first, rest]), torch.cat([goal, torch.zeros_like(rest)]))


def _tried(call: Call, g: Tensor, n: int) -> dict[str, Tensor] | None:
    """None where the layer was called on shapes that its formula does not fit."""
    try:
        found = parameter_gradients(call.module, call.inputs, g, n)
    except RuntimeError:
        return None
    return found if all(len(t) == n for t in found.values()) else None


def sort_calls(
    plan: Plan, calls: list[Call], gradients: list[Tensor | None]
) -> dict[str, Returned]:
    """The calls of each known layer, with what flows back; calls without effect are left out."""
    found: dict[str, Returned] = {layer.name: [] for layer in plan.known}
    names = {id(layer.module): layer.name for layer in plan.known}
    for call, g in zip(calls, gradients, strict=True):
        if g is not None:
            found[names[id(call.module)]].append((call, g))
    return found


def _choose(
    model: nn.Module, plan: Plan, probe: Tensor, size: tuple[float, int], force: str | None
) -> None:
    """Strategies, and the memory that the passes and the terms take."""
    y, calls = record(model, probe, [layer.module for layer in plan.known])
    returned = sort_calls(plan, calls, backpropagate(y, calls, plan.starts))
    n, R = len(probe), len(plan.starts)
    work = sum(2 * R * c.shape.numel() + 4 * c.inputs.numel() for c in calls) // n
    largest = 0
    for layer in plan.known:
        term = _products(returned[layer.name], n)
        if term is None or plan.tied & set(layer.learns.values()):
            continue
        layer.strategy = cheapest(term, *size, plan.full, force)
        largest = max(largest, term.inputs[0].numel())
    parameters = dict(model.named_parameters())
    strays = [n for layer in plan.layers if layer.strategy == "fallback" for n in layer.owns]
    work += sum(2 * R * parameters[name].numel() for name in strays)
    plan.working_bytes = (work + largest) * plan.starts.element_size()
    plan.term_bytes = sum(bytes_per_sample(t) for t in terms_of(model, plan, probe).values())


def _products(returned: Returned, n: int) -> OuterProducts | None:
    """The outer products of all calls of a layer; None for layers without."""
    terms = []
    for call, g in returned:
        term = outer_products(call.module, call.inputs, g, n)
        if term is None:
            return None
        term.shared = call.top
        terms.append(term)
    return join_calls(terms) if terms else None


def terms_of(model: nn.Module, plan: Plan, x: Tensor) -> dict[str, Term]:
    """What each layer's kernel is made of, for one chunk of samples: layer name → term."""
    found: dict[str, Term] = {}
    y, calls = record(model, x, [layer.module for layer in plan.known])
    returned = sort_calls(plan, calls, backpropagate(y, calls, plan.starts))
    tied: dict[str, Tensor] = {}
    for layer in plan.known:
        if plan.tied & set(layer.learns.values()):
            _add(tied, layer, returned[layer.name], len(x))
            continue
        found[layer.name] = _term(plan, layer, returned[layer.name], len(x))
    strays = [n for layer in plan.layers if layer.strategy == "fallback" for n in layer.owns]
    if strays:
        tied |= any_gradients(model, strays, x, plan.starts)
    for layer in plan.layers:
        if layer.owns and layer.name not in found:
            parts = [tied[name].flatten(2) for name in layer.owns if name in tied]
            found[layer.name] = Gradients(torch.cat(parts, 2)) if parts else _nothing(plan, len(x))
    return found


def _nothing(plan: Plan, n: int) -> Gradients:
    """The term of a layer that the outputs do not depend on."""
    return Gradients(plan.starts.new_zeros(n, len(plan.starts), 1))


def _term(plan: Plan, layer: Layer, returned: Returned, n: int) -> Term:
    products = _products(returned, n)
    if products is not None:
        return materialise(products) if layer.strategy == "materialised" else products
    sums: dict[str, Tensor] = {}
    _add(sums, layer, returned, n)
    if not sums:
        return _nothing(plan, n)
    return Gradients(torch.cat([g.flatten(2) for g in sums.values()], 2))


def _add(sums: dict[str, Tensor], layer: Layer, returned: Returned, n: int) -> None:
    """Add a layer's gradients to those of the same parameters: sums first, products later."""
    for call, g in returned:
        for attr, gradient in parameter_gradients(call.module, call.inputs, g, n).items():
            name = layer.learns[attr]
            every = gradient.expand(n, *gradient.shape[1:])
            sums[name] = sums[name] + every if name in sums else every
