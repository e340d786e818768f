"""Kernels and targets as they come in: NumPy, torch, memory-mapped, Zarr or xarray arrays.

Whatever slices by rows will do, and is read a block of rows at a time where it is not held whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from ntkscope.ntk.regression.errors import RegressionError

FloatArray = NDArray[np.float64]

_BLOCK_BYTES = 2**24  # of a block of rows in float64
_SYMMETRY = 1e3  # times the rounding unit of the kernel's dtype, relative to its largest element


def to_numpy(array: Any) -> NDArray[Any]:
    """A NumPy array of any array, a torch tensor on any device too."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
    return np.asarray(array)


def precision(matrix: Any) -> np.dtype[Any]:
    """The dtype whose rounding a kernel carries: float32, or float64 for integers as well.

    Raises:
        RegressionError: complex or half precision.
    """
    name = str(matrix.dtype).removeprefix("torch.")
    if name in ("float32", "float64"):
        return np.dtype(name)
    if name.startswith(("int", "uint", "bool")):
        return np.dtype(np.float64)
    raise RegressionError(
        f"a kernel of dtype {name} is too coarse for a regression",
        where="kernel",
        remedy="compute the kernel in float32 or float64",
    )


def check_array(matrix: Any, where: str) -> None:
    """Refuse what is no array of real numbers.

    Raises:
        RegressionError: lists, or complex numbers.
    """
    if not hasattr(matrix, "shape") or not hasattr(matrix, "dtype"):
        raise RegressionError(
            f"the {where} is a {type(matrix).__name__}",
            where=where,
            remedy=f"give an array, such as numpy.asarray({where}), or a SciPy LinearOperator",
        )
    if "complex" in str(matrix.dtype):
        raise RegressionError(
            f"a {where} of dtype {matrix.dtype}",
            where=where,
            remedy="give real numbers, in float32 or float64",
        )


def check_square(matrix: Any) -> int:
    """The number of samples N of a kernel [N, N].

    Raises:
        RegressionError: another shape.
    """
    check_array(matrix, "kernel")
    shape = tuple(matrix.shape)
    if len(shape) == 2 and shape[0] == shape[1] > 0:
        return int(shape[0])
    remedy = "give the kernel of the training samples with themselves, [N, N]"
    if len(shape) == 4:
        remedy = "reshape a full NTK [N, K, N, K] to [N·K, N·K], and the targets [N, K] to [N·K]"
    raise RegressionError(f"a kernel of shape {shape}", where="kernel", remedy=remedy)


def dense_kernel(matrix: Any) -> FloatArray:
    """A float64 copy of a kernel or operator [N, N], held whole; it may be overwritten.

    Raises:
        RegressionError: not square, not finite, or not symmetric to a thousand rounding units.
    """
    n, unit = check_square(matrix), np.finfo(precision(matrix)).eps
    whole = matrix @ np.eye(n) if isinstance(matrix, LinearOperator) else to_numpy(matrix)
    kernel = np.array(whole, np.float64, order="C")
    asymmetry = largest = 0.0
    for rows in row_blocks(kernel):
        check_finite(kernel[rows], "kernel", rows.start)
        asymmetry = max(asymmetry, np.abs(kernel[rows] - kernel[:, rows].T).max())
        largest = max(largest, np.abs(kernel[rows]).max())
    if asymmetry > _SYMMETRY * unit * largest:
        raise RegressionError(
            f"the kernel is not symmetric: max|K − Kᵀ| = {asymmetry:.1e}, max|K| = {largest:.1e}",
            where="kernel",
            remedy="give a kernel of the training samples with themselves, both ways the same",
        )
    return kernel


def real_array(values: Any, where: str) -> FloatArray:
    """In float64.

    Raises:
        RegressionError: complex, text, or no array of numbers at all.
    """
    try:
        found = to_numpy(values)
    except ValueError as error:  # rows of different lengths
        raise RegressionError(f"{where}: {error}", where=where, remedy="give an array") from None
    if found.dtype.kind not in "biuf":
        remedy = "give real numbers"
        if found.dtype.kind == "c":
            remedy += ": the real and the imaginary part as two columns of targets"
        raise RegressionError(f"{where} of dtype {found.dtype}", where=where, remedy=remedy)
    return found.astype(np.float64)


def check_targets(targets: Any, samples: int) -> FloatArray:
    """Targets [N] or [N, K] in float64.

    Raises:
        RegressionError: another shape, or not finite.
    """
    found = real_array(targets, "targets")
    if found.ndim not in (1, 2) or len(found) != samples:
        raise RegressionError(
            f"targets of shape {found.shape} for a kernel of {samples} samples",
            where="targets",
            remedy=f"give [{samples}], or [{samples}, K] for K outputs",
        )
    check_finite(found, "targets")
    return found


def less_offset(targets: FloatArray, offset: Any) -> FloatArray:
    """Targets less an offset of their shape, or the targets where it is None.

    Raises:
        RegressionError: another shape, or not finite.
    """
    return targets if offset is None else targets - check_offset(offset, targets.shape)


def check_offset(offset: Any, shape: tuple[int, ...]) -> FloatArray:
    """An offset in float64.

    Raises:
        RegressionError: another shape, or not finite.
    """
    found = real_array(offset, "offset")
    if found.shape != shape:
        raise RegressionError(
            f"an offset of shape {found.shape} for outputs of shape {shape}",
            where="offset",
            remedy="give a number for each of them: broadcasting would hide a mistake",
        )
    check_finite(found, "offset")
    return found


def check_finite(values: FloatArray, where: str, offset: int = 0) -> None:
    """Refuse NaN and infinity; `offset` is added to the row that the error names.

    Raises:
        RegressionError: says how many, and where the first is.
    """
    finite = np.isfinite(values)
    if finite.all():
        return
    first = np.argwhere(~finite)[0]
    first[0] += offset
    raise RegressionError(
        f"{(~finite).sum()} elements are NaN or infinite",
        where=f"{where}{first.tolist()}",
        remedy="leave out these samples, or networks that diverged: their kernels are NaN",
    )


def row_blocks(matrix: Any) -> Iterator[slice]:
    """Slices of about 16 MiB in float64, of whole chunks where the matrix [M, N] has any."""
    rows, columns = matrix.shape
    chunk = (getattr(matrix, "chunks", None) or (1,))[0]
    size = chunk * max(1, _BLOCK_BYTES // (8 * columns * chunk))
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def multiply(matrix: Any, vectors: FloatArray) -> FloatArray:
    """`matrix @ vectors` in float64, [M, N] times [N] or [N, K].

    Args:
        matrix: an array, of which a block of rows is read after the other, or a SciPy
            `LinearOperator`.
        vectors: in float64.

    Raises:
        RegressionError: the product has NaN or infinite elements.
    """
    if isinstance(matrix, LinearOperator):
        product = np.asarray(matrix @ vectors, np.float64)
    else:
        product = np.concatenate([_read(matrix, rows) @ vectors for rows in row_blocks(matrix)])
    check_finite(product, "kernel times vectors")
    return product


def diagonal(matrix: Any) -> FloatArray:
    """Diagonal of a kernel [N, N], read a block of rows at a time.

    Raises:
        RegressionError: a `LinearOperator` without a method `diagonal`.
    """
    if not isinstance(matrix, LinearOperator):
        return np.concatenate(
            [_read(matrix, rows)[:, rows].diagonal() for rows in row_blocks(matrix)]
        )
    if hasattr(matrix, "diagonal"):
        return np.asarray(to_numpy(matrix.diagonal()), np.float64)
    raise RegressionError(
        "a ridge is relative to the mean diagonal, which this operator does not give",
        where="kernel",
        remedy="give the operator a method diagonal(), or use IterativeSolver, whose ridge is "
        "absolute",
    )


def leading_block(matrix: Any, samples: int) -> Any:
    """The kernel [samples, samples] of the first samples, in the dtype and kind of the whole."""
    if isinstance(matrix, LinearOperator):
        columns = matrix @ np.eye(matrix.shape[1], samples)
        return columns[:samples].astype(precision(matrix))
    return matrix[:samples, :samples]


def _read(matrix: Any, rows: slice) -> FloatArray:
    return to_numpy(matrix[rows]).astype(np.float64, copy=False)
