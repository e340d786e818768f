"""Matrix-free NTKs."""

from ntkscope.kernels.operator.ntk_operator import NTKOperator

__all__ = ["NTKOperator"]
