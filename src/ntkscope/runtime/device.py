"""Where tensors live, how exactly they are multiplied, and how strictly that is repeatable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.backends import cudnn
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
        deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
    )
    # Not use_deterministic_algorithms, which sets the same flag but imports torch's compiler (2 s).
    torch.set_deterministic_debug_mode("error")
    torch.set_num_threads(threads)
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        with float32_products(tf32=False):
            yield
    finally:
        torch.set_deterministic_debug_mode(before[0])
        torch.set_num_threads(before[1])
        deterministic.fill_uninitialized_memory = before[2]  # type: ignore[attr-defined]


@contextmanager
def float32_products(tf32: bool) -> Iterator[None]:
    """Products and convolutions in full float32, or in TF32 on a GPU that has it; then as before.

    TF32 keeps 10 bits of the mantissa. torch's own default has it for convolutions, and lets cuDNN
    choose algorithms whose results differ from call to call; here they are repeatable.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        with cudnn.flags(cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=tf32):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
