"""Which way a layer's Gram matrix is taken: chosen layer by layer, by multiply-adds.

factored      one position: (⟨u, u'⟩ + offset) ⟨g, g'⟩
structured    few positions, many parameters: contraction over pairs of positions
materialised  many positions, few parameters: the gradients are made, then multiplied
fallback      unknown layers: gradients from torch's function transforms
"""

from __future__ import annotations

from torch import Tensor

from ntkscope.kernels.factored import factored_cost, factored_gram
from ntkscope.kernels.materialised import materialised_cost, materialised_gram
from ntkscope.kernels.structured import structured_cost, structured_gram
from ntkscope.kernels.terms import Gradients, OuterProducts, Term

STRATEGIES = ("factored", "structured", "materialised", "fallback")

_COSTS = {
    "factored": factored_cost,
    "structured": structured_cost,
    "materialised": materialised_cost,
}


def cheapest(
    term: OuterProducts, pairs: float, samples: int, full: bool, force: str | None = None
) -> str:
    """The strategy with the fewest multiply-adds.

    Args:
        term: any sample's outer products; only their sizes matter.
        pairs, samples: how many pairs of samples, and samples, the kernel is of.
        full: all pairs of cotangents are wanted, not their sum.
        force: taken where the layer allows it (factored: one position only).
    """
    groups, positions, R, O = term.gradients.shape[1:]  # noqa: E741
    dims = (groups, positions, R, O, term.width)
    allowed = [name for name in _COSTS if name != "factored" or positions == 1]
    if force in allowed:
        return force
    return min(allowed, key=lambda name: _COSTS[name](dims, pairs, samples, full))


def gram(left: Term, right: Term, strategy: str, full: bool) -> Tensor:
    """The Gram matrix [n, m] or [R, n, R, m] of two terms of one layer."""
    if isinstance(left, Gradients) and isinstance(right, Gradients):
        return materialised_gram(left, right, full)
    assert isinstance(left, OuterProducts) and isinstance(right, OuterProducts)
    return (factored_gram if strategy == "factored" else structured_gram)(left, right, full)


def elements_per_pair(term: Term, full: bool) -> int:
    """Numbers in the largest temporary of `gram` for one pair of samples."""
    if isinstance(term, Gradients):
        return term.of.shape[1] ** 2 if full else 1
    S, R, O = term.gradients.shape[2:]  # noqa: E741
    if not full:
        return S**2
    return max(S**2, S * R * O, R**2) if S > 1 else R**2
