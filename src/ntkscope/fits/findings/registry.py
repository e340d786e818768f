"""All claims, in the order of the table."""

from __future__ import annotations

from ntkscope.fits.reactivation.claims import (
    beyond,
    key_findings,
    kinds_of_shift,
    learning_rates,
    task_shifts,
)

CLAIMS = (
    *task_shifts.CLAIMS,
    *kinds_of_shift.CLAIMS,
    *learning_rates.CLAIMS,
    *key_findings.CLAIMS,
    *beyond.CLAIMS,
)
