"""How exactly float32 products are made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.backends import cudnn


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
