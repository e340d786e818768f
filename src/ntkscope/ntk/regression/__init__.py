"""Kernel regression, in float64: fit an NTK's prediction of targets.

Imports from `ntk.empirical` the checks of arguments, and what memory is free.

`KernelRidge` chooses the method; each is also there by itself, to prepare a kernel once and solve
for many targets: `cholesky` (a fixed ridge), `decompose` and `choose_ridge` (all ridges at once, by
leave-one-out), `IterativeSolver` with `nystrom` (kernels that memory does not hold). Ridges are
relative to the kernel's mean diagonal. Above some thousands of samples, `KernelRidge` can take the
ridge of the first samples (`loo_samples`), or go on from there (`search`, `search_ridge`).

    fitted = KernelRidge().fit(infinite_ntk(layers, train), targets)
    outputs = fitted.predict(infinite_ntk(layers, test, train))

A trace NTK [N, N] fits each output alike. A full NTK [N, K, N, K] couples them: reshape it to
[N·K, N·K], the targets [N, K] to [N·K], the cross kernel [M, K, N, K] to [M·K, N·K], and the
predictions back to [M, K]. Give it a fixed ridge: leave-one-out would leave out one output of a
sample and keep the others.
"""

from ntkscope.ntk.regression.cholesky import CholeskyFactor, cholesky
from ntkscope.ntk.regression.conjugate_gradients import IterativeSolver, Solution
from ntkscope.ntk.regression.eigensystem import EigenFactor, Eigensystem, decompose
from ntkscope.ntk.regression.errors import NotConvergedError, RegressionError, RidgeWarning
from ntkscope.ntk.regression.kernel_ridge import FittedKernelRidge, KernelRidge
from ntkscope.ntk.regression.loocv import (
    LooErrors,
    RidgeChoice,
    choose_ridge,
    default_grid,
    loo_errors,
)
from ntkscope.ntk.regression.nystrom import Nystrom, nystrom
from ntkscope.ntk.regression.ridge_search import search_ridge

__all__ = [
    "CholeskyFactor",
    "EigenFactor",
    "Eigensystem",
    "FittedKernelRidge",
    "IterativeSolver",
    "KernelRidge",
    "LooErrors",
    "NotConvergedError",
    "Nystrom",
    "RegressionError",
    "RidgeChoice",
    "RidgeWarning",
    "Solution",
    "cholesky",
    "choose_ridge",
    "decompose",
    "default_grid",
    "loo_errors",
    "nystrom",
    "search_ridge",
]
