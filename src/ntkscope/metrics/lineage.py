"""The kernel stores of a lineage read as one stream: a run stores its last task only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ntkscope.errors import StoreError, remake, replaced
from ntkscope.metrics.arrays import FloatArray
from ntkscope.metrics.observers import Stream
from ntkscope.metrics.stream_metrics import Log, empty_log
from ntkscope.stores import read_store

IDENTITY = ("kernel", "normalisation", "probe_digest", "precision")
"""Attributes that kernels must share to be compared."""


@dataclass(frozen=True)
class Lineage:
    """Kernels of a stream, from its first task on.

    Attributes:
        stores: one dataset per task, lazily read; `paths` says where from.
        owner, place: for each snapshot of the stream, its store and its index there.
        steps, tasks: (snapshot,), int64.
    """

    stores: tuple[xr.Dataset, ...]
    paths: tuple[Path, ...]
    owner: NDArray[np.int64]
    place: NDArray[np.int64]
    steps: NDArray[np.int64]
    tasks: NDArray[np.int64]

    @property
    def seeds(self) -> NDArray[np.int64]:
        """(seed,)."""
        return np.asarray(self.stores[0]["seed"].values)

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """Labels of the probe, (sample,); None where it has none."""
        first = self.stores[0]
        return np.asarray(first["label"].values) if "label" in first else None

    @property
    def layers(self) -> list[str]:
        """Names of the layer NTKs, empty where none were kept."""
        first = self.stores[0]
        return [str(name) for name in first["layer"].values] if "layer_ntk" in first else []

    @property
    def outputs(self) -> int:
        """K of a full NTK, else 1."""
        return int(self.stores[0]["ntk"].sizes.get("output", 1))

    @property
    def size(self) -> int:
        """Rows of a kernel: samples × outputs."""
        return int(self.stores[0]["ntk"].sizes["sample"]) * self.outputs

    @property
    def dtype(self) -> np.dtype[Any]:
        """The coarser of the dtype stored and the precision computed in."""
        stored = self.stores[0]["ntk"].dtype
        computed = np.dtype(self.stores[0].attrs.get("precision", stored))
        return min(stored, computed, key=lambda dtype: dtype.itemsize)

    def stream(self, seeds: int, dt: int) -> Stream:
        """What observers are told: so many seeds together, so many steps behind a velocity."""
        tolerance = 8.0 * float(np.finfo(self.dtype).eps)
        return Stream(dt, seeds, tuple(self.layers), self.labels, self.outputs, tolerance)

    def log(self) -> Log:
        """Loss and accuracy as far as the stores themselves know them."""
        log = empty_log(len(self.seeds), len(self.steps))
        if len(self.stores) > 1 or not set(log.curves) <= set(self.stores[0]):
            return log
        known = {name: np.asarray(self.stores[0][name].values) for name in log.curves}
        unseen = max(0, int(self.tasks.max(initial=1)) - known["loss"].shape[-1])
        pad = ((0, 0), (0, 0), (0, unseen))
        curves = {n: np.pad(v, pad, constant_values=np.nan) for n, v in known.items()}
        return replace(log, curves=curves)

    def read(self, name: str, snapshot: int, seeds: slice) -> FloatArray:
        """Kernels of one snapshot, (seed, M, M) or (seed, layer, M, M), float64.

        Raises:
            StoreError: a chunk is damaged.
        """
        owner = int(self.owner[snapshot])
        array = self.stores[owner][name].isel(snapshot=int(self.place[snapshot]), seed=seeds)
        try:
            values = np.asarray(array.values, np.float64)
        except (ValueError, RuntimeError, OSError) as error:
            raise StoreError(
                f"a chunk of {name} cannot be read: {error}",
                where=self.paths[owner],
                remedy=remake(self.paths[owner]),
            ) from None
        leading = values.shape[:2] if name == "layer_ntk" else values.shape[:1]
        return values.reshape(*leading, self.size, self.size)


def open_lineage(paths: Sequence[Path]) -> Lineage:
    """Open the kernel stores of a lineage, in the order of their tasks.

    Raises:
        StoreError: a store is missing or incomplete, or they are not of one stream: other seeds,
            another probe or kernel, or steps that do not go on where the store before ended.
    """
    stores = tuple(read_store(path, "kernels") for path in paths)
    for store, path in zip(stores[1:], paths[1:], strict=True):
        _check_same(stores[0], store, path)
    steps = np.concatenate([store["step"].values for store in stores]).astype(np.int64)
    if np.any(np.diff(steps) <= 0):
        raise StoreError(
            "the steps of the stores do not follow on one another",
            where=paths[-1],
            remedy=of_one_run(paths[-1]),
        )
    lengths = [store.sizes["snapshot"] for store in stores]
    return Lineage(
        stores=stores,
        paths=tuple(Path(path) for path in paths),
        owner=np.repeat(np.arange(len(stores)), lengths),
        place=np.concatenate([np.arange(length) for length in lengths]),
        steps=steps,
        tasks=np.concatenate([store["task"].values for store in stores]).astype(np.int64),
    )


def _check_same(first: xr.Dataset, other: xr.Dataset, path: Path) -> None:
    """Refuse a store whose kernels cannot be compared with the first one's."""
    differing = [key for key in IDENTITY if first.attrs.get(key) != other.attrs.get(key)]
    coords = ("seed", "label", "layer")
    differing += [name for name in coords if not _equal(first.get(name), other.get(name))]
    if differing:
        raise StoreError(
            f"the kernels of this store and of its parent's differ in: {', '.join(differing)}",
            where=path,
            remedy=of_one_run(path),
        )


def of_one_run(path: Path) -> str:
    """What to do about stores that are good each, and do not fit together."""
    return (
        "give the stores of one run, in the order of its tasks: in a table of runs written by "
        f"hand, mend the line. One that is not what its name says: {replaced(path)}"
    )


def _equal(first: xr.DataArray | None, other: xr.DataArray | None) -> bool:
    if first is None or other is None:
        return first is other
    return bool(np.array_equal(first.values, other.values))
