"""Gram matrices of collapsed outer products g uᵀ: (⟨u, u'⟩ + offset) · ⟨g, g'⟩.

A dense layer on vectors: neither the gradients nor anything of their size is made (Novak et al.
2022, "Fast finite width neural tangent kernel", structured derivatives).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ntkscope.ntk.empirical.costs import Cost, LayerShape, product_cost
from ntkscope.ntk.empirical.gradients.factors import FactoredGradients, by_cotangent, inner_products
from ntkscope.ntk.kinds import OutputPairs
from ntkscope.runtime.matmul import batched_matmul_nt, matmul_nt


def add_factored(
    total: Tensor,
    left: FactoredGradients,
    right: FactoredGradients,
    pairs: OutputPairs,
    *,
    first: bool = False,
) -> None:
    """Add to `total`, shaped as `kinds.OutputPairs` says; for gradients of one position.

    Gradients that all samples share (at the readout) have one product for all pairs.

    Args:
        total: to which is added.
        left, right: of the rows' and the columns' samples.
        pairs: of which output vectors.
        first: nothing is in `total` so far, whatever it holds.
    """
    for group in range(left.inputs.shape[1]):
        inner = inner_products(left, right, group)
        g, h = left.output_gradients[:, group, 0], right.output_gradients[:, group, 0]
        if pairs == "full" and len(g) == len(h) == 1:
            if first:
                total.zero_()
            _add_shared(total, inner, matmul_nt(g[0], h[0]))
        else:
            outer = _outer(g, h, pairs)
            inner = inner.unsqueeze(1) if pairs == "full" else inner
            if first:
                torch.mul(outer, inner, out=total)
            else:
                total.addcmul_(outer, inner)
        first = False


def _add_shared(total: Tensor, inner: Tensor, outer: Tensor) -> None:
    """Add inner[n, m] · outer[k, l] to [k, n, l, m]; at the readout `outer` is the identity."""
    if torch.equal(outer, torch.eye(len(outer), dtype=outer.dtype, device=outer.device)):
        total.diagonal(0, 0, 2).permute(2, 0, 1).add_(inner)
        return
    for k, l in outer.nonzero().tolist():  # noqa: E741
        total[k, :, l] += inner * outer[k, l]


def _outer(g: Tensor, h: Tensor, pairs: OutputPairs) -> Tensor:
    """⟨g, h⟩ of [n, R, O] and [m, R, O], summed over output vectors, of each, or of every pair."""
    if pairs == "trace":
        return matmul_nt(g.flatten(1), h.flatten(1))
    first, second = by_cotangent(g), by_cotangent(h)
    if pairs == "diagonal":
        return batched_matmul_nt(first, second)
    found = matmul_nt(first.flatten(0, 1), second.flatten(0, 1))
    return found.view(*first.shape[:2], *second.shape[:2])


def factored_cost(shape: LayerShape) -> Cost:
    """Of layers of one position."""
    pairs = shape.groups * shape.sample_pairs
    depth = shape.outputs * (shape.multiplied if shape.pairs == "trace" else 1)
    return (
        product_cost(pairs, shape.depth)
        + product_cost(pairs * shape.results, depth)
        + Cost(elements=pairs * shape.results)
    )
