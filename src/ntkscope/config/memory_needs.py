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
_TILE_BYTES = 4 * 10**8  # of a kernel that is on the disk: a tile as it is, and in float64
_STEP_BYTES = 10 * 8 * 500  # a sample: vectors of the rank of conjugate gradients' preconditioner
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
    kernels = _item(spec) * n * (n + spec.test)
    whole = _EIGEN_BYTES * min(n, solved) ** 2
    once = _CHOLESKY_BYTES * n**2 if n > spec.leave_one_out_most else 0
    return _TORCH_BYTES + bytes_of_inputs(spec, n, features) + kernels + max(whole, once)


def bytes_by_tiles(spec: RegressionSpec, n: int, features: int) -> int:
    """The peak of regressions on n samples by conjugate gradients, with the kernel on the disk.

    Args:
        spec, n, features: of `bytes_to_regress`.
    """
    solved = (_item(spec) + _EIGEN_BYTES) * min(n, spec.leave_one_out_most) ** 2
    by_steps = max(solved, _TILE_BYTES + _STEP_BYTES * n)
    return _TORCH_BYTES + bytes_of_inputs(spec, n, features) + by_steps


def bytes_of_inputs(spec: RegressionSpec, n: int, features: int) -> int:
    """Of n training samples and the test samples, on the way to the network."""
    return 3 * _item(spec) * (n + spec.test) * features


def _item(spec: RegressionSpec) -> int:
    return 8 if spec.precision == "float64" else 4


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
