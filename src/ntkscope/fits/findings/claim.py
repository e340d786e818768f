"""A claim, where its interval must lie for it to hold, and the verdict on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ntkscope.fits.findings.evidence import Evidence
from ntkscope.fits.results import Result
from ntkscope.statistics.paired import Interval, t_interval

PAPER = "arXiv 2507.16039"
OURS = "Beyond the paper"
SUPPORTED, OPPOSITE, OPEN, UNTESTED = "supported", "opposite", "not supported", "not tested"
UNRESOLVED = "not resolved"  # the verdict hangs on rounding
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

    Args:
        claim: the claim.
        evidence: fits of all experiments.
        confidence: of the family as a whole, such as 0.95.
    """
    experiment = evidence.experiment(claim.analysis)
    statistic = f"{claim.statistic}; claimed: {claim.claimed.words}"
    about = (claim.id, claim.text, claim.source, experiment, statistic)
    there = claim.compute(evidence) if experiment else []
    family = [member for member in there if _has_interval(member)]
    figure = evidence.figure(claim.analysis)
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
    note = _note(family, worst, [v for v, _ in judged], len(there) - len(family))
    ends = (float(found.estimate), float(found.low), float(found.high))
    return Finding(*about, *ends, confidence, int(found.n), verdict, note, figure)


def compared(finding: Finding, repeat: Finding) -> Finding:
    """A finding, not resolved where the same sweep with other rounding has another verdict."""
    if finding.verdict == repeat.verdict:
        return finding._replace(repeated=repeat.verdict)
    ends = f"{repeat.estimate:.3g} [{repeat.low:.3g}, {repeat.high:.3g}]"
    hangs = f"{finding.verdict}; with other rounding {ends}, {repeat.verdict}"
    note = "; ".join(filter(None, [hangs, finding.note]))
    return finding._replace(verdict=UNRESOLVED, repeated=repeat.verdict, note=note)


_NO_DATA = "this configuration has no data for it"
_TOO_FEW = "no interval: it takes two seeds with a value, others diverged or have none"


def _has_interval(member: Result) -> bool:
    return int(np.isfinite(member.per_seed).sum()) > 1 or bool(np.isfinite(member.interval.low))


def _interval(member: Result, confidence: float) -> Interval:
    """Of the seeds at the family's confidence; as it is where it is not of one value per seed."""
    one_a_seed = bool(np.isfinite(member.per_seed).any())
    return t_interval(member.per_seed, confidence) if one_a_seed else member.interval


def _note(family: Sequence[Result], worst: int, verdicts: Sequence[str], lost: int) -> str:
    """Which member it is, how the others did, and what the estimate itself has to say."""
    notes = []
    if len(family) > 1:
        good = sum(verdict == SUPPORTED for verdict in verdicts)
        notes.append(f"least favourable of {len(family)}: {label(family, worst)}")
        notes.append(f"{good} of {len(family)} supported, intervals Bonferroni-adjusted")
    if lost:
        notes.append(f"{lost} more without data")
    return "; ".join(filter(None, [*notes, family[worst].note]))


def label(family: Sequence[Result], which: int) -> str:
    """A member by what sets it apart from the others of its family."""
    places = [
        {**r.at, "boundary": r.boundary, "quantity": r.quantity, "": r.against} for r in family
    ]
    apart = [
        key
        for key in dict.fromkeys(key for place in places for key in place)
        if len({str(place.get(key)) for place in places}) > 1
    ]
    named = {key: places[which].get(key) for key in apart}
    return ", ".join(f"{key} {value}".strip() for key, value in named.items() if value is not None)
