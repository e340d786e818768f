"""Sketches of which each vector is left out once: every vector serves twice, without bias.

Y = C Ω spans about the largest eigenspaces of C. With vector i left out, the rest spans a space
with projector Q(I − s_i s_iᵀ)Qᵀ, from one factorisation Y = QR: s_i is column i of R⁻ᵀ, normalised
(Epperly, Tropp & Webber 2024, "XTrace: making the most of every sample in stochastic trace
estimation", §2 and supplement). ω_i is independent of that space, so it may probe what is left
outside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ntkscope.kernels.operator.estimates import Float64


@dataclass
class LeaveOneOut:
    """A sketch with m vectors.

    Attributes:
        basis: Q [N, r], orthonormal.
        left_out: s_i [r, m]; 0 where the other vectors span all of Q.
        inside: x_i [r, m]: ω_i − Q x_i is ω_i's part outside the space without ω_i.
        scale: [m], makes the squared length of that part what it is on average: a normal vector's
            length says nothing about the operator.
    """

    basis: Float64
    left_out: Float64
    inside: Float64
    scale: Float64


def leave_one_out(sketch: Float64, omega: Float64) -> LeaveOneOut:
    """Factorise Y = C Ω.

    Args:
        sketch: Y [N, m].
        omega: Ω [N, m], independent standard normal vectors.
    """
    size, count = omega.shape
    left, values, right = np.linalg.svd(sketch, full_matrices=False)
    rank = int((values > values[0] * size * np.finfo(np.float64).eps).sum())
    basis = left[:, :rank]
    left_out = np.zeros((rank, count))
    if rank == count:
        left_out = (right.T / values).T
        left_out /= np.linalg.norm(left_out, axis=0)
    coordinates = basis.T @ omega
    inside = coordinates - left_out * (left_out * coordinates).sum(0)
    outside = (omega**2).sum(0) - (inside**2).sum(0)
    dimensions = size - min(rank, count - 1)
    return LeaveOneOut(basis, left_out, inside, dimensions / outside)


def standard_error(estimates: Float64) -> float:
    """Of the mean of m leave-one-out estimates (Epperly, Tropp & Webber 2024, eq. 2.5)."""
    return float(estimates.std(ddof=1) / np.sqrt(len(estimates)))
