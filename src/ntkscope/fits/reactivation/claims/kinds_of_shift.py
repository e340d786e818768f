"""Claims of the table of task similarity: conceptual shifts by overlap, and shifts of frequency."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ntkscope.fits.cells import axes_of_table, complete, seeds_of
from ntkscope.fits.findings.claim import PAPER, Claim, between, less_than, more_than
from ntkscope.fits.findings.evidence import Evidence
from ntkscope.fits.reactivation.claims.task_shifts import NOTICEABLE
from ntkscope.fits.results import Result, of_seeds

_SOURCE = f"{PAPER}, table of task similarity"
_WORDS = {"norm_drop": "norm drop", "spike": "spike"}
_MONOTONE = 0.5  # Kendall's τ: three of four pairs in order
_SMALL_DROP = 0.1


def _swaps(evidence: Evidence, quantity: str) -> pd.DataFrame:
    """New classes in the place of old ones, so that the overlap goes down to none."""
    return evidence.cells("similarity", quantity=quantity, protocol="swap")


def _maximal(quantity: str, evidence: Evidence) -> list[Result]:
    """All classes new − fewer classes new, for every smaller number of them."""
    rows = _swaps(evidence, quantity)
    if rows.empty:
        return []
    most = rows["new_classes"].max()
    return [
        difference
        for fewer in sorted(rows["new_classes"].unique())[:-1]
        for difference in evidence.differences(
            rows[rows["new_classes"] == most],
            rows[rows["new_classes"] == fewer],
            ("new_classes",),
            f"{most:g} − {fewer:g} new classes",
        )
    ]


def _share_at_half(quantity: str, evidence: Evidence) -> list[Result]:
    """Effect at the overlap nearest to one half, as a share of that without overlap."""
    rows = _swaps(evidence, quantity)
    if rows.empty:
        return []
    classes, new = rows["new_classes"].max(), rows["new_classes"].unique()
    overlap = (classes - new) / (classes + new)
    nearest = int(np.abs(overlap - 0.5).argmin())
    keys = [axis for axis in axes_of_table(rows) if axis != "new_classes"] + ["boundary"]
    half, whole = (rows[rows["new_classes"] == n] for n in (new[nearest], classes))
    both = half.merge(whole, on=keys, suffixes=(None, "_whole"))
    return [
        of_seeds(
            row[seeds_of(half)].to_numpy(float)
            / row[[f"{seed}_whole" for seed in seeds_of(half)]].to_numpy(float),
            evidence.confidence("similarity"),
            statistic="share",
            quantity=quantity,
            against="no overlap",
            units="1",
            at=row[keys[:-1]].to_dict(),
            boundary=int(row["boundary"]),
            note=f"overlap {overlap[nearest]:.2f}",
        )
        for _, row in both.iterrows()
    ]


def _along_similarity(statistic: str, quantity: str, evidence: Evidence) -> list[Result]:
    about = {"statistic": statistic, "quantity": quantity, "against": "new_classes"}
    return evidence.results("similarity", **about)


def _excess_of_first(quantity: str, evidence: Evidence) -> list[Result]:
    """Share of the whole effect that the first new class brings, less its share of the classes."""
    found = _along_similarity("first_share", quantity, evidence)
    return [
        of_seeds(
            r.per_seed - _first_of_classes(r, evidence),
            0.95,
            **_unchanged(r),
            note=r.note,
            lacking=r.lacking,
        )
        for r in found
    ]


def _first_of_classes(share: Result, evidence: Evidence) -> float:
    """The first number of new classes over the last, of those that a share is of."""
    at: dict[str, Any] = {str(axis): value for axis, value in share.at.items()}
    about = {"quantity": share.quantity, "boundary": share.boundary, **at}
    rows = evidence.cells("similarity", **about).sort_values("new_classes")
    y = rows[seeds_of(rows)].to_numpy(float).T
    used, _, _ = complete(rows["new_classes"].to_numpy(float), y)
    new = used[used > 0]
    return float(new[0] / new[-1]) if len(new) else float("nan")


def _unchanged(result: Result) -> dict[str, object]:
    names = ("statistic", "quantity", "against", "units", "at", "boundary")
    return {name: getattr(result, name) for name in names}


def _no_shift(quantity: str, evidence: Evidence) -> list[Result]:
    """The twins by themselves: training goes on with the same classes."""
    return evidence.effects("similarity", "twin", quantity=quantity, new_classes=0, protocol="swap")


def _frequency(quantity: str, evidence: Evidence, **where: str) -> list[Result]:
    """Shifts that keep all classes in sight (ε > 0)."""
    frequencies: dict[str, Any] = {"variant_role": "frequency", "epsilon": _above_zero, **where}
    return evidence.effects("frequency", quantity=quantity, **frequencies)


def _above_zero(epsilon: float) -> bool:
    return epsilon > 0


def _below_conceptual(quantity: str, evidence: Evidence, **where: str) -> list[Result]:
    about = {"statistic": "difference", "against": "frequency − conceptual"}
    wanted: dict[str, Any] = {**about, **where, "epsilon": _above_zero}
    return evidence.results("frequency", quantity=quantity, **wanted)


def _conceptual(quantity: str) -> list[Claim]:
    word = _WORDS[quantity]
    about = {"source": _SOURCE, "analysis": "similarity"}
    every = "in every regime and protocol"
    return [
        Claim(
            f"conceptual_maximal_{quantity}",
            f"With 0% overlap the {word} is at its maximum",
            statistic=f"difference of {word}, all classes new − fewer, in every regime",
            claimed=more_than(0.0),
            compute=lambda evidence: _maximal(quantity, evidence),
            **about,
        ),
        Claim(
            f"conceptual_medium_{quantity}",
            f"With 50% overlap the {word} is medium",
            statistic=f"{word} at half overlap as a share of that at none, in every regime",
            claimed=between(0, 1),
            compute=lambda evidence: _share_at_half(quantity, evidence),
            **about,
        ),
        Claim(
            f"monotone_{quantity}",
            f"The {word} grows monotonically with the number of new classes",
            statistic=f"Kendall's τ of {word} with the number of new classes, {every}",
            claimed=more_than(_MONOTONE),
            compute=lambda evidence: _along_similarity("kendall_tau", quantity, evidence),
            **about,
        ),
        Claim(
            f"diminishing_returns_{quantity}",
            f"Returns diminish: the first new class brings more than its share of the {word}",
            statistic=f"share of the {word} at the first new class − its share of the new classes, "
            f"{every}",
            claimed=more_than(0.0),
            compute=lambda evidence: _excess_of_first(quantity, evidence),
            **about,
        ),
    ]


CLAIMS = [
    *_conceptual("norm_drop"),
    *_conceptual("spike"),
    Claim(
        "concave_norm_drop",
        "Returns diminish: the norm drop is concave in the number of new classes",
        _SOURCE,
        "similarity",
        "quadratic coefficient of the drop (relative to its last) in every regime and protocol",
        less_than(0.0),
        lambda evidence: _along_similarity("bend", "norm_drop", evidence),
    ),
    Claim(
        "saturating_norm_drop",
        "Returns diminish: the norm drop follows a saturating law, not a straight line",
        _SOURCE,
        "similarity",
        "rate κ of drop ∝ 1 − exp(−κ n) (0: a line), in every regime and protocol",
        more_than(0.0),
        lambda evidence: _along_similarity("saturation_rate", "norm_drop", evidence),
    ),
    Claim(
        "no_shift_no_spike",
        "With 100% overlap, that is no change, velocity is stable",
        _SOURCE,
        "similarity",
        "log velocity at the step of the boundary over its median before, without a shift, in "
        "every regime",
        less_than(NOTICEABLE, "< log 2"),
        lambda evidence: _no_shift("spike_over_baseline", evidence),
    ),
    Claim(
        "no_shift_no_drop",
        "With 100% overlap, that is no change, the norm is stable",
        _SOURCE,
        "similarity",
        "norm drop without a shift, in every regime",
        less_than(_SMALL_DROP),
        lambda evidence: _no_shift("norm_drop", evidence),
    ),
    Claim(
        "frequency_ramped_smooth",
        "When class ratios change gradually, velocity stays low and the NTK evolves smoothly",
        _SOURCE,
        "frequency",
        "log of the largest velocity of the task over the twin's, α ramped, at every ε > 0",
        less_than(NOTICEABLE, "< log 2"),
        lambda evidence: _frequency("peak_velocity", evidence, alpha="ramped"),
    ),
    Claim(
        "frequency_stepped_smooth",
        "When class ratios change at once, there is no discontinuity of the NTK either",
        _SOURCE,
        "frequency",
        "spike, α stepped, at every ε > 0",
        less_than(NOTICEABLE, "< log 2"),
        lambda evidence: _frequency("spike", evidence, alpha="stepped"),
    ),
    Claim(
        "frequency_small_drop",
        "When class ratios change, the change of the norm is minimal",
        _SOURCE,
        "frequency",
        "norm drop, α stepped and ramped, at every ε > 0",
        less_than(_SMALL_DROP),
        lambda evidence: _frequency("norm_drop", evidence),
    ),
    Claim(
        "frequency_below_conceptual_norm_drop",
        "Changing class ratios gives a smaller norm drop than new classes do",
        _SOURCE,
        "frequency",
        "difference of norm drop, frequency − conceptual as abrupt, at every ε > 0",
        less_than(0.0),
        lambda evidence: _below_conceptual("norm_drop", evidence),
    ),
    Claim(
        "frequency_below_conceptual_spike",
        "Class ratios that change at once spike less than new classes that come at once",
        _SOURCE,
        "frequency",
        "difference of spike, frequency (α stepped) − conceptual, at every ε > 0",
        less_than(0.0),
        lambda evidence: _below_conceptual("spike", evidence, alpha="stepped"),
    ),
]
