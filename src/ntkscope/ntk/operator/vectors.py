"""Vectors that an operator is multiplied with: what is allowed, and from NumPy to torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ntkscope.errors import NtkscopeError

Float64 = NDArray[np.float64]


class VectorError(NtkscopeError, ValueError):
    """A vector, or a number of vectors, that an operator cannot be multiplied with."""


def as_columns(vectors: Any, size: int, like: Tensor) -> Tensor:
    """Vectors [size] or [size, p] as a real tensor [size, p] of `like`'s dtype and device.

    Raises:
        VectorError: another shape, complex numbers, NaN or infinity.
    """
    found = vectors if isinstance(vectors, Tensor) else _from_numpy(vectors)
    if found.ndim not in (1, 2) or len(found) != size:
        raise VectorError(
            f"vectors of shape {tuple(found.shape)} for an operator of {size} columns",
            where="vectors",
            remedy=f"give [{size}] or [{size}, p]; of a full NTK the output index goes fastest",
        )
    if found.is_complex() or found.dtype == torch.bool:
        raise VectorError(
            f"vectors of dtype {found.dtype}", where="vectors", remedy="give real numbers"
        )
    found = found.detach().to(device=like.device, dtype=like.dtype)
    if not bool(found.isfinite().all()):
        raise VectorError(
            f"a vector is not finite in {like.dtype}",
            where="vectors",
            remedy="remove NaN and infinity, or scale the vector",
        )
    return found if found.ndim == 2 else found.unsqueeze(1)


def _from_numpy(vectors: Any) -> Tensor:
    array = np.asarray(vectors)
    if array.dtype.kind not in "iufc":
        raise VectorError(
            f"vectors of dtype {array.dtype}", where="vectors", remedy="give real numbers"
        )
    return torch.from_numpy(np.array(array))
