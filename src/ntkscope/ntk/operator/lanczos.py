"""The largest eigenvalues and their eigenvectors, by block Lanczos with full reorthogonalisation.

Rayleigh–Ritz over a block Krylov space (Golub & Van Loan 2013, "Matrix Computations", §10.3.6;
Parlett 1998, "The Symmetric Eigenvalue Problem", §13). The products ΘQ are kept beside the basis Q,
so that a residual Θy − θy is computed, not estimated, and costs no product. ARPACK's restarts save
memory, not products: it makes 20 of them before it looks at any residual.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np
from scipy.sparse.linalg import LinearOperator

from ntkscope.errors import NtkscopeError
from ntkscope.ntk.operator.estimates import (
    Estimate,
    Float64,
    Seed,
    check_scale,
    generator_of,
    multiply,
    size_of,
)
from ntkscope.ntk.operator.vectors import VectorError


class ConvergenceError(NtkscopeError):
    """An iteration that did not reach the accuracy asked for."""


@dataclass(frozen=True)
class Eigenpairs:
    """The largest eigenvalues found.

    Attributes:
        values: [k], descending.
        vectors: [N, k], orthonormal.
        errors: [k], ‖Θy − θy‖: within this distance of each value there is an eigenvalue of Θ
            (a theorem for symmetric Θ; the distance is mostly nearer its square over the gap). It
            does not exclude a larger eigenvalue whose eigenvector the start is orthogonal to.
        products: how many vectors the operator was multiplied with.
    """

    values: Float64
    vectors: Float64
    errors: Float64
    products: int


def largest_eigenpairs(
    operator: LinearOperator,
    count: int = 1,
    tolerance: float = 1e-4,
    block: int = 1,
    most: int = 300,
    seed: Seed = 0,
) -> Eigenpairs:
    """The `count` algebraically largest eigenpairs.

    Args:
        operator: Θ, symmetric.
        count: k.
        tolerance: bound on all residuals, relative to the largest eigenvalue; a float32 operator
            reaches about 1e-6.
        block: vectors multiplied at once; at least the multiplicity of the eigenvalues, which is K
            for the full NTK of a very wide network.
        most: products at most, a basis of as many vectors (twice) is kept.
        seed: of the start, or a Generator.

    Raises:
        ConvergenceError: the tolerance was not reached.
        VectorError: Θ is not square, or it has fewer eigenpairs; or an argument is no number.
    """
    size, generator = size_of(operator), generator_of(seed)
    if not isinstance(tolerance, Real) or not isinstance(most, Real):
        raise VectorError(
            f"tolerance = {tolerance!r}, most = {most!r}",
            where="tolerance, most",
            remedy="give numbers, such as 1e-4 and 300",
        )
    if not (1 <= count <= size and 1 <= block <= size):
        raise VectorError(
            f"count = {count}, block = {block} for an operator of size {size}",
            where="count, block",
            remedy=f"give 1 to {size}",
        )
    basis, image = np.empty((size, 0)), np.empty((size, 0))
    new = generator.standard_normal((size, block))
    while True:
        new = _orthonormal(new, basis, generator)
        products = multiply(operator, new)
        if not basis.size:
            check_scale(products)
        basis, image = np.hstack([basis, new]), np.hstack([image, products])
        if basis.shape[1] >= count:
            found = _rayleigh_ritz(basis, image, count)
            if (found.errors <= tolerance * abs(found.values[0])).all():
                return found
        if basis.shape[1] >= min(most, size):
            raise _not_converged(found if basis.shape[1] >= count else None, tolerance, most)
        new = products


def largest_eigenvalue(
    operator: LinearOperator, tolerance: float = 1e-4, most: int = 300, seed: Seed = 0
) -> Estimate:
    """λ_max of a positive semi-definite Θ; arguments as of `largest_eigenpairs`.

    Returns:
        Estimate; the error is the residual's norm, a bound and not a standard deviation.

    Example:
        >>> import torch, ntkscope
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(),
        ...                             torch.nn.Linear(16, 3)).double()
        >>> x = torch.randn(50, 4).double()
        >>> found = ntkscope.largest_eigenvalue(ntkscope.NTKOperator(model, x))
        >>> exact = torch.linalg.eigvalsh(ntkscope.empirical_ntk(model, x))[-1].item()
        >>> abs(found.value - exact) <= found.error, found.error < 1e-4 * exact, found.products < 50
        (True, True, True)
    """
    found = largest_eigenpairs(operator, 1, tolerance, 1, most, seed)
    return Estimate(float(found.values[0]), float(found.errors[0]), found.products)


def _orthonormal(new: Float64, basis: Float64, generator: np.random.Generator) -> Float64:
    """A basis of what `new` adds; random vectors in place of those that add nothing."""
    room = basis.shape[0] - basis.shape[1]
    new = new[:, :room]
    length = np.linalg.norm(new, axis=0)
    for _ in range(2):  # once more removes the rounding of the first time
        new = new - basis @ (basis.T @ new)
    size = np.finfo(np.float64).eps * 100
    spent = np.linalg.norm(new, axis=0) <= size * length
    new[:, spent] = generator.standard_normal((len(basis), int(spent.sum())))
    for _ in range(2):
        new = np.linalg.qr(new - basis @ (basis.T @ new))[0]
    return np.asarray(new)


def _rayleigh_ritz(basis: Float64, image: Float64, count: int) -> Eigenpairs:
    projected = basis.T @ image
    values, coordinates = np.linalg.eigh((projected + projected.T) / 2)
    values, coordinates = values[::-1][:count], coordinates[:, ::-1][:, :count]
    vectors = basis @ coordinates
    errors = np.linalg.norm(image @ coordinates - vectors * values, axis=0)
    return Eigenpairs(values, vectors, errors, basis.shape[1])


def _not_converged(found: Eigenpairs | None, tolerance: float, most: int) -> ConvergenceError:
    reached = "" if found is None else f"; reached {found.errors.max() / found.values[0]:.1e}"
    return ConvergenceError(
        f"residuals above {tolerance:.1e} of λ_max after {most} products{reached}",
        where="largest_eigenpairs",
        remedy="raise `most` or `tolerance`, or compute in float64",
    )
