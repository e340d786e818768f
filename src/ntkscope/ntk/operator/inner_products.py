"""⟨A, B⟩_F of operators that are never formed, from one sketch and the same vectors.

For any projector P off a space with basis Q, ⟨A, B⟩_F = ⟨AQ, BQ⟩ + E⟨APg, BPg⟩. For B = A this is
XTrace of A² (Epperly, Tropp & Webber 2024), with the sketch made by one product with A in place of
two, and norms of products with A in place of inner products with A²: half the cost, and no
cancellation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import LinearOperator

from ntkscope.ntk.operator.estimates import (
    Float64,
    Seed,
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


def of_inner_products(
    operators: list[LinearOperator],
    products: int,
    seed: Seed,
    function: Callable[[Float64], float],
) -> tuple[float, float, int]:
    """A function of all inner products of some operators.

    Args:
        operators: symmetric, of one size.
        products: budget of each; half makes the sketch of their sum (each to one scale).
        seed: of the random vectors, or a Generator.
        function: of the matrix of estimated inner products.

    Returns:
        Its value, its standard error (jackknife over the vectors), and the products of each
        operator. Inner products are unbiased (of several operators, but for their scales).
    """
    omega = gaussian(size_of(operators[0]), products // 2, seed)
    images = [check_scale(multiply(operator, omega)) for operator in operators]
    scales = [float(np.linalg.norm(image)) or 1.0 for image in images]
    mixed = sum((y / c for y, c in zip(images, scales, strict=True)), np.zeros_like(omega))
    sketch = make_sketch(mixed, omega)
    again = [multiply(operator, sketch.basis) for operator in operators]
    first, second = _shorter(images, again)

    def estimate(chosen: Columns) -> float:
        left = leave_one_out(sketch, chosen)
        within, removed = second @ left.space, second @ left.direction
        outside = (first[:, :, chosen] - second @ left.inside) * np.sqrt(left.scale)
        count = len(chosen)
        return function(_gram(within) + (_gram(outside) - _gram(removed)) / count)

    value, error = with_error(estimate, omega.shape[1])
    return value, error, omega.shape[1] + sketch.basis.shape[1]


def _gram(stack: Float64) -> Float64:
    """⟨A, B⟩ of all pairs of a stack of matrices."""
    rows = stack.reshape(len(stack), -1)
    return np.asarray(rows @ rows.T)


def _shorter(images: list[Float64], again: list[Float64]) -> tuple[Float64, Float64]:
    """Both [operator, rows, vectors] in an orthonormal basis of all columns: far fewer rows."""
    parts = [*images, *again]
    reduced = np.linalg.qr(np.hstack(parts), mode="r")
    stops = np.cumsum([part.shape[1] for part in parts])[:-1]
    short = np.split(reduced, stops, axis=1)
    return np.stack(short[: len(images)]), np.stack(short[len(images) :])
