"""Just below a linear readout, where the output gradients are recorded: one stands for all.

Whether they are c_r ∘ s(x) (`factors.collapse_outputs`) is read off the gradients themselves, to
rounding, since a module does not say what stands between two of its layers.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ntkscope.ntk.empirical.gradients.factors import (
    FactoredGradients,
    LayerGradients,
    PerSampleGradients,
    collapse_outputs,
)
from ntkscope.ntk.empirical.tuning import TUNING


def collapse_readout(
    left: FactoredGradients, right: FactoredGradients, at_once: int = TUNING.readout_rows
) -> tuple[FactoredGradients, FactoredGradients]:
    """Gradients of one output vector with the same summed Gram matrix, or the same again.

    Args:
        left, right: of one layer, one position and one group.
        at_once: samples looked at together: they stay in the cache.
    """
    if left.shared or left.output_gradients.shape[1:3] != (1, 1):
        return left, right
    if left.output_gradients.shape[3] == 1:
        return left, right
    g, h = (side.output_gradients[:, 0, 0] for side in (left, right))
    strongest = g[:, 0].abs().argmax(0, keepdim=True)  # a sample for each unit
    v = g.gather(0, strongest.unsqueeze(1).expand(-1, g.shape[1], -1))[0]
    row = v.abs().argmax(0)
    factor = v.gather(0, row.unsqueeze(0))
    ratio = torch.where(factor == 0, 0, v / factor)
    if not _follows(g, ratio, row, at_once):
        return left, right
    if left is not right and not _follows(h * (factor != 0), ratio, row, at_once):  # else g = 0
        return left, right
    return _collapsed(left, ratio, row), _collapsed(right, ratio, row)


def collapsed_shared(gradients: LayerGradients) -> LayerGradients:
    """A readout's with the same Gram matrix summed over output vectors: ‖g‖² for all samples."""
    if isinstance(gradients, PerSampleGradients) or not gradients.shared:
        return gradients
    return replace(gradients, output_gradients=collapse_outputs(gradients.output_gradients, (3, 4)))


def _collapsed(side: FactoredGradients, ratio: Tensor, row: Tensor) -> FactoredGradients:
    found = collapse_outputs(ratio, 0, _pick(side.output_gradients[:, 0, 0], row))
    return replace(side, output_gradients=found[:, None, None, None])


def _pick(g: Tensor, row: Tensor) -> Tensor:
    """One output vector's gradient of g [n, R, O] for each unit: [n, O]."""
    return g.gather(1, row.expand(len(g), 1, -1)).squeeze(1)


def _follows(g: Tensor, ratio: Tensor, row: Tensor, at_once: int) -> bool:
    """Whether g is `ratio` [R, O] times its picked entries, to rounding, in every sample."""
    tolerance = 16 * torch.finfo(g.dtype).eps
    for some in g.split(at_once):
        picked = _pick(some, row)
        rest = torch.addcmul(some, picked.unsqueeze(1), ratio, value=-1).abs_().max()
        if not rest <= tolerance * picked.abs().max():  # no |ratio| is above 1
            return False
    return True
