"""Exact empirical neural tangent kernels, and the stage that takes them of a run's snapshots.

`empirical_ntk` is the door for any torch module; `stacked_ntk` takes many networks of one
architecture at once (the seeds and snapshots of a run); `take_kernels` is the stage.
"""

from ntkscope.kernels.conventions import KINDS, normalisation
from ntkscope.kernels.empirical import empirical_ntk
from ntkscope.kernels.stacked import stacked_ntk
from ntkscope.kernels.take import take_kernels

__all__ = ["KINDS", "empirical_ntk", "normalisation", "stacked_ntk", "take_kernels"]
