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
    half = (size - (q1 + q2) / 2).exp() / 2
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
    and its derivative in K (Price's theorem).
    """
    p, product = (1 + q1) * (1 + q2), q1 * q2
    square = torch.addcmul(p, K, K, value=-1)
    inverse = square.rsqrt()
    arc = arcsin_(K * p.rsqrt()).mul_(0.5 / math.pi).add_(0.25)
    value = (K.square() + product * square).mul_(inverse).div_(p).mul_(0.5 / math.pi)
    rest = (1 / square + (1 - product) / p + 1).mul_(inverse).mul_(K).mul_(0.5 / math.pi)
    return value.addcmul_(arc, K), rest.add_(arc)
