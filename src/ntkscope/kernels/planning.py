"""Look at a model's first samples, and choose how each layer's kernel is taken."""

from __future__ import annotations

from torch import Tensor, nn

from ntkscope.kernels.conventions import cotangents
from ntkscope.kernels.features import layer_products, terms_of, there_and_back
from ntkscope.kernels.layers import is_known
from ntkscope.kernels.plan import Plan, learning_layers
from ntkscope.kernels.refusals import count_outputs
from ntkscope.kernels.strategies import cheapest
from ntkscope.kernels.terms import bytes_per_sample
from ntkscope.kernels.verification import distrust


def make_plan(
    model: nn.Module, x1: Tensor, x2: Tensor | None, kind: str, force: str | None = None
) -> Plan:
    """A plan for a model and all inputs of one shape.

    Args:
        model: maps [N, …] to [N, K].
        x1, x2: inputs, as of `engine.layer_ntks`; two of x1 are looked at.
        kind: trace, full or pseudo.
        force: a strategy to take wherever it is possible.

    Raises:
        ModelError: the kernel is not defined (`refusals`).
    """
    outputs = count_outputs(model, x1)
    like = next(p for p in model.parameters() if p.requires_grad)
    plan = Plan(learning_layers(model), cotangents(kind, outputs, like.detach()), kind == "full")
    for layer in plan.layers:
        if force == "fallback" or not is_known(layer.module):
            layer.strategy = "fallback"
    distrust(model, plan, x1[:2])
    users = [name for layer in plan.known for name in layer.learns.values()]
    plan.tied = {name for name in users if users.count(name) > 1}
    n, m = len(x1), 0 if x2 is None else len(x2)
    pairs = n * m if m else n * (n + 1) / 2
    _choose(model, plan, x1[:2], (pairs, n + m), force)
    return plan


def _choose(
    model: nn.Module, plan: Plan, probe: Tensor, size: tuple[float, int], force: str | None
) -> None:
    """Strategies, and the memory that the passes and the terms take."""
    returned = there_and_back(model, plan, probe, plan.starts)
    calls = [call for each in returned.values() for call, _ in each]
    n, R = len(probe), len(plan.starts)
    work = sum(2 * R * c.shape.numel() + 4 * c.inputs.numel() for c in calls) // n
    largest = 0
    for layer in plan.known:
        products = layer_products(returned[layer.name], n)
        if products is not None and not plan.is_tied(layer):
            layer.strategy = cheapest(products, *size, plan.full, force)
            largest = max(largest, products.inputs[0].numel())
    parameters = dict(model.named_parameters())
    work += sum(2 * R * parameters[name].numel() for name in plan.strays)
    plan.working_bytes = (work + largest) * plan.starts.element_size()
    plan.term_bytes = sum(bytes_per_sample(t) for t in terms_of(model, plan, probe).values())
