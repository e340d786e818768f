"""Claims of Figure 1A: the exponents of a network and of its kernels before training."""

from __future__ import annotations

from ntkscope.fits.findings.claim import OURS, Claim, Claimed, less_than, more_than
from ntkscope.fits.limitations.claims.lookups import PAPER, pairs

_ANALYSIS = "scaling"
_SOURCE = f"{PAPER}, Figure 1A"
_KERNELS = {"initial": "NTK at initialisation", "infinite": "infinite NTK"}
_ON = {
    "claim": "on a task that combines inputs",
    "plain": "on a plain task",
    "positive": "on a function that kernels provably fail at (positive control)",
}
_ROLES = {"claim": ("claim",), "plain": ("plain",), "positive": ("positive",)}


def _better(role: str, kernel: str) -> Claim:
    return Claim(
        f"network_beats_{kernel}_{role}",
        f"A network's error falls faster with n than that of its {_KERNELS[kernel]}, {_ON[role]}",
        OURS if role == "positive" else _SOURCE,
        _ANALYSIS,
        "exponent of the network − that of the kernel, over the range of n of the fits",
        more_than(0.0),
        lambda evidence: pairs(
            evidence,
            _ANALYSIS,
            {"curve": "network", "role": _ROLES[role]},
            {"curve": kernel, "role": _ROLES[role]},
        ),
    )


def _no_better(kernel: str, claimed: Claimed) -> Claim:
    return Claim(
        f"network_no_better_than_{kernel}_negative",
        f"On a draw from the infinite NTK's own Gaussian process (negative control) a network's "
        f"error falls no faster than that of its {_KERNELS[kernel]}",
        OURS,
        _ANALYSIS,
        "exponent of the network − that of the kernel, over the range of n of the fits",
        claimed,
        lambda evidence: pairs(
            evidence,
            _ANALYSIS,
            {"curve": "network", "role": "negative"},
            {"curve": kernel, "role": "negative"},
        ),
    )


CLAIMS = [
    *(_better(role, kernel) for role in ("claim", "plain", "positive") for kernel in _KERNELS),
    _no_better("infinite", less_than(0.0)),
    Claim(
        "infinite_beats_initial",
        "The infinite NTK's error falls faster than that of a finite width at initialisation",
        OURS,
        _ANALYSIS,
        "exponent of the infinite NTK − that of the NTK at initialisation, all tasks",
        more_than(0.0),
        lambda evidence: pairs(evidence, _ANALYSIS, {"curve": "infinite"}, {"curve": "initial"}),
    ),
]
