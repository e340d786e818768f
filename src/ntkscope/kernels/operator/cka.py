"""Centred kernel alignment of kernels that are never formed.

CKA(A, B) = ⟨HAH, HBH⟩_F / (‖HAH‖_F ‖HBH‖_F) (Kornblith et al. 2019, "Similarity of neural network
representations revisited", eq. 1; Cortes et al. 2012). For any projector P off a space with basis
Q, ⟨A, B⟩_F = ⟨AQ, BQ⟩ + E⟨APg, BPg⟩: the three inner products are had from the same sketch and the
same vectors, each left out once (`leave_one_out`), and most of their errors cancel in the ratio.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from ntkscope.kernels.operator.centred import Centred, centre
from ntkscope.kernels.operator.estimates import (
    Estimate,
    Float64,
    Seed,
    check_budget,
    gaussian,
    multiply,
    size_of,
)
from ntkscope.kernels.operator.frobenius import frobenius_norm
from ntkscope.kernels.operator.leave_one_out import leave_one_out
from ntkscope.kernels.operator.vectors import VectorError


def cka_with_labels(
    operator: LinearOperator, labels: NDArray[Any], products: int = 40, seed: Seed = 0
) -> Estimate:
    """CKA(Θ, YYᵀ), Y one-hot; CKA(Θ, YYᵀ ⊗ I_K) of a full NTK.

    The numerator tr(YᵀHΘHY) is exact, by a product for each class (and output); only ‖HΘH‖_F is
    estimated.

    Args:
        operator: Θ [N, N], or [N·K, N·K] with an attribute `outputs` of K.
        labels: [N], any hashable values; two classes or more.
        products: budget for ‖HΘH‖_F, 4 or more.
        seed: of the random vectors, or a Generator.

    Returns:
        Estimate; the error is that of the norm, relatively the same.

    Raises:
        VectorError: as `frobenius_norm`; labels of another number, or all the same.
    """
    outputs = int(getattr(operator, "outputs", 1))
    columns = _one_hot(np.asarray(labels), size_of(operator) // outputs)
    centred = Centred(operator, outputs)
    target = centre(np.kron(columns, np.eye(outputs)), outputs)
    common = float((target * multiply(operator, target)).sum())
    norm = frobenius_norm(centred, products, seed)
    size = float(np.linalg.norm(target.T @ target))
    value = _ratio(common, norm.value, size)
    return Estimate(value, abs(value) * norm.error / norm.value, norm.products + target.shape[1])


def cka_between(
    first: LinearOperator, second: LinearOperator, products: int = 40, seed: Seed = 0
) -> Estimate:
    """CKA of two operators over the same samples.

    Args:
        first, second: symmetric, of one shape; attribute `outputs` as in `cka_with_labels`.
        products: budget of each of the two, 6 or more; two for each random vector, and one to
            bring the two to one scale.
        seed: of the random vectors, or a Generator.

    Returns:
        Estimate; the error is the jackknife's over the vectors (Efron & Stein 1981); its products
        are those of each operator.

    Raises:
        VectorError: operators of different or no square shape, or an unfit budget.
    """
    size = size_of(first)
    if size_of(second) != size:
        raise VectorError(
            f"operators of shapes {first.shape} and {second.shape}",
            where="first, second",
            remedy="take both kernels on the same samples and outputs",
        )
    check_budget(products, 6, size)
    pair = [Centred(op, int(getattr(op, "outputs", 1))) for op in (first, second)]
    each, used = _inner_products(pair, gaussian(size, products // 2, seed))
    mean = each.mean(1)
    value = _cosine(mean)
    m = each.shape[1]
    others = np.array([_cosine((m * mean - each[:, i]) / (m - 1)) for i in range(m)])
    error = float(np.sqrt((m - 1) / m * ((others - others.mean()) ** 2).sum()))
    return Estimate(value, error, used)


def _inner_products(pair: list[Centred], omega: Float64) -> tuple[Float64, int]:
    """⟨A, A⟩, ⟨B, B⟩, ⟨A, B⟩ by each vector [3, m], and the products of each operator."""
    sketches = [multiply(op, omega) for op in pair]
    scales = [np.linalg.norm(y) or 1.0 for y in sketches]
    sketches = [y / scale for y, scale in zip(sketches, scales, strict=True)]
    loo = leave_one_out(sketches[0] + sketches[1], omega)
    images = [multiply(op, loo.basis) / scale for op, scale in zip(pair, scales, strict=True)]
    removed = [image @ loo.left_out for image in images]
    outside = [y - image @ loo.inside for y, image in zip(sketches, images, strict=True)]
    each = [
        (images[a] * images[b]).sum()
        - (removed[a] * removed[b]).sum(0)
        + loo.scale * (outside[a] * outside[b]).sum(0)
        for a, b in ((0, 0), (1, 1), (0, 1))
    ]
    return np.stack(each), omega.shape[1] + loo.basis.shape[1]


def _cosine(products: Float64) -> float:
    return _ratio(products[2], np.sqrt(products[0]), np.sqrt(products[1]))


def _ratio(common: float, first: float, second: float) -> float:
    """NaN where a centred kernel is zero and has no direction."""
    size = float(first * second)
    return float(common) / size if size > 0 else float("nan")


def _one_hot(labels: NDArray[Any], samples: int) -> Float64:
    classes = np.unique(labels)
    if labels.shape != (samples,) or len(classes) < 2:
        raise VectorError(
            f"labels of shape {labels.shape} in {len(classes)} classes for {samples} samples",
            where="labels",
            remedy=f"give [{samples}] labels of two classes or more",
        )
    return np.asarray(labels[:, None] == classes, np.float64)
