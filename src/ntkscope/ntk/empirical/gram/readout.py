"""Just below a linear readout all outputs' gradients are one vector, up to fixed factors.

There g_r(x) = v_r ∘ φ'(z(x)) with v_r a row of the readout's weight, so that Σ_r ⟨g_r, g'_r⟩ is
⟨‖v‖ φ', ‖v‖ φ''⟩: a product R times as cheap. Whether it is so is read off the gradients
themselves, to rounding, since a module does not say what stands between two of its layers.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ntkscope.ntk.empirical.gradients.factors import FactoredGradients

_ROWS = 64  # samples looked at together: they stay in the cache


def collapse_readout(
    left: FactoredGradients, right: FactoredGradients
) -> tuple[FactoredGradients, FactoredGradients]:
    """Gradients of one output vector with the same summed Gram matrix, or the same again.

    Args:
        left, right: of one layer, one position and one group.
    """
    if (
        left.shared
        or left.output_gradients.shape[1:3] != (1, 1)
        or left.output_gradients.shape[3] == 1
    ):
        return left, right
    g, h = (t.output_gradients[:, 0, 0] for t in (left, right))
    strongest = g[:, 0].abs().argmax(0, keepdim=True)  # a sample for each unit
    v = g.gather(0, strongest.unsqueeze(1).expand(-1, g.shape[1], -1))[0]
    row = v.abs().argmax(0)
    factor = v.gather(0, row.unsqueeze(0))
    ratio = torch.where(factor == 0, 0, v / factor)
    if not _follows(g, ratio, row):
        return left, right
    if left is not right and not _follows(h * (factor != 0), ratio, row):  # else g = 0 there
        return left, right
    norm = ratio.norm(dim=0)
    found = [
        replace(t, output_gradients=(_pick(side, row) * norm)[:, None, None, None])
        for t, side in zip((left, right), (g, h), strict=False)
    ]
    return found[0], found[1]


def _pick(g: Tensor, row: Tensor) -> Tensor:
    """One cotangent of g [n, R, O] for each unit: [n, O]."""
    return g.gather(1, row.expand(len(g), 1, -1)).squeeze(1)


def _follows(g: Tensor, ratio: Tensor, row: Tensor) -> bool:
    """Whether g is `ratio` [R, O] times its picked entries, to rounding, in every sample."""
    tolerance = 16 * torch.finfo(g.dtype).eps
    for some in g.split(_ROWS):
        picked = _pick(some, row)
        rest = torch.addcmul(some, picked.unsqueeze(1), ratio, value=-1).abs_().max()
        if not rest <= tolerance * picked.abs().max():  # no |ratio| is above 1
            return False
    return True
