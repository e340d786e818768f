"""Matrix products, by the faster of two libraries.

Torch multiplies float32 matrices on the CPU by MKL, which leaves AVX-512 unused on processors that
are not Intel's; oneDNN, which torch brings for convolutions, does not. On an AMD EPYC, one thread,
2048×2048×2048: 98 against 219 GFLOP/s. Which of them is taken depends on the processor and the
sizes alone, so that the same product has the same bits in every process of a machine.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

_WORTH = 2**20  # multiply-adds above which oneDNN's longer preparation pays


def matmul_nt(left: Tensor, right: Tensor) -> Tensor:
    """⟨left_i, right_j⟩ of [n, D] and [m, D]: [n, m]; no gradient flows through it."""
    if left.shape[0] * right.numel() <= _WORTH or not takes_onednn(left):
        return left @ right.T
    found: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
    return found


def batched_matmul_nt(left: Tensor, right: Tensor, out: Tensor | None = None) -> Tensor:
    """⟨left_bi, right_bj⟩ of [B, n, D] and [B, m, D]: [B, n, m].

    Args:
        left, right: the matrices.
        out: takes them, and is returned: [B, …, m], n of them in each of B.
    """
    rows, columns = left.shape[1], right.shape[1]
    if rows * columns * right.shape[2] <= _WORTH or not takes_onednn(left):
        found = left @ right.mT
        return found if out is None else out.copy_(found.view(out.shape))
    if out is None:
        out = left.new_empty(len(left), rows, columns)
    for one, a, b in zip(out.unbind(), left.unbind(), right.unbind(), strict=True):
        _product_into(one, a, b)
    return out


def matmul_nt_into(out: Tensor, left: Tensor, right: Tensor) -> None:
    """Write ⟨left_i, right_j⟩ of [n, D] and [m, D] to out […, m], n in all: one of a batch."""
    if left.shape[0] * right.numel() <= _WORTH or not takes_onednn(left):
        out.copy_((left @ right.T).view(out.shape))
    else:
        _product_into(out, left, right)


def _product_into(out: Tensor, left: Tensor, right: Tensor) -> None:
    """By oneDNN, which wants the longer side second where the other is thin."""
    if right.shape[0] < min(64, left.shape[0]):
        found = torch.ops.mkldnn._linear_pointwise.default(right, left, None, "none", [], "").T
    else:
        found = torch.ops.mkldnn._linear_pointwise.default(left, right, None, "none", [], "")
    out.copy_(found if found.shape == out.shape else found.view(out.shape))


def takes_onednn(like: Tensor) -> bool:
    """Whether large products of such matrices are oneDNN's."""
    return like.dtype == torch.float32 and like.device.type == "cpu" and _mkl_is_slow()


@cache
def _mkl_is_slow() -> bool:
    """Whether this is a processor with AVX-512 that is not Intel's, and oneDNN is there."""
    if not (torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()):
        return False
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    described = Path("/proc/cpuinfo")
    return described.exists() and "GenuineIntel" not in described.read_text()
