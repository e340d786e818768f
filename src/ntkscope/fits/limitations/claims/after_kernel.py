"""Claims of Figures 1B and 4: the kernel of a trained network."""

from __future__ import annotations

from ntkscope.fits.findings.claim import Claim, less_than, more_than, within
from ntkscope.fits.limitations.claims.lookups import PAPER, TEN_PERCENT, changes, pairs

_ANALYSIS = "after_kernel"
_FITS = {
    "own": ("K_n(n)", "on the network's own samples"),
    "fresh": ("K^F_n(n)", "on fresh samples"),
}


def _equal(fit: str) -> Claim:
    name, words = _FITS[fit]
    return Claim(
        f"after_kernel_equals_network_{fit}",
        f"The after-kernel fitted {words}, {name}, has the error of the network itself",
        f"{PAPER}, Figure 4A",
        _ANALYSIS,
        f"log of the error of {name} over the network's, at every n",
        within(TEN_PERCENT, "between ±log 1.1: equal within 10%"),
        lambda evidence: changes(evidence, _ANALYSIS, "equal", fit=fit),
    )


CLAIMS = [
    Claim(
        "after_kernel_improves",
        "The after-kernel continues to improve with the samples m that its network is trained on",
        f"{PAPER}, Figures 1B and 4B",
        _ANALYSIS,
        "log ratio of the errors of K^F_m with every m and the one before, at a fixed number of "
        "fresh samples",
        less_than(0.0),
        lambda evidence: changes(evidence, _ANALYSIS, "trained_on", curve="after", fit="fresh"),
    ),
    *(_equal(fit) for fit in _FITS),
    Claim(
        "fixed_after_kernel_lags",
        "The kernel of a network that was trained on a fixed number of samples does not catch up: "
        "the network's error falls faster with n",
        f"{PAPER}, Figure 4C",
        _ANALYSIS,
        "exponent of the network − that of K^F_m, fitted on fresh samples, at every m",
        more_than(0.0),
        lambda evidence: pairs(
            evidence, _ANALYSIS, {"curve": "network"}, {"curve": "after", "fit": "fresh"}
        ),
    ),
]
