"""From a task to the store of its samples."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ntkscope.config.tasks import SPLITS, TASKS, TaskSource, check_counts
from ntkscope.data.images import OpenSamples, content_of, open_samples
from ntkscope.data.tasks.base import BLOCK, OpenedTask
from ntkscope.data.tasks.store import KIND, axes
from ntkscope.errors import DataError
from ntkscope.runtime.logs import progress
from ntkscope.runtime.provenance import provenance
from ntkscope.stores import Array, JobDirectory, ZarrStore
from ntkscope.stores.going_on import forget_damaged

if TYPE_CHECKING:
    from ntkscope.config.curve_specs import SampleCounts, ScalarTaskSpec

CHUNK = 4 * BLOCK
"""Samples in a chunk."""

_BYTES = 2**28  # of the samples written at once: a large data set is read once for all of them

Part = tuple[int, str, slice]
"""What is written at once: position of the seed, split, samples."""


def prepare_task(
    task: ScalarTaskSpec,
    counts: SampleCounts,
    images: Path | None,
    output: Path,
    *,
    state: Path,
    stage: str,
) -> None:
    """Draw a task's samples for each of its seeds, and write them as a store of kind `scalar_task`.

    A killed job goes on with the chunk it was at. Sample i of a split and seed does not depend on
    the counts: a store of fewer samples is the beginning of one of more.

    Args:
        task: which, and the seeds.
        counts: samples of each split, for each seed; a split of none has no arrays.
        images: the prepared data set that it is made of; None: it is made of nothing.
        output: the store to be made.
        state: folder for the work in progress.
        stage: digest of the code.

    Raises:
        DataError: more samples than there are, classes that there are not, or a prepared data set
            that does not fit the task.
        StoreError: the prepared data set is damaged.
        BusyError: another process prepares the same store.
    """
    started = time.monotonic()
    source = TASKS[task.name]
    opened = source.open(task, _images(task, source, images))
    check_counts(opened.limits, counts, task.name, "learning_curves.….samples")
    spec = {"task": task.model_dump(mode="json"), "counts": counts.model_dump(mode="json")}
    identity = {**spec, "stage": stage, "images": images and content_of(images)}
    sizes = {split: count for split in SPLITS if (count := getattr(counts, split))}
    with JobDirectory(state, identity) as place:
        store = _begin(place, opened, task.seeds, sizes)
        _forget_damaged(store, _parts(opened, task.seeds, sizes))
        _fill(store, place, opened, task.seeds, sizes)
        record = provenance(**spec, wall_seconds=round(time.monotonic() - started, 3))
        store.describe(**_facts(store, sizes), **_origin(source, opened, task), provenance=record)
        store.seal()
        place.finish(output)


def _images(task: ScalarTaskSpec, source: TaskSource, path: Path | None) -> OpenSamples | None:
    if source.dataset is None and not source.chosen:
        return None
    if path is None:
        raise DataError(
            f"{task.name} is made of a data set, but none is given",
            where="task",
            remedy=f"prepare {source.dataset or 'the data set'} and give the path of its store",
        )
    return open_samples(path)


def _parts(opened: OpenedTask, seeds: tuple[int, ...], sizes: dict[str, int]) -> list[Part]:
    """Everything that is to be written, in order, whole chunks each: a seed's samples together."""
    length = CHUNK * max(1, _BYTES // (CHUNK * _sample_bytes(opened)))
    return [
        (position, split, slice(start, min(start + length, count)))
        for position in range(len(seeds))
        for split, count in sizes.items()
        for start in range(0, count, length)
    ]


def _sample_bytes(opened: OpenedTask) -> int:
    return math.prod(opened.shape) * _dtype(opened).itemsize


def _dtype(opened: OpenedTask) -> np.dtype[Any]:
    return np.dtype(np.uint8 if len(opened.shape) == 3 else np.float32)


def _begin(
    place: JobDirectory, opened: OpenedTask, seeds: tuple[int, ...], sizes: dict[str, int]
) -> ZarrStore:
    """The store that an earlier job began, or a new one."""
    return ZarrStore.allocate(
        place.store,
        KIND,
        dict(_arrays(opened, len(seeds), sizes)),
        coords={"seed": (("seed",), np.array(seeds, dtype=np.int64))},
        mask=Array(("part",), (len(_parts(opened, seeds, sizes)),), np.dtype(bool)),
        attrs={},
        going_on=True,
    )


def _forget_damaged(store: ZarrStore, parts: list[Part]) -> None:
    """Parts of which a chunk is not there, or damaged, are not done."""
    for name, place in forget_damaged(store):
        for number, (position, split, span) in enumerate(parts):
            is_of_part = name in (f"{split}_sample", f"{split}_target") and (
                place[0].start == position and span.start <= place[1].start < span.stop
            )
            if is_of_part:
                store.done(number, False)


def _arrays(opened: OpenedTask, seeds: int, sizes: dict[str, int]) -> Iterator[tuple[str, Array]]:
    image = len(opened.shape) == 3
    for split, count in sizes.items():
        dims, chunk = ("seed", f"{split}_n"), min(CHUNK, count)
        yield (
            f"{split}_sample",
            Array(
                (*dims, *axes(opened.shape)),
                (seeds, count, *opened.shape),
                _dtype(opened),
                chunks=(1, chunk, *opened.shape),
                attrs={"long_name": "pixel intensity" if image else "features", "units": "1"},
                compress="whole",
            ),
        )
        yield (
            f"{split}_target",
            Array(
                dims,
                (seeds, count),
                np.float32,
                chunks=(1, chunk),
                attrs={"long_name": "target", "units": "1"},
                compress="whole",
            ),
        )


def _fill(
    store: ZarrStore,
    place: JobDirectory,
    opened: OpenedTask,
    seeds: tuple[int, ...],
    sizes: dict[str, int],
) -> None:
    """Write the parts that are not done yet."""
    done, parts = store.mask, _parts(opened, seeds, sizes)
    todo = [number for number in range(len(parts)) if not done[number]]
    for number in progress(todo, len(todo), "blocks of samples"):
        position, split, span = parts[number]
        samples, targets = opened.draw(split, seeds[position], span.start, span.stop)
        store.write(f"{split}_sample", (position, span), samples)
        store.write(f"{split}_target", (position, span), targets)
        store.done(number)
        place.heartbeat()


def _facts(store: ZarrStore, sizes: dict[str, int]) -> dict[str, Any]:
    """Checksum of what was written: bytes of the samples, then of the targets, of each split.

    Raises:
        DataError: a number is not finite.
    """
    checksum = hashlib.sha256()
    seeds = len(store.read("seed"))
    for name in (f"{split}_{what}" for split in sizes for what in ("sample", "target")):
        for position in range(seeds):
            for start in range(0, sizes[name.split("_")[0]], CHUNK):
                values = store.read(name, (position, slice(start, start + CHUNK)))
                if not np.isfinite(values).all():
                    raise DataError(f"{name} has values that are not finite", where=store.path)
                checksum.update(np.ascontiguousarray(values).tobytes())
    return {"sha256": checksum.hexdigest()}


def _origin(source: TaskSource, opened: OpenedTask, task: ScalarTaskSpec) -> dict[str, Any]:
    return {
        "task": task.name,
        "title": source.title,
        "error": source.error,
        "white": opened.white,
        "mean": list(opened.mean),
        "std": list(opened.std),
        "standardisation": "(x / white − mean) / std",
        "train_and_fresh": opened.limits.train_and_fresh,
        "licence": source.licence,
        "citation": source.citation,
    }
