"""`train_task`: one task of a run for all its seeds, from its parent's end, kept as snapshots."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ntkscope.config.specs import RunSpec
from ntkscope.data.images import LoadedImages, load_images
from ntkscope.data.inputs import normalise
from ntkscope.data.sampling import batch_indices, task_labels
from ntkscope.errors import StoreError
from ntkscope.models import Definition, initial_numbers
from ntkscope.models.zoo import define
from ntkscope.runtime.device import choose_device, repeatable
from ntkscope.runtime.logs import log, progress
from ntkscope.runtime.provenance import provenance
from ntkscope.stores import Array, JobDirectory, ZarrStore
from ntkscope.training.evaluation import evaluate, evaluation_sets
from ntkscope.training.losses import per_network_loss
from ntkscope.training.recorder import Recorder, allocate_snapshots
from ntkscope.training.schedule import learning_rate_factor
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
            group `constants` likewise with buffers and parameters that are not trained, if any;
            with a parent, `start_loss` and `start_accuracy` (seed, seen) of the parameters that the
            task starts from; coordinates seed, step, task, seen; `diverged_step` (seed); group
            `optimizer` with the optimiser's tensors at the end.
        state: the job's directory: killed and called again, training goes on from there and ends
            with the same bits.
        stage: digest of the stage's sources: another one's state is not used.
        device: auto, cpu, cuda or mps.
        threads: CPU threads.
        checkpoint_seconds: seconds between checkpoints.
    """
    began = time.monotonic()
    chosen = choose_device(device)
    spec = run.model_dump(mode="json")
    identity = {"run": spec, "stage": stage, "threads": threads, "device": chosen.type}
    with JobDirectory(state, identity) as place, repeatable(threads):
        images = load_images(images_path)
        shape = images.train.shape[1:]
        definition = define(run.model, shape, len(images.classes))
        sizes = stack_sizes(definition, shape, run.batch_size, len(run.seeds))
        record = provenance(run=spec, device=str(chosen), threads=threads, stacks=sizes)
        training, store = _start(run, definition, sizes, chosen, parent, place, record)
        recorder = Recorder(run, store, training.parameters())
        _train(run, images, training, recorder, place, chosen, checkpoint_seconds)
        _finish(training, store, {**record, "wall_seconds": time.monotonic() - began})
        place.finish(output)


def _start(
    run: RunSpec,
    definition: Definition,
    sizes: list[int],
    device: torch.device,
    parent: Path | None,
    place: JobDirectory,
    record: dict[str, Any],
) -> tuple[TrainingState, ZarrStore]:
    """The last checkpoint and its store, or the beginning of the task and an empty store."""
    checkpoint = place.load(CHECKPOINT)
    if checkpoint is not None:
        training = state_from_bytes(checkpoint, run, definition, sizes, device)
        log.info("going on from step %d", training.step)
        return training, ZarrStore.resume(place.store, "snapshots")
    training = _beginning(run, definition, sizes, device, parent)
    place.clear_store()
    numbers = training.parameters(), training.constants()
    return training, allocate_snapshots(run, *numbers, place.store, record)


def _beginning(
    run: RunSpec,
    definition: Definition,
    sizes: list[int],
    device: torch.device,
    parent: Path | None,
) -> TrainingState:
    if parent is None:
        drawn = [initial_numbers(definition, seed) for seed in run.seeds]
        stacked = {n: torch.stack([d[n] for d in drawn]) for n in drawn[0]}
        dtype = getattr(torch, run.precision)
        numbers = {n: t.to(dtype) if t.is_floating_point() else t for n, t in stacked.items()}
        return new_state(run, definition, numbers, sizes, device)
    before = ZarrStore.open(parent, "snapshots")
    end = int(before.read("step")[-1])
    if end != run.start:
        raise StoreError(
            f"these snapshots end at step {end}, but the task begins at step {run.start}",
            where=parent,
            remedy="delete the store and run its rule again",
        )
    last = {
        name: torch.from_numpy(before.read(f"{group}/{name}", (slice(None), -1)))
        for group in ("parameters", "constants")
        for name in before.names(group)
    }
    slots = {n: torch.from_numpy(before.read(f"optimizer/{n}")) for n in before.names("optimizer")}
    return new_state(
        run,
        definition,
        last,
        sizes,
        device,
        step=run.start,
        optimizer_tensors=slots,
        diverged_step=before.read("diverged_step"),
    )


def _train(
    run: RunSpec,
    images: LoadedImages,
    training: TrainingState,
    recorder: Recorder,
    place: JobDirectory,
    device: torch.device,
    checkpoint_seconds: float,
) -> None:
    batches = _Batches(run, images, device)
    sets = evaluation_sets(run, images, device)
    steps = run.tasks[-1].steps
    if training.step == run.start:
        _record_start(run, training, recorder, sets)
    last_checkpoint = time.monotonic()
    first = training.step - run.start
    for step in progress(range(first, steps), steps, run.id, done=first):
        _update(
            run, training, batches(step), learning_rate_factor(run.optimizer.schedule, step, steps)
        )
        training.step += 1
        if recorder.wants(training.step):
            _record(run, training, recorder, sets)
        if time.monotonic() - last_checkpoint >= checkpoint_seconds and step + 1 < steps:
            recorder.flush()
            place.heartbeat()
            place.save(CHECKPOINT, training.to_bytes())
            last_checkpoint = time.monotonic()
    recorder.flush()


class _Batches:
    """The batches of a task; pixels stay uint8 on the device, normalised as they are used."""

    def __init__(self, run: RunSpec, images: LoadedImages, device: torch.device) -> None:
        self.images, self.dtype = images, getattr(torch, run.precision)
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
    run: RunSpec, training: TrainingState, batch: tuple[Tensor, Tensor], factor: float
) -> None:
    """One step of every seed. Their losses are summed: no network's gradient sees another."""
    inputs, labels = batch
    start = 0
    for stack, optimizer in zip(training.stacks, training.optimizers, strict=True):
        mine = slice(start, start + stack.models)
        start += stack.models
        stack.begin_step(training.step)
        stack.zero_grad()
        per_network_loss(run.loss, stack(inputs[mine]), labels[mine]).sum().backward()
        optimizer.step(stack.gradients(), factor)


def _record_start(
    run: RunSpec, training: TrainingState, recorder: Recorder, sets: list[tuple[Tensor, Tensor]]
) -> None:
    """Before the first step: step 0's snapshot, or the log alone where the parent has the snapshot.

    The parent's log at this step lacks the task that begins here.
    """
    if run.parent is None:
        _record(run, training, recorder, sets)
    else:
        loss, accuracy, _ = _log(run, training, training.parameters(), sets)
        recorder.start(loss, accuracy)


def _record(
    run: RunSpec, training: TrainingState, recorder: Recorder, sets: list[tuple[Tensor, Tensor]]
) -> None:
    """Keep one snapshot with its log, and note which seeds are no longer finite."""
    parameters = training.parameters()
    loss, accuracy, finite = _log(run, training, parameters, sets)
    newly = ~finite & (training.diverged_step < 0)
    training.diverged_step[newly] = training.step
    for seed in np.flatnonzero(newly):
        log.warning("seed %d diverged at step %d", run.seeds[seed], training.step)
    recorder.add(training.step, parameters, training.constants(), loss, accuracy)


def _log(
    run: RunSpec,
    training: TrainingState,
    parameters: dict[str, Tensor],
    sets: list[tuple[Tensor, Tensor]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Loss and accuracy [S, seen], and which seeds are finite [S]; no accuracy for the others."""
    loss, accuracy = evaluate(training.stacks, sets, run.loss)
    finite = np.isfinite(loss).all(axis=1)
    for values in parameters.values():
        finite &= torch.isfinite(values.flatten(1)).all(dim=1).numpy()
    accuracy[~finite] = np.nan
    return loss, accuracy, finite


def _finish(training: TrainingState, store: ZarrStore, record: dict[str, Any]) -> None:
    """What is known at the end only: divergence, the optimiser's tensors, the time taken."""
    store.write("diverged_step", ..., training.diverged_step)
    for name, values in training.optimizer_tensors().items():
        dims = ("seed", *(f"{name}_{axis}" for axis in range(values.ndim - 1)))
        array = Array(dims, tuple(values.shape), values.numpy().dtype)
        store.add(f"optimizer/{name}", array, values.numpy())
    store.describe(provenance=record)
