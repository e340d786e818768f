"""The instrument: exact neural tangent kernels of any torch module.

Empirical, infinite, linearised, tiled, matrix-free and in regression. It may import `runtime`,
`stores`, `identity`, `errors` and `models` (a network as data); it knows no configuration,
data set or stage.
Its names are imported at their first use, so that a job loads only what it computes with.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntkscope.ntk.empirical import (
        FactoredGradients,
        Tuning,
        empirical_ntk,
        plan_ntk,
        register_layer,
    )
    from ntkscope.ntk.infinite import infinite_kernels, infinite_nngp, infinite_ntk
    from ntkscope.ntk.kinds import EMPIRICAL_KINDS, KINDS, normalisation
    from ntkscope.ntk.tiled import write_ntk
else:
    from ntkscope.runtime.imports import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "EMPIRICAL_KINDS": "ntkscope.ntk.kinds",
            "KINDS": "ntkscope.ntk.kinds",
            "FactoredGradients": "ntkscope.ntk.empirical",
            "Tuning": "ntkscope.ntk.empirical",
            "register_layer": "ntkscope.ntk.empirical",
            "empirical_ntk": "ntkscope.ntk.empirical",
            "infinite_kernels": "ntkscope.ntk.infinite",
            "infinite_nngp": "ntkscope.ntk.infinite",
            "infinite_ntk": "ntkscope.ntk.infinite",
            "normalisation": "ntkscope.ntk.kinds",
            "plan_ntk": "ntkscope.ntk.empirical",
            "write_ntk": "ntkscope.ntk.tiled",
        },
    )

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
    "write_ntk",
]
