"""Closed forms, and others, of E[φ(u)φ(v)] and E[φ'(u)φ'(v)] for centred Gaussians u, v.

K is their covariance, q1 and q2 their variances. Elementwise; all tensors broadcast against K.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor

from ntkscope.errors import ModelError
from ntkscope.models.activations import ACTIVATIONS
from ntkscope.ntk.infinite import analytic_duals, hermite, piecewise
from ntkscope.ntk.infinite.arcs import arcsin_, arctan2
from ntkscope.ntk.infinite.nearness import half_sine
from ntkscope.ntk.infinite.nonlinearity import Nonlinearity

Pair = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
Near = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
Through = Callable[[Pair, Tensor, Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor | None]]

_SERIES = 0.1  # below this angle, sin θ − θ cos θ by its first terms, exact to 1e-13 of D


@dataclass(frozen=True)
class Dual:
    """An activation's action on covariances.

    Attributes:
        pair: (K, q1, q2) → E[φ(u)φ(v)] and E[φ'(u)φ'(v)].
        same: q → the same two for u = v, exact where `pair` would lose digits.
        near: (D, q1, q2) → E[φ'(u)φ'(v)] and E[(φ(u) − φ(v))²] of D = E[(u − v)²], where u ≈ v and
            `pair` loses half of the slope's digits; None where it does not, as φ has no kinks.
        flat_at_zero: φ'(0) = 0 as torch has it, where the limit of a vanishing variance is not 0.
    """

    pair: Pair
    same: Callable[[Tensor], tuple[Tensor, Tensor]]
    near: Near | None = None
    flat_at_zero: bool = False


def through(
    pair: Pair, K: Tensor, q1: Tensor, q2: Tensor, T: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """E[φ(u)φ(v)], and Θ · E[φ'(u)φ'(v)] written over Θ, for the `pair` of a `Dual`."""
    K, slope = pair(K, q1, q2)
    return K, None if T is None else T.mul_(slope)


@cache
def fused_through() -> Through:
    """`through` compiled: one pass over the memory instead of ten.

    Only this is worth fusing: a compiled box sum or pooling evaluates the arctangents again for
    each of its terms (2.5 times the time of the whole, measured).
    """
    return torch.compile(through, dynamic=True)


def _relu_pair(K: Tensor, q1: Tensor, q2: Tensor) -> tuple[Tensor, Tensor]:
    """Arc-cosine kernels of degrees 1 and 0 (Cho & Saul 2009, eqs. 3 to 6), halved.

    With θ the angle between u and v: (√(q1 q2) sin θ + (π − θ) K) / 2π and (π − θ) / 2π. The
    arctangent of √(q1 q2 − K²) / K gives θ; half of its digits are lost as θ goes to 0, so that
    the slope's error is then √eps / 2π (see `nearness`).
    """
    sine = (q1 * q2).addcmul_(K, K, value=-1).clamp_min_(0).sqrt_()
    slope = arctan2(sine, K).mul_(-0.5 / math.pi).add_(0.5)
    return sine.mul_(0.5 / math.pi).addcmul_(slope, K), slope


def _relu_same(q: Tensor) -> tuple[Tensor, Tensor]:
    return q / 2, (q > 0).to(q.dtype) / 2


def _relu_near(D: Tensor, q1: Tensor, q2: Tensor) -> tuple[Tensor, Tensor]:
    """(π − θ) / 2π, and D/2 − √(q1 q2) (sin θ − θ cos θ) / π: nothing cancels."""
    angle = 2 * half_sine(D, q1, q2).asin()
    direct = angle.sin() - angle * angle.cos()
    series = angle**3 * (1 / 3 - angle**2 * (1 / 30 - angle**2 / 840))
    bent = torch.where(angle > _SERIES, direct, series) * (q1 * q2).sqrt() / math.pi
    return 0.5 - angle / (2 * math.pi), (D / 2 - bent).clamp_min(0)


def _erf_pair(K: Tensor, q1: Tensor, q2: Tensor) -> tuple[Tensor, Tensor]:
    """(2/π) arcsin(2K / √((1 + 2q1)(1 + 2q2))) (Williams 1997) and its derivative in K."""
    product = (1 + 2 * q1) * (1 + 2 * q2)
    slope = torch.addcmul(product, K, K, value=-4).rsqrt_().mul_(4 / math.pi)
    return arcsin_(product.rsqrt_().mul_(K).mul_(2)).mul_(2 / math.pi), slope


def _erf_same(q: Tensor) -> tuple[Tensor, Tensor]:
    return (2 / math.pi) * torch.asin(2 * q / (1 + 2 * q)), (4 / math.pi) * torch.rsqrt(1 + 4 * q)


def leaky_dual(slope: float, at_zero: float) -> Dual:
    """Of z where z > 0, slope · z where z < 0; `at_zero` is its derivative at 0 as torch has it.

    φ = slope · z + (1 − slope) relu(z), and E[u relu(v)] = K/2.
    """
    rest = (1 - slope) ** 2

    def mean_slope(q: Tensor) -> Tensor:
        return torch.where(q > 0, q.new_tensor((1 + slope) / 2), at_zero)

    def pair(K: Tensor, q1: Tensor, q2: Tensor) -> tuple[Tensor, Tensor]:
        value, step = _relu_pair(K, q1, q2)
        apart = mean_slope(q1) * mean_slope(q2)
        return slope * K + rest * value, torch.where(
            (q1 > 0) & (q2 > 0), slope + rest * step, apart
        )

    def same(q: Tensor) -> tuple[Tensor, Tensor]:
        alike = torch.where(q > 0, q.new_tensor((1 + slope**2) / 2), at_zero**2)
        return q * (1 + slope**2) / 2, alike

    def near(D: Tensor, q1: Tensor, q2: Tensor) -> tuple[Tensor, Tensor]:
        step, distance = _relu_near(D, q1, q2)
        apart = mean_slope(q1) * mean_slope(q2)
        found = torch.where((q1 > 0) & (q2 > 0), slope + rest * step, apart)
        return found, slope * D + rest * distance

    return Dual(pair, same, near)


def analytic_dual(pair: Pair) -> Dual:
    """Of a closed form that loses no digits where u = v."""
    return Dual(pair, lambda q: pair(q, q, q))


def numeric_dual(phi: Nonlinearity) -> Dual:
    """By a series where φ is analytic, by quadrature between its kinks."""
    way = piecewise if phi.kinks else hermite
    near = partial(piecewise.near, phi) if phi.kinks else None
    return Dual(partial(way.pair, phi), partial(way.same, phi), near)


DUALS = {
    "relu": Dual(_relu_pair, _relu_same, _relu_near, flat_at_zero=True),
    "erf": Dual(_erf_pair, _erf_same),
    "gelu": Dual(analytic_duals.gelu, analytic_duals.gelu_same),
}
"""Those with a closed form; every other of `ACTIVATIONS` is expanded (`hermite`), if smooth."""


@cache
def dual(kind: str) -> Dual:
    """The closed form of an activation, or its expansion.

    Raises:
        ModelError: an activation that is not known.
    """
    if kind in DUALS:
        return DUALS[kind]
    if kind in ACTIVATIONS:
        return numeric_dual(Nonlinearity(kind, ACTIVATIONS[kind]))
    raise ModelError(
        f"there is no activation {kind}",
        where="the layers of an infinite-width kernel",
        remedy=f"use one of {', '.join(ACTIVATIONS)}",
    )
