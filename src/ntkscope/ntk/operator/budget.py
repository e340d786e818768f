"""How many samples and vectors at once, and whether gradients are kept, within memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.budget import free_bytes, parse_bytes, pass_bytes
from ntkscope.ntk.empirical.gradients.factors import bytes_per_sample
from ntkscope.ntk.empirical.layer_gradients import (
    factored_gradients,
    forward_backward,
    per_sample_gradients,
)
from ntkscope.ntk.empirical.plan import Plan, PlannedLayer


@dataclass
class ProductBlocking:
    """What is in hand at once.

    Attributes:
        chunk: samples in one pass.
        vectors: vectors in one product.
        hold: whether the gradients of all samples are kept.
    """

    chunk: int
    vectors: int
    hold: bool


def by_formula(model: nn.Module, plan: Plan, probe: Tensor) -> Plan:
    """The plan of the layers whose products have a formula.

    Layers that share parameters are left out. A convolution's gradients are made if they are
    smaller than the patches they are made of: a product with them is cheaper too.
    """
    output_gradients = forward_backward(
        plan, probe, plan.output_vectors, trace=plan.pairs == "trace"
    )
    layers = [layer for layer in plan.known if not plan.is_tied(layer)]
    chosen = []
    for layer in layers:
        products = factored_gradients(output_gradients[layer.name], len(probe))
        strategy = "structured"
        if products is not None and products.positions > 1:
            S, R, O = products.output_gradients.shape[2:]  # noqa: E741
            made, kept = R * O * products.width, S * (products.width + R * O)
            strategy = "materialised" if made <= kept else strategy
        chosen.append(replace(layer, strategy=strategy))
    return replace(plan, layers=chosen, tied=set())


def other_parameters(plan: Plan, layers: list[PlannedLayer]) -> list[str]:
    """Names of the trainable parameters that belong to none of `layers`."""
    covered = {name for layer in layers for name in layer.owns}
    return [name for layer in plan.layers for name in layer.owns if name not in covered]


def choose(
    model: nn.Module,
    formula: Plan,
    others: list[str],
    probe: Tensor,
    samples: int,
    memory: int | str | None,
    chunk: int | None,
) -> ProductBlocking:
    """ProductBlocking within a budget.

    Args:
        model: maps [N, …] to [N, K].
        formula: layers whose gradients are made.
        others: parameters without a formula.
        probe: two samples.
        samples: rows and columns together (once, where they are the same).
        memory: bytes or text; None: a quarter of what is free.
        chunk: samples in one pass, at most.

    Raises:
        ModelError: too little memory.
    """
    tuning = formula.tuning
    free = int(free_bytes(probe.device) * tuning.operator_free_share)
    budget = free if memory is None else parse_bytes(memory)
    R = len(formula.output_vectors)
    gradients = sum(
        bytes_per_sample(t) for t in per_sample_gradients(model, formula, probe).values()
    )
    each = _saved_bytes(model, probe) * (2 + R) // len(probe) + 2 * gradients
    named = dict(model.named_parameters())
    learning = others + [name for layer in formula.layers for name in layer.owns]
    direction = sum(named[n].numel() for n in learning) * formula.output_vectors.element_size()
    direction *= 2 if formula.full else R + 1
    if each + direction > budget:
        raise ModelError(
            f"one sample's gradients do not fit into memory = {memory!r}",
            where="memory",
            remedy=f"give at least {each + direction} bytes, or compute in float32",
        )
    hold = bool(formula.layers) and samples * gradients + direction + each <= 0.6 * budget
    room = budget - (samples * gradients if hold else 0)
    vectors = max(1, (room // 2) // direction)
    most = min(pass_bytes(probe.device, tuning), room - direction * vectors) // max(each, 1)
    return ProductBlocking(max(1, min(most, chunk or samples, samples)), vectors, hold)


def _saved_bytes(model: nn.Module, probe: Tensor) -> int:
    """What one forward pass keeps for the way back, without the parameters."""
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    found = {0: probe.nbytes}

    def pack(saved: Tensor) -> Tensor:
        if saved.untyped_storage().data_ptr() not in parameters:
            found[id(saved)] = saved.numel() * saved.element_size()
        return saved

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        model(probe.clone())
    return sum(found.values())
