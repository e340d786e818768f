"""Claims of Figure 3: the gap of exponents under other ways of training."""

from __future__ import annotations

from ntkscope.fits.findings.claim import OURS, Claim, more_than
from ntkscope.fits.findings.evidence import Evidence
from ntkscope.fits.limitations.claims.lookups import PAPER, pairs
from ntkscope.fits.results import Result

_ANALYSIS = "hyperparameters"
_VARIANTS = {
    "low_rate": ("at a lower learning rate", f"{PAPER}, Figure 3A"),
    "high_rate": ("at a higher learning rate", f"{PAPER}, Figure 3A"),
    "full_batch": ("with full-batch gradient descent", f"{PAPER}, Figure 3B"),
    "no_momentum": ("without momentum", f"{PAPER}, Figure 3C"),
    "convergence": ("trained to convergence, without early stopping", f"{PAPER}, Figure 3D"),
    "logistic": ("with the logistic loss", OURS),
}


def _gaps(evidence: Evidence, role: str) -> list[Result]:
    network = {"curve": "network", "role": role}
    return pairs(evidence, _ANALYSIS, network, {"curve": ("infinite", "initial")})


def _holds(role: str) -> Claim:
    how, source = _VARIANTS[role]
    return Claim(
        f"gap_holds_{role}",
        f"A network's error falls faster with n than its kernels' before training {how}",
        source,
        _ANALYSIS,
        "exponent of the network − that of the infinite NTK, and of the NTK at initialisation",
        more_than(0.0),
        lambda evidence: _gaps(evidence, role),
    )


CLAIMS = [_holds(role) for role in _VARIANTS]
