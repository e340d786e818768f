"""XTrace: the trace by leaving each vector out once.

Epperly, Tropp & Webber 2024, "XTrace: making the most of every sample in stochastic trace
estimation", SIAM J. Matrix Anal. Appl. 45(1), algorithm 2 with normalised vectors (§2.4).
"""

from __future__ import annotations

from scipy.sparse.linalg import LinearOperator

from ntkscope.kernels.operator.estimates import (
    Estimate,
    Seed,
    check_budget,
    gaussian,
    multiply,
    size_of,
)
from ntkscope.kernels.operator.leave_one_out import leave_one_out, standard_error


def xtrace(operator: LinearOperator, products: int = 40, seed: Seed = 0) -> Estimate:
    """Tr Θ, unbiased; its error falls faster than 1/products where eigenvalues decay.

    With P_i the projector off the space of all sketch vectors but the i-th, tr Θ is the trace
    inside that space plus E ω_iᵀ P_i Θ P_i ω_i; the mean over i is returned.

    Args:
        operator: Θ, symmetric.
        products: budget, 4 or more; half makes the sketch.
        seed: of the random vectors, or a Generator.

    Returns:
        Estimate; the error is the standard error of the mean over i, which the vectors' common use
        makes an approximation.

    Raises:
        VectorError: Θ is not square, or the budget too small or as large as Θ.
    """
    size = size_of(operator)
    check_budget(products, 4, size)
    omega = gaussian(size, products // 2, seed)
    sketch = multiply(operator, omega)
    loo = leave_one_out(sketch, omega)
    image = multiply(operator, loo.basis)
    inner = loo.basis.T @ image
    s, x = loo.left_out, loo.inside
    within = inner.trace() - (s * (inner @ s)).sum(0)
    outside = (omega * sketch).sum(0) - 2 * (x * (image.T @ omega)).sum(0)
    outside += (x * (inner @ x)).sum(0)
    each = within + loo.scale * outside
    return Estimate(float(each.mean()), standard_error(each), len(each) + loo.basis.shape[1])
