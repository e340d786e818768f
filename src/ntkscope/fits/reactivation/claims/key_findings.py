"""The paper's key findings that are in none of its tables: "everywhere" and "every time"."""

from __future__ import annotations

from ntkscope.fits.findings.claim import PAPER, Claim, more_than
from ntkscope.fits.findings.evidence import Evidence
from ntkscope.fits.reactivation.claims.task_shifts import NOTICEABLE
from ntkscope.fits.results import Result

_SOURCE = f"{PAPER}, key findings"
_CHECKMARK = "checkmark (share of the norm, minus the twin's)"


def _datasets(evidence: Evidence, quantity: str) -> list[Result]:
    return evidence.effects("datasets", quantity=quantity)


def _imagenet(evidence: Evidence, quantity: str) -> list[Result]:
    return evidence.effects("datasets", quantity=quantity, variant_dataset="imagenet100")


CLAIMS = [
    Claim(
        "checkmark_every_rate",
        "The checkmark appears at all learning rates",
        _SOURCE,
        "learning_rate",
        f"{_CHECKMARK} at every rate",
        more_than(0.0),
        lambda evidence: evidence.effects("learning_rate", quantity="checkmark"),
    ),
    Claim(
        "checkmark_every_duration",
        "The checkmark appears at all training durations",
        _SOURCE,
        "duration",
        f"{_CHECKMARK} at every duration and regime",
        more_than(0.0),
        lambda evidence: evidence.effects("duration", quantity="checkmark"),
    ),
    Claim(
        "spike_every_boundary",
        "In a sequence of tasks reactivation is triggered at every boundary",
        _SOURCE,
        "sequence",
        "spike at every boundary of every sequence",
        more_than(NOTICEABLE, "> log 2"),
        lambda evidence: evidence.effects("sequence", quantity="spike"),
    ),
    Claim(
        "spike_every_dataset",
        "Velocity spikes on every dataset, in MLP and CNN",
        _SOURCE,
        "datasets",
        "spike on every dataset and network",
        more_than(NOTICEABLE, "> log 2"),
        lambda evidence: _datasets(evidence, "spike"),
    ),
    Claim(
        "checkmark_every_dataset",
        "The checkmark appears on every dataset, in MLP and CNN",
        _SOURCE,
        "datasets",
        f"{_CHECKMARK} on every dataset and network",
        more_than(0.0),
        lambda evidence: _datasets(evidence, "checkmark"),
    ),
    Claim(
        "imagenet100_spike",
        "ImageNet-100 confirms the spike of velocity",
        _SOURCE,
        "datasets",
        "spike on ImageNet-100, every network",
        more_than(NOTICEABLE, "> log 2"),
        lambda evidence: _imagenet(evidence, "spike"),
    ),
    Claim(
        "imagenet100_checkmark",
        "ImageNet-100 confirms the checkmark",
        _SOURCE,
        "datasets",
        f"{_CHECKMARK} on ImageNet-100, every network",
        more_than(0.0),
        lambda evidence: _imagenet(evidence, "checkmark"),
    ),
]
