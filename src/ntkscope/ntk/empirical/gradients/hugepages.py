"""Memory for large tensors, in large pages.

Linux gives a process new memory page by page, each at its first use: 400 MB of 4 kB take 0.14 s,
more than a small network's full kernel of that size. In pages of 2 MB, which have to be asked for,
it is five times as fast. NumPy asks for them in every large array (since 1.18), so it makes these.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ntkscope.ntk.empirical.tuning import TUNING

_DTYPES = {torch.float32: np.float32, torch.float64: np.float64}
_LINE = 64  # bytes of a cache line, where torch begins its own tensors


def new_empty(like: Tensor, *shape: int, large: int = TUNING.huge_page_bytes) -> Tensor:
    """As `like.new_empty(shape)`, of `like`'s dtype and device; in large pages from `large` bytes.

    Smaller tensors mostly lie in memory that was freed before.
    """
    count = 1
    for size in shape:
        count *= size
    item = like.element_size()
    if like.device.type != "cpu" or like.dtype not in _DTYPES or count * item < large:
        return like.new_empty(shape)
    memory = torch.from_numpy(np.empty(count + _LINE // item, _DTYPES[like.dtype]))
    first = -memory.data_ptr() % _LINE // item
    return memory[first : first + count].view(shape)
