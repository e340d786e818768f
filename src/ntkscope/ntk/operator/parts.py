"""What an operator is the sum of: layers with a formula, and all other parameters.

Where torch's function transforms do not fit a model (recurrent kernels, autograd Functions of one's
own, parameters of several dtypes), or are contradicted by plain autograd on two samples, every
parameter's gradients are made one sample at a time, and multiplied as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ntkscope.ntk.empirical.gradients.one_at_a_time import gradients_one_at_a_time
from ntkscope.ntk.empirical.last_resort import is_of_one_dtype, one_at_a_time
from ntkscope.ntk.empirical.plan import Plan
from ntkscope.ntk.empirical.planner import probe_of
from ntkscope.ntk.empirical.validation import differ
from ntkscope.ntk.operator.autograd_jacobian import (
    AutogradPart,
    jacobian_vector,
    vector_jacobian,
)
from ntkscope.ntk.operator.budget import by_formula, choose, other_parameters
from ntkscope.ntk.operator.known_layers import LayerPart

Part = LayerPart | AutogradPart


@dataclass(frozen=True)
class Request:
    """What an operator is made for.

    Attributes:
        rows, columns: inputs [N, …], [M, …].
        memory: budget, in bytes or as text; None: a quarter of what is free.
        chunk: samples in one pass, at most.
        sums: dtype of sums over samples.
    """

    rows: Tensor
    columns: Tensor
    memory: int | str | None
    chunk: int | None
    sums: torch.dtype

    @property
    def swapped(self) -> Request:
        """Of the transpose."""
        return replace(self, rows=self.columns, columns=self.rows)

    @property
    def sides(self) -> tuple[Tensor, Tensor | None]:
        """Rows, and columns where they are others."""
        return self.rows, None if self.columns is self.rows else self.columns

    @property
    def probe(self) -> Tensor:
        """Two samples, or the only one."""
        return probe_of(self.rows, self.columns)

    @property
    def samples(self) -> int:
        """Rows and columns together; once, where they are the same."""
        return len(self.rows) + (0 if self.rows is self.columns else len(self.columns))


def fast_parts(plan: Plan, request: Request) -> tuple[list[Part], int]:
    """Layers by their formula, all others by function transforms; and vectors at once.

    Raises:
        ModelError: too little memory.
        RuntimeError: the transforms do not fit the model, or are contradicted.
    """
    model, probe = plan.model, request.probe
    if not is_of_one_dtype(model):
        raise RuntimeError("parameters of several dtypes, or complex ones")
    formula = by_formula(model, plan, probe)
    others = other_parameters(plan, formula.layers)
    blocking = choose(model, formula, others, probe, request.samples, request.memory, request.chunk)
    layers = LayerPart(model, formula, request.rows, request.columns, blocking.chunk, request.sums)
    if blocking.hold:
        layers.hold()
    elif plan.full:  # one pass for each vector is cheaper than K passes each time
        layers.plan, others = replace(formula, layers=[]), other_parameters(plan, [])
    parts: list[Part] = [layers] if layers.plan.layers else []
    if others:
        part = AutogradPart(
            model,
            others,
            plan.output_vectors,
            plan.full,
            request.rows,
            request.columns,
            blocking.chunk,
            request.sums,
        )
        _confirm(part, probe)
        parts.append(part)
    return parts, blocking.vectors


def slow_parts(plan: Plan, request: Request) -> tuple[list[Part], int]:
    """All parameters, one sample at a time; and vectors at once.

    Raises:
        ModelError: too little memory.
    """
    slow = one_at_a_time(plan)
    slow.layers = [layer for layer in slow.layers if layer.owns]
    model = plan.model
    blocking = choose(
        model, slow, [], request.probe, request.samples, request.memory, request.chunk
    )
    part = LayerPart(model, slow, request.rows, request.columns, blocking.chunk, request.sums)
    if blocking.hold:
        part.hold()
    return [part], blocking.vectors


def _confirm(part: AutogradPart, probe: Tensor) -> None:
    """Both products of a random output vector with the Jacobian, against plain autograd's.

    Raises:
        RuntimeError: they differ.
    """
    model, names, K = part.model, part.names, part.output_vectors.shape[1]
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(1, K, generator=generator).to(part.output_vectors)
    each = gradients_one_at_a_time(model, names, probe, vector)
    weights = torch.arange(1, len(probe) + 1).to(vector)
    cotangents = (weights[:, None] * vector).unsqueeze(0)
    back = vector_jacobian(model, names, probe, cotangents)
    forth = jacobian_vector(model, names, probe, back, K)[0] @ vector[0]
    expected = {n: (weights[:, None] * each[n][:, 0]).sum(0) for n in names}
    along = torch.stack([each[n][:, 0] @ back[n].flatten() for n in names]).sum(0)
    flat = [torch.cat([t[n].flatten() for n in names]) for t in (back, expected)]
    if differ(*flat) or differ(forth, along):
        raise RuntimeError("function transforms are contradicted by plain autograd")
