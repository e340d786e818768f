"""The Frobenius norm: ‖Θ‖_F² = tr Θ² by leaving each vector out once.

For any projector P off a space with basis Q, ‖Θ‖_F² = ‖ΘQ‖_F² + E‖ΘPg‖². This is XTrace (Epperly,
Tropp & Webber 2024) of Θ², with the sketch made by one product with Θ in place of two, and the
norms of products with Θ in place of inner products with Θ²: half the cost, no cancellation.
"""

from __future__ import annotations

import numpy as np
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


def frobenius_norm(operator: LinearOperator, products: int = 40, seed: Seed = 0) -> Estimate:
    """‖Θ‖_F; its square is estimated without bias.

    Args:
        operator: Θ, symmetric.
        products: budget, 4 or more; half makes the sketch.
        seed: of the random vectors, or a Generator.

    Returns:
        Estimate; the error is half the square's standard error over the norm.

    Raises:
        VectorError: Θ is not square, or the budget too small or as large as Θ.
    """
    size = size_of(operator)
    check_budget(products, 4, size)
    omega = gaussian(size, products // 2, seed)
    sketch = multiply(operator, omega)
    loo = leave_one_out(sketch, omega)
    image = multiply(operator, loo.basis)
    within = (image**2).sum() - ((image @ loo.left_out) ** 2).sum(0)
    each = within + loo.scale * ((sketch - image @ loo.inside) ** 2).sum(0)
    norm = float(np.sqrt(each.mean()))
    error = standard_error(each) / (2 * norm) if norm else 0.0
    return Estimate(norm, error, len(each) + loo.basis.shape[1])
