"""NTKs that are never formed: products with them, and what is estimated from products.

`NTKOperator` is a SciPy `LinearOperator`; the estimators take any symmetric one.
Imports `ntk.empirical` and `ntk.tiled`.
"""

from ntkscope.ntk.operator.cka import cka_between, cka_with_labels
from ntkscope.ntk.operator.estimates import Estimate
from ntkscope.ntk.operator.frobenius import frobenius_norm
from ntkscope.ntk.operator.lanczos import (
    ConvergenceError,
    Eigenpairs,
    largest_eigenpairs,
    largest_eigenvalue,
)
from ntkscope.ntk.operator.ntk_operator import NTKOperator
from ntkscope.ntk.operator.vectors import VectorError
from ntkscope.ntk.operator.xtrace import xtrace

__all__ = [
    "ConvergenceError",
    "Eigenpairs",
    "Estimate",
    "NTKOperator",
    "VectorError",
    "cka_between",
    "cka_with_labels",
    "frobenius_norm",
    "largest_eigenpairs",
    "largest_eigenvalue",
    "xtrace",
]
