"""Empirical NTKs from per-layer gradients: planned, verified against autograd, multiplied.

Imports `ntk.kinds`, `runtime` and `models`; the tiled and matrix-free kernels stand on it.
"""

from ntkscope.ntk.empirical.api import empirical_ntk, plan_ntk
from ntkscope.ntk.empirical.stacked import stacked_ntk

__all__ = ["empirical_ntk", "plan_ntk", "stacked_ntk"]
