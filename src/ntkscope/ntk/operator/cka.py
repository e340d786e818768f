"""Centred kernel alignment of kernels that are never formed.

CKA(A, B) = ⟨HAH, HBH⟩_F / (‖HAH‖_F ‖HBH‖_F) (Kornblith et al. 2019, "Similarity of neural network
representations revisited", eq. 1; Cortes et al. 2012). The three inner products of two kernels come
from the same vectors (`inner_products`), and most of their errors cancel in the ratio.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator

from ntkscope.ntk.operator.centred import Centred, centre
from ntkscope.ntk.operator.estimates import (
    Estimate,
    Float64,
    Seed,
    check_budget,
    multiply,
    size_of,
)
from ntkscope.ntk.operator.frobenius import frobenius_norm
from ntkscope.ntk.operator.inner_products import of_inner_products
from ntkscope.ntk.operator.vectors import VectorError


def cka_with_labels(
    operator: LinearOperator, labels: NDArray[Any], products: int = 40, seed: Seed = 0
) -> Estimate:
    """CKA(Θ, YYᵀ), Y one-hot; CKA(Θ, YYᵀ ⊗ I_K) of a full NTK.

    The numerator tr(YᵀHΘHY) is exact, by a product for each class (and output); only ‖HΘH‖_F is
    estimated.

    Args:
        operator: Θ [N, N], or [N·K, N·K] with an attribute `outputs` of K.
        labels: [N], integers or text; two classes or more.
        products: budget for ‖HΘH‖_F, 6 or more.
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
    used = norm.products + target.shape[1]
    if norm.value == 0:
        return Estimate(float("nan"), float("nan"), used)
    value = common / (norm.value * size)
    return Estimate(value, abs(value) * norm.error / norm.value, used)


def cka_between(
    first: LinearOperator, second: LinearOperator, products: int = 40, seed: Seed = 0
) -> Estimate:
    """CKA of two operators over the same samples.

    Args:
        first, second: symmetric, of one shape; attribute `outputs` as in `cka_with_labels`.
        products: budget of each of the two, 6 or more; half makes the sketch.
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
            remedy="compute both kernels on the same samples and outputs",
        )
    check_budget(products, 6, size)
    pair: list[LinearOperator] = [
        Centred(operator, int(getattr(operator, "outputs", 1))) for operator in (first, second)
    ]
    return Estimate(*of_inner_products(pair, products, seed, _cosine))


def _cosine(gram: Float64) -> float:
    """NaN where a centred kernel is zero and has no direction."""
    size = float(np.sqrt(gram[0, 0]) * np.sqrt(gram[1, 1]))
    return float(gram[0, 1]) / size if size > 0 else float("nan")


def _one_hot(labels: NDArray[Any], samples: int) -> Float64:
    classes = np.unique(labels)
    if labels.shape != (samples,) or len(classes) < 2:
        raise VectorError(
            f"labels of shape {labels.shape} in {len(classes)} classes for {samples} samples",
            where="labels",
            remedy=f"give [{samples}] labels of two classes or more",
        )
    return np.asarray(labels[:, None] == classes, np.float64)
