"""The samples of a scalar task's store, as a network or a kernel takes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ntkscope.stores import ZarrStore


@dataclass(frozen=True)
class TaskSamples:
    """A store of kind `scalar_task`, of which only what is asked for is read.

    Attributes:
        store: of it.
        error: zero_one or squared.
        seeds: each with samples of its own.
        shape: of a sample as it is stored: (y, x, channel), or (feature,).
    """

    store: ZarrStore
    error: str
    seeds: tuple[int, ...]
    shape: tuple[int, ...]

    def inputs(
        self, split: str, seed_position: int, n: int, dtype: torch.dtype, device: torch.device
    ) -> Tensor:
        """The first n of a split, [n, channel, y, x] or [n, feature]."""
        stored = self.store.read(f"{split}_sample", (seed_position, slice(n)))
        raw = torch.from_numpy(np.ascontiguousarray(stored)).to(device).to(dtype)
        attrs = self.store.group.attrs
        white = float(attrs.get("white") or 1.0)  # type: ignore[arg-type]
        mean, std = (torch.tensor(attrs[key], dtype=dtype, device=device) for key in _SCALES)
        scaled = (raw / white - mean) / std
        return scaled.movedim(-1, 1).contiguous() if scaled.ndim == 4 else scaled

    def targets(self, split: str, seed_position: int, n: int) -> Tensor:
        """One number for each, float64 [n]."""
        stored = self.store.read(f"{split}_target", (seed_position, slice(n)))
        return torch.from_numpy(stored.astype(np.float64))

    def count(self, split: str) -> int:
        """Samples of a split, per seed."""
        return int(self.store.group[f"{split}_target"].shape[1])  # type: ignore[union-attr]


_SCALES = ("mean", "std")


def open_task(path: Path) -> TaskSamples:
    """Open a complete store."""
    store = ZarrStore.open(path, "scalar_task")
    seeds = tuple(int(seed) for seed in store.read("seed"))
    shape = tuple(store.group["train_sample"].shape[2:])  # type: ignore[union-attr]
    return TaskSamples(store, str(store.group.attrs["error"]), seeds, shape)
