"""The claims of the reactivation paper, and our own beyond it, one module a theme.

`CLAIMS` has them in the order of the table. Imports `fits.reactivation` and what that imports.
"""

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
