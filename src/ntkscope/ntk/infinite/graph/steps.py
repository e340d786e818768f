"""What each step of a network does to the covariance K and the tangent kernel Θ of a tile.

Both are [P, P', A, B]: positions of the first and second sample, then pairs of samples. What a step
needs of each sample by itself (`own`) is found out once and handed to it for both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ntkscope.ntk.infinite.affine import AffineLaw
from ntkscope.ntk.infinite.dual_activations import Dual
from ntkscope.ntk.infinite.graph.window import Window
from ntkscope.ntk.infinite.nearness import are_near


class KT(NamedTuple):
    """K and Θ [P, P', A, B]; Θ is None before the first parameter, or if unwanted.

    D is E[(u − v)²] of pairs that are too near for K to say it (`nearness`), as K, but meaningful
    at equal positions only; None: not known, or not needed.
    """

    K: Tensor
    T: Tensor | None
    D: Tensor | None = None


@dataclass(frozen=True)
class Affine:
    """A layer with weights.

    Attributes:
        number: among the layers with weights.
        window: what an output of a convolution sees; None: its own position only.
    """

    number: int
    window: Window | None = None

    def apply(self, x: KT, law: AffineLaw, tangent: bool) -> KT:
        """K' = weight · S + bias, Θ' = weight · mean(Θ) + weight_gradient · S + bias_gradient."""
        S = self._mean(x.K)
        T = None
        if tangent:
            T = S * law.weight_gradient + law.bias_gradient
            if x.T is not None:
                T += self._mean(x.T).mul(law.weight)
        D = None if x.D is None else self._mean(x.D) * law.weight
        return KT(S * law.weight + law.bias, T, D)

    def _mean(self, M: Tensor) -> Tensor:
        """Over the inputs that one output sees at both positions; those outside are 0."""
        return M if self.window is None else self.window.mean(M)


@dataclass(frozen=True)
class Activate:
    """An elementwise function of a Gaussian, times `gain`."""

    dual: Dual
    gain: float = 1.0

    def own(self, K: Tensor) -> Tensor:
        """Variances [P, N] of K [P, P, N, 1]."""
        return equal_positions(K)[..., 0]

    def apply(self, x: KT, first: Tensor, second: Tensor) -> KT:
        """E[φ(u)φ(v)] and Θ · E[φ'(u)φ'(v)] of variances [P, A, 1] and [P, 1, B]."""
        q1, q2 = first[:, None], second[None]
        K, slope = self.dual.pair(x.K, q1, q2)
        D = self._near(x, first, second, slope)
        if x.T is not None and self.dual.flat_at_zero:
            slope = torch.where((q1 > 0) & (q2 > 0), slope, 0)
        scale = self.gain**2
        return KT(K * scale, None if x.T is None else x.T * slope * scale, D)

    def _near(self, x: KT, first: Tensor, second: Tensor, slope: Tensor) -> Tensor | None:
        """D afterwards; the slope of what is near, at equal positions, is mended."""
        if x.D is None or self.dual.near is None:
            return None
        exact, distance = self.dual.near(equal_positions(x.D), first, second)
        near, mended = are_near(equal_positions(x.K), first, second), equal_positions(slope)
        mended.copy_(torch.where(near, exact, mended))
        after = torch.zeros_like(x.D)
        equal_positions(after).copy_(distance * self.gain**2)
        return after

    def exact(self, before: KT, after: KT, q: Tensor, same: tuple[Tensor, Tensor]) -> None:
        """Write what a sample has with itself, at equal positions; q are variances [P, pairs]."""
        k, slope = self.dual.same(q)
        i, j = same
        equal_positions(after.K)[:, i, j] = k * self.gain**2
        if after.T is not None and before.T is not None:
            old = equal_positions(before.T)[:, i, j]
            equal_positions(after.T)[:, i, j] = old * slope * self.gain**2


@dataclass(frozen=True)
class Normalise:
    """Division by the root of the mean square over channels, and perhaps positions.

    The factors and shifts that are learned start at 1 and 0 (Ba et al. 2016); the mean over
    channels of what is centred is 0.

    Attributes:
        eps: added to the mean square.
        together: whether positions are averaged over as well.
        weight, bias: whether factors and shifts, one for each channel, are learned.
        fixed: by 1 + eps, whatever the signal (batch normalisation with its first statistics).
    """

    eps: float
    together: bool
    weight: bool
    bias: bool
    fixed: bool = False

    def own(self, K: Tensor) -> Tensor:
        """One over the root [P, N] of K [P, P, N, 1]."""
        q = equal_positions(K)[..., 0]
        if self.fixed:
            q = torch.ones_like(q)
        elif self.together:
            q = q.mean(0, keepdim=True).expand_as(q)
        return (q + self.eps).rsqrt()

    def apply(self, x: KT, first: Tensor, second: Tensor, tangent: bool) -> KT:
        """Of roots [P, A, 1] and [P, 1, B]."""
        scale = first[:, None] * second[None]
        K = x.K * scale
        T = None if x.T is None else x.T * scale
        if tangent and self.weight:
            T = K.clone() if T is None else T + K
        if tangent and self.bias:
            T = torch.ones_like(K) if T is None else T + 1
        return KT(K, T, self._distance(x, first[:, None], second[None]))

    def _distance(self, x: KT, r1: Tensor, r2: Tensor) -> Tensor | None:
        """r1 r2 D + (r1 − r2)(r1 q1 − r2 q2), the variances being half of 2K + D ± (q1 − q2)."""
        if x.D is None or (self.together and len(x.K) > 1):
            return None
        half = (r1**-2 - r2**-2) / 2
        apart = (r1 - r2) * (x.K + x.D / 2) + (r1 + r2) * half
        return (r1 * r2 * x.D + (r1 - r2) * apart).clamp_min(0)


@dataclass(frozen=True)
class Attend:
    """Σ_s softmax_s(G)[p, s] V_s with dot products G of keys by themselves over their number.

    With as many keys as there are channels, G is their covariance, no longer random, and does not
    move (Hron et al. 2020, "Infinite attention", section 3.2, d⁻¹ scaling with tied weights). The
    first of the step's inputs are values, the second keys.
    """

    def own(self, K: Tensor) -> Tensor:
        """Weights [P, P, N] of the keys' covariance [P, P, N, 1]."""
        return K[..., 0].softmax(1)

    def apply(self, x: KT, first: Tensor, second: Tensor) -> KT:
        """Of weights [P, P, A, 1] and [P, P, 1, B]."""

        def mixed(M: Tensor) -> Tensor:
            one, other = first.permute(2, 3, 0, 1), second.permute(2, 3, 1, 0)
            return (one @ M.permute(2, 3, 0, 1) @ other).permute(2, 3, 0, 1)

        return KT(mixed(x.K), None if x.T is None else mixed(x.T))


@dataclass(frozen=True)
class Move:
    """Every channel by one matrix over positions: pooling, means, choices, another order.

    Attributes:
        matrix: [P', P], sparse, float64.
    """

    matrix: Tensor

    def apply(self, x: KT) -> KT:
        """M K Mᵀ and M Θ Mᵀ."""
        chooses = self.matrix._nnz() == len(self.matrix)  # it mixes no positions
        D = self._both(x.D) if x.D is not None and chooses else None
        return KT(self._both(x.K), None if x.T is None else self._both(x.T), D)

    def _both(self, M: Tensor) -> Tensor:
        return self._first(self._first(M).transpose(0, 1)).transpose(0, 1)

    def _first(self, M: Tensor) -> Tensor:
        moved: Tensor = self.matrix @ M.reshape(len(M), -1)
        return moved.view(-1, *M.shape[1:])


@dataclass(frozen=True)
class Flatten:
    """Positions become channels: the mean over equal positions."""

    def apply(self, x: KT) -> KT:
        """[1, 1, A, B]."""
        T, D = (None if M is None else _flat(M) for M in (x.T, x.D))
        return KT(_flat(x.K), T, D)


@dataclass(frozen=True)
class Add:
    """A sum of independent signals.

    Attributes:
        factors: of each input.
    """

    factors: tuple[float, ...]

    def apply(self, each: list[KT]) -> KT:
        """Σ c² K and Σ c² Θ."""
        squares = [c**2 for c in self.factors]
        K = sum(x.K * c for x, c in zip(each, squares, strict=True))
        tangents = [x.T * c for x, c in zip(each, squares, strict=True) if x.T is not None]
        assert isinstance(K, Tensor)
        T = sum(tangents[1:], tangents[0]) if tangents else None
        distances = [x.D * c for x, c in zip(each, squares, strict=True) if x.D is not None]
        known = len(distances) == len(each)
        return KT(K, T, sum(distances[1:], distances[0]) if known else None)


Step = Affine | Activate | Normalise | Attend | Move | Flatten | Add


def equal_positions(M: Tensor) -> Tensor:
    """The view [P, A, B] at equal positions."""
    return M.diagonal(0, 0, 1).movedim(-1, 0)


def _flat(M: Tensor) -> Tensor:
    return equal_positions(M).mean(0)[None, None]
