"""What an estimator returns, and what it asks of its operator and its budget."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from ntkscope.ntk.empirical.arguments import is_whole
from ntkscope.ntk.operator.vectors import VectorError

Float64 = NDArray[np.float64]
Seed = int | np.random.Generator

_LEAST = 1e-140


@dataclass(frozen=True)
class Estimate:
    """A number with its error.

    Attributes:
        value: the estimate.
        error: its standard error (one standard deviation), itself estimated.
        products: how many vectors the operator was multiplied with.
    """

    value: float
    error: float
    products: int


def multiply(operator: LinearOperator, vectors: Float64) -> Float64:
    """Θ V in float64, whatever the operator's dtype."""
    if vectors.shape[1] == 0:
        return np.zeros((operator.shape[0], 0))
    return np.asarray(operator.matmat(vectors), np.float64)


def check_scale(products: Float64) -> Float64:
    """The first products with an operator, if their squares neither underflow nor overflow.

    Residuals of 1e-200 have norm 0, and anything would be an eigenvalue without error.

    Raises:
        VectorError: they would.
    """
    largest = float(np.abs(products).max(initial=0.0))
    if largest == 0 or _LEAST < largest < 1 / _LEAST:
        return products
    raise VectorError(
        f"products with the operator of size {largest:.0e}: their squares are no numbers of "
        "float64",
        where="operator",
        remedy="scale the operator: 2.0**k * operator, and what is estimated back",
    )


def size_of(operator: LinearOperator) -> int:
    """N of a symmetric operator [N, N].

    Raises:
        VectorError: it is no operator, or not square.
    """
    if not isinstance(operator, LinearOperator):
        raise VectorError(
            f"the operator is a {type(operator).__name__}",
            where="operator",
            remedy="give an NTKOperator; of a kernel that is an array, "
            "scipy.sparse.linalg.aslinearoperator(numpy.asarray(kernel))",
        )
    rows, columns = operator.shape
    if rows != columns:
        raise VectorError(
            f"an operator of shape {operator.shape} is not symmetric",
            where="operator",
            remedy="make the NTKOperator of one set of samples",
        )
    return int(rows)


def check_budget(products: int, least: int, size: int) -> None:
    """At least `least` products and fewer than the operator has columns.

    Raises:
        VectorError: otherwise, or no number is both.
    """
    if not is_whole(products):
        raise VectorError(
            f"products = {products!r}", where="products", remedy="give a whole number"
        )
    if size <= least:
        raise VectorError(
            f"an operator of size {size} is too small to be estimated",
            where="operator",
            remedy=f"take the kernel itself, by {size} products: operator @ numpy.eye({size})",
        )
    if not least <= products < size:
        raise VectorError(
            f"products = {products} for an operator of size {size}",
            where="products",
            remedy=f"give {least} to {size - 1}; with {size} products you have the kernel itself",
        )


def gaussian(size: int, count: int, seed: Seed) -> Float64:
    """Independent standard normal vectors [size, count]."""
    return generator_of(seed).standard_normal((size, count))


def generator_of(seed: Seed) -> np.random.Generator:
    """Of random vectors.

    Raises:
        VectorError: a seed that is none.
    """
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise VectorError(
            f"seed = {seed!r}", where="seed", remedy="give a whole number from 0 on, or a Generator"
        ) from error
