"""Kernels of infinitely wide networks: of any `nn.Module` of known layers, or of a description.

A plain sequence has a fast way of its own (`propagate`, `layouts/`); all else is traced and goes
through `graph/`. Imports `ntk.empirical`, `models` and `runtime`.
"""

from ntkscope.ntk.infinite.api import (
    InfiniteKernels,
    infinite_kernels,
    infinite_nngp,
    infinite_ntk,
)
from ntkscope.ntk.infinite.attention import GlobalSelfAttention

__all__ = [
    "GlobalSelfAttention",
    "InfiniteKernels",
    "infinite_kernels",
    "infinite_nngp",
    "infinite_ntk",
]
