"""Claims of the table of learning rates: the lowest, middle and highest third of the sweep."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ntkscope.fits.cells import seeds_of
from ntkscope.fits.findings.claim import PAPER, Claim, less_than, more_than
from ntkscope.fits.findings.evidence import Evidence
from ntkscope.fits.results import Result, of_seeds
from ntkscope.statistics.paired import FloatArray

_SOURCE = f"{PAPER}, table of learning rates"
_FEW_STEPS = 10


def _deepening(evidence: Evidence) -> list[Result]:
    wanted = ("norm_drop", "checkmark")
    return evidence.results("learning_rate", statistic="slope", quantity=wanted)


def _slower_than_medium(third: int, evidence: Evidence) -> list[Result]:
    """Log of the time to half recovery in a third of the rates over that in the middle third."""
    rows = evidence.cells("learning_rate", quantity="half_recovery_step")
    rates = sorted(rows["learning_rate"].unique()) if len(rows) else []
    if len(rates) < 3:
        return []
    thirds = np.array_split(np.asarray(rates), 3)
    (slow, late), (medium, middle_late) = (
        _log_times(rows[rows["learning_rate"].isin(list(part))], evidence)
        for part in (thirds[third], thirds[1])
    )
    both = tuple(float(rate) for part in (thirds[third], thirds[1]) for rate in part)
    counted = f"of its times {late} and of the middle third's {middle_late}"
    ratio = [
        of_seeds(
            slow - medium,
            evidence.confidence("learning_rate"),
            statistic="log ratio",
            quantity="half_recovery_step",
            against="medium rates",
            units="log ratio",
            at={},
            boundary=1,
            note=f"{counted} were not reached and enter as the task's length"
            if late + middle_late
            else "",
        )
    ]  # a norm that does not fall has no time, a run that failed no drop
    return evidence.of_cells(ratio, "learning_rate", quantity="norm_drop", learning_rate=both)


def _log_times(rows: pd.DataFrame, evidence: Evidence) -> tuple[FloatArray, int]:
    """Mean log time of each seed over the rates at which it has one, and how many are censored.

    A time not reached enters as the task's length, a lower bound of it.
    """
    fits = evidence.fits[evidence.experiment("learning_rate")]
    times = rows[seeds_of(rows)].to_numpy(float)
    length = float((fits["end_step"] - fits["boundary_step"]).max())
    logs = np.log(np.where(np.isinf(times), length, times))
    known = np.isfinite(logs)
    total = np.where(known, logs, 0.0).sum(axis=0)
    count = known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), int(np.isinf(times).sum())


def _lowest(evidence: Evidence) -> list[Result]:
    found = evidence.effects("learning_rate", quantity="minimum_step")
    lowest = min((r.at["learning_rate"] for r in found), default=None)
    return [r for r in found if r.at["learning_rate"] == lowest]


CLAIMS = [
    Claim(
        "high_rate_deeper",
        "The checkmark is more pronounced at a high learning rate",
        _SOURCE,
        "learning_rate",
        "slope of norm drop and of checkmark against the log of the rate",
        more_than(0.0),
        _deepening,
    ),
    Claim(
        "low_rate_slower",
        "Recovery is slower at a low learning rate than at a medium one",
        _SOURCE,
        "learning_rate",
        "log of the steps to half recovery, lowest third of the rates − middle third",
        more_than(0.0),
        lambda evidence: _slower_than_medium(0, evidence),
    ),
    Claim(
        "high_rate_slower",
        "Recovery is slower at a high learning rate than at a medium one",
        _SOURCE,
        "learning_rate",
        "log of the steps to half recovery, highest third of the rates − middle third",
        more_than(0.0),
        lambda evidence: _slower_than_medium(2, evidence),
    ),
    Claim(
        "low_rate_first_steps",
        "At a low learning rate the checkmark is in the first few steps",
        _SOURCE,
        "learning_rate",
        "steps from the boundary to the minimum norm, at the lowest rate",
        less_than(_FEW_STEPS),
        _lowest,
    ),
]
