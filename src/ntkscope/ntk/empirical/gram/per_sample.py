"""Gram matrices of gradients that are made: best where positions outnumber parameters."""

from __future__ import annotations

from torch import Tensor

from ntkscope.ntk.empirical.costs import Cost, LayerShape, product_cost
from ntkscope.ntk.empirical.gradients.factors import (
    PerSampleGradients,
)
from ntkscope.ntk.kinds import OutputPairs
from ntkscope.runtime.matmul import batched_matmul_nt, matmul_nt


def add_materialised(
    total: Tensor, left: PerSampleGradients, right: PerSampleGradients, pairs: OutputPairs
) -> None:
    """Add to `total` ⟨j_k(x_n), j_l(x_m)⟩, shaped as `kinds.OutputPairs` says."""
    if pairs == "trace":
        total += matmul_nt(left.values.flatten(1), right.values.flatten(1))
        return
    if pairs == "diagonal":
        total += batched_matmul_nt(left.values.transpose(0, 1), right.values.transpose(0, 1))
        return
    found = matmul_nt(left.values.flatten(0, 1), right.values.flatten(0, 1))
    total += found.view(*left.values.shape[:2], *right.values.shape[:2]).permute(1, 0, 3, 2)


def materialised_cost(shape: LayerShape) -> Cost:
    """The gradients once per sample, and their Gram matrix."""
    rows = shape.groups * shape.multiplied * shape.outputs  # of all gradients of a sample
    made = product_cost(shape.samples * rows * shape.width, 0 if shape.one_hot else shape.positions)
    read = shape.samples * shape.positions * (rows + shape.groups * shape.depth)
    depth = rows * shape.width * (1 if shape.pairs == "trace" else 1 / shape.multiplied)
    return made + Cost(elements=read) + product_cost(shape.sample_pairs * shape.results, depth)
