"""Gram matrices of single outer products g uᵀ: (⟨u, u'⟩ + offset) · ⟨g, g'⟩.

A dense layer on vectors: neither the gradients nor anything of their size is made (Novak et al.
2022, "Fast finite width neural tangent kernel", structured derivatives).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ntkscope.ntk.empirical.costs import Sizes, Work, of_product
from ntkscope.ntk.empirical.gradients.factors import OuterProducts, by_cotangent, inner_products
from ntkscope.ntk.kinds import Pairs
from ntkscope.runtime.matmul import product, products


def add_factored(
    total: Tensor, left: OuterProducts, right: OuterProducts, pairs: Pairs, *, first: bool = False
) -> None:
    """Add to `total`, shaped as `kinds.Pairs` says; for terms of one position.

    Gradients that all samples share (at the readout) have one product for all pairs.

    Args:
        total: to which is added.
        left, right: of the rows' and the columns' samples.
        pairs: of which cotangents.
        first: nothing is in `total` so far, whatever it holds.
    """
    for group in range(left.inputs.shape[1]):
        inner = inner_products(left, right, group)
        g, h = left.gradients[:, group, 0], right.gradients[:, group, 0]
        if pairs == "every" and len(g) == len(h) == 1:
            if first:
                total.zero_()
            _add_shared(total, inner, product(g[0], h[0]))
        else:
            outer = _outer(g, h, pairs)
            inner = inner.unsqueeze(1) if pairs == "every" else inner
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


def _outer(g: Tensor, h: Tensor, pairs: Pairs) -> Tensor:
    """⟨g, h⟩ of [n, R, O] and [m, R, O], summed over cotangents, of each, or of every pair."""
    if pairs == "summed":
        return product(g.flatten(1), h.flatten(1))
    first, second = by_cotangent(g), by_cotangent(h)
    if pairs == "own":
        return products(first, second)
    found = product(first.flatten(0, 1), second.flatten(0, 1))
    return found.view(*first.shape[:2], *second.shape[:2])


def factored_work(sizes: Sizes) -> Work:
    """Of layers of one position."""
    pairs = sizes.groups * sizes.sample_pairs
    depth = sizes.outputs * (sizes.multiplied if sizes.pairs == "summed" else 1)
    return (
        of_product(pairs, sizes.width)
        + of_product(pairs * sizes.results, depth)
        + Work(elements=pairs * sizes.results)
    )
