"""NTKs that are never formed: products with them, and what is estimated from products.

`NTKOperator` is a SciPy `LinearOperator`; the estimators take any symmetric one.
"""

from ntkscope.kernels.operator.cka import cka_between, cka_with_labels
from ntkscope.kernels.operator.estimates import Estimate
from ntkscope.kernels.operator.frobenius import frobenius_norm
from ntkscope.kernels.operator.hutchpp import hutchpp
from ntkscope.kernels.operator.lanczos import (
    ConvergenceError,
    Eigenpairs,
    largest_eigenpairs,
    largest_eigenvalue,
)
from ntkscope.kernels.operator.ntk_operator import NTKOperator
from ntkscope.kernels.operator.vectors import VectorError
from ntkscope.kernels.operator.xtrace import xtrace

__all__ = [
    "ConvergenceError",
    "Eigenpairs",
    "Estimate",
    "NTKOperator",
    "VectorError",
    "cka_between",
    "cka_with_labels",
    "frobenius_norm",
    "hutchpp",
    "largest_eigenpairs",
    "largest_eigenvalue",
    "xtrace",
]
