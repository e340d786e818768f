"""A store of kernels that grows with a run: the workflow's own kind, complete after each write.

One writer a store: a lock beside it, `.run.zarr.lock`, names the process that writes. What is only
looked at is read by `stored`, without the lock.
"""

from __future__ import annotations

import atexit
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakSet, WeakValueDictionary

import numpy as np

from ntkscope.errors import BusyError, NtkscopeError, StoreError
from ntkscope.ntk.kinds import normalisation
from ntkscope.ntk.tiled.store_layout import kernel_arrays
from ntkscope.runtime.disk import disk_errors
from ntkscope.runtime.logs import log
from ntkscope.runtime.provenance import provenance
from ntkscope.runtime.signals import Ending
from ntkscope.stores import Array, ZarrStore, remove_partial_files
from ntkscope.stores.lock import Lock
from ntkscope.stores.manifest import MASK, break_manifest
from ntkscope.watch.kernel import Arrays
from ntkscope.watch.probe import Probe, WatchError
from ntkscope.watch.stored import State, Stored, along, growing, state_of

_TOGETHER = 1024  # snapshots in a chunk of what has one number for each
_TASKS = 8
_PENDING = 32  # snapshots in memory, and
_SECONDS = 1.0  # since the last write: more is written at once
_PATIENCE = 60.0  # seconds, after a write that failed
_MOST = 2**30  # bytes that wait for it
_TOLD = ("last_step", "flushed_step")


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
    """Writes snapshots in small groups: at once, if nothing was written in the last second.

    So a kill loses those of one second at most, and 32 at most; more only of a full disk.

    It holds the store's lock from `begin` or a write on, until `leave` or `close`. Another
    KernelStore of this process that holds it leaves; then what that writes later is refused.

    Args:
        path: the store; one that is there is gone on with.
        probe: of the watch.
        seed: of the run.
    """

    _owner = 0  # the process that holds the lock by this
    _pending: list[Snapshot] = []  # noqa: RUF012 - of none that was made only in part

    def __init__(
        self, path: Path, probe: Probe, seed: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = path
        self._probe, self._seed, self._clock = probe, seed, clock
        self._lock = Lock(path.resolve().with_name(f".{path.resolve().name}.lock"))
        self._identity: dict[str, Any] = {}
        self._pending, self._size = [], 0  # bytes of each
        self._unmarked: list[int] = []  # boundaries, all, of which the store lacks the last
        self._since, self._again = (
            -math.inf,
            0.0,
        )  # the last write; when a failed one is tried again
        self._store: ZarrStore | None = None
        self._steps: list[int] = []  # that are written
        self._left: State | None = None  # as this has left it; None: it has not seen it
        self.told = -1  # the last step that the watch was told of
        self._noted: dict[str, int] = {}  # of it, as it is written

    def begin(self, identity: Mapping[str, Any], before: int | None = None) -> None:
        """Hold the store, and cut it back to what is whole and before a step, if it is not.

        Args:
            identity: what kernels are of: attributes that must agree.
            before: a run goes on from a checkpoint before this step; None: behind all.

        Raises:
            BusyError: another process writes the store.
            WatchError: it is of other kernels, or nothing is before the step: all would be lost.
            DiskError: nothing can be written there.
        """
        try:
            with self._held():
                if self.path.is_dir() and not any(self.path.iterdir()):
                    self.path.rmdir()  # as of `tempfile.mkdtemp`
                if self.path.exists():
                    self._store, self._steps = self._cut(identity, before)
        except BaseException:
            self._let_go()
            raise

    def add(self, snapshot: Snapshot, identity: dict[str, Any]) -> None:
        """Take in a snapshot; with the first, what the kernels are of.

        Raises:
            StoreError: of those that could not be written there are too many: it is left out.
        """
        self._identity = identity
        self._size = sum(array.nbytes for array in snapshot.arrays.values())
        if self._is_full():
            self.flush_if_due()
        if self._is_full():
            raise StoreError(
                f"{len(self._pending)} kernels could not be written: those behind are left out",
                where=self.path,
                remedy="make room there; metrics are kept",
            )
        self._pending.append(snapshot)
        _WAITING.add(self)
        self.flush_if_due()

    def _is_full(self) -> bool:
        return len(self._pending) * self._size > _MOST

    def flush_if_due(self) -> None:
        """Write what is still in memory, if the last write was long ago or it is much.

        Raises:
            DiskError, …: as of `flush`; then it is tried again after a minute.
        """
        now = self._clock()
        is_due = len(self._pending) >= _PENDING or now - self._since > _SECONDS or self._is_full()
        if self._pending and is_due and now >= self._again:
            self._again = now + _PATIENCE
            self.flush()

    def mark_boundary(self, boundaries: list[int]) -> None:
        """Write the boundaries, and all snapshots that there are; after an error, with the next."""
        self._unmarked = boundaries
        self.flush()

    def flush(self, *, checkpoint: bool = False) -> None:
        """Write what is still in memory; after an error, such as of a full disk, it is kept.

        Args:
            checkpoint: a run without numbers goes on from here, whatever comes: see `resume`.

        Raises:
            BusyError: another process writes the store.
            WatchError: another has written it since.
            DiskError: the disk refuses it.
        """
        noted = dict.fromkeys(_TOLD if checkpoint else _TOLD[:1], self.told)
        is_behind = bool(self._steps) and not noted.items() <= self._noted.items()
        if self._pending or self._unmarked or is_behind:
            with self._held(), Ending() as ending:  # a Ctrl-C waits for Zarr's threads
                self._write(self._pending)
                self._pending, self._again, self._since = [], 0.0, self._clock()
                assert self._store is not None
                self._store.describe(**noted)  # last: never before the kernels up to there
                self._noted |= noted
                ending.obey()

    def close(self) -> None:
        """Write what is still in memory, and the manifest: until more is written. Let it go."""
        self.flush(checkpoint=True)
        if self._steps:
            with self._held():
                assert self._store is not None
                self._store.seal()
        self._let_go()

    def leave(self, *, checkpoint: bool = False) -> None:
        """Write what is still in memory; then another may write the store, or this one again."""
        with _GUARD:
            if self._owner in (0, os.getpid()):
                try:
                    if checkpoint or self._owner or self._pending or self._unmarked:
                        self.flush(checkpoint=checkpoint)
                finally:
                    self._let_go()

    def __del__(self) -> None:
        """Nothing that was watched is lost as a watch is dropped, by a process that goes on."""
        if _ENDED.is_set():  # all was tried; the lock's thread would be waited for, for ever
            return
        if not (self._owner == os.getpid() or (self._pending and not self._owner)):
            return
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and _GUARD.acquire(blocking=False):
            _leave(self)
            _GUARD.release()
        else:  # perhaps one of Zarr's threads, for which a write would wait
            threading.Thread(target=_leave, args=(self,)).start()

    def __getstate__(self) -> dict[str, Any]:
        """Of a copy, which holds no lock; this one writes what is in memory."""
        self.flush()
        return self.__dict__ | {"_store": None, "_owner": 0}

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Within it this alone writes the store."""
        with _GUARD, disk_errors(self.path):
            self._hold()
            try:
                yield
            finally:
                self._left = state_of(self.path)

    def _hold(self) -> None:
        """Be the one that writes the store, which is as this has left it."""
        if self._owner == os.getpid() and self._lock.is_mine():
            return
        place = str(self._lock.path)
        other = _WRITERS.get(place)
        if other is not None and other is not self and other._owner == os.getpid():
            _leave(other)
        try:
            self._lock.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(patient=False)
        except BusyError as error:
            raise _busy(error, self.path, self._lock.path) from None
        except (FileExistsError, NotADirectoryError, FileNotFoundError):
            raise WatchError(
                "no folder can be made for the store",
                where=self._lock.path.parent,
                remedy="give a path below a folder, not below a file",
            ) from None
        self._owner = os.getpid()
        _WRITERS[place] = self
        if self._left not in (None, state_of(self.path)) and not self._has_same_steps():
            self._owner = 0
            self._lock.release()
            raise WatchError(
                "another Watch, or process, has written this store since",
                where=self.path,
                remedy="make a new Watch of it: that goes on from what is there",
            )
        if self._left:  # opened anew, as it may have been sealed
            self._store = ZarrStore.resume(self.path, "kernels")

    def _has_same_steps(self) -> bool:
        """Whether a store that another has written since has the steps that this has left there."""
        return self.path.exists() and Stored.open(self.path).steps.tolist() == self._steps

    def _let_go(self) -> None:
        if self._owner == os.getpid():
            self._lock.release()
            self._owner = 0

    def _cut(self, identity: Mapping[str, Any], before: int | None) -> tuple[ZarrStore, list[int]]:
        """The store that is there, and the steps that stay: the others are forgotten."""
        found = Stored.open(self.path)
        found.refuse_other(identity, self._seed)
        steps = found.steps
        kept = len(steps) if before is None else int(np.searchsorted(steps, before))
        if len(steps) and not kept:
            raise WatchError(
                f"the store has steps {steps[0]} to {steps[-1]}: a run from step {before} on would "
                "replace all of them",
                where=self.path,
                remedy="go on from a checkpoint with its step, or without a number behind the last "
                "step; to begin anew give another path",
            )
        store = ZarrStore.resume(self.path, "kernels")
        if {kept} != {len(store.mask), *(along(array, "snapshot") for array in growing(store))}:
            break_manifest(self.path)  # before a chunk goes
            remove_partial_files(self.path)
            if kept < len(store.mask):  # Zarr keeps what is behind the end of a chunk that it cuts
                store.done(slice(kept, None), False)
            _resize(store, kept)
        end = found.last_step + 1 if before is None else before
        boundaries = [edge for edge in found.attrs["boundaries"] if edge < end]
        told = {name: found.attrs[name] for name in _TOLD if name in found.attrs}
        if before is not None:
            told = {name: min(step, before - 1) for name, step in told.items()}
        now = {"boundaries": boundaries, **told}
        if any(found.attrs[name] != value for name, value in now.items()):
            store.describe(**now)
        self._noted, self.told = told, max([told.get("last_step", -1), *steps[:kept].tolist()])
        return store, steps[:kept].tolist()

    def _write(self, pending: list[Snapshot]) -> None:
        """Snapshots behind those that are written, also over what an error has left there."""
        if self._store is None:
            self._store = self._allocated(pending[0])
        elif not self.path.exists():
            raise StoreError(
                "the store has gone while its run goes on",
                where=self.path,
                remedy="put it back; or begin anew, with a new Watch",
            )
        store = self._store
        if self._unmarked:  # first: it needs no room for kernels
            store.describe(boundaries=self._unmarked)
            self._unmarked = []
        if not pending:
            return
        here = slice(len(self._steps), len(self._steps) + len(pending))
        seen = max(len(v) for each in pending for v in [*each.logged.values(), [0.0]])
        _widen(store, seen)
        _resize(store, here.stop)
        for name in pending[0].arrays:
            store.write(
                name, (slice(None), here), np.stack([s.arrays[name] for s in pending])[None]
            )
        for name in ("loss", "accuracy"):
            width = along(store.group[name], "seen")
            rows = [_padded(each.logged.get(name, []), width) for each in pending]
            store.write(name, (slice(None), here), np.asarray([rows]))
        store.write("step", here, np.asarray([each.step for each in pending]))
        store.write("task", here, np.asarray([each.task for each in pending]))
        store.done(here)
        self._steps = self._steps[: here.start] + [each.step for each in pending]

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


def _resize(store: ZarrStore, size: int) -> None:
    """Have so many snapshots: in the mask first, whose new elements are false.

    So a store is incomplete, as its mask says, until all that was added to it is written.
    """
    for array in (store.group[MASK], *growing(store)):
        _stretch(array, "snapshot", size)


def _widen(store: ZarrStore, seen: int) -> None:
    """Have room for so many tasks, with every chunk on the disk."""
    for name in ("loss", "accuracy"):
        if along(store.group[name], "seen") < seen:
            _stretch(store.group[name], "seen", seen)
            store.write(name, ..., store.read(name))


def _stretch(array: Any, dim: str, size: int) -> None:
    if along(array, dim) != size:
        shape = list(array.shape)
        shape[array.metadata.dimension_names.index(dim)] = size
        array.resize(tuple(shape))


_GUARD = threading.RLock()
"""Of all writes of this process."""

_WRITERS: WeakValueDictionary[str, KernelStore] = WeakValueDictionary()
"""Lock file → who holds it in this process, or held it last."""

_WAITING: WeakSet[KernelStore] = WeakSet()
"""Who has had snapshots to write."""

_ENDED = threading.Event()
"""Whether the process has begun to end."""


def _leave(store: KernelStore) -> None:
    """As `leave`, where nobody hears an error."""
    try:
        store.leave()
    except (NtkscopeError, OSError, RuntimeError) as error:
        log.warning("the last kernels of %s could not be written: %s", store.path, error)


def _leave_all() -> None:
    """As the process ends: while Zarr can still write, which at `atexit` it cannot."""
    _ENDED.set()
    for store in {*_WRITERS.values(), *_WAITING}:
        _leave(store)


def _busy(error: BusyError, path: Path, lock: Path) -> BusyError:
    owner = error.what.removesuffix(" is already writing this output")
    return BusyError(
        f"{owner} is writing this store",
        where=path,
        remedy="give another path, or let that process end or close its Watch; to look at the "
        f"store, dataset() and plot() need no lock. If it is surely dead, delete {lock}",
    )


getattr(threading, "_register_atexit", atexit.register)(_leave_all)
