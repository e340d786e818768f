"""A store of kernels that grows with a run: the workflow's own kind, complete after each write."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkscope.metrics.lineage import Lineage, open_lineage
from ntkscope.ntk.kinds import normalisation
from ntkscope.ntk.tiled.store_layout import kernel_arrays
from ntkscope.runtime.provenance import provenance
from ntkscope.stores import Array, ZarrStore, remove_partial_files
from ntkscope.stores.manifest import MASK, break_manifest
from ntkscope.watch.kernel import Arrays
from ntkscope.watch.probe import Probe, WatchError

_TOGETHER = 1024  # snapshots in a chunk of what has one number for each
_TASKS = 8
_PENDING = 32
_SECONDS = 1.0


@dataclass(frozen=True)
class Snapshot:
    """What is kept of one step.

    Attributes:
        step, task: its number, and that of its task, from 1.
        arrays: `ntk` and, by layer, `layer_ntk`.
        logged: `loss` and `accuracy`, one for each task seen, as many as are known.
    """

    step: int
    task: int
    arrays: Arrays
    logged: dict[str, list[float]]


class KernelStore:
    """Writes snapshots in small groups: at the latest a second after the first of a group.

    Args:
        path: the store; one that is there is gone on with.
        identity: what its kernels are of: attributes that must agree.
        probe: of the watch.
        seed: of the run.

    Raises:
        WatchError: the store is of other kernels.
    """

    def __init__(
        self,
        path: str | Path,
        identity: dict[str, Any],
        probe: Probe,
        seed: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = Path(path)
        self._identity, self._probe, self._seed, self._clock = identity, probe, seed, clock
        self._pending: list[Snapshot] = []
        self._since = 0.0
        self._store = self._resumed() if self.path.exists() else None

    @staticmethod
    def attributes(path: Path) -> dict[str, Any]:
        """Of a store that is there."""
        return dict(ZarrStore.resume(path, "kernels").group.attrs.asdict())

    def _resumed(self) -> ZarrStore:
        """The store that is there, without what was written in part."""
        store = ZarrStore.resume(self.path, "kernels")
        attrs = store.group.attrs.asdict()
        differing = [key for key, value in self._identity.items() if attrs.get(key) != value]
        if int(store.read("seed")[0]) != self._seed:
            differing.append("seed")
        if differing:
            raise WatchError(
                f"the store is of another watch: {', '.join(differing)} differ",
                where=self.path,
                remedy="give another path, or delete the store to begin anew",
            )
        remove_partial_files(self.path)
        mask = store.mask
        lengths = [len(mask), *(_along(a, "snapshot") for a in _growing(store))]
        _resize(store, min(int(np.argmin([*mask, False])), *lengths))
        return store

    def lineage(self) -> Lineage | None:
        """What was written, to be read again; None where nothing was."""
        if self._store is None or not len(self._store.mask):
            return None
        return open_lineage([self.path])

    def logged(self) -> dict[str, NDArray[np.float64]]:
        """`loss` and `accuracy`, (snapshot, seen), NaN where unknown."""
        assert self._store is not None
        return {name: self._store.read(name)[0] for name in ("loss", "accuracy")}

    @property
    def boundaries(self) -> list[int]:
        """Steps of the boundaries."""
        return [] if self._store is None else list(self._store.group.attrs["boundaries"])  # type: ignore[arg-type]

    def keep_before(self, step: int) -> None:
        """Forget the snapshots from a step on: the run goes on from a checkpoint before them.

        Raises:
            WatchError: that would be all of them.
        """
        if self._store is None:
            return
        steps = self._store.read("step")
        kept = int(np.searchsorted(steps, step))
        if len(steps) and not kept:
            raise WatchError(
                f"the store has steps {steps[0]} to {steps[-1]}: a run from step {step} on would "
                "replace all of them",
                where=self.path,
                remedy="go on from a checkpoint with its step, or without a number behind the last "
                "step; to begin anew give another path, or delete the store",
            )
        break_manifest(self.path)  # before a chunk goes
        _resize(self._store, kept)
        self._store.describe(boundaries=[edge for edge in self.boundaries if edge < step])

    def add(self, snapshot: Snapshot) -> None:
        """Take in a snapshot."""
        if not self._pending:
            self._since = self._clock()
        self._pending.append(snapshot)
        if len(self._pending) >= _PENDING or self._clock() - self._since > _SECONDS:
            self.flush()

    def mark_boundary(self, boundaries: list[int]) -> None:
        """Write the boundaries, and all snapshots that there are."""
        self.flush()
        assert self._store is not None
        self._store.describe(boundaries=boundaries)

    def flush(self) -> None:
        """Write what is still in memory."""
        if not self._pending:
            return
        if self._store is None:
            self._store = self._allocated(self._pending[0])
        store, pending = self._store, self._pending
        first = len(store.mask)
        here = slice(first, first + len(pending))
        seen = max(len(v) for each in pending for v in [*each.logged.values(), [0.0]])
        _widen(store, seen)
        _resize(store, here.stop)
        for name in pending[0].arrays:
            store.write(
                name, (slice(None), here), np.stack([s.arrays[name] for s in pending])[None]
            )
        for name in ("loss", "accuracy"):
            width = _along(store.group[name], "seen")
            rows = [_padded(each.logged.get(name, []), width) for each in pending]
            store.write(name, (slice(None), here), np.asarray([rows]))
        store.write("step", here, np.asarray([each.step for each in pending]))
        store.write("task", here, np.asarray([each.task for each in pending]))
        store.done(here)
        self._pending = []

    def close(self) -> None:
        """Write what is still in memory, and the manifest: until more is written."""
        self.flush()
        if self._store is not None:
            self._store.seal()
            self._store = ZarrStore.resume(self.path, "kernels")

    def _allocated(self, like: Snapshot) -> ZarrStore:
        ntk, layers = like.arrays["ntk"], like.arrays.get("layer_ntk")
        outputs = ntk.shape[1] if ntk.ndim == 4 else 1
        count = 0 if layers is None else len(layers)
        side = (len(self._probe), len(self._probe))
        kind = str(self._identity["kernel"])
        lead = (("seed", 1, 1), ("snapshot", 0, 1))
        arrays = kernel_arrays(kind, lead, side, side, outputs, count, ntk.dtype)
        for name in ("loss", "accuracy"):
            dims, shape = ("seed", "snapshot", "seen"), (1, 0, 1)
            arrays[name] = Array(dims, shape, np.float64, (1, _TOGETHER, _TASKS))
        for name in ("step", "task"):
            arrays[name] = Array(("snapshot",), (0,), np.int64, (_TOGETHER,))
        coords: dict[str, Any] = {"seed": (("seed",), [self._seed])}
        if self._probe.labels is not None:
            coords["label"] = (("sample",), self._probe.labels)
        if self._identity["layers"]:
            coords["layer"] = (("layer",), self._identity["layers"])
        mask = Array(("snapshot",), (0,), np.dtype(bool), (_TOGETHER,))
        attrs = {
            **self._identity,
            "normalisation": normalisation(kind),
            "boundaries": [],
            "provenance": provenance(),
        }
        store = ZarrStore.allocate(
            self.path, "kernels", arrays, coords=coords, mask=mask, attrs=attrs
        )
        store.describe(coordinates=" ".join([*coords, "step", "task"]))
        return store


def _padded(values: list[float], length: int) -> list[float]:
    return [*values, *[np.nan] * (length - len(values))]


def _growing(store: ZarrStore) -> list[Any]:
    """The arrays with an element for each snapshot, without the mask."""
    arrays: list[Any] = [array for name, array in store.group.arrays() if name != MASK]
    return [array for array in arrays if "snapshot" in array.metadata.dimension_names]


def _along(array: Any, dim: str) -> int:
    return int(array.shape[array.metadata.dimension_names.index(dim)])


def _resize(store: ZarrStore, size: int) -> None:
    """Have so many snapshots: in the mask first, whose new elements are false.

    So a store is incomplete, as its mask says, until all that was added to it is written.
    """
    for array in (store.group[MASK], *_growing(store)):
        _stretch(array, "snapshot", size)


def _widen(store: ZarrStore, seen: int) -> None:
    """Have room for so many tasks, with every chunk on the disk."""
    for name in ("loss", "accuracy"):
        if _along(store.group[name], "seen") < seen:
            _stretch(store.group[name], "seen", seen)
            store.write(name, ..., store.read(name))


def _stretch(array: Any, dim: str, size: int) -> None:
    if _along(array, dim) != size:
        shape = list(array.shape)
        shape[array.metadata.dimension_names.index(dim)] = size
        array.resize(tuple(shape))
