"""The claims of arXiv 2206.10012, and our own beyond it, one module a theme.

`CLAIMS` has them in the order of the table. Imports `fits.limitations` and what that imports.
"""

from ntkscope.fits.limitations.claims import (
    after_kernel,
    beyond,
    hyperparameters,
    scaling,
    time_dynamics,
    width,
)

CLAIMS = (
    *scaling.CLAIMS,
    *width.CLAIMS,
    *hyperparameters.CLAIMS,
    *after_kernel.CLAIMS,
    *time_dynamics.CLAIMS,
    *beyond.CLAIMS,
)
