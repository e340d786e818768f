"""Claims of the table "NTK dynamics at task shifts": the two regimes of the paper, all widths."""

from __future__ import annotations

import math

from ntkscope.fits.findings.claim import PAPER, Claim, more_than, some
from ntkscope.fits.findings.evidence import Evidence
from ntkscope.fits.results import Result

NOTICEABLE = math.log(2)
"""A velocity of at least twice the twin's, as a log ratio."""

_SOURCE = f"{PAPER}, table of task shifts"
_EACH = "at every width"


def _larger_in_feature(evidence: Evidence) -> list[Result]:
    """At widths above the one at which both regimes have the same learning rate, if there is one.

    A rate ∝ 1/width is the larger one below that width, where lazy is not lazy.
    """
    spikes = evidence.cells("reactivation", quantity="spike")
    feature, lazy = (
        spikes[spikes["regime_role"] == role] if len(spikes) else spikes
        for role in ("feature", "lazy")
    )
    found = evidence.differences(feature, lazy, ("regime",), "feature − lazy")
    shared = [r.at["width"] for r in found if not r.per_seed.any()]
    note = f"the regimes are one at width {max(shared)}, below it lazy is faster" if shared else ""
    return [r._replace(note=note) for r in found if not shared or r.at["width"] > max(shared)]


def _of_regime(regime: str) -> list[Claim]:
    """Velocity, norm and alignment in one regime."""

    def effects(evidence: Evidence, quantity: str) -> list[Result]:
        return evidence.effects("reactivation", quantity=quantity, regime_role=regime)

    about = {"source": _SOURCE, "analysis": "reactivation"}
    return [
        Claim(
            f"velocity_spikes_{regime}",
            f"Kernel velocity spikes at the task shift in the {regime} regime, at all widths",
            statistic=f"spike (log velocity / twin's) {_EACH}",
            claimed=more_than(NOTICEABLE, "> log 2"),
            compute=lambda evidence: effects(evidence, "spike"),
            **about,
        ),
        Claim(
            f"norm_drops_{regime}",
            f"The NTK's norm drops sharply in the {regime} regime, at all widths",
            statistic=f"norm drop (share of the norm, minus the twin's) {_EACH}",
            claimed=more_than(0.05),
            compute=lambda evidence: effects(evidence, "norm_drop"),
            **about,
        ),
        Claim(
            f"checkmark_{regime}",
            f"The norm's trajectory is a checkmark, a drop and a recovery, in the {regime} regime",
            statistic=f"checkmark (share of the norm, minus the twin's) {_EACH}",
            claimed=more_than(0.05),
            compute=lambda evidence: effects(evidence, "checkmark"),
            **about,
        ),
        Claim(
            f"alignment_deflects_{regime}",
            f"Kernel alignment is deflected sharply in the {regime} regime",
            statistic=f"deflection (alignment minus the twin's) {_EACH}",
            claimed=some(),
            compute=lambda evidence: effects(evidence, "deflection"),
            **about,
        ),
    ]


CLAIMS = [
    *_of_regime("lazy"),
    *_of_regime("feature"),
    Claim(
        "larger_spike_in_feature",
        "The spike of velocity is larger in the feature regime than in the lazy one",
        _SOURCE,
        "reactivation",
        f"difference of spikes, feature − lazy, {_EACH} at which lazy has the lower rate",
        more_than(0.0),
        _larger_in_feature,
    ),
]
