"""ntkscope: watch a network's neural tangent kernel while the network learns.

The names below are the library's face, each imported when it is first used. One package a stage of
the workflow, each importing only those before it: `data`, `training`, `kernels`, `metrics`, `fits`,
`figures`; the instrument that computes kernels, `ntk`; one's own runs, `watch`; and the ground that
they share: `config`, `models`, `statistics`, `stores`, `runtime`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ntkscope.metrics import alignment, cka, cka_distance, spectral_norm, velocity
    from ntkscope.ntk import (
        empirical_ntk,
        infinite_nngp,
        infinite_ntk,
        plan_ntk,
        register_layer,
        write_ntk,
    )
    from ntkscope.ntk.linearization import gradient_flow, linearize
    from ntkscope.ntk.operator import NTKOperator, largest_eigenvalue, xtrace
    from ntkscope.ntk.regression import KernelRidge
    from ntkscope.runtime.provenance import __version__
    from ntkscope.stores import read_store
    from ntkscope.watch import ShiftDetector, Watch, compare, open_kernels
else:
    from ntkscope.runtime.imports import lazy_names

    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "KernelRidge": "ntkscope.ntk.regression",
            "NTKOperator": "ntkscope.ntk.operator",
            "ShiftDetector": "ntkscope.watch",
            "Watch": "ntkscope.watch",
            "__version__": "ntkscope.runtime.provenance",
            "alignment": "ntkscope.metrics",
            "cka": "ntkscope.metrics",
            "cka_distance": "ntkscope.metrics",
            "compare": "ntkscope.watch",
            "empirical_ntk": "ntkscope.ntk",
            "gradient_flow": "ntkscope.ntk.linearization",
            "infinite_nngp": "ntkscope.ntk",
            "infinite_ntk": "ntkscope.ntk",
            "largest_eigenvalue": "ntkscope.ntk.operator",
            "linearize": "ntkscope.ntk.linearization",
            "open_kernels": "ntkscope.watch",
            "plan_ntk": "ntkscope.ntk",
            "read_store": "ntkscope.stores",
            "register_layer": "ntkscope.ntk",
            "spectral_norm": "ntkscope.metrics",
            "velocity": "ntkscope.metrics",
            "write_ntk": "ntkscope.ntk",
            "xtrace": "ntkscope.ntk.operator",
        },
    )

__all__ = [
    "KernelRidge",
    "NTKOperator",
    "ShiftDetector",
    "Watch",
    "__version__",
    "alignment",
    "cka",
    "cka_distance",
    "compare",
    "empirical_ntk",
    "gradient_flow",
    "infinite_nngp",
    "infinite_ntk",
    "largest_eigenvalue",
    "linearize",
    "open_kernels",
    "plan_ntk",
    "read_store",
    "register_layer",
    "spectral_norm",
    "velocity",
    "write_ntk",
    "xtrace",
]
