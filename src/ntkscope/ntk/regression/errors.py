"""What goes wrong in a kernel regression."""

from __future__ import annotations

from ntkscope.errors import NtkscopeError


class RegressionError(NtkscopeError):
    """A kernel, targets or a ridge that a regression cannot use, or one that did not converge."""


class NotConvergedError(RegressionError):
    """Conjugate gradients that did not come to the residual that was asked for."""


class RidgeWarning(UserWarning):
    """The ridge used is not the one asked for, or lies on the boundary of its grid."""
