"""Exact neural tangent kernels, empirical and of infinite width, and the stage that takes them.

`empirical_ntk` is the door for any torch module, `plan_ntk` says what it would take; `stacked_ntk`
takes many networks of one architecture at once (the seeds and snapshots of a run); `infinite_ntk`
and `infinite_nngp` are the limits of an architecture's width; `write_ntk` is for kernels larger
than memory; `take_kernels` is the stage, `take_part` a part of it.

`ntkscope.kernels.operator` multiplies with kernels that are never formed, and
`ntkscope.kernels.regression` solves with kernels; neither is imported here: jobs start sooner.
"""

from ntkscope.kernels.conventions import EMPIRICAL_KINDS, KINDS, normalisation
from ntkscope.kernels.empirical import empirical_ntk, plan_ntk
from ntkscope.kernels.infinite import infinite_kernels, infinite_nngp, infinite_ntk
from ntkscope.kernels.stacked import stacked_ntk
from ntkscope.kernels.take import take_kernels, take_part
from ntkscope.kernels.tiles import write_ntk

__all__ = [
    "EMPIRICAL_KINDS",
    "KINDS",
    "empirical_ntk",
    "infinite_kernels",
    "infinite_nngp",
    "infinite_ntk",
    "normalisation",
    "plan_ntk",
    "stacked_ntk",
    "take_kernels",
    "take_part",
    "write_ntk",
]
