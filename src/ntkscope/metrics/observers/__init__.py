"""What is measured of a run's kernels: one file per metric, registered by its import here.

A new metric is a file of this folder with `register_metric` (a function of one snapshot) or
`register` (a `KernelObserver` that remembers); nothing lists them.
It may import the metrics of arrays and `errors`.
"""

import pkgutil
from importlib import import_module

from ntkscope.metrics.observers.observer import (
    OBSERVERS,
    Curves,
    KernelObserver,
    Stream,
    Variable,
    register,
    register_metric,
)

__all__ = [
    "OBSERVERS",
    "Curves",
    "KernelObserver",
    "Stream",
    "Variable",
    "register",
    "register_metric",
]

for _module in ("spectra", "motion", "layers", *(m.name for m in pkgutil.iter_modules(__path__))):
    import_module(f"{__name__}.{_module}")  # the first three give the order of the table
