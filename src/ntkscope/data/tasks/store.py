"""A task's store, and what is read of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ntkscope.config.tasks import SPLITS
from ntkscope.errors import StoreError
from ntkscope.stores import ZarrStore

if TYPE_CHECKING:
    import torch
    from torch import Tensor

KIND = "scalar_task"
"""Kind of the store: arrays `{split}_sample` and `{split}_target`, see `axes`."""

_REMEDY = "delete it and run the rule prepare_task again"


def axes(shape: tuple[int, ...]) -> tuple[str, ...]:
    """Names of a sample's dimensions; those before are the seed and the number of the sample."""
    return ("y", "x", "channel") if len(shape) == 3 else ("feature",)


@dataclass(frozen=True)
class LoadedTask:
    """A prepared task. Only what is asked for is read.

    Attributes:
        shape: of a sample as stored: image (y, x, channel), uint8, or vector (feature,), float32.
        error: zero_one (sign f ≠ y) or squared ((f − y)² / variance of the test targets).
        title: the name as printed in a figure.
        seeds: in the order of positions.
        counts: samples of each split, for each seed.
        white, mean, std: inputs are (x / white − mean) / std; mean, std float64 [channel] or
            [feature].
        train_and_fresh: the most training and fresh samples of a seed that do not overlap; None:
            any number.
    """

    store: ZarrStore
    shape: tuple[int, ...]
    error: str
    title: str
    seeds: tuple[int, ...]
    counts: dict[str, int]
    white: int
    mean: np.ndarray
    std: np.ndarray
    train_and_fresh: int | None = None

    def count(self, split: str) -> int:
        """Samples of a split (train, fresh, validation, test) for each seed."""
        return self.counts[split]

    def inputs(
        self,
        split: str,
        seed_position: int,
        n: int | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """The first n samples of a seed as a network sees them: [n, channel, y, x] or [n, feature].

        Args:
            split: one of train, fresh, validation, test.
            seed_position: place of the seed in `seeds`.
            n: None: all.
            dtype: None: float32.
            device: None: the CPU.

        Raises:
            StoreError: there are fewer samples, or the store is damaged.
        """
        return self.as_inputs(self.stored(split, seed_position, n).to(device), dtype)

    def stored(self, split: str, seed_position: int, n: int | None = None) -> Tensor:
        """The same samples as they lie, uint8 [n, y, x, channel] or float32 [n, feature]."""
        import torch

        return torch.from_numpy(self._read(f"{split}_sample", split, seed_position, n))

    def as_inputs(self, stored: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Stored samples as a network sees them, on their device."""
        import torch

        values = stored.to(dtype or torch.float32) / self.white
        mean, std = (torch.from_numpy(each).to(values) for each in (self.mean, self.std))
        values = (values - mean) / std
        return values.movedim(-1, 1).contiguous() if len(self.shape) == 3 else values

    def targets(
        self,
        split: str,
        seed_position: int,
        n: int | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """The targets of the same samples, [n]. Arguments and errors are those of `inputs`."""
        import torch

        raw = torch.from_numpy(self._read(f"{split}_target", split, seed_position, n))
        return raw.to(device=device, dtype=dtype or torch.float32)

    def _read(self, name: str, split: str, seed_position: int, n: int | None) -> np.ndarray:
        there = self.count(split)
        n = there if n is None else n
        if n > there:
            raise StoreError(
                f"the store has {there} {split} samples for each seed, not {n}",
                where=self.store.path,
                remedy="ask for fewer, or prepare the task with more",
            )
        if n < 1:
            raise StoreError(
                f"no {split} samples are there, or none are asked for",
                where=self.store.path,
                remedy="ask for one or more, of a split that has some",
            )
        return self.store.read(name, (range(len(self.seeds))[seed_position], slice(0, n)))


def load_task(path: str | Path) -> LoadedTask:
    """Open a store of kind `scalar_task`.

    Raises:
        StoreError: missing, incomplete, damaged, of another kind, or not as `prepare_task` writes.
    """
    store = ZarrStore.open(Path(path), KIND)
    seeds = tuple(store.read("seed").tolist())
    store.check_whole(
        *(
            name
            for split in SPLITS
            if f"{split}_sample" in store.group or f"{split}_target" in store.group
            for name in (f"{split}_sample", f"{split}_target")
        )
    )
    shapes = {
        split: (_shape(store, f"{split}_sample"), _shape(store, f"{split}_target"))
        for split in SPLITS
        if f"{split}_sample" in store.group
    }
    shape = next(iter(shapes.values()))[0][2:] if shapes else ()
    counts = {split: shapes[split][1][1] if split in shapes else 0 for split in SPLITS}
    for split, found in shapes.items():
        expected = ((len(seeds), counts[split], *shape), (len(seeds), counts[split]))
        if found != expected:
            raise StoreError(
                f"samples and targets of {split} are of shapes {found}, not {expected}",
                where=path,
                remedy=_REMEDY,
            )
    return LoadedTask(
        store, shape, seeds=seeds, counts=counts, **_attributes(store, shape, str(path))
    )


def _shape(store: ZarrStore, name: str) -> tuple[int, ...]:
    found = store.group.get(name)
    return tuple(getattr(found, "shape", ()))


def _attributes(store: ZarrStore, shape: tuple[int, ...], path: str) -> dict[str, Any]:
    attrs: dict[str, Any] = dict(store.group.attrs)
    try:
        mean, std = (np.asarray(attrs[key], dtype=np.float64) for key in ("mean", "std"))
        facts = {
            "error": str(attrs["error"]),
            "title": str(attrs["title"]),
            "white": int(attrs["white"]),
            "train_and_fresh": attrs.get("train_and_fresh"),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"an attribute is missing or not as expected: {error}", where=path, remedy=_REMEDY
        ) from None
    if not (mean.shape == std.shape == shape[-1:] and (std > 0).all() and len(shape) in (1, 3)):
        raise StoreError(
            f"mean {mean.shape} and std {std.shape} do not fit samples of shape {shape}",
            where=path,
            remedy=_REMEDY,
        )
    return {**facts, "mean": mean, "std": std}
