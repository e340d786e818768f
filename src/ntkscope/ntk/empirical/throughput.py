"""How fast a device is, measured by a few short products."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from ntkscope.ntk.empirical.costs import Throughput
from ntkscope.runtime.matmul import matmul_nt

_SIDE, _ELEMENTS, _TRIES = 512, 2**20, 4


def measured_throughput(device: torch.device, dtype: torch.dtype) -> Throughput:
    """Of matrix products and of elementwise operations, with torch's threads as they are.

    Measured once per process, device, dtype and number of threads; tens of milliseconds.
    """
    return _measured(device, dtype, torch.get_num_threads())


@cache
def _measured(device: torch.device, dtype: torch.dtype, threads: int) -> Throughput:
    matrix = torch.ones(_SIDE, _SIDE, dtype=dtype, device=device)
    long = torch.ones(_ELEMENTS, dtype=dtype, device=device)
    other = torch.ones_like(long)
    return Throughput(
        multiply_adds=_SIDE**3 / _least_time(lambda: matmul_nt(matrix, matrix)),
        elements=_ELEMENTS / _least_time(lambda: long.mul_(other)),
    )


def _least_time(compute: Callable[[], Tensor]) -> float:
    """Seconds; the first call, which also prepares, does not count."""
    times = []
    for _ in range(_TRIES + 1):
        began = time.perf_counter()
        compute().view(-1)[0].item()  # waits for the device
        times.append(time.perf_counter() - began)
    return min(times[1:])
