"""Products with the Jacobian of known layers, from their inputs and output gradients.

A layer's gradients are Σ_s g_s u_sᵀ (`factors`), so Jᵀv = Σ_n v_n Σ_s g_s u_sᵀ is one product of
matrices over all samples and positions, and J U another one: two products of the size of the
layer's own, where going through the network backward and forward takes four. All output gradients
are already there; only what depends on the vectors is done for each of them.

A vector is [N] for the kinds that sum over R output vectors (trace, pseudo): each is pulled back
along all R at once. It is [N, R] for the full NTK, where one direction belongs to all of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ntkscope.ntk.empirical.gradients.factors import (
    FactoredGradients,
    LayerGradients,
    PerSampleGradients,
)

Direction = list[Tensor]  # in the space of one layer's parameters, a row for each vector


def zero(gradients: LayerGradients, vectors: int, full: bool, dtype: torch.dtype) -> Direction:
    """Directions to add to: weight [p, groups, Q, D] and bias [p, groups, Q], or [p, 1, Q].

    Q counts the layer's outputs for each cotangent (once: full); the last form is that of
    gradients themselves.
    """
    if isinstance(gradients, PerSampleGradients):
        R, P = gradients.values.shape[1:]
        return [gradients.values.new_zeros(vectors, P if full else R * P, dtype=dtype)]
    groups, _, R, O = gradients.output_gradients.shape[1:]  # noqa: E741
    bias = gradients.output_gradients.new_zeros(vectors, groups, O if full else R * O, dtype=dtype)
    return [bias.new_zeros(*bias.shape, gradients.width), bias]


def pull(gradients: LayerGradients, vectors: Tensor, full: bool, into: Direction) -> None:
    """Add Jᵀv of every vector.

    Args:
        gradients: of n samples.
        vectors: [p, n], or [p, n, R] (full).
        full: whether output vectors are told apart.
        into: directions (`zero`).
    """
    if isinstance(gradients, PerSampleGradients):
        rows = gradients.values.flatten(0, 1) if full else gradients.values.flatten(1)
        into[0] += vectors.flatten(1) @ rows
        return
    weight, bias = into
    for group in range(weight.shape[1]):
        u = gradients.inputs[:, group].flatten(0, 1)
        for number, v in enumerate(vectors):
            g, factor = _cotangents(gradients, group, v, full)
            bias[number, group] += g.T @ factor
            _add_outer(weight[number, group], g, u, factor)


def push(gradients: LayerGradients, direction: Direction, full: bool) -> Tensor:
    """J U of every direction: [p, n], summed over output vectors, or [p, n, R] (full)."""
    if isinstance(gradients, PerSampleGradients):
        rows = gradients.values.flatten(0, 1) if full else gradients.values.flatten(1)
        found = direction[0].to(rows) @ rows.T
        return found.unflatten(1, gradients.values.shape[:2]) if full else found
    dtype = gradients.output_gradients.dtype
    return torch.stack(
        [
            _push_one(gradients, w.to(dtype), b.to(dtype), full)
            for w, b in zip(*direction, strict=True)
        ]
    )


def _cotangents(
    gradients: FactoredGradients, group: int, v: Tensor, full: bool
) -> tuple[Tensor, Tensor]:
    """What is sent back [n·S, Q], and the factor [n·S] of each row."""
    n, S = gradients.samples, gradients.positions
    g = gradients.output_gradients[:, group].expand(n, -1, -1, -1)
    if full:
        h = torch.einsum("nr,nsro->nso", v, g).flatten(0, 1)
        return h, torch.ones_like(h[:, 0])
    return g.reshape(n * S, -1), v.repeat_interleave(S)


def _add_outer(weight: Tensor, g: Tensor, u: Tensor, factor: Tensor) -> None:
    """Add Σ factor · g uᵀ to a weight [Q, D]; u [n·S, D], or [n·S] integers for one-hot rows."""
    if not u.is_floating_point():
        weight.index_add_(1, u, (g * factor.unsqueeze(1)).T.to(weight.dtype))
    elif weight.dtype == g.dtype:
        weight.addmm_(g.T, u * factor.unsqueeze(1))
    else:
        weight += g.T @ (u * factor.unsqueeze(1))


def _push_one(gradients: FactoredGradients, weight: Tensor, bias: Tensor, full: bool) -> Tensor:
    n, S, R = gradients.samples, gradients.positions, gradients.output_gradients.shape[3]
    found = weight.new_zeros((n, R) if full else (n,))
    for group in range(len(weight)):
        u = gradients.inputs[:, group].flatten(0, 1)
        g = gradients.output_gradients[:, group].expand(n, -1, -1, -1)
        offset = bias[group] * gradients.offset
        if full:
            z = _apply(weight[group], u) + offset
            found += torch.einsum("nso,nsro->nr", z.unflatten(0, (n, S)), g)
        else:
            rows = g.reshape(n * S, -1)
            found += (_inner(weight[group], rows, u) + rows @ offset).view(n, S).sum(1)
    return found


def _apply(weight: Tensor, u: Tensor) -> Tensor:
    """W u: [n·S, Q]."""
    return u @ weight.T if u.is_floating_point() else weight[:, u].T


def _inner(weight: Tensor, g: Tensor, u: Tensor) -> Tensor:
    """gᵀ W u: [n·S]; the smaller of both sides is made."""
    if u.is_floating_point() and u.shape[1] < g.shape[1]:
        return torch.einsum("nd,nd->n", g @ weight, u)
    return torch.einsum("nq,nq->n", _apply(weight, u), g)
