"""The Frobenius norm, by leaving each vector out once (`inner_products`)."""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import LinearOperator

from ntkscope.ntk.operator.estimates import Estimate, Seed, check_budget, size_of
from ntkscope.ntk.operator.inner_products import of_inner_products


def frobenius_norm(operator: LinearOperator, products: int = 40, seed: Seed = 0) -> Estimate:
    """‖Θ‖_F; its square is estimated without bias.

    Args:
        operator: Θ, symmetric.
        products: budget, 6 or more; half makes the sketch.
        seed: of the random vectors, or a Generator.

    Returns:
        Estimate; the error is the jackknife's over the vectors.

    Raises:
        VectorError: Θ is not square, or the budget too small or as large as Θ.
    """
    check_budget(products, 6, size_of(operator))
    return Estimate(
        *of_inner_products([operator], products, seed, lambda gram: float(np.sqrt(gram[0, 0])))
    )
