"""Gram matrices of gradients that are made: best where positions outnumber parameters."""

from __future__ import annotations

from torch import Tensor

from ntkscope.ntk.empirical.costs import Sizes, Work, of_product
from ntkscope.ntk.empirical.gradients.factors import (
    Gradients,
)
from ntkscope.ntk.kinds import Pairs
from ntkscope.runtime.matmul import product, products


def add_materialised(total: Tensor, left: Gradients, right: Gradients, pairs: Pairs) -> None:
    """Add to `total` ⟨j_k(x_n), j_l(x_m)⟩, shaped as `kinds.Pairs` says."""
    if pairs == "summed":
        total += product(left.of.flatten(1), right.of.flatten(1))
        return
    if pairs == "own":
        total += products(left.of.transpose(0, 1), right.of.transpose(0, 1))
        return
    found = product(left.of.flatten(0, 1), right.of.flatten(0, 1))
    total += found.view(*left.of.shape[:2], *right.of.shape[:2]).permute(1, 0, 3, 2)


def materialised_work(sizes: Sizes) -> Work:
    """The gradients once a sample, and their Gram matrix."""
    rows = sizes.groups * sizes.multiplied * sizes.outputs  # of all gradients of a sample
    made = of_product(sizes.samples * rows * sizes.width, sizes.positions)
    read = sizes.samples * sizes.positions * (rows + sizes.groups * sizes.width)
    depth = rows * sizes.width * (1 if sizes.pairs == "summed" else 1 / sizes.multiplied)
    return made + Work(elements=read) + of_product(sizes.sample_pairs * sizes.results, depth)
