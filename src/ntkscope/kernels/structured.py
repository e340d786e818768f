"""Gram matrices of sums of outer products, position by position: Σ_st ⟨u_s, u'_t⟩ ⟨g_s, g'_t⟩.

Best where a layer has few positions and many parameters: the last stages of a convolutional
network, short sequences (Novak et al. 2022, "Fast finite width neural tangent kernel", §3.3).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ntkscope.kernels.terms import OuterProducts, inner_products

_HADAMARD = 8  # multiply-adds in the time of one elementwise product and sum


def structured_gram(left: OuterProducts, right: OuterProducts, full: bool) -> Tensor:
    """[n, m], summed over cotangents, or [R, n, R, m]."""
    contract = _every_pair if full else _summed
    n, m = len(left.inputs), len(right.inputs)
    found = None
    for group in range(left.inputs.shape[1]):
        inner = inner_products(left, right, group).view(n, left.positions, m, right.positions)
        g, h = (t.gradients[:, group] for t in (left, right))
        part = contract(inner, g.expand(n, -1, -1, -1), h.expand(m, -1, -1, -1))
        found = part if found is None else found.add_(part)
    assert found is not None
    return found


def _summed(inner: Tensor, g: Tensor, h: Tensor) -> Tensor:
    """Σ_st inner[n, s, m, t] Σ_r ⟨g[n, s, r], h[m, t, r]⟩."""
    outer = g.flatten(2).flatten(0, 1) @ h.flatten(2).flatten(0, 1).T
    return outer.view(inner.shape).mul_(inner).sum((1, 3))


def _every_pair(inner: Tensor, g: Tensor, h: Tensor) -> Tensor:
    """For all pairs of cotangents, first summed over t: S·R·O numbers a pair instead of S²R²."""
    summed = torch.einsum("nsmt,mtlo->nsmlo", inner, h)
    return torch.einsum("nsko,nsmlo->knlm", g, summed)


def structured_cost(
    dims: tuple[int, int, int, int, int], pairs: float, samples: int, full: bool
) -> float:
    """Multiply-adds for (groups, S, R, O, D); nothing is made once a sample."""
    groups, S, R, O, D = dims  # noqa: E741
    last = R**2 * S * O if full else _HADAMARD * S**2
    return groups * pairs * (S**2 * (D + R * O) + last)
