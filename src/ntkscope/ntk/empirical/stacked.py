"""NTKs of many networks of one architecture on shared inputs: a run's seeds and snapshots."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ntkscope.models import Architecture, build_network
from ntkscope.ntk.empirical.engine import compute_kernels
from ntkscope.ntk.empirical.planner import make_plan
from ntkscope.ntk.empirical.stacked_dense import Parameters, dense_layer_ntks, is_dense
from ntkscope.ntk.kinds import mirror


def stacked_ntk(
    layers: Architecture,
    parameters: Parameters,
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    kind: str = "trace",
) -> dict[str, Tensor]:
    """The layer NTKs of M networks; their sum over layers is each network's NTK.

    Dense architectures go layer by layer in batched products; others network by network
    through the engine for any module.

    Args:
        layers: the architecture.
        parameters: name → [M, …], of the dtype and on the device of the arithmetic.
        x1: inputs [N, channel, y, x]; x2: [N2, …] or None for x1.
        kind: trace, full or pseudo (see `kinds`).

    Returns:
        Layer name → [M, N, N2], or [M, N, K, N2, K] (kind full), in the order of the layers;
        exactly symmetric where x2 is None.
    """
    if not is_dense(layers):
        found = _one_by_one(layers, parameters, x1, x2, kind)
    else:
        found = dict(dense_layer_ntks(layers, parameters, x1, x2, kind))
        if x2 is None:
            found = {name: mirror(kernel) for name, kernel in found.items()}
        if kind == "full":
            found = {name: _by_sample(kernel, len(x1)) for name, kernel in found.items()}
    return {name: found[name] for name in _names(layers) if name in found}


def _by_sample(kernel: Tensor, rows: int) -> Tensor:
    """[M, N·K, N2·K] as [M, N, K, N2, K]."""
    outputs = kernel.shape[1] // rows
    return kernel.view(len(kernel), rows, outputs, -1, outputs)


def _names(layers: Architecture) -> Iterator[str]:
    return (layer.name for layer in layers if hasattr(layer, "name"))


def _one_by_one(
    layers: Architecture, parameters: Parameters, x1: Tensor, x2: Tensor | None, kind: str
) -> dict[str, Tensor]:
    with torch.device("meta"):
        network: nn.Module = build_network(layers)
    models = next(iter(parameters.values())).shape[0]
    each: list[dict[str, Tensor]] = []
    plan = None
    for number in range(models):
        mine = {name: value[number] for name, value in parameters.items()}
        network.load_state_dict(mine, assign=True)
        network.requires_grad_()
        plan = plan or make_plan(network, x1, x2, kind)
        each.append(compute_kernels(network, plan, x1, x2, by_layer=True))
    return {name: torch.stack([kernels[name] for kernels in each]) for name in each[0]}
