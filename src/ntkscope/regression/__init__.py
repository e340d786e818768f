"""The stage `regression`: kernel regressions on nested samples, each kernel taken once.

Thin: kernels and solvers are `ntkscope.ntk`; here are learning curves and their store. It may
import the stage `data`, the instrument and the ground.
"""

from ntkscope.runtime.imports import need_extra

need_extra("workflow", __name__, "pydantic")

from ntkscope.regression.stage import regress_kernels

__all__ = ["regress_kernels"]
