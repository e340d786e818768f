"""Capacity and source of a kernel and a target, and the learning curve that they predict.

Where eigenvalues fall like λ_i ~ i^-b (capacity) and the target's squared coefficients along the
eigenfunctions like c_i² ~ i^-a (source), the squared error of regression without noise and with the
smallest ridge falls like n^-β, β = min(a − 1, 2 b): Spigler et al. 2020, Bordelon et al. 2020, and
Cui et al. 2021 (their α is b, their 2 α r is a − 1; the noiseless regimes). It is a statement of
squared errors, of Gaussian features, and of the n at which the spectrum is a power law; not of 0-1
errors.

Eigenvalues of N samples are no eigenvalues of the kernel: small ones are too large, and lines
through them and through tail sums of the power are biased (at N = 1000, by simulation: b by −.04, a
by +.05). So both are read from what N samples tell without bias as N grows: the degrees of freedom
d = Σ λ_i / (λ_i + κ) at the effective regularisation κ = λ / (1 − d / N) of the ridge λ, and the
bias B(κ) = Σ c_i² κ² / (λ_i + κ)², which is generalised cross-validation times 1 − d₂ / N (Jacot et
al. 2020; Simon et al. 2023; Bach 2024). Then κ ~ d^-b and B ~ d^-β.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ntkscope.statistics.paired import FloatArray
from ntkscope.statistics.trend import slope_by_seed

LEAST, MOST = 0.1, 0.5
"""Of the samples: the degrees of freedom between which the laws are fitted.

These are the n at which the spectrum predicts errors. At fewer, B is not yet a power law: by
simulation a is off by −.04 at 5 degrees of freedom (b = 1.3, a = 1.9), by less than −.01 at 25.
"""

REGULARISATION = 1e-3
LEAST_SAMPLES = 200

_POINTS = 12
_HALVINGS = 60


class Spectrum(NamedTuple):
    """What a spectrum says, each (…).

    Attributes:
        capacity: b of λ_i ~ i^-b.
        source: a of c_i² ~ i^-a; where it is 1 + 2 b or near, a lower bound of it.
        predicted: min(a − 1, 2 b).
    """

    capacity: FloatArray
    source: FloatArray
    predicted: FloatArray


def spectrum_exponents(eigenvalues: FloatArray, power: FloatArray) -> Spectrum:
    """Capacity, source and predicted exponent of each row.

    Args:
        eigenvalues: (…, eigen), not negative, of a kernel over as many samples, in any unit.
        power: (…, eigen), the squared coefficients of the target along its eigenvectors.

    Returns:
        NaN where there are fewer than 200 samples, or a row is not finite or has fewer positive
        eigenvalues than degrees of freedom are requested.
    """
    samples = eigenvalues.shape[-1]
    nothing = np.full(eigenvalues.shape[:-1], np.nan)
    if samples < LEAST_SAMPLES:
        return Spectrum(nothing, nothing, nothing)
    finite = np.isfinite(eigenvalues).all(axis=-1) & np.isfinite(power).all(axis=-1)
    positive = (eigenvalues > 0).sum(axis=-1)
    used = finite & (positive > MOST * samples) & (power.sum(axis=-1) > 0)
    shape = np.where(used[..., None], eigenvalues, 1.0 / np.arange(1, samples + 1))
    share = np.where(used[..., None], power, 1.0)
    freedom = np.geomspace(LEAST * samples, MOST * samples, _POINTS)
    kappa, bias = _population(np.maximum(shape, 0.0), share, freedom)
    capacity = np.where(used, -slope_by_seed(np.log(freedom + 0.5), np.log(kappa)), np.nan)
    source = np.where(used, 1.0 - slope_by_seed(np.log(freedom), np.log(bias)), np.nan)
    return Spectrum(capacity, source, np.minimum(source - 1.0, 2.0 * capacity))


def effective_dimension(eigenvalues: FloatArray, regularisation: float) -> FloatArray:
    """Σ λ_i / (λ_i + regularisation), the degrees of freedom (Caponnetto & De Vito 2007).

    Args:
        eigenvalues: (…, eigen).
        regularisation: in the units of the eigenvalues.

    Returns:
        (…).
    """
    positive = np.maximum(eigenvalues, 0.0)
    return np.asarray((positive / (positive + regularisation)).sum(axis=-1))


def _population(
    eigenvalues: FloatArray, power: FloatArray, freedom: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """κ and B at the given degrees of freedom: (…, eigen), (…, eigen), (point,) → (…, point)."""
    samples = eigenvalues.shape[-1]
    values, ridge = eigenvalues[..., None, :], _ridges(eigenvalues, freedom)[..., None]
    kept = values / (values + ridge)
    squares = (kept**2).sum(axis=-1)
    left = samples - freedom
    kappa = ridge[..., 0] * samples / left
    gcv = (power[..., None, :] * (1 - kept) ** 2).sum(axis=-1) * (samples / left) ** 2
    second = freedom - (freedom - squares) / (1 - (freedom - squares) / left)
    return kappa, gcv * (1 - second / samples)


def _ridges(eigenvalues: FloatArray, freedom: FloatArray) -> FloatArray:
    """The ridge at which Σ λ_i / (λ_i + ridge) is each freedom, by bisection: (…, point)."""
    top = np.log(eigenvalues.sum(axis=-1) / freedom[0])[..., None]
    low = np.broadcast_to(top - 80.0, (*eigenvalues.shape[:-1], len(freedom)))
    high = np.broadcast_to(top, low.shape)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        values = eigenvalues[..., None, :]
        more = (values / (values + np.exp(middle)[..., None])).sum(axis=-1) > freedom
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    return np.asarray(np.exp((low + high) / 2))
