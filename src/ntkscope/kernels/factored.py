"""Gram matrices of single outer products g uᵀ: (⟨u, u'⟩ + offset) · ⟨g, g'⟩.

A dense layer on vectors: neither the gradients nor anything of their size is made (Novak et al.
2022, "Fast finite width neural tangent kernel", §3.3).
"""

from __future__ import annotations

from torch import Tensor

from ntkscope.kernels.terms import OuterProducts, inner_products


def factored_gram(left: OuterProducts, right: OuterProducts, full: bool) -> Tensor:
    """[n, m], summed over cotangents, or [R, n, R, m]; for terms of one position.

    Gradients that all samples share (at the readout) have one product for all pairs.
    """
    found = None
    for group in range(left.inputs.shape[1]):
        inner = inner_products(left, right, group)
        g, h = left.gradients[:, group, 0], right.gradients[:, group, 0]
        part = _outer(g, h, full).mul(inner.unsqueeze(1) if full else inner)
        found = part if found is None else found.add_(part)
    assert found is not None
    return found


def _outer(g: Tensor, h: Tensor, full: bool) -> Tensor:
    """⟨g, h⟩ of [n, R, O] and [m, R, O]: [n, m], or [R, n, R, m]."""
    if not full:
        return g.flatten(1) @ h.flatten(1).T
    first, second = g.transpose(0, 1), h.transpose(0, 1)
    pairs = first.flatten(0, 1) @ second.flatten(0, 1).T
    return pairs.view(*first.shape[:2], *second.shape[:2])


def factored_cost(
    dims: tuple[int, int, int, int, int], pairs: float, samples: int, full: bool
) -> float:
    """Multiply-adds for (groups, 1, R, O, D)."""
    groups, _, R, O, D = dims  # noqa: E741
    return groups * pairs * (D + R * O * (R if full else 1))
