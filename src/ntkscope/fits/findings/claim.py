"""A claim, where its interval must lie for it to hold, and the verdict on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ntkscope.fits.findings.evidence import Evidence
from ntkscope.fits.findings.gaps import (
    all_gaps,
    has_interval,
    is_zero_by_construction,
    label,
    lost_in_words,
)
from ntkscope.fits.results import Result
from ntkscope.statistics.paired import Interval, t_interval

PAPER = "arXiv 2507.16039"
OURS = "Beyond the paper"
SUPPORTED, OPPOSITE, OPEN, UNTESTED = "supported", "opposite", "not supported", "not tested"
UNRESOLVED = "not resolved"  # the verdict hangs on rounding, or on what has no data
BY_CONSTRUCTION = "by construction"  # it holds, and nothing could have contradicted it
_WORST_FIRST = (OPPOSITE, OPEN, SUPPORTED)


@dataclass(frozen=True)
class Claimed:
    """Where an interval must lie.

    Attributes:
        words: the rule, for the table.
        above, below: the claimed side lies between them.
        opposite_below, opposite_above: the other side: below the one, above the other.
        either_side: claimed is either side of 0, and `above`, `below` are not used.
    """

    words: str
    above: float = -math.inf
    below: float = math.inf
    opposite_below: float = -math.inf
    opposite_above: float = math.inf
    either_side: bool = False

    def verdict(self, low: float, high: float) -> str:
        """Supported, opposite or not supported."""
        if self.either_side:
            return SUPPORTED if low > 0 or high < 0 else OPEN
        if low > self.above and high < self.below:
            return SUPPORTED
        return OPPOSITE if high < self.opposite_below or low > self.opposite_above else OPEN

    def margin(self, low: float, high: float) -> float:
        """How far inside the claimed side the interval lies; smaller is less favourable."""
        if self.either_side:
            return max(low, -high)
        return min(low - self.above, self.below - high)


def more_than(size: float, words: str | None = None, *, other: float = 0.0) -> Claimed:
    """Wholly above `size`; opposite is wholly below `other`."""
    return Claimed(words or f"> {size:g}", above=size, opposite_below=other)


def less_than(size: float, words: str | None = None) -> Claimed:
    """Wholly below `size`; opposite is wholly above it."""
    return Claimed(words or f"< {size:g}", below=size, opposite_above=size)


def within(size: float, words: str | None = None) -> Claimed:
    """Wholly between −size and size: none worth speaking of."""
    return Claimed(words or f"between ±{size:g}", -size, size, -size, size)


def between(low: float, high: float) -> Claimed:
    """Wholly between the two."""
    return Claimed(f"between {low:g} and {high:g}", low, high, low, high)


def some() -> Claimed:
    """Wholly on either side of 0."""
    return Claimed("≠ 0, of either sign", either_side=True)


@dataclass(frozen=True)
class Claim:
    """What somebody says of the kernel.

    Attributes:
        id: its short name.
        text: the claim.
        source: the paper and its table, or `OURS`.
        analysis: of the experiments that test it; empty: all of them.
        statistic: what is estimated, in words.
        claimed: where the interval must lie.
        compute: the estimates, one or a family of which all must lie there.
    """

    id: str
    text: str
    source: str
    analysis: str
    statistic: str
    claimed: Claimed
    compute: Callable[[Evidence], Sequence[Result]]


class Finding(NamedTuple):
    """A verdict; the attributes are the table's columns.

    The verdict of the same sweep with other rounding is `repeated`, empty if there is none.
    """

    claim_id: str
    claim: str
    source: str
    experiment: str
    statistic: str
    estimate: float
    low: float
    high: float
    confidence: float
    n: int
    verdict: str
    note: str
    figure: str
    repeated: str = ""


def judge(claim: Claim, evidence: Evidence, confidence: float) -> Finding:
    """The verdict on a claim: of its family, the least favourable member.

    Where part of what it speaks of has no data it is not supported but *not resolved*, and so is
    an opposite one that no member with all its data bears out. Members that are the twin to the
    bit, which a claim of no effect cannot fail, are left out; alone they are *by construction*.

    Args:
        claim: the claim.
        evidence: fits of all experiments.
        confidence: of the family as a whole, such as 0.95.
    """
    experiment = evidence.experiment(claim.analysis)
    statistic = f"{claim.statistic}; claimed: {claim.claimed.words}"
    about = (claim.id, claim.text, claim.source, experiment, statistic)
    every = claim.compute(evidence) if experiment else []
    figure = evidence.figure(claim.analysis)
    sure = [each for each in every if _cannot_fail(claim.claimed, each)]
    there = [each for each in every if not _cannot_fail(claim.claimed, each)]
    family = [member for member in there if has_interval(member)]
    if sure and not family:
        note = "; ".join([_SURE, *([f"{len(there)} more without data"] if there else [])])
        n = int(min(each.interval.n for each in sure))
        return Finding(*about, 0.0, 0.0, 0.0, confidence, n, BY_CONSTRUCTION, note, figure)
    if not family:
        nan = float("nan")
        absent = f"no {claim.analysis or 'stream'} in this configuration"
        why = absent if not experiment else _TOO_FEW if there else _NO_DATA
        return Finding(*about, nan, nan, nan, confidence, 0, UNTESTED, why, figure)
    intervals = [_interval(member, 1 - (1 - confidence) / len(family)) for member in family]
    judged = [(claim.claimed.verdict(float(i.low), float(i.high)), i) for i in intervals]
    order = [
        (_WORST_FIRST.index(verdict), claim.claimed.margin(float(i.low), float(i.high)))
        for verdict, i in judged
    ]
    worst = min(range(len(family)), key=order.__getitem__)
    verdict, found = judged[worst]
    verdicts = [each for each, _ in judged]
    ends = (float(found.estimate), float(found.low), float(found.high))
    note = _note(there, family, worst, verdicts)
    note = "; ".join(filter(None, [note, f"{len(sure)} more {_SURE}" if sure else ""]))
    if _hangs_on_gaps(verdict, there, family, verdicts):
        verdict, note = UNRESOLVED, f"{verdict} by what has data; {note}"
    return Finding(*about, *ends, confidence, int(found.n), verdict, note, figure)


def _cannot_fail(claimed: Claimed, member: Result) -> bool:
    """Whether a member is 0 because its first step is the twin's, and 0 is what is claimed."""
    return claimed.verdict(0.0, 0.0) == SUPPORTED and is_zero_by_construction(member)


def _hangs_on_gaps(
    verdict: str, there: Sequence[Result], family: Sequence[Result], verdicts: Sequence[str]
) -> bool:
    """Whether what has no data might change a verdict: a counterexample with all its data stays."""
    if verdict == OPPOSITE:
        both = zip(family, verdicts, strict=True)
        return all(member.lacking for member, each in both if each == OPPOSITE)
    return verdict == SUPPORTED and any(member.lacking for member in there)


def compared(finding: Finding, repeat: Finding) -> Finding:
    """A finding, not resolved where the same sweep with other rounding has another verdict."""
    if finding.verdict == repeat.verdict:
        return finding._replace(repeated=repeat.verdict)
    ends = f"{repeat.estimate:.3g} [{repeat.low:.3g}, {repeat.high:.3g}]"
    hangs = f"{finding.verdict}; with other rounding {ends}, {repeat.verdict}"
    note = "; ".join(filter(None, [hangs, finding.note]))
    return finding._replace(verdict=UNRESOLVED, repeated=repeat.verdict, note=note)


_SURE = "0 by construction: every seed is its twin to the bit"
_NO_DATA = "this configuration has no data for it"
_TOO_FEW = "no interval: it takes two seeds with a value, others diverged or have none"


def _interval(member: Result, confidence: float) -> Interval:
    """Of the seeds at the family's confidence; as it is where it is not of one value per seed."""
    one_a_seed = bool(np.isfinite(member.per_seed).any())
    return t_interval(member.per_seed, confidence) if one_a_seed else member.interval


def _note(
    there: Sequence[Result], family: Sequence[Result], worst: int, verdicts: Sequence[str]
) -> str:
    """Which member it is, how the others did, and what the estimate itself has to say."""
    notes = []
    if len(family) > 1:
        good = sum(verdict == SUPPORTED for verdict in verdicts)
        notes.append(f"least favourable of {len(family)}: {label(family, worst)}")
        notes.append(f"{good} of {len(family)} supported, intervals Bonferroni-adjusted")
    if lost := len(there) - len(family):
        told = lost_in_words(there) if any(member.lacking for member in there) else ""
        notes.append(": ".join(filter(None, [f"{lost} more without data", told])))
    return "; ".join(filter(None, [*notes, all_gaps(family), family[worst].note]))
