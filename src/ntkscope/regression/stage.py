"""`regress_kernels`: learning curves of kernel regressions, into one store.

A work item is a seed's kernel of one source: it is computed once, on the largest n, and all smaller
n are read from it. No item knows of another, so that a job that goes on after a kill, or has a
source more, makes the same numbers to the bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ntkscope.config.curve_specs import RegressionSpec
from ntkscope.regression.job import RegressionJob, open_job
from ntkscope.regression.layout import begin_store, of_items
from ntkscope.regression.memory_needs import samples_in_memory
from ntkscope.regression.unit import Limit, Unit
from ntkscope.runtime.device import choose_device, repeatable
from ntkscope.runtime.logs import log, progress
from ntkscope.runtime.provenance import provenance
from ntkscope.stores import JobDirectory, ZarrStore
from ntkscope.stores.going_on import forget_damaged

Item = tuple[int, int]
"""Positions of a seed and a source."""


def regress_kernels(
    regression: RegressionSpec,
    task_path: Path,
    networks_path: Path | None,
    output: Path,
    *,
    state: Path,
    stage: str,
    device: str = "auto",
    threads: int = 1,
    memory: int = 3 * 10**9,
) -> None:
    """Write the store of kind `regression`.

    Args:
        regression: which kernels, on how many samples, and how regressed.
        task_path: the store of kind `scalar_task`.
        networks_path: the store of kind `networks`, for kernels after and during training.
        output: the store to make: curves (seed, source, fit, n) such as `error` and `ridge`,
            `prediction` with `test`; `eigenvalue` and `target_power` (seed, source, eigen);
            `layer_error` (seed, source, layer); see `layout`.
        state: the job's directory: killed and called again, the kernels already regressed are kept.
        stage: digest of the stage's sources: another one's state is not used.
        device, threads: of the kernels; systems are solved on the CPU.
        memory: of the whole process, in bytes. A kernel of more samples than it holds is written in
            tiles into `state`, and systems of so many are solved by conjugate gradients instead of
            a Cholesky: `residual` says which, and how well. No other number depends on memory.

    Raises:
        NtkscopeError: more samples than memory holds in any way; stores that do not have what is
            asked for.
        RegressionError: a kernel that is none, or conjugate gradients that did not converge.
    """
    began = time.monotonic()
    with repeatable(threads):
        job = open_job(regression, task_path, networks_path, choose_device(device))
        held = samples_in_memory(job, memory)
        identity = _identity(job, stage, threads) | {"samples_in_memory": held}
        record = provenance(
            regression=regression.model_dump(mode="json"), device=str(job.device), threads=threads
        )
        with JobDirectory(state, identity) as place:
            store = begin_store(job, place.store, record)
            forget_damaged(store)
            store.describe(samples_in_memory=held)
            _fill(job, store, place.heartbeat, Limit(held, place.folder / "tiles"))
            wall = {"wall_seconds": time.monotonic() - began}
            store.describe(provenance=record | wall, identity=place.identity)
            store.seal()
            place.finish(output)


def _identity(job: RegressionJob, stage: str, threads: int) -> dict[str, Any]:
    """All that the numbers depend on."""
    made = job.networks and job.networks.group.attrs.get("provenance")
    return {
        "regression": job.spec.id,
        "stage": stage,
        "threads": threads,
        "device": job.device.type,
        "task": str(job.task.store.group.attrs.get("provenance")),
        "trained": str(made),
    }


def _fill(job: RegressionJob, store: ZarrStore, alive: Callable[[], None], limit: Limit) -> None:
    """Every work item that is not done."""
    todo = [(int(seed), int(source)) for seed, source in np.argwhere(~store.mask)]
    done = store.mask.size - len(todo)
    for _ in progress(
        _regressed(job, store, todo, alive, limit), store.mask.size, job.spec.id, done
    ):
        alive()


def _regressed(
    job: RegressionJob,
    store: ZarrStore,
    items: Sequence[Item],
    alive: Callable[[], None],
    limit: Limit,
) -> Iterator[Item]:
    for item in items:
        found = Unit(job, item[0], job.sources[item[1]], alive, limit).regress()
        if not found:
            source = job.sources[item[1]]
            log.warning("seed %d, %s: no kernel, it diverged", job.spec.task.seeds[item[0]], source)
            found = {"undefined": np.ones((len(job.spec.fits), len(job.spec.sizes)), bool)}
        for name in of_items(store):
            if name in found:
                store.write(name, item, found[name])
            else:
                store.undefined(name, item)
        store.done(item)
        yield item
