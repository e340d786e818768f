"""What is measured of a run's kernels: a file a metric, registered by its import here.

A new metric is a file of this folder with `register_metric` (a function of one snapshot) or
`register` (a `KernelObserver` that remembers), and its name in the import below.
It may import the metrics of arrays and `errors`.
"""

from ntkscope.metrics.observers import spectra, motion, layers  # noqa: I001  (order of the table)
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
    "layers",
    "motion",
    "register",
    "register_metric",
    "spectra",
]
