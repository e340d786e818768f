"""What this machine can do: one large float32 product by torch's BLAS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.cases import Case
from benchmarks.peers.networks import torch_version

SIZE = 2048


def version() -> str:
    """Of torch."""
    return torch_version()


def prepare(case: Case, variant: str) -> tuple[Callable[[], Tensor], Callable[..., NDArray[Any]]]:
    """A product of two square matrices, whatever the case."""
    a, b = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE)
    return lambda: a @ b, lambda kernel, rows, columns: kernel[:1, :1].numpy()


def flops(case: Case) -> float:
    """2 n³."""
    return 2.0 * SIZE**3
