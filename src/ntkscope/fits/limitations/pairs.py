"""Differences between the exponents of two learning curves, paired by seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ntkscope.fits.limitations.curve import Curve
from ntkscope.fits.limitations.curve_fit import CurveFit, slopes_on
from ntkscope.statistics.paired import FloatArray, Interval, t_interval
from ntkscope.statistics.two_samples import welch

RESOLVED, OPEN, NONE = "resolved", "not resolved", "no difference could be taken"


@dataclass(frozen=True)
class Pair:
    """Exponent of the first curve − that of the second, on the n that both fits have.

    Attributes:
        first, second: their places among the curves.
        per_seed: (seed,); NaN where one has none, or where they are not paired.
        difference: paired t interval, or Welch's.
        n: those both fits have.
        paired: whether seeds are the same samples: the tasks are the same.
    """

    first: int
    second: int
    per_seed: FloatArray
    difference: Interval
    n: tuple[int, ...]
    paired: bool


def verdict(found: Interval) -> str:
    """Whether an interval leaves 0 out."""
    if not np.isfinite(found.low):
        return NONE
    return RESOLVED if found.low > 0 or found.high < 0 else OPEN


def pairs_of(fits: Sequence[CurveFit], confidence: float) -> list[Pair]:
    """The differences that are of interest, in the order of the curves.

    The network less each kernel of its part, the widest network less each other, K_∞ less each
    K_0, each network less the one of the part of role `base`, and the network of each part less
    that of role `plain` (other task: Welch).
    """
    return [_pair(fits, first, second, confidence) for first, second in _compared(fits)]


def _compared(fits: Sequence[CurveFit]) -> Iterator[tuple[int, int]]:
    curves = [fit.curve for fit in fits]
    for first, one in enumerate(curves):
        for second, other in enumerate(curves):
            if first != second and _is_compared(one, other, curves):
                yield first, second


def _is_compared(one: Curve, other: Curve, curves: Sequence[Curve]) -> bool:
    if one.kind == "infinite":
        return other.kind == "initial" and one.part == other.part
    if one.kind != "network":
        return False
    if other.kind == "network":
        if one.part == other.part:
            widths = _widths(one, curves)
            return bool(one.about["width"] == max(widths) > other.about["width"])
        base = other.about["role"] == "base" and other.about["task"] == one.about["task"]
        plain = other.about["role"] == "plain" and other.about["task"] != one.about["task"]
        return bool(base or plain)
    return _has_kernel(one, other, curves) and _same_width(one, other, curves)


def _has_kernel(network: Curve, kernel: Curve, curves: Sequence[Curve]) -> bool:
    """Whether a kernel is of the network's part; where that has none, of the first of its task."""
    if network.part == kernel.part:
        return True
    if any(each.is_kernel and each.part == network.part for each in curves):
        return False
    same = [each for each in curves if each.is_kernel and _task(each) == _task(network)]
    return bool(same) and kernel.part == same[0].part


def _task(curve: Curve) -> tuple[object, object]:
    return curve.about["task"], curve.about["network"]


def _same_width(network: Curve, kernel: Curve, curves: Sequence[Curve]) -> bool:
    """Whether a kernel is infinite or of the network's width; any, where that is but one."""
    widths = _widths(network, curves)
    same = kernel.about["width"] in (0, network.about["width"])
    return same or len(widths) == 1


def _widths(network: Curve, curves: Sequence[Curve]) -> set[int]:
    """Of the networks of a network's part."""
    part = [each for each in curves if each.kind == "network" and each.part == network.part]
    return {int(each.about["width"]) for each in part}


def _pair(fits: Sequence[CurveFit], first: int, second: int, confidence: float) -> Pair:
    one, other = fits[first], fits[second]
    n = tuple(sorted({*_fitted(one)} & {*_fitted(other)}))
    paired = one.curve.about["task"] == other.curve.about["task"]
    falls, less = slopes_on(one.curve, n), slopes_on(other.curve, n)
    per_seed = falls - less if paired else np.full(len(falls), np.nan)
    found = t_interval(per_seed, confidence) if paired else welch(falls, less, confidence)
    return Pair(first, second, per_seed, found, n, paired)


def _fitted(fit: CurveFit) -> list[int]:
    return [int(n) for n in fit.curve.n[fit.used]]
