"""Hutch++: the trace, exact on a sketched subspace and sampled outside it.

Meyer, Musco, Musco & Woodruff 2021, "Hutch++: optimal stochastic trace estimation", SOSA,
algorithm 1.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import LinearOperator

from ntkscope.ntk.operator.estimates import (
    Estimate,
    Seed,
    check_budget,
    multiply,
    size_of,
)


def hutchpp(operator: LinearOperator, products: int = 60, seed: Seed = 0) -> Estimate:
    """Tr Θ = tr QᵀΘQ + E gᵀ(I − QQᵀ) Θ (I − QQᵀ)g, unbiased, with Q from a third of the products.

    `xtrace` is more accurate for the same products; here the vectors are independent, and so the
    error is an ordinary standard error.

    Args:
        operator: Θ, symmetric.
        products: budget, 6 or more.
        seed: of the random signs, or a Generator.

    Returns:
        Estimate; the error is the standard error of the sampled part.

    Raises:
        VectorError: Θ is not square, or the budget too small or as large as Θ.
    """
    size = size_of(operator)
    check_budget(products, 6, size)
    third, generator = products // 3, np.random.default_rng(seed)
    sketch = multiply(operator, generator.choice([-1.0, 1.0], (size, third)))
    basis = np.linalg.qr(sketch)[0]
    inside = float((basis * multiply(operator, basis)).sum())
    signs = generator.choice([-1.0, 1.0], (size, third))
    signs -= basis @ (basis.T @ signs)
    each = (signs * multiply(operator, signs)).sum(0)
    error = float(each.std(ddof=1) / np.sqrt(third))
    return Estimate(inside + float(each.mean()), error, 3 * third)
