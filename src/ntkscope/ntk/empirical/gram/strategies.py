"""Which way a layer's Gram matrix is taken: chosen layer by layer, by the time it should take.

factored      one position: (⟨u, u'⟩ + offset) ⟨g, g'⟩
structured    few positions, many parameters: contraction over pairs of positions
pixels        the same of a convolution, from the inner products of pixels instead of patches
materialised  many positions, few parameters: the gradients are made, then multiplied
fallback      unknown layers: gradients from torch's function transforms
"""

from __future__ import annotations

from torch import Tensor

from ntkscope.ntk.empirical.costs import Rates, Sizes
from ntkscope.ntk.empirical.gradients.factors import Gradients, OuterProducts, Term
from ntkscope.ntk.empirical.gram.outer_product import add_factored, factored_work
from ntkscope.ntk.empirical.gram.per_sample import add_materialised, materialised_work
from ntkscope.ntk.empirical.gram.structured import add_structured, pixels_work, structured_work
from ntkscope.ntk.kinds import Pairs

STRATEGIES = ("factored", "structured", "pixels", "materialised", "fallback")

WORK = {
    "factored": factored_work,
    "structured": structured_work,
    "pixels": pixels_work,
    "materialised": materialised_work,
}


def cheapest(sizes: Sizes, rates: Rates, force: str | None = None) -> str:
    """The strategy with the least expected time.

    Args:
        sizes: of the layer.
        rates: of the device.
        force: taken where the layer allows it: factored, one position; pixels, a convolution that
            is called once.
    """
    allowed = [
        name
        for name in WORK
        if (name != "factored" or sizes.positions == 1)
        and (name != "pixels" or sizes.image is not None)
    ]
    if force in allowed:
        return force
    return min(allowed, key=lambda name: rates.seconds(WORK[name](sizes)))


def add_gram(
    total: Tensor, left: Term, right: Term, strategy: str, pairs: Pairs, *, first: bool = False
) -> None:
    """Add the Gram matrix of two terms of one layer to `total` (`kinds.Pairs`).

    first: nothing is in `total` so far, whatever it holds.
    """
    if first and strategy != "factored":
        total.zero_()
    if isinstance(left, Gradients) and isinstance(right, Gradients):
        add_materialised(total, left, right, pairs)
        return
    assert isinstance(left, OuterProducts) and isinstance(right, OuterProducts)
    if strategy == "factored":
        add_factored(total, left, right, pairs, first=first)
    else:
        add_structured(total, left, right, pairs)
