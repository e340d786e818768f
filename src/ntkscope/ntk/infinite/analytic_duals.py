"""Closed forms of analytic activations: exact at any distance of the inputs, and cheap.

Each is (K, q1, q2) → E[φ(u)φ(v)] and E[φ'(u)φ'(v)] of centred Gaussians.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ntkscope.ntk.infinite.arcs import arcsin_


def sine(K: Tensor, q1: Tensor, q2: Tensor) -> tuple[Tensor, Tensor]:
    """exp(−(q1 + q2)/2) times sinh K and cosh K: of cosines of u − v and u + v."""
    size = K.abs()
    half = (size - (q1 + q2) / 2).clamp_max(0).exp() / 2  # rounding of large variances
    odd = torch.expm1(-2 * size).mul(half).neg().copysign(K)
    return odd, half + half * (-2 * size).exp()


def cosine(K: Tensor, q1: Tensor, q2: Tensor) -> tuple[Tensor, Tensor]:
    """exp(−(q1 + q2)/2) times cosh K and sinh K."""
    odd, even = sine(K, q1, q2)
    return even, odd


def exponential(K: Tensor, q1: Tensor, q2: Tensor) -> tuple[Tensor, Tensor]:
    """exp((q1 + q2)/2 + K), twice."""
    value = (K + (q1 + q2) / 2).exp()
    return value, value


def gelu(K: Tensor, q1: Tensor, q2: Tensor) -> tuple[Tensor, Tensor]:
    """Of x Φ(x) (Tsuchida et al. 2021, "Avoiding kernel fixed points").

    With p = (1 + q1)(1 + q2) and δ² = p − K²: K/4 + (K arcsin(K/√p) + (K² + q1 q2 δ²)/(p δ)) / 2π,
    and its derivative in K (Price's theorem). Of δ², q1 q2 − K² is nothing where u = v.
    """
    product = q1 * q2
    apart = torch.addcmul(product, K, K, value=-1).clamp_min_(0)
    return _gelu(K, product, 1 + q1 + q2, apart)


def gelu_same(q: Tensor) -> tuple[Tensor, Tensor]:
    """Where u = v."""
    return _gelu(q, q.square(), 1 + 2 * q, torch.zeros_like(q))


def _gelu(K: Tensor, product: Tensor, total: Tensor, apart: Tensor) -> tuple[Tensor, Tensor]:
    """Of q1 q2, 1 + q1 + q2 and q1 q2 − K²: nothing cancels."""
    p, square = product + total, apart.add_(total)
    inverse = square.rsqrt()
    sine = (K * p.rsqrt()).clamp_(-1, 1)
    arc = arcsin_(sine).mul_(0.5 / math.pi).add_(0.25)
    value = (K.square() + product * square).mul_(inverse).div_(p).mul_(0.5 / math.pi)
    rest = (1 / square + (1 + total) / p).mul_(inverse).mul_(K).mul_(0.5 / math.pi)
    return value.addcmul_(arc, K), rest.add_(arc)
