"""XTrace: the trace by leaving each vector out once.

Epperly, Tropp & Webber 2024, "XTrace: making the most of every sample in stochastic trace
estimation", SIAM J. Matrix Anal. Appl. 45, with the normalisation of its vectors.
"""

from __future__ import annotations

from scipy.sparse.linalg import LinearOperator

from ntkscope.ntk.operator.estimates import (
    Estimate,
    Seed,
    check_budget,
    check_scale,
    gaussian,
    multiply,
    size_of,
)
from ntkscope.ntk.operator.xtrace_sketch import (
    Columns,
    leave_one_out,
    make_sketch,
    with_error,
)


def xtrace(operator: LinearOperator, products: int = 40, seed: Seed = 0) -> Estimate:
    """Tr Θ, unbiased; its error falls faster than 1/products where eigenvalues decay.

    With P_i the projector off the space of all sketched vectors but the i-th, tr Θ is the trace
    inside that space plus E ω_iᵀ P_i Θ P_i ω_i; the mean over i is returned.

    Args:
        operator: Θ, symmetric.
        products: budget, 6 or more; half makes the sketch.
        seed: of the random vectors, or a Generator.

    Returns:
        Estimate; the error is the jackknife's over the vectors.

    Raises:
        VectorError: Θ is not square, or the budget too small or as large as Θ.

    Example:
        >>> import torch, ntkscope
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(),
        ...                             torch.nn.Linear(16, 3)).double()
        >>> x = torch.randn(50, 4).double()
        >>> found = ntkscope.xtrace(ntkscope.NTKOperator(model, x), products=20)
        >>> exact = ntkscope.empirical_ntk(model, x).trace().item()
        >>> abs(found.value - exact) < 3 * found.error, found.error < 0.05 * exact
        (True, True)
    """
    size = size_of(operator)
    check_budget(products, 6, size)
    omega = gaussian(size, products // 2, seed)
    images = check_scale(multiply(operator, omega))
    sketch = make_sketch(images, omega)
    again = multiply(operator, sketch.basis)
    inner, across = sketch.basis.T @ again, again.T @ omega
    plain = (omega * images).sum(0)

    def estimate(chosen: Columns) -> float:
        left = leave_one_out(sketch, chosen)
        s, x = left.direction, left.inside
        within = (left.space * (inner @ left.space)).sum() - (s * (inner @ s)).sum(0)
        outside = plain[chosen] - 2 * (x * across[:, chosen]).sum(0) + (x * (inner @ x)).sum(0)
        return float((within + left.scale * outside).mean())

    value, error = with_error(estimate, omega.shape[1])
    return Estimate(value, error, omega.shape[1] + sketch.basis.shape[1])
