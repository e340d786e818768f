"""Kernels of infinitely wide networks, from the description that builds the finite ones."""

from ntkscope.ntk.infinite.api import (
    InfiniteKernels,
    infinite_kernels,
    infinite_nngp,
    infinite_ntk,
)

__all__ = ["InfiniteKernels", "infinite_kernels", "infinite_nngp", "infinite_ntk"]
