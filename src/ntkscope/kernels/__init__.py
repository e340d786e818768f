"""The stage `kernels`: the NTK of every snapshot of a run, into one store.

Thin: the kernels themselves are `ntkscope.ntk`. It may import the stages `data` and `training`,
and the ground.
"""

from ntkscope.runtime.imports import need_extra

need_extra("workflow", __name__, "pydantic")

from ntkscope.kernels.stage import compute_kernels

__all__ = ["compute_kernels"]
