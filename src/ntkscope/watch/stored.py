"""What a store has of a watched run: read without a write, also while another process writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ntkscope.errors import StoreError
from ntkscope.stores import ZarrStore
from ntkscope.stores.checked_store import damaged
from ntkscope.stores.chunks import dims, file_of, places
from ntkscope.stores.manifest import MASK, METADATA, read_journals
from ntkscope.watch.kernel import Arrays
from ntkscope.watch.probe import WatchError

State = tuple[tuple[str, int, int, int], ...]
"""Name, inode, bytes and time of the files that no write to a store leaves as they are."""


@dataclass(frozen=True)
class Stored:
    """The snapshots that are whole, from the first on; those behind them may be half written.

    Attributes:
        store: to read; attrs: its attributes.
        steps, tasks: (snapshot,), int64.
        logged: `loss` and `accuracy`, (snapshot, seen), NaN where unknown.
    """

    store: ZarrStore
    attrs: Mapping[str, Any]
    steps: NDArray[np.int64]
    tasks: NDArray[np.int64]
    logged: Mapping[str, NDArray[np.float64]]

    @classmethod
    def open(cls, path: Path) -> Stored:
        """Of a store that is there.

        Raises:
            StoreError: no store of kernels, or a damaged one.
        """
        if not (path / METADATA).is_file():
            raise StoreError(
                "what is here is no store of kernels",
                where=path,
                remedy="give the path of one, or for a new one a path where nothing is",
            )
        count = whole_snapshots(ZarrStore.open_part(path, "kernels"))
        store = ZarrStore.open_part(path, "kernels")  # after it: all boundaries before are told
        _refuse_lost(store, count)
        _refuse_damaged(store)
        first = slice(0, count)
        return cls(
            store,
            store.group.attrs.asdict(),
            store.read("step", first),
            store.read("task", first),
            {name: store.read(name, (0, first)) for name in ("loss", "accuracy")},
        )

    @property
    def boundaries(self) -> set[int]:
        """Steps of the boundaries."""
        return set(self.attrs["boundaries"])

    @property
    def last_step(self) -> int:
        """That its run was told of, when it was last written; −1 of none."""
        return max(int(self.attrs.get("last_step", -1)), int(self.steps.max(initial=-1)))

    @property
    def flushed_step(self) -> int:
        """That which was the last one at the last call of `flush`, `close` or `leave`; −1: none."""
        return int(self.attrs.get("flushed_step", -1))

    def arrays(self, snapshot: int) -> Arrays:
        """`ntk` and, by layer, `layer_ntk` of a snapshot."""
        names = ("ntk", "layer_ntk") if self.attrs.get("layers") else ("ntk",)
        return {name: self.store.read(name, (0, snapshot)) for name in names}

    def is_still_there(self) -> bool:
        """Whether none of it was cut back since, by a run that goes on from before."""
        now, first = ZarrStore.open_part(self.store.path, "kernels"), slice(0, len(self.steps))
        own = {"step": self.steps, "task": self.tasks}
        return whole_snapshots(now) >= first.stop and all(
            np.array_equal(now.read(name, first), values) for name, values in own.items()
        )

    def refuse_other(self, identity: Mapping[str, Any], seed: int) -> None:
        """Refuse kernels that are not those of a watch.

        Raises:
            WatchError: says what differs.
        """
        differing = [key for key, value in identity.items() if self.attrs.get(key) != value]
        if int(self.store.read("seed")[0]) != seed:
            differing.append("seed")
        if differing:
            raise WatchError(
                f"the store is of another watch: {', '.join(differing)} differ",
                where=self.store.path,
                remedy="give another path, or the probe and options that it was begun with",
            )


def whole_snapshots(store: ZarrStore) -> int:
    """How many snapshots are whole, of the first on."""
    lengths = [along(array, "snapshot") for array in growing(store)]
    return min(int(np.argmin([*store.mask, False])), *lengths)


def growing(store: ZarrStore) -> list[Any]:
    """The arrays with an element for each snapshot, without the mask."""
    arrays: list[Any] = [array for name, array in store.group.arrays() if name != MASK]
    return [array for array in arrays if "snapshot" in dims(array)]


def along(array: Any, dim: str) -> int:
    """Length of a dimension of an array."""
    return int(array.shape[dims(array).index(dim)])


def state_of(path: Path) -> State:
    """What tells whether a store was written since; of none that is there, nothing."""
    files = [path / METADATA, *(path / MASK).glob("*")]
    try:
        found = [(file.name, file.stat()) for file in sorted(files) if file.is_file()]
    except FileNotFoundError:  # it is being written
        return state_of(path)
    return tuple((name, s.st_ino, s.st_size, s.st_mtime_ns) for name, s in found)


def _refuse_lost(store: ZarrStore, count: int) -> None:
    """Refuse a store that lacks a chunk of a whole snapshot, which would be read as NaN.

    Raises:
        StoreError: names the first file that is not there.
    """
    for array in growing(store):
        axis = dims(array).index("snapshot")
        for place in places(array):
            file = file_of(array, place)
            if place[axis] * array.chunks[axis] < count and not (store.path / file).is_file():
                raise StoreError(
                    f"{file} is lost",
                    where=store.path,
                    remedy="restore it from a copy of the store, or begin anew with another path",
                )


def _refuse_damaged(store: ZarrStore) -> None:
    """Refuse coordinates that are not as they were written.

    Raises:
        StoreError: names the file.
    """
    known = read_journals(store.path)
    for array in map(store.array, store.coordinates):
        for file in (file_of(array, place) for place in places(array)):
            if file.as_posix() in known and not store.is_sound(file, known):
                raise damaged(store.path, f"{file} is not as it was written")
