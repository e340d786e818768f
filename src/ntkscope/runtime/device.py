"""Where tensors live and how strictly the arithmetic is repeatable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils import deterministic

from ntkscope.errors import NtkscopeError


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
