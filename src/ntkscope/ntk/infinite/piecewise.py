"""Dual activations of functions with kinks: by Gauss and Legendre's rule between the kinks.

E[φ(u)φ(v)] = E_X[φ(√q1 X) g(X)], g(X) = E_Z[φ(√q2 (ρX + √(1−ρ²) Z))]. Both integrals are cut at the
kinks of their integrand; g is analytic, but rises within √(1−ρ²)/ρ of φ's kinks, where the outer
one is cut more finely. Some entries, extreme ones among them, are computed with more nodes as well:
as many are used as agree to `ACCURACY` of √(E[φ(u)²] E[φ(v)²]). Two rules also agree where neither
has a node near what happens beside a kink, so that each variance's E[φ²] and E[φ'²] are compared
with those of a rule that has intervals of φ's own scale there. It takes about a millisecond an
entry, ten thousand times as long as a closed form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.tuning import TUNING
from ntkscope.ntk.infinite.nearness import half_sine
from ntkscope.ntk.infinite.nonlinearity import Nonlinearity

ACCURACY = 1e-10
_NODES = (10, 16, 24, 36)  # of an interval
_EDGES = tuple(float(x) for x in np.linspace(-10, 10, 9))
_RISE = (-8.0, -4.0, -2.0, -0.7, 0.0, 0.7, 2.0, 4.0, 8.0)  # widths of g's rise
_PROBES = 24
_BESIDE = tuple(side * 2.0**j for j in range(-1, 18) for side in (-1, 1))  # of a kink


def pair(phi: Nonlinearity, K: Tensor, q1: Tensor, q2: Tensor) -> tuple[Tensor, Tensor]:
    """E[φ(u)φ(v)] and E[φ'(u)φ'(v)] of covariances K and variances q1, q2 that broadcast to it.

    Raises:
        ModelError: no number of nodes is enough, of variances in the thousands.
    """
    entries = torch.stack([t.double().expand(K.shape).flatten() for t in (K, q1, q2)])
    if not entries.numel():
        return K.clone(), K.clone()
    nodes = _enough(phi, entries)
    _check_scale(phi, torch.cat([q1.flatten(), q2.flatten()]).double())
    each = TUNING.quadrature_values // (_intervals(phi) * nodes) ** 2 + 1
    parts = [_integral(phi, part, nodes) for part in entries.split(each, 1)]
    value, slope = torch.cat(parts, 1).to(K.dtype).view(2, *K.shape)
    return value, slope


def near(phi: Nonlinearity, D: Tensor, q1: Tensor, q2: Tensor) -> tuple[Tensor, Tensor]:
    """E[φ'(u)φ'(v)] and E[(φ(u) − φ(v))²] of D = E[(u − v)²]."""
    entries = torch.stack([t.expand(D.shape).flatten() for t in (D, q1, q2)])
    each = TUNING.quadrature_values // (_intervals(phi) * _NODES[-1]) ** 2 + 1
    parts = []
    for part in entries.split(each, 1):
        half = half_sine(*part)
        angle = (1 - 2 * half.square(), 2 * half * (1 - half.square()).sqrt())
        parts.append(_of_angle(phi, part[1], part[2], angle, _NODES[-1])[1:])
    slope, distance = torch.cat(parts, 1).view(2, *D.shape)
    return slope, distance


def same(phi: Nonlinearity, q: Tensor) -> tuple[Tensor, Tensor]:
    """E[φ(u)²] and E[φ'(u)²] of variances q."""
    value, slope = _squares(phi, q.double().flatten()).to(q.dtype).view(2, *q.shape)
    return value, slope


def _enough(phi: Nonlinearity, entries: Tensor) -> int:
    """The fewest nodes that agree with the next rule.

    Raises:
        ModelError: no two rules agree.
    """
    probes = _probes(entries)
    size = _squares(phi, probes[1:].flatten()).view(2, 2, -1).prod(1).sqrt()
    before = _integral(phi, probes, _NODES[0])
    for fewer, more in pairwise(_NODES):
        now = _integral(phi, probes, more)
        if bool(((now - before).abs() <= ACCURACY * size).all()):
            return fewer
        before = now
    raise _too_few(phi, entries[1:])


def _check_scale(phi: Nonlinearity, q: Tensor) -> None:
    """Refuse variances [M] at which φ changes beside its kinks where even the most nodes are not.

    Raises:
        ModelError: there are.
    """
    for part in q.split(TUNING.series_variances):
        cuts = [_at(k + c, part.sqrt()) for k in phi.kinks for c in _BESIDE]
        exact = _squares(phi, part, cuts)
        if bool(((_squares(phi, part) - exact).abs() > 10 * ACCURACY * exact).any()):
            raise _too_few(phi, part)


def _too_few(phi: Nonlinearity, variances: Tensor) -> ModelError:
    return ModelError(
        f"{_NODES[-1]} nodes an interval do not give the infinite-width kernel of {phi.name} to "
        f"{ACCURACY:g}",
        where=f"activation {phi.name}, variances up to {float(variances.max()):.3g}",
        remedy="use relu, or smaller W_std and b_std or inputs",
    )


def _probes(entries: Tensor) -> Tensor:
    """Some entries of the extremes of each quantity, and some in between."""
    K, q1, q2 = entries
    correlation = K / (q1 * q2).sqrt().clamp_min(1e-300)
    among = []
    for quantity in (correlation, correlation.abs(), q1, q2, q1 * q2):
        if quantity.numel():
            order = quantity.argsort()
            among += [order[[0, -1, len(order) // 2]]]
    among += [torch.linspace(0, max(K.numel() - 1, 0), min(_PROBES, K.numel())).long().to(K.device)]
    return entries[:, torch.cat(among).unique()]


def _integral(phi: Nonlinearity, entries: Tensor, nodes: int) -> Tensor:
    """Both expectations [2, M] of entries (K, q1, q2) [3, M]."""
    K, q1, q2 = entries
    size = q1.sqrt() * q2.sqrt()
    rho = torch.where(size > 0, K / size, 0).clamp(-1, 1)
    return _of_angle(phi, q1, q2, (rho, (1 - rho.square()).sqrt()), nodes)[:2]


def _of_angle(
    phi: Nonlinearity, q1: Tensor, q2: Tensor, angle: tuple[Tensor, Tensor], nodes: int
) -> Tensor:
    """E[φ(u)φ(v)], E[φ'(u)φ'(v)] and E[(φ(u) − φ(v))²] [3, M] of the angle's cosine and sine."""
    (rho, left), one, other = angle, q1.sqrt(), q2.sqrt()
    X, outer = _rule(_outer_edges(phi, one, other, rho, left), nodes)
    mean = rho[:, None] * X
    kinks = [(_at(k, other)[:, None] - mean) / left.clamp_min(1e-300)[:, None] for k in phi.kinks]
    Z, inner = _rule(_edges(X, kinks), nodes)
    v = other[:, None, None] * (mean[..., None] + left[:, None, None] * Z)
    f, g = phi.both(one[:, None] * X), phi.both(v)
    inside = [f[i] * (inner * g[i]).sum(-1) for i in range(2)]
    inside.append((inner * (f[0][..., None] - g[0]).square()).sum(-1))
    return torch.stack([(outer * each).sum(-1) for each in inside])


def _outer_edges(
    phi: Nonlinearity, one: Tensor, other: Tensor, rho: Tensor, left: Tensor
) -> Tensor:
    slope = torch.where(rho == 0, 1e-300, rho)
    cuts = [_at(k, one) for k in phi.kinks]
    cuts += [(_at(k, other) + left * r) / slope for k in phi.kinks for r in _RISE]
    return _edges(one, cuts)


def _squares(phi: Nonlinearity, q: Tensor, cuts: Sequence[Tensor] = ()) -> Tensor:
    """E[φ(√q X)²] and of φ' [2, M] of variances [M], cut at kinks, and where `cuts` [M] say."""
    scale = q.sqrt()
    X, weights = _rule(_edges(scale, [*(_at(k, scale) for k in phi.kinks), *cuts]), _NODES[-1])
    both = torch.stack(phi.both(scale[:, None] * X))
    return (weights * both.square()).sum(-1)


def _at(kink: float, scale: Tensor) -> Tensor:
    """Where √q X has the kink; 0 stays 0 whatever the scale."""
    return kink / scale.clamp_min(1e-300)


def _edges(like: Tensor, cuts: list[Tensor]) -> Tensor:
    """[…, edges], ascending."""
    fixed = like.new_tensor(_EDGES).expand(*like.shape, -1)
    moving = [c.clamp(_EDGES[0], _EDGES[-1])[..., None] for c in cuts]
    return torch.cat([fixed, *moving], -1).sort(-1).values


def _rule(edges: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights under N(0, 1), [M, …, intervals · nodes]."""
    x, w = _gauss_legendre(nodes, edges.device)
    low, wide = edges[..., :-1, None], edges.diff(dim=-1)[..., None]
    X = (low + wide * x).flatten(-2)
    weights = (wide * w).flatten(-2) * (X.square() / -2).exp() / math.sqrt(2 * math.pi)
    return X, weights


@cache
def _gauss_legendre(nodes: int, device: torch.device) -> tuple[Tensor, Tensor]:
    x, w = np.polynomial.legendre.leggauss(nodes)
    return torch.from_numpy((x + 1) / 2).to(device), torch.from_numpy(w / 2).to(device)


def _intervals(phi: Nonlinearity) -> int:
    """About as many as each integral is cut into: the geometric mean."""
    few = len(_EDGES) + len(phi.kinks)
    return round(math.sqrt(few * (few + len(_RISE) * len(phi.kinks))))
