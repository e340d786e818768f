"""The kernel of fitted samples with themselves and with the test samples, and f₀ of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ntkscope.models import Architecture
from ntkscope.ntk import empirical_ntk, infinite_ntk
from ntkscope.ntk.empirical.planner import make_plan
from ntkscope.regression.kernel_tiles import Block, KernelTiles, write_tiles

# verify="off": how a network is differentiated is verified all the same (`planner`), and a diverged
# one's kernel, which is not finite, is found by `is_usable`.
_BLOCK = 500  # samples of a forward pass

_TOGETHER = 1000  # samples, from which on more at once hardly are faster
_LEAST_BYTES, _MOST_BYTES, _MOST_BYTES_OF_GPU = 2**28, 2**31, 2**33


class KernelPair(NamedTuple):
    """Kernels [N, N] and [M, N], on the CPU or the disk."""

    kernel: Tensor | KernelTiles
    cross: Tensor | KernelTiles


def working_bytes(network: nn.Module, x: Tensor) -> int:
    """What a network's kernel may take beside itself: for tiles of 1000 samples, or up to 2 GiB.

    It depends on the network alone and not on the memory that is there, as the last digits do: they
    are the same after a kill by which a job got more.

    Args:
        network: on its device.
        x: at least two samples.
    """
    plan = make_plan(network, x, None, "trace", None)
    wanted = _TOGETHER * (plan.working_bytes + plan.gradient_bytes)
    most = _MOST_BYTES if x.device.type == "cpu" else _MOST_BYTES_OF_GPU
    return min(max(wanted, _LEAST_BYTES), most)


def empirical_block(members: Sequence[nn.Module], memory: int) -> Block:
    """The mean over networks, of which each takes so much memory beside it."""
    return partial(_mean, members, memory=memory)


def infinite_block(layers: Architecture) -> Block:
    """Of the infinitely wide network."""
    return partial(infinite_ntk, layers)


def whole_pair(block: Block, x: Tensor, test: Tensor) -> KernelPair:
    """Both kernels in memory."""
    return KernelPair(block(x, None).cpu(), block(test, x).cpu())


def tiled_pair(
    block: Block,
    x: Tensor,
    test: Tensor,
    folder: Path,
    dense_most: int,
    alive: Callable[[], None],
) -> KernelPair:
    """Both kernels on the disk, gone on with where a killed job left them: see `write_tiles`."""
    kernel = write_tiles(folder / "kernel.zarr", block, x, None, dense_most, alive)
    cross = write_tiles(folder / "cross.zarr", block, test, x, dense_most, alive)
    return KernelPair(kernel, cross)


def layer_pairs(member: nn.Module, x: Tensor, test: Tensor, memory: int) -> dict[str, KernelPair]:
    """Name of each layer with parameters → its own part of the kernel."""
    whole = empirical_ntk(member, x, by_layer=True, memory=memory, verify="off")
    cross = empirical_ntk(member, test, x, by_layer=True, memory=memory, verify="off")
    assert isinstance(whole, dict)
    assert isinstance(cross, dict)
    return {name: KernelPair(whole[name].cpu(), cross[name].cpu()) for name in whole}


def is_usable(pair: KernelPair) -> bool:
    """Whether no element is NaN or infinite (looked at without a copy), and not all are zero.

    All are where every unit is dead and nothing has a bias, or of a layer behind dead units.
    """
    return all(map(_is_finite, pair)) and np.asarray(pair.kernel.diagonal(), np.float64).mean() > 0


def _is_finite(kernel: Tensor | KernelTiles) -> bool:
    if isinstance(kernel, KernelTiles):
        return kernel.is_finite()
    return all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(kernel))


@torch.no_grad()
def mean_outputs(members: Sequence[nn.Module], x: Tensor) -> np.ndarray:
    """The networks' mean output [N], float64."""
    outputs = [torch.cat([member(part)[:, 0] for part in x.split(_BLOCK)]) for member in members]
    return torch.stack(outputs).double().mean(0).cpu().numpy()


def _mean(members: Sequence[nn.Module], x: Tensor, x2: Tensor | None, memory: int) -> Tensor:
    total: Tensor | None = None
    for member in members:
        found = empirical_ntk(member, x, x2, memory=memory, verify="off")
        assert isinstance(found, Tensor)
        total = found if total is None else total.add_(found)
    assert total is not None
    return total.div_(len(members)).cpu()
