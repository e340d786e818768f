"""Claims of Figure 2: what width does to a network and to its kernel."""

from __future__ import annotations

from ntkscope.fits.findings.claim import OURS, Claim, more_than, within
from ntkscope.fits.findings.claim import less_than as below
from ntkscope.fits.findings.evidence import Evidence
from ntkscope.fits.limitations.changes import UNKNOWN
from ntkscope.fits.limitations.claims.lookups import (
    PAPER,
    TEN_PERCENT,
    changes,
    pairs,
    parts_of_role,
)
from ntkscope.fits.results import Result
from ntkscope.statistics.paired import FloatArray

_ANALYSIS = "width"
_ALIKE = 0.1
_RATES = {
    "fixed_rate": "one learning rate for all widths",
    "scaled_rate": "a learning rate that falls like 1/width",
    "ntk": "the NTK parametrisation",
}


def _worst_at_ends(evidence: Evidence, role: str) -> list[Result]:
    """Log error at the smallest, and at the largest width, over that at the best in between."""
    parts = parts_of_role(evidence, _ANALYSIS, role)
    return changes(evidence, _ANALYSIS, "best width", _above_best, curve="network", part=parts)


def _above_best(ratio: FloatArray, first: float, last: float) -> FloatArray:
    """Log error at an end over that at the best width, whichever way the change is."""
    return -ratio if last == UNKNOWN else ratio


def _limits(evidence: Evidence) -> list[Result]:
    """K_0 over K_∞ at the largest width, in the parametrisation whose limit K_∞ is."""
    ntk = parts_of_role(evidence, _ANALYSIS, "ntk")
    found = changes(evidence, _ANALYSIS, "limit", curve="initial", part=ntk)
    widest = {r.at["part"]: r for r in found}  # widths ascend within a part
    return list(widest.values())


def _best_between(role: str) -> Claim:
    return Claim(
        f"width_best_between_{role}",
        "With width a network first improves, then deteriorates towards the infinite NTK: "
        f"{_RATES[role]}",
        f"{PAPER}, Figure 2B",
        _ANALYSIS,
        "log error at the smallest and at the largest width over that at the best, which is "
        "chosen for each seed by the others",
        more_than(0.0),
        lambda evidence: _worst_at_ends(evidence, role),
    )


CLAIMS = [
    Claim(
        "widths_scale_alike",
        "Narrow and wide networks have similar exponents",
        f"{PAPER}, Figure 2A",
        _ANALYSIS,
        "exponent of the widest network − that of every other width, at one learning rate",
        within(_ALIKE),
        lambda evidence: pairs(
            evidence,
            _ANALYSIS,
            {"curve": "network", "role": "over_samples"},
            {"curve": "network"},
        ),
    ),
    Claim(
        "finite_beats_infinite",
        "At every width a network's error falls faster with n than the infinite NTK's",
        f"{PAPER}, Figure 2A",
        _ANALYSIS,
        "exponent of the network − that of the infinite NTK, at one learning rate",
        more_than(0.0),
        lambda evidence: pairs(
            evidence,
            _ANALYSIS,
            {"curve": "network", "role": "over_samples"},
            {"curve": "infinite"},
        ),
    ),
    Claim(
        "initial_improves_with_width",
        "The NTK at initialisation improves with width",
        f"{PAPER}, Figure 2B",
        _ANALYSIS,
        "slope of log error per doubling of width",
        below(0.0),
        lambda evidence: changes(evidence, _ANALYSIS, "width slope", curve="initial"),
    ),
    Claim(
        "initial_reaches_infinite",
        "At the largest width the NTK at initialisation, in the NTK parametrisation, has the error "
        "of the infinite NTK",
        OURS,
        _ANALYSIS,
        "log of the ratio of their errors",
        within(TEN_PERCENT, "between ±log 1.1: equal within 10%"),
        _limits,
    ),
    *(_best_between(role) for role in _RATES),
]
