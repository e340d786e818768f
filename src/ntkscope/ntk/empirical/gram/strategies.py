"""How a layer's Gram matrix is computed: chosen layer by layer, by the time it should take.

factored      one position: (⟨u, u'⟩ + offset) ⟨g, g'⟩
structured    few positions, many parameters: contraction over pairs of positions
pixels        the same of a convolution, from the inner products of pixels instead of patches
materialised  many positions, few parameters: the per-sample gradients, then their products
fallback      unknown layers: gradients from torch's function transforms
"""

from __future__ import annotations

from torch import Tensor

from ntkscope.ntk.empirical.costs import LayerShape, Throughput
from ntkscope.ntk.empirical.gradients.factors import (
    FactoredGradients,
    LayerGradients,
    PerSampleGradients,
)
from ntkscope.ntk.empirical.gram.outer_product import add_factored, factored_cost
from ntkscope.ntk.empirical.gram.per_sample import add_materialised, materialised_cost
from ntkscope.ntk.empirical.gram.structured import add_structured, pixels_cost, structured_cost
from ntkscope.ntk.empirical.tuning import TUNING, Tuning
from ntkscope.ntk.kinds import OutputPairs

STRATEGIES = ("factored", "structured", "pixels", "materialised", "fallback")

COSTS = {
    "factored": factored_cost,
    "structured": structured_cost,
    "pixels": pixels_cost,
    "materialised": materialised_cost,
}


def cheapest(shape: LayerShape, throughput: Throughput, force: str | None = None) -> str:
    """The strategy with the least expected time.

    Args:
        shape: of the layer.
        throughput: of the device.
        force: taken where the layer allows it: factored, one position; pixels, a convolution that
            is called once.
    """
    allowed = [
        name
        for name in COSTS
        if (name != "factored" or shape.positions == 1)
        and (name != "pixels" or shape.image is not None)
    ]
    if force in allowed:
        return force
    return min(allowed, key=lambda name: throughput.seconds(COSTS[name](shape)))


def add_gram(
    total: Tensor,
    left: LayerGradients,
    right: LayerGradients,
    strategy: str,
    pairs: OutputPairs,
    *,
    first: bool = False,
    tuning: Tuning = TUNING,
) -> None:
    """Add the Gram matrix of a layer's gradients to `total` (`kinds.OutputPairs`).

    first: nothing is in `total` so far, whatever it holds.
    """
    if first and strategy != "factored":
        total.zero_()
    if isinstance(left, PerSampleGradients) and isinstance(right, PerSampleGradients):
        add_materialised(total, left, right, pairs)
        return
    assert isinstance(left, FactoredGradients) and isinstance(right, FactoredGradients)
    if strategy == "factored":
        add_factored(total, left, right, pairs, first=first)
    else:
        add_structured(total, left, right, pairs, tuning.contraction_elements)
