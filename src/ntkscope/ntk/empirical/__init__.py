"""Empirical NTKs from per-layer gradients: planned, verified against autograd, multiplied.

Imports `ntk.kinds`, `runtime` and `models`; the tiled and matrix-free kernels stand on it.
"""

from ntkscope.ntk.empirical.api import empirical_ntk, plan_ntk
from ntkscope.ntk.empirical.gradients.factors import FactoredGradients
from ntkscope.ntk.empirical.gradients.registry import register_layer
from ntkscope.ntk.empirical.tuning import Tuning

__all__ = [
    "FactoredGradients",
    "Tuning",
    "empirical_ntk",
    "plan_ntk",
    "register_layer",
]
