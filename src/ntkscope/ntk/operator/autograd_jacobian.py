"""Products with the Jacobian of any parameters of any model, by torch's function transforms.

Jᵀc is one backward pass. J t is the transpose of c ↦ Jᵀc, found by going backward through that pass
(Townsend 2017, "A new trick for calculating Jacobian vector products"). It costs what
forward-mode derivatives cost (1.1 to 1.25 times, measured), which some operations lack, such as
weight normalisation, and which torch 2.15 has wrong for an embedding's padding. No gradient of a
single sample is made. Used for what no layer's formula knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import vjp
from torch.nn.attention import SDPBackend, sdpa_kernel

from ntkscope.ntk.empirical.gradients.autograd import with_tensors, without_fused_attention

Named = dict[str, Tensor]


@dataclass
class AutogradPart:
    """The share of some parameters in a model's NTK.

    Attributes:
        model: maps [N, …] to [N, K].
        names: of the parameters.
        output_vectors: [R, K].
        full: whether output vectors are told apart.
        rows, columns: inputs [N, …], [M, …].
        chunk: samples in one pass.
        dtype: of sums over samples.
    """

    model: nn.Module
    names: list[str]
    output_vectors: Tensor
    full: bool
    rows: Tensor
    columns: Tensor
    chunk: int
    dtype: torch.dtype

    def swapped(self) -> AutogradPart:
        """The transpose."""
        return replace(self, rows=self.columns, columns=self.rows)

    def product(self, vectors: Tensor) -> Tensor:
        """[p, M] to [p, N], summed over output vectors, or [p, M, R] to [p, N, R] (full)."""
        direction: Named = {}
        parts = zip(self.columns.split(self.chunk), vectors.split(self.chunk, 1), strict=True)
        for x, some in parts:
            found = vector_jacobian(self.model, self.names, x, self._cotangents(some))
            for name, value in found.items():
                before = direction.get(name)
                direction[name] = value.to(self.dtype) if before is None else before.add_(value)
        tangents = {name: value.to(self.output_vectors.dtype) for name, value in direction.items()}
        each = [self._forth(x, tangents) for x in self.rows.split(self.chunk)]
        return torch.cat(each, 1)

    def _cotangents(self, vectors: Tensor) -> Tensor:
        """[p, n, K], or [p·R, n, K]: each vector along each start."""
        if self.full:
            return vectors
        return torch.einsum("pn,rk->prnk", vectors, self.output_vectors).flatten(0, 1)

    def _forth(self, x: Tensor, tangents: Named) -> Tensor:
        found = jacobian_vector(self.model, self.names, x, tangents, self.output_vectors.shape[1])
        if self.full:
            return found
        by_start = found.unflatten(0, (-1, len(self.output_vectors)))
        return torch.einsum("prnk,rk->pn", by_start, self.output_vectors)


def vector_jacobian(model: nn.Module, names: list[str], x: Tensor, cotangents: Tensor) -> Named:
    """Σ_n ∂⟨c_q(n), f(x_n)⟩/∂θ for every q.

    Args:
        model: maps [N, …] to [N, K].
        names: of its parameters θ.
        x: inputs [N, …].
        cotangents: c [q, N, K].

    Returns:
        name → [q, shape of the parameter].
    """
    with _differentiable_attention():
        back = vjp(lambda p: with_tensors(model, p, x), _values(model, names))[1]
        each = [back(c)[0] for c in cotangents]
    return {name: torch.stack([found[name] for found in each]) for name in names}


def jacobian_vector(
    model: nn.Module, names: list[str], x: Tensor, tangents: Named, outputs: int
) -> Tensor:
    """⟨∂f(x_n)/∂θ, t_q⟩ for every q: [q, N, K].

    Args:
        model, names, x: as of `vector_jacobian`.
        tangents: t, name → [q, shape of the parameter].
        outputs: K.
    """
    values = _values(model, names)
    with _differentiable_attention():
        back = vjp(lambda p: with_tensors(model, p, x), values)[1]
        start = values[names[0]].new_zeros(len(x), outputs)
        forth = vjp(lambda c: back(c)[0], start)[1]
        count = len(tangents[names[0]])
        each = [forth({name: t[q] for name, t in tangents.items()})[0] for q in range(count)]
    return torch.stack(each)


def _values(model: nn.Module, names: list[str]) -> Named:
    parameters = dict(model.named_parameters())
    return {name: parameters[name].detach() for name in names}


@contextmanager
def _differentiable_attention() -> Iterator[None]:
    """Fused attention has no second derivative; its inference path has none at all."""
    with without_fused_attention(), sdpa_kernel(SDPBackend.MATH):
        yield
