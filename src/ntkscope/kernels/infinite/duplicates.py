"""Inputs that are equal: their kernel is known in closed form, where rounding would spoil it."""

from __future__ import annotations

import torch
from torch import Tensor


def identities(*inputs: Tensor) -> list[Tensor]:
    """Integer labels [N] for each set of inputs [N, …]; equal inputs have equal labels.

    Equal means to the bit, but for the sign of zero; the labels lie on the CPU.
    """
    seen: dict[bytes, int] = {}
    labels = []
    for x in inputs:
        rows = (x.detach().cpu() + 0.0).flatten(1).numpy()
        labels.append(torch.tensor([seen.setdefault(row.tobytes(), len(seen)) for row in rows]))
    return labels
