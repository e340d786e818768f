"""Pairs of preactivations that are nearly equal, and the angle between them to all digits.

Where φ has a kink, E[φ'(u)φ'(v)] falls by the angle θ between u and v, which their covariance does
not hold as θ goes to 0: an error of eps in K is one of eps/θ in θ, √eps at worst, and so relative
errors of 1e-8 in the NTK of float64. Their squared distance D = E[(u − v)²] holds it. It begins as
the inputs' own, of differences; a layer with weights multiplies it, and each φ has its law.
"""

from __future__ import annotations

import torch
from torch import Tensor

COSINE = 1 - 5e-7  # θ = 1e-3: further apart, K gives the NTK to 3e-13
RATIO = 4.0  # of variances: of others, D is all of one of them, and has less of θ than K


def half_sine(D: Tensor, q1: Tensor, q2: Tensor) -> Tensor:
    """The sine of θ/2, √((D − (√q1 − √q2)²) / 4√(q1 q2)); 0 where a variance is 0."""
    one, other = q1.sqrt(), q2.sqrt()
    gap = (q1 - q2) / (one + other).clamp_min(1e-300)
    square = (D - gap.square()).clamp_min(0) / (4 * one * other)
    return torch.where((q1 > 0) & (q2 > 0), square, 0).clamp_max(1).sqrt()


def near_pairs(
    K: Tensor,
    q1: Tensor,
    q2: Tensor,
    same: tuple[Tensor, Tensor] | None,
    cosine: float = COSINE,
    ratio: float = RATIO,
) -> Tensor | None:
    """Which pairs [A, B] of samples are near but not equal at any position; None: none is.

    Args:
        K: covariances […, A, B] at equal positions.
        q1, q2: variances […, A] and […, B].
        same: indices of the pairs that are equal, or None.
        cosine: of the angle within which pairs are near; ratio: of their variances, at most.
    """
    scaled = K * q2.clamp_min(torch.finfo(K.dtype).tiny).rsqrt()[..., None, :]
    if same is not None:
        scaled[..., same[0], same[1]] = -torch.inf
    limit = q1.sqrt() * cosine
    if bool((scaled.amax(-1) <= limit).all()):  # not so of NaN, which says nothing of others
        return None
    close = (scaled > limit[..., None]) & _alike(q1[..., None], q2[..., None, :], ratio)
    close = close.flatten(0, -3).any(0) if close.dim() > 2 else close
    return close if bool(close.any()) else None


def are_near(K: Tensor, q1: Tensor, q2: Tensor) -> Tensor:
    """Where D has more digits of the angle than K; q1 and q2 broadcast to K."""
    return (COSINE * q1.sqrt() * q2.sqrt() < K) & _alike(q1, q2, RATIO)


def _alike(q1: Tensor, q2: Tensor, ratio: float) -> Tensor:
    return (q1 <= ratio * q2) & (q2 <= ratio * q1)
