"""Inputs that are equal: their kernel is known in closed form, where rounding would spoil it."""

from __future__ import annotations

import torch
from torch import Tensor


def identities(*inputs: Tensor) -> list[Tensor]:
    """Integer labels [N] for each set of inputs [N, …]; equal inputs have equal labels.

    Equal means to the bit, but for the sign of zero. The labels lie where the inputs do.
    """
    seen: dict[bytes, int] = {}
    labels = []
    for x in inputs:
        rows = (x.detach().cpu() + 0.0).flatten(1).numpy()
        found = [seen.setdefault(row.tobytes(), len(seen)) for row in rows]
        labels.append(torch.tensor(found, dtype=torch.int32, device=x.device))
    return labels


def equal_pairs(labels1: Tensor, labels2: Tensor) -> tuple[Tensor, Tensor] | None:
    """Indices i and j of all pairs of equal labels, or None if there is none."""
    equal = labels1[:, None] == labels2
    if not equal.any():
        return None
    i, j = equal.nonzero(as_tuple=True)
    return i, j
