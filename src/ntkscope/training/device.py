"""Where tensors live and how strictly the arithmetic is repeatable."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils import deterministic

from ntkscope.errors import NtkscopeError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def choose_device(wish: str) -> torch.device:
    """`auto` is cuda, else mps, else cpu.

    Raises:
        NtkscopeError: a device asked for by name that is not there.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wish == "auto":
        return torch.device(next(name for name, found in there.items() if found))
    if not there[wish]:
        raise NtkscopeError(
            f"this machine has no {wish} device that torch can use",
            where="resources.device",
            remedy="use device: auto, or install torch's build for your device",
        )
    return torch.device(wish)


def keep_freed_memory() -> None:
    """Have glibc keep large freed blocks for the next allocation instead of unmapping them.

    For whole processes (jobs), since it cannot be undone. Each step allocates what the step before
    freed; mapping it anew costs a page fault for every 4 kB: 20 to 30 times as many faults, and 12
    to 20% of the CPU time of training and kernels at width 1024. Does nothing without glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_THRESHOLD, 2**30)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


@contextmanager
def repeatable(threads: int) -> Iterator[None]:
    """Deterministic algorithms, full float32 products, fixed threads; undone at the end."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = (
        torch.get_deterministic_debug_mode(),
        torch.get_num_threads(),
        torch.get_float32_matmul_precision(),
        torch.backends.cudnn.benchmark,
        deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        torch.backends.cudnn.allow_tf32,
    )
    # Not use_deterministic_algorithms, which sets the same flag but imports torch's compiler (2 s).
    torch.set_deterministic_debug_mode("error")
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False  # of convolutions; torch's own default is True
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before[0])
        torch.set_num_threads(before[1])
        torch.set_float32_matmul_precision(before[2])
        torch.backends.cudnn.benchmark = before[3]
        deterministic.fill_uninitialized_memory = before[4]  # type: ignore[attr-defined]
        torch.backends.cudnn.allow_tf32 = before[5]
