"""`take_kernels`: the kernel of every snapshot of a run's task on the probe."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ntkscope.config.runs import KernelSpec, RunSpec
from ntkscope.data.images import load_images
from ntkscope.data.probe import Probe, choose_probe
from ntkscope.kernels.conventions import normalisation
from ntkscope.kernels.stacked import stacked_ntk
from ntkscope.logs import progress
from ntkscope.models import Architecture, architecture, parameter_shapes
from ntkscope.provenance import provenance
from ntkscope.stores import Array, Workplace, ZarrStore
from ntkscope.training.device import choose_device, repeatable
from ntkscope.training.inputs import to_inputs

_BLOCK_BYTES = 2**26  # of the largest tensor in a block of snapshots


def take_kernels(
    run: RunSpec,
    kernel: KernelSpec,
    images_path: Path,
    snapshots_path: Path,
    output: Path,
    *,
    state: Path,
    stage: str,
    device: str = "auto",
    threads: int = 1,
) -> None:
    """Write the store of kind `kernels` of one run's last task.

    Args:
        run: whose snapshots these are.
        kernel: kind, probe and precision.
        images_path, snapshots_path: the stores to read.
        output: the store to make: `ntk` (seed, snapshot, sample, sample2), or with `output` and
            `output2` (kind full); `layer_ntk` with `layer`; coordinates seed, step, task, layer,
            image, label. A seed that diverged has NaN kernels.
        state: the job's workplace: killed and called again, the kernels already taken are kept.
        stage: digest of the stage's sources: another one's state is not used.
        device, threads: as in `train_task`.
    """
    began = time.monotonic()
    chosen = choose_device(device)
    snapshots = ZarrStore.open(snapshots_path, "snapshots")
    identity = {
        "run": run.id,
        "kernel": kernel.model_dump(mode="json"),
        "stage": stage,
        "threads": threads,
        "device": chosen.type,
        "trained": str(snapshots.group.attrs.get("provenance")),
    }
    with Workplace(state, identity) as place, repeatable(threads):
        images = load_images(images_path)
        probe = choose_probe(images.train_labels, kernel)
        layers = architecture(run.model, images.train.shape[1:], len(images.classes))
        record = provenance(
            run=run.id, kernel=kernel.model_dump(mode="json"), device=str(chosen), threads=threads
        )
        if place.store.exists():
            store = ZarrStore.resume(place.store, "kernels")
        else:
            store = _allocate(
                run, kernel, layers, len(images.classes), probe, snapshots, place.store, record
            )
        inputs = to_inputs(
            images, images.train[probe.index], chosen, getattr(torch, kernel.precision)
        )
        _take(run, kernel, layers, snapshots, inputs, store, place)
        record["wall_seconds"] = time.monotonic() - began
        store.describe(provenance=record)
        place.finish(output)


def _allocate(
    run: RunSpec,
    kernel: KernelSpec,
    layers: Architecture,
    outputs: int,
    probe: Probe,
    snapshots: ZarrStore,
    path: Path,
    record: dict[str, Any],
) -> ZarrStore:
    steps = snapshots.read("step")
    seeds, count, samples = len(run.seeds), len(steps), len(probe.index)
    names = list(dict.fromkeys(name.rpartition(".")[0] for name in parameter_shapes(layers)))
    pair: tuple[tuple[str, int], ...] = (("sample", samples), ("sample2", samples))
    if kernel.kind == "full":
        pair = (pair[0], ("output", outputs), pair[1], ("output2", outputs))
    dims, shape = tuple(d for d, _ in pair), tuple(n for _, n in pair)
    about = {"long_name": f"{kernel.kind} NTK", "definition": normalisation(kernel.kind)}
    arrays = {
        "ntk": Array(
            ("seed", "snapshot", *dims),
            (seeds, count, *shape),
            kernel.precision,
            chunks=(seeds, 1, *shape),
            attrs=about,
        )
    }
    coords: dict[str, tuple[tuple[str, ...], Any]] = {
        "seed": (("seed",), snapshots.read("seed")),
        "step": (("snapshot",), steps),
        "task": (("snapshot",), snapshots.read("task")),
        "image": (("sample",), probe.index),
        "label": (("sample",), probe.label),
    }
    if kernel.by_layer:
        arrays["layer_ntk"] = Array(
            ("seed", "snapshot", "layer", *dims),
            (seeds, count, len(names), *shape),
            kernel.precision,
            chunks=(seeds, 1, len(names), *shape),
            attrs={"long_name": f"layers' {kernel.kind} NTK; they sum to the whole"},
        )
        coords["layer"] = (("layer",), names)
    attrs = {
        "run": run.id,
        "kernel": kernel.kind,
        "normalisation": normalisation(kernel.kind),
        "probe_digest": probe.digest,
        "precision": kernel.precision,
        "provenance": record,
    }
    return ZarrStore.allocate(
        path, "kernels", arrays, coords=coords, mask=("snapshot",), attrs=attrs
    )


def _take(
    run: RunSpec,
    kernel: KernelSpec,
    layers: Architecture,
    snapshots: ZarrStore,
    inputs: Tensor,
    store: ZarrStore,
    place: Workplace,
) -> None:
    """Blocks of snapshots on a fixed grid, so that a resumed job makes the very same products."""
    done = store.mask
    size = _block(layers, inputs, len(run.seeds))
    starts = [s for s in range(0, len(done), size) if not done[s : s + size].all()]
    for start in progress(starts, len(starts), f"{run.id} {kernel.id}"):
        block = slice(start, min(start + size, len(done)))
        stacked = {
            name: torch.from_numpy(snapshots.read(f"parameters/{name}", (slice(None), block)))
            .to(inputs)
            .flatten(0, 1)
            for name in parameter_shapes(layers)
        }
        found = torch.stack(
            list(stacked_ntk(layers, stacked, inputs, kind=kernel.kind).values()), 1
        )
        _write(store, found, block, len(run.seeds), len(inputs), kernel.kind)
        store.done(block)
        place.beat()


def _write(
    store: ZarrStore, found: Tensor, block: slice, seeds: int, samples: int, kind: str
) -> None:
    """`found` [S·B, layer, N(·K), N(·K)] into the arrays of the store."""
    by_layer = found.unflatten(0, (seeds, -1)).cpu()
    whole = by_layer.sum(2)
    if kind == "full":
        whole = whole.unflatten(-1, (samples, -1)).unflatten(-3, (samples, -1))
    store.write("ntk", (slice(None), block), whole.numpy())
    if "layer_ntk" in store.group:
        store.write("layer_ntk", (slice(None), block), by_layer.numpy())


def _block(layers: Architecture, inputs: Tensor, seeds: int) -> int:
    """Snapshots a block, so that its largest tensor is of about `_BLOCK_BYTES`."""
    widest = max(shape[0] for shape in parameter_shapes(layers).values())
    outputs = list(parameter_shapes(layers).values())[-1][0]
    one = seeds * len(inputs) * outputs * widest * inputs.element_size()
    weights = seeds * sum(int(np.prod(s)) for s in parameter_shapes(layers).values()) * 4
    return max(1, _BLOCK_BYTES // max(one, weights))
