"""ntkscope: `empirical_ntk` by a plan made before, and `infinite_ntk`; all else as by default."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version as version_of
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from benchmarks.cases import TODAY, Case
from benchmarks.flops import ntk_flops
from benchmarks.peers.networks import layers_of, network_of, tensors, torch_version
from ntkscope.ntk import empirical_ntk, infinite_ntk, plan_ntk


def version() -> str:
    """Of the library and torch."""
    return f"ntkscope {version_of('ntkscope')}, {torch_version()}"


def prepare(case: Case, variant: str) -> tuple[Callable[[], Tensor], Callable[..., NDArray[Any]]]:
    """The kernel of the case's group."""
    x1, x2 = tensors(case)
    if case.group == "infinite":
        layers = layers_of(case)
        return lambda: infinite_ntk(layers, x1, x2, normal_biases=True), pick
    network = network_of(case)
    plan = plan_ntk(network, x1, kind=case.group)

    def take() -> Tensor:
        return empirical_ntk(network, x1, kind=case.group, plan=plan)  # type: ignore[return-value]

    return take, pick


def pick(kernel: Tensor, rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
    """Some samples of [N, N] or [N, K, N, K]."""
    samples = kernel[rows]
    return samples[:, columns].numpy() if kernel.ndim == 2 else samples[:, :, columns].numpy()


def flops(case: Case) -> float | None:
    """What the kernel takes (`benchmarks.flops`); None for infinite width, which is no product."""
    if case.group == "infinite" or case.network in TODAY:
        return None
    return ntk_flops(network_of(case), tensors(case)[0], case.outputs, case.group)
