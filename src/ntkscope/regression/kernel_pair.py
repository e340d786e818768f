"""The kernel of fitted samples with themselves and with the test samples, and f₀ of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ntkscope.models import Architecture
from ntkscope.ntk import empirical_ntk, infinite_ntk

_BLOCK = 500  # samples of a forward pass

WORKING_BYTES = 2**29
"""What an empirical kernel may take beside itself: no matter of the memory, so that the last
digits are the same after a kill by which a job got more."""


class KernelPair(NamedTuple):
    """Kernels [N, N] and [M, N], on the CPU."""

    kernel: Tensor
    cross: Tensor


def infinite_pair(layers: Architecture, x: Tensor, test: Tensor) -> KernelPair:
    """Of the infinitely wide network."""
    return KernelPair(infinite_ntk(layers, x).cpu(), infinite_ntk(layers, test, x).cpu())


def empirical_pair(members: Sequence[nn.Module], x: Tensor, test: Tensor) -> KernelPair:
    """The mean over networks."""
    return KernelPair(_mean(members, x), _mean(members, test, x))


def layer_pairs(member: nn.Module, x: Tensor, test: Tensor) -> dict[str, KernelPair]:
    """Name of each layer with parameters → its own part of the kernel."""
    whole = empirical_ntk(member, x, by_layer=True, memory=WORKING_BYTES)
    cross = empirical_ntk(member, test, x, by_layer=True, memory=WORKING_BYTES)
    assert isinstance(whole, dict)
    assert isinstance(cross, dict)
    return {name: KernelPair(whole[name].cpu(), cross[name].cpu()) for name in whole}


def is_usable(pair: KernelPair) -> bool:
    """Whether no element is NaN or infinite (looked at without a copy), and not all are zero.

    All are where every unit is dead and nothing has a bias, or of a layer behind dead units.
    """
    extremes = (extreme for kernel in pair for extreme in torch.aminmax(kernel))
    finite = all(bool(torch.isfinite(each)) for each in extremes)
    return finite and float(pair.kernel.diagonal().double().mean()) > 0


@torch.no_grad()
def mean_outputs(members: Sequence[nn.Module], x: Tensor) -> np.ndarray:
    """The networks' mean output [N], float64."""
    outputs = [torch.cat([member(part)[:, 0] for part in x.split(_BLOCK)]) for member in members]
    return torch.stack(outputs).double().mean(0).cpu().numpy()


def _mean(members: Sequence[nn.Module], x: Tensor, x2: Tensor | None = None) -> Tensor:
    total: Tensor | None = None
    for member in members:
        found = empirical_ntk(member, x, x2, memory=WORKING_BYTES)
        assert isinstance(found, Tensor)
        total = found if total is None else total.add_(found)
    assert total is not None
    return total.div_(len(members)).cpu()
