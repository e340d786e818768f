"""How kernels move: size, distance, velocity and alignment, measured along a run's stream.

Functions of kernels as arrays (`cka`, `spectrum`, `velocity`, `alignment`) for use by hand, and
`measure_kernels`, which takes a run's stores to one table of metrics (it alone needs the extra
`workflow`). It may import the ground; it never imports torch.
"""

from typing import TYPE_CHECKING

from ntkscope.metrics.alignment import alignment, label_kernel, label_projection
from ntkscope.metrics.centring import centre, normalise, u_centre
from ntkscope.metrics.cka import (
    cka,
    cka_distance,
    cosine_similarity,
    debiased_cka,
    debiased_cka_distance,
    kernel_distance,
)
from ntkscope.metrics.layer_share import layer_share
from ntkscope.metrics.spectrum import (
    Spectrum,
    effective_rank,
    participation_ratio,
    spectral_norm,
    spectrum,
)
from ntkscope.metrics.velocity import later_snapshot, velocity

if TYPE_CHECKING:
    from ntkscope.metrics.measure import measure_kernels
else:
    from ntkscope.runtime.imports import lazy_names

    __getattr__, __dir__ = lazy_names(__name__, {"measure_kernels": "ntkscope.metrics.measure"})

__all__ = [
    "Spectrum",
    "alignment",
    "centre",
    "cka",
    "cka_distance",
    "cosine_similarity",
    "debiased_cka",
    "debiased_cka_distance",
    "effective_rank",
    "kernel_distance",
    "label_kernel",
    "label_projection",
    "later_snapshot",
    "layer_share",
    "measure_kernels",
    "normalise",
    "participation_ratio",
    "spectral_norm",
    "spectrum",
    "u_centre",
    "velocity",
]
