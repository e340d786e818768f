"""What a job will need, before any of it is run."""

from __future__ import annotations

from ntkscope.config.curve_specs import RegressionSpec
from ntkscope.config.datasets import DATASETS, DatasetFacts
from ntkscope.config.networks import LAYERS
from ntkscope.config.specs import KernelSpec, ModelSpec, RunSpec

BLOCK_BYTES = 10**9
"""As many seeds are measured together as fit in here, but at least one."""

_PROCESS_MB = 1000  # of Python and its libraries
_TORCH_BYTES = 6 * 10**8  # of a process that has torch, beside what it computes
_EIGEN_BYTES, _CHOLESKY_BYTES = 24, 8  # an element of a kernel, of its solution beside it
_LAYERS_OF_A_MODULE = 12  # a user's own network is not built to count them


def bytes_to_measure(size: int, layers: int) -> int:
    """Memory that the metrics of one seed need: float64 matrices, 16 of the whole, 8 of each layer.

    Args:
        size: rows of its kernel.
        layers: how many layer NTKs it has; 0 without.
    """
    return 8 * size**2 * (16 + 8 * layers)


def megabytes_to_measure(run: RunSpec, kernel: KernelSpec) -> int:
    """What a job should ask for, in MB, that measures a kernel along a run."""
    outputs = _classes(run) if kernel.kind == "full" else 1
    layers = _layers(run.model) if kernel.by_layer else 0
    seed = bytes_to_measure(kernel.samples * outputs, layers)
    return _PROCESS_MB + max(seed, BLOCK_BYTES) // 10**6


def bytes_to_regress(spec: RegressionSpec, n: int, features: int, solved: int) -> int:
    """The peak of regressions on n samples, beside what their kernels take to be computed.

    Args:
        spec: the regressions.
        n: training samples.
        features: numbers that a sample consists of.
        solved: most samples of which there are all eigenvectors.
    """
    item = 8 if spec.precision == "float64" else 4
    kernels = item * n * (n + spec.test)
    inputs = 3 * item * (n + spec.test) * features
    whole = _EIGEN_BYTES * min(n, solved) ** 2
    once = _CHOLESKY_BYTES * n**2 if n > spec.leave_one_out_most else 0
    return _TORCH_BYTES + inputs + kernels + max(whole, once)


def _classes(run: RunSpec) -> int:
    if run.dataset.classes is not None:
        return run.dataset.classes
    facts = DATASETS[run.dataset.name].facts
    assert isinstance(facts, DatasetFacts)
    return facts.classes


def _layers(model: ModelSpec) -> int:
    """Layers with parameters."""
    if model.kind == "module":
        return max(model.depth + 1, _LAYERS_OF_A_MODULE)
    return LAYERS.get(model.kind, model.depth + 1)
