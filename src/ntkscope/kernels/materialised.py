"""Gram matrices of gradients that are made: best where positions outnumber parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from ntkscope.kernels.terms import Gradients, OuterProducts, bias_gradients, weight_gradients


def materialise(term: OuterProducts) -> Gradients:
    """The gradients [n, R, P] that the outer products sum to."""
    weight = weight_gradients(term).flatten(2)
    if not term.offset:
        return Gradients(weight)
    bias = bias_gradients(term).expand(len(weight), -1, -1)
    return Gradients(torch.cat([weight, bias], 2))


def materialised_gram(left: Gradients, right: Gradients, full: bool) -> Tensor:
    """Σ_r ⟨j_r(x_n), j_r(x_m)⟩ as [n, m], or all pairs of cotangents as [R, n, R, m]."""
    if not full:
        return left.of.flatten(1) @ right.of.flatten(1).T
    first, second = (t.of.transpose(0, 1) for t in (left, right))
    pairs = first.flatten(0, 1) @ second.flatten(0, 1).T
    return pairs.view(*first.shape[:2], *second.shape[:2])


def materialised_cost(
    dims: tuple[int, int, int, int, int], pairs: float, samples: int, full: bool
) -> float:
    """Multiply-adds for (groups, S, R, O, D): the Gram matrix, and the gradients once a sample."""
    groups, S, R, O, D = dims  # noqa: E741
    return groups * R * O * D * (pairs * (R if full else 1) + samples * S)
