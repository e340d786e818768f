"""Times and memory on a device."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch

SIZE = {"cuda": 8192, "cpu": 256}  # of the matrices whose product is the device's peak


def timed(device: torch.device, function: Callable[[], object]) -> float:
    """Seconds, with all work that the function started."""
    _wait(device)
    began = time.perf_counter()
    function()
    _wait(device)
    return time.perf_counter() - began


def by_turns(
    device: torch.device, functions: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, float]:
    """Least seconds of each function; each once before, for compilation and caches."""
    for function in functions.values():
        function()
    seconds = {name: np.full(rounds, np.inf) for name in functions}
    for number in range(rounds):
        for name, function in functions.items():
            seconds[name][number] = timed(device, function)
    return {name: float(values.min()) for name, values in seconds.items()}


def peak_flops(device: torch.device) -> float:
    """FLOP/s of one large product in float32 (TF32 where torch is told to use it)."""
    n = SIZE[device.type]
    a, b = (torch.randn(n, n, device=device) for _ in range(2))
    return 2.0 * n**3 / by_turns(device, {"product": lambda: a @ b}, 10)["product"]


def memory_of(device: torch.device, function: Callable[[], object]) -> float:
    """Most bytes that the function held on a GPU beside what was there; NaN on the CPU."""
    if device.type != "cuda":
        function()
        return float("nan")
    _wait(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    function()
    _wait(device)
    return float(torch.cuda.max_memory_allocated(device) - before)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
