"""Gram matrices of sums of outer products, position by position: Σ_st ⟨u_s, u'_t⟩ ⟨g_s, g'_t⟩.

Best where a layer has few positions and many parameters: the last stages of a convolutional
network, short sequences (Novak et al. 2022, "Fast finite width neural tangent kernel", structured
derivatives). For a convolution ⟨u_s, u'_t⟩ may be had from the inner products of pixels
(`im2col.patch_products`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ntkscope.ntk.empirical.costs import Cost, LayerShape, product_cost
from ntkscope.ntk.empirical.gradients.factors import FactoredGradients, inner_products, select
from ntkscope.ntk.empirical.tuning import TUNING
from ntkscope.ntk.kinds import OutputPairs
from ntkscope.runtime.matmul import matmul_nt


def add_structured(
    total: Tensor,
    left: FactoredGradients,
    right: FactoredGradients,
    pairs: OutputPairs,
    elements: int = TUNING.contraction_elements,
) -> None:
    """Add to `total`, shaped as `kinds.OutputPairs` says, in tiles of samples.

    elements: of the largest temporary, so that it stays in a cache.
    """
    n, m = left.samples, right.samples
    side = max(1, math.isqrt(elements // _temporary(left, right, pairs)))
    over_every = pairs == "full"
    for row in range(0, n, side):
        rows = slice(row, row + side)
        for column in range(0, m, side):
            columns = slice(column, column + side)
            here = total[:, rows, :, columns] if over_every else total[..., rows, columns]
            _add_tile(here, select(left, rows), select(right, columns), pairs)


def _temporary(left: FactoredGradients, right: FactoredGradients, pairs: OutputPairs) -> int:
    """Elements of it for one pair of samples."""
    S, R, O = left.output_gradients.shape[2:]  # noqa: E741
    both = S * right.positions
    seen = both if left.window is None else max(both, math.prod(left.window.image) ** 2)
    return max(seen, S * R * O, R**2) if pairs == "full" else seen


def _add_tile(
    total: Tensor, left: FactoredGradients, right: FactoredGradients, pairs: OutputPairs
) -> None:
    n, m = left.samples, right.samples
    for group in range(left.inputs.shape[1]):
        inner = inner_products(left, right, group).view(n, left.positions, m, right.positions)
        g = left.output_gradients[:, group].expand(n, -1, -1, -1)
        h = right.output_gradients[:, group].expand(m, -1, -1, -1)
        if pairs == "full":
            total += _every_pair(inner, g, h)
        elif pairs == "trace":
            total += _summed(inner, g.flatten(2), h.flatten(2))
        else:
            for k in range(len(total)):
                total[k] += _summed(inner, g[:, :, k], h[:, :, k])


def _summed(inner: Tensor, g: Tensor, h: Tensor) -> Tensor:
    """Σ_st inner[n, s, m, t] ⟨g[n, s], h[m, t]⟩."""
    outer = matmul_nt(g.flatten(0, 1), h.flatten(0, 1))
    return outer.view(inner.shape).mul_(inner).sum((1, 3))


def _every_pair(inner: Tensor, g: Tensor, h: Tensor) -> Tensor:
    """For all pairs of outputs, first summed over t: S·R·O elements per pair instead of S²R²."""
    summed = torch.einsum("nsmt,mtlo->nsmlo", inner, h)
    return torch.einsum("nsko,nsmlo->knlm", g, summed)


def structured_cost(shape: LayerShape) -> Cost:
    """From patches; nothing is made once per sample."""
    pairs = shape.groups * shape.sample_pairs * shape.positions**2
    return product_cost(pairs, shape.depth) + _contraction(shape)


def pixels_cost(shape: LayerShape) -> Cost:
    """From pixels: shallower products, and a sum of shifted ones for each row and column."""
    assert shape.image is not None
    (seen, channels), pairs = shape.image, shape.groups * shape.sample_pairs
    shifted = pairs * shape.kernel * max(seen, shape.positions) ** 2
    return (
        product_cost(pairs * seen**2, channels) + Cost(elements=2 * shifted) + _contraction(shape)
    )


def _contraction(shape: LayerShape) -> Cost:
    """Products of output gradients, and their sum with the inner products of inputs."""
    S, R, O = shape.positions, shape.multiplied, shape.outputs  # noqa: E741
    pairs = shape.groups * shape.sample_pairs
    if shape.pairs == "full":
        return product_cost(pairs * S * R * O, S) + product_cost(pairs * R**2, S * O)
    products = 1 if shape.pairs == "trace" else R
    over = product_cost(pairs * products * S**2, R * O / products)
    return over + Cost(elements=2 * pairs * products * S**2)
