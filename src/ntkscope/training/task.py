"""`train_task`: one task of a run for all its seeds, from its parent's end, kept as snapshots."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ntkscope.config.runs import RunSpec
from ntkscope.data.images import LoadedImages, load_images
from ntkscope.data.sampling import batch_indices, task_labels
from ntkscope.errors import StoreError
from ntkscope.logs import log, progress
from ntkscope.models import Architecture, architecture, initial_parameters, parameter_shapes
from ntkscope.provenance import provenance
from ntkscope.stores import Array, Workplace, ZarrStore, read_store
from ntkscope.training.device import choose_device, repeatable
from ntkscope.training.evaluation import evaluate, evaluation_sets
from ntkscope.training.inputs import normalise
from ntkscope.training.losses import per_network_loss
from ntkscope.training.schedule import learning_rate_factor, snapshot_steps
from ntkscope.training.stacking import stack_sizes
from ntkscope.training.state import TrainingState, new_state, state_from_bytes

CHECKPOINT = "state.safetensors"


def train_task(
    run: RunSpec,
    images_path: Path,
    parent: Path | None,
    output: Path,
    *,
    state: Path,
    stage: str,
    device: str = "auto",
    threads: int = 1,
    checkpoint_seconds: float = 30.0,
) -> None:
    """Train a run's last task and write its snapshots and log.

    Args:
        run: what to train; all seeds at once.
        images_path: the dataset's store.
        parent: snapshots of the tasks before (None for a run of one task).
        output: the store to make, of kind `snapshots`: group `parameters` with an array
            (seed, snapshot, …) for each parameter; `loss` and `accuracy` (seed, snapshot, seen);
            coordinates seed, step, task, seen; `diverged_step` (seed); group `optimizer` with the
            optimiser's tensors at the end.
        state: the job's workplace: killed and called again, training goes on from there and ends
            with the same bits.
        stage: digest of the stage's sources: another one's state is not used.
        device: auto, cpu, cuda or mps.
        threads: CPU threads.
        checkpoint_seconds: seconds between checkpoints.
    """
    began = time.monotonic()
    chosen = choose_device(device)
    identity = {
        "run": run.model_dump(mode="json"),
        "stage": stage,
        "threads": threads,
        "device": chosen.type,
    }
    with Workplace(state, identity) as place, repeatable(threads):
        images = load_images(images_path)
        layers = architecture(run.model, images.train.shape[1:], len(images.classes))
        sizes = stack_sizes(layers, images.train.shape[1:], run.batch_size, len(run.seeds))
        record = provenance(
            run=run.model_dump(mode="json"), device=str(chosen), threads=threads, stacks=sizes
        )
        training, store = _start(run, layers, sizes, chosen, parent, place, record)
        _train(run, images, training, store, place, chosen, checkpoint_seconds)
        store.write("diverged_step", ..., training.diverged_step)
        record["wall_seconds"] = time.monotonic() - began
        store.describe(provenance=record)
        place.finish(output)


def _start(
    run: RunSpec,
    layers: Architecture,
    sizes: list[int],
    device: torch.device,
    parent: Path | None,
    place: Workplace,
    record: dict[str, Any],
) -> tuple[TrainingState, ZarrStore]:
    """The last checkpoint and its store, or the beginning of the task and an empty store."""
    checkpoint = place.load(CHECKPOINT)
    if checkpoint is not None:
        training = state_from_bytes(checkpoint, layers, run.optimizer, sizes, device)
        log.info("going on from step %d", training.step)
        return training, ZarrStore.resume(place.store, "snapshots")
    training = _beginning(run, layers, sizes, device, parent)
    place.clear_store()
    store = _allocate(run, layers, training, place.store, record)
    return training, store


def _beginning(
    run: RunSpec,
    layers: Architecture,
    sizes: list[int],
    device: torch.device,
    parent: Path | None,
) -> TrainingState:
    dtype = getattr(torch, run.precision)
    if parent is None:
        drawn = [initial_parameters(layers, seed) for seed in run.seeds]
        stacked = {n: torch.stack([d[n] for d in drawn]).to(dtype) for n in drawn[0]}
        return new_state(layers, stacked, run.optimizer, sizes, device)
    log_of_parent = read_store(parent, "snapshots")
    if int(log_of_parent["step"][-1]) != run.start:
        raise StoreError(
            f"these snapshots end at step {int(log_of_parent['step'][-1])}, but the task begins "
            f"at step {run.start}",
            where=parent,
            remedy="delete the store and run its rule again",
        )
    parameters = read_store(parent, "snapshots", group="parameters")
    optimizer = read_store(parent, "snapshots", group="optimizer")
    return new_state(
        layers,
        {str(n): torch.from_numpy(v.isel(snapshot=-1).values) for n, v in parameters.items()},
        run.optimizer,
        sizes,
        device,
        step=run.start,
        optimizer_tensors={
            str(n).replace("|", "/"): torch.from_numpy(v.values) for n, v in optimizer.items()
        },
        diverged_step=log_of_parent["diverged_step"].values.copy(),
    )


def _allocate(
    run: RunSpec,
    layers: Architecture,
    training: TrainingState,
    path: Path,
    record: dict[str, Any],
) -> ZarrStore:
    steps = snapshot_steps(run)
    seeds, snapshots, seen = len(run.seeds), len(steps), len(run.tasks)
    logged = ("seed", "snapshot", "seen")
    about = {"units": "nat" if run.loss == "cross_entropy" else "1"}
    arrays = {
        "loss": Array(
            logged, (seeds, snapshots, seen), "f8", attrs={"long_name": run.loss, **about}
        ),
        "accuracy": Array(
            logged,
            (seeds, snapshots, seen),
            "f8",
            attrs={"long_name": "test accuracy", "units": "1"},
        ),
        "diverged_step": Array(("seed",), (seeds,), "i8", attrs={"units": "step; -1: none"}),
    }
    for name, shape in parameter_shapes(layers).items():
        dims = ("seed", "snapshot", *(f"{name}_{axis}" for axis in range(len(shape))))
        arrays[f"parameters/{name}"] = Array(
            dims, (seeds, snapshots, *shape), run.precision, chunks=(seeds, 1, *shape)
        )
    coords = {
        "seed": (("seed",), np.array(run.seeds, dtype=np.int64)),
        "step": (("snapshot",), steps),
        "task": (("snapshot",), np.full(snapshots, seen, dtype=np.int64)),
        "seen": (("seen",), np.arange(1, seen + 1)),
    }
    attrs = {"run": run.id, "boundaries": list(run.boundaries), "provenance": record}
    return ZarrStore.allocate(
        path,
        "snapshots",
        arrays,
        coords=coords,
        mask=("snapshot",),
        attrs=attrs,
        groups=("optimizer",),
    )


def _train(
    run: RunSpec,
    images: LoadedImages,
    training: TrainingState,
    store: ZarrStore,
    place: Workplace,
    device: torch.device,
    checkpoint_seconds: float,
) -> None:
    dtype = getattr(torch, run.precision)
    batches = _Batches(run, images, device, dtype)
    sets = evaluation_sets(run, images, device, dtype)
    steps = snapshot_steps(run)
    kept = {int(step): number for number, step in enumerate(steps)}
    if training.step in kept:
        _keep(run, training, store, kept[training.step], sets)
    end, last_checkpoint = run.start + run.tasks[-1].steps, time.monotonic()
    todo = range(training.step, end)
    for step in progress(todo, run.tasks[-1].steps, run.id, done=training.step - run.start):
        factor = learning_rate_factor(run.optimizer.schedule, step - run.start, run.tasks[-1].steps)
        _update(run, training, batches, step - run.start, factor)
        training.step = step + 1
        if training.step in kept:
            _keep(run, training, store, kept[training.step], sets)
        if time.monotonic() - last_checkpoint >= checkpoint_seconds and training.step < end:
            place.beat()
            place.save(CHECKPOINT, training.to_bytes())
            last_checkpoint = time.monotonic()
    _keep_optimizer(training, store)


class _Batches:
    """The batches of a task: pixels stay uint8 on the device and are normalised as they are used."""

    def __init__(
        self, run: RunSpec, images: LoadedImages, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.images, self.dtype = images, dtype
        task, number = run.tasks[-1], len(run.tasks) - 1
        pixels = np.ascontiguousarray(np.moveaxis(images.train, -1, 1))
        self.pixels = torch.from_numpy(pixels).to(device)
        self.labels = torch.from_numpy(task_labels(images.train_labels, task)).to(device)
        drawn = [
            batch_indices(images.train_labels, task, number, seed, run.batch_size, run.sampling)
            for seed in run.seeds
        ]
        self.index = torch.from_numpy(np.stack(drawn, axis=1)).to(device)

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs [S, B, channel, y, x] and labels [S, B] of a step of the task."""
        index = self.index[step].long()
        return normalise(self.images, self.pixels[index], self.dtype), self.labels[index]


def _update(
    run: RunSpec, training: TrainingState, batches: _Batches, step: int, factor: float
) -> None:
    """One step of every seed. Their losses are summed: no network's gradient sees another."""
    inputs, labels = batches(step)
    start = 0
    for stack, optimizer in zip(training.stacks, training.optimizers, strict=True):
        mine = slice(start, start + stack.models)
        start += stack.models
        for group in optimizer.param_groups:
            group["lr"] = run.optimizer.learning_rate * factor
        optimizer.zero_grad(set_to_none=True)
        per_network_loss(run.loss, stack(inputs[mine]), labels[mine]).sum().backward()
        optimizer.step()


def _keep(
    run: RunSpec,
    training: TrainingState,
    store: ZarrStore,
    number: int,
    sets: list[tuple[Tensor, Tensor]],
) -> None:
    """Write one snapshot and its log line, and note which seeds are no longer finite."""
    parameters = training.parameters()
    for name, values in parameters.items():
        store.write(
            f"parameters/{name}", (slice(None), slice(number, number + 1)), values[:, None].numpy()
        )
    loss, accuracy = evaluate(training.stacks, sets, run.loss)
    finite = np.isfinite(loss).all(axis=1)
    for values in parameters.values():
        finite &= torch.isfinite(values.flatten(1)).all(dim=1).numpy()
    accuracy[~finite] = np.nan
    newly = ~finite & (training.diverged_step < 0)
    training.diverged_step[newly] = training.step
    for seed in np.flatnonzero(newly):
        log.warning("seed %d diverged at step %d", run.seeds[seed], training.step)
    store.write("loss", (slice(None), number), loss)
    store.write("accuracy", (slice(None), number), accuracy)
    store.done(number)


def _keep_optimizer(training: TrainingState, store: ZarrStore) -> None:
    """The optimiser's tensors at the end, for the next task. `/` separates groups in Zarr, so `|`."""
    for name, values in training.optimizer_tensors().items():
        key = name.replace("/", "|")
        dims = ("seed", *(f"{key}_{axis}" for axis in range(values.ndim - 1)))
        store.add(
            f"optimizer/{key}",
            Array(dims, tuple(values.shape), values.numpy().dtype),
            values.numpy(),
        )
