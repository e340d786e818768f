"""The instrument: exact neural tangent kernels of any torch module.

Empirical, infinite, tiled, matrix-free and in regression. It may import `runtime`, `stores`,
`errors` and `models` (a network as data); it knows no configuration, data set or stage.
"""

from ntkscope.ntk.empirical import (
    FactoredGradients,
    Tuning,
    empirical_ntk,
    plan_ntk,
    register_layer,
    stacked_ntk,
)
from ntkscope.ntk.infinite import infinite_kernels, infinite_nngp, infinite_ntk
from ntkscope.ntk.kinds import EMPIRICAL_KINDS, KINDS, normalisation
from ntkscope.ntk.tiled import write_ntk

__all__ = [
    "EMPIRICAL_KINDS",
    "KINDS",
    "FactoredGradients",
    "Tuning",
    "empirical_ntk",
    "infinite_kernels",
    "infinite_nngp",
    "infinite_ntk",
    "normalisation",
    "plan_ntk",
    "register_layer",
    "stacked_ntk",
    "write_ntk",
]
