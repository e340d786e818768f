"""Dual activations where no closed form is known: φ expanded in Hermite polynomials.

With ĥ_k the polynomials orthonormal under N(0, 1), a_k(q) = E[φ(√q z) ĥ_k(z)] and ρ the
correlation of u and v, Mehler's formula gives E[φ(u)φ(v)] = Σ_k a_k(q1) a_k(q2) ρᵏ, for φ' alike:
two multiplications an element and term, where quadrature in two dimensions needs φ at thousands of
nodes. The series ends where Σ_k a_k² = E[φ²] is met to `ACCURACY`, and its last term is enlarged so
that it is met exactly: by Cauchy and Schwarz the error is at most that share of
√(E[φ(u)²] E[φ(v)²]) (twice that where ρ < 0 and φ is neither odd nor even), and it vanishes as u
goes to v, so that kernels are continuous. Larger variances need more terms.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.tuning import TUNING
from ntkscope.ntk.infinite.nonlinearity import Function, Nonlinearity

ACCURACY = 1e-10
_TERMS = (32, 128, 512, 2048)
# The trapezoidal rule: exact to rounding for φ analytic near the real line.
_STEP, _END = 0.04, 12.8
_COARSE = 1e-5  # relative error of E[φ²] by every other node; the rule's own is its square
_TAIL = 1e-13  # of E[φ²], at the last node


def pair(phi: Nonlinearity, K: Tensor, q1: Tensor, q2: Tensor) -> tuple[Tensor, Tensor]:
    """E[φ(u)φ(v)] and E[φ'(u)φ'(v)] of covariances K and variances q1, q2 that broadcast to it.

    Raises:
        ModelError: the series does not end: a φ with kinks, or variances in the hundreds; or φ
            grows so fast that the nodes do not reach far enough.
    """
    size = (q1 * q2).sqrt_()
    correlation = torch.where(size > 0, K / size, 0).clamp_(-1, 1)
    value = _series(phi.name, phi.value, correlation, q1, q2)
    return value, _series(phi.name, phi.slope, correlation, q1, q2)


def same(phi: Nonlinearity, q: Tensor) -> tuple[Tensor, Tensor]:
    """E[φ(u)²] and E[φ'(u)²] of variances q."""
    value, slope = (
        torch.cat([_weights(q.device) @ _values(function, part).square() for part in _parts(q)])
        for function in (phi.value, phi.slope)
    )
    return value.reshape(q.shape).to(q.dtype), slope.reshape(q.shape).to(q.dtype)


def _series(kind: str, function: Function, correlation: Tensor, q1: Tensor, q2: Tensor) -> Tensor:
    """Σ_k a_k(q1) a_k(q2) ρᵏ by Horner's rule."""
    both = _coefficients(kind, function, torch.cat([q1.flatten(), q2.flatten()]))
    first, second = both.to(correlation.dtype).split([q1.numel(), q2.numel()], 1)
    total = torch.zeros_like(correlation)
    for a, b in zip(first.flip(0), second.flip(0), strict=True):
        total.mul_(correlation).addcmul_(a.view(q1.shape), b.view(q2.shape))
    return total


def _coefficients(kind: str, function: Function, q: Tensor) -> Tensor:
    """a_k(q) [terms, q], float64, as many as the variance needs that needs most."""
    needed = max(_terms(kind, _values(function, part), part) for part in _parts(q))
    polynomials = _polynomials(next(n for n in _TERMS if n >= needed), q.device)[:needed]
    return torch.cat([_complete(polynomials, _values(function, part)) for part in _parts(q)], 1)


def _complete(polynomials: Tensor, values: Tensor) -> Tensor:
    """Coefficients [terms, q] with the whole E[φ²]: what is left out goes into the last."""
    found = polynomials @ values
    energy = _weights(values.device) @ values.square()
    rest = (energy - found[:-1].square().sum(0)).clamp_min(0)
    found[-1] = rest.sqrt().copysign(found[-1])
    return found


def _terms(kind: str, values: Tensor, q: Tensor) -> int:
    energy = _weights(q.device) @ values.square()
    for terms in _TERMS:
        found = _polynomials(terms, q.device) @ values
        left_out = energy - found.square().cumsum(0)
        enough = (left_out <= ACCURACY * energy).all(1)
        if bool(enough[-1]) and _is_resolved(values, energy, q.device):
            return int(enough.int().argmax()) + 1
    raise ModelError(
        f"{_TERMS[-1]} terms do not give the infinite-width kernel of {kind} to {ACCURACY:g}",
        where=f"activation {kind}, preactivations of variance up to {float(q.max()):.3g}",
        remedy="use relu or erf, or smaller W_std and b_std or inputs",
    )


def _is_resolved(values: Tensor, energy: Tensor, device: torch.device) -> bool:
    """Whether the nodes are close enough for the function; False of NaN and overflow."""
    weights, squares = _weights(device), values.square()
    coarse, ends = 2 * weights[::2] @ squares[::2], weights[0] * (squares[0] + squares[-1])
    close = (coarse - energy).abs() <= _COARSE * energy
    return bool((close & (ends <= _TAIL * energy)).all())


def _parts(q: Tensor) -> tuple[Tensor, ...]:
    parts: tuple[Tensor, ...] = q.double().flatten().split(TUNING.series_variances)
    return parts


def _values(function: Function, q: Tensor) -> Tensor:
    """[node, q]."""
    return function(_nodes(q.device)[:, None] * q.sqrt())


@cache
def _weights(device: torch.device) -> Tensor:
    return (_nodes(device).square() / -2).exp() * (_STEP / math.sqrt(2 * math.pi))


@cache
def _nodes(device: torch.device) -> Tensor:
    count = 2 * round(_END / _STEP) + 1
    return torch.linspace(-_END, _END, count, dtype=torch.float64, device=device)


@cache
def _polynomials(terms: int, device: torch.device) -> Tensor:
    """ĥ_k at the nodes, weighted [terms, node], by √(k+1) ĥ_{k+1} = z ĥ_k − √k ĥ_{k−1}."""
    z = _nodes(device)
    found = [torch.ones_like(z), z]
    for k in range(1, terms - 1):
        found.append((z * found[k] - math.sqrt(k) * found[k - 1]) / math.sqrt(k + 1))
    return torch.stack(found) * _weights(device)
