"""`train_task`: one task of a run for all its seeds, from its parent's end, kept as snapshots."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ntkscope.config.specs import RunSpec
from ntkscope.data.images import LoadedSamples, load_samples
from ntkscope.errors import StoreError, replaced
from ntkscope.models import Definition, check_alike, initial_tensors
from ntkscope.models.zoo import define
from ntkscope.runtime.device import choose_device, repeatable
from ntkscope.runtime.logs import log, progress
from ntkscope.runtime.provenance import provenance
from ntkscope.stores import Array, JobDirectory, ZarrStore
from ntkscope.training.batches import Batches
from ntkscope.training.evaluation import evaluate, evaluation_sets
from ntkscope.training.losses import per_network_loss
from ntkscope.training.methods import LearningMethod, TaskStart, method_of
from ntkscope.training.recorder import STEP_LOG, Recorder, allocate_snapshots, is_whole
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
            `batch_loss` and `gradient_norm` (seed, snapshot) of the step that led to a snapshot;
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
        images = load_samples(images_path)
        shape = images.train.shape[1:]
        tokens = images.train.dtype == np.int64
        definition = define(run.model, shape, len(images.classes), tokens=tokens)
        sizes = stack_sizes(definition, shape, run.batch_size, len(run.seeds))
        record = provenance(run=spec, device=str(chosen), threads=threads, stacks=sizes)
        training, store = _start(run, definition, sizes, chosen, parent, place, record)
        recorder = Recorder(run, store, training.parameters())
        method = method_of(run, _task_start(run, images, parent, chosen))
        sets = evaluation_sets(run, images, chosen)
        _train(run, method, sets, training, recorder, place, checkpoint_seconds)
        kept = method.end_task(training.stacks) if run.continues else {}
        _finish(training, kept, store, {**record, "wall_seconds": time.monotonic() - began})
        store.seal()
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
    for checkpoint in place.saved(CHECKPOINT):
        training = state_from_bytes(checkpoint, run, definition, sizes, device)
        tensors = training.parameters(), training.constants()
        store = allocate_snapshots(run, *tensors, place.store, record)
        if is_whole(run, store, training.step):
            log.info("going on from step %d", training.step)
            return training, store
        log.warning("not from step %d: chunks of snapshots before it are lost", training.step)
    training = _beginning(run, definition, sizes, device, parent)
    place.clear_store()
    tensors = training.parameters(), training.constants()
    return training, allocate_snapshots(run, *tensors, place.store, record)


def _beginning(
    run: RunSpec,
    definition: Definition,
    sizes: list[int],
    device: torch.device,
    parent: Path | None,
) -> TrainingState:
    if parent is None:
        drawn = [initial_tensors(definition, seed) for seed in run.seeds]
        for each in drawn:
            check_alike(each, drawn[0], definition.function)
        stacked = {n: torch.stack([d[n] for d in drawn]) for n in drawn[0]}
        dtype = getattr(torch, run.precision)
        tensors = {n: t.to(dtype) if t.is_floating_point() else t for n, t in stacked.items()}
        return new_state(run, definition, tensors, sizes, device)
    before = ZarrStore.open(parent, "snapshots")
    end = int(before.read("step")[-1])
    if end != run.start:
        raise StoreError(
            f"these snapshots end at step {end}, but the task begins at step {run.start}",
            where=parent,
            remedy=replaced(parent),
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


def _task_start(
    run: RunSpec, images: LoadedSamples, parent: Path | None, device: torch.device
) -> TaskStart:
    batches = partial(Batches, run, images, device)
    if parent is None:
        return TaskStart(batches, {}, {})
    before, last = ZarrStore.open(parent, "snapshots"), (slice(None), -1)
    ends = {n: before.read(f"parameters/{n}", last) for n in before.names("parameters")}
    kept = {n: before.read(f"method/{n}") for n in before.names("method")}
    parameters, tensors = (
        {n: torch.from_numpy(v).to(device) for n, v in named.items()} for named in (ends, kept)
    )
    return TaskStart(batches, parameters, tensors)


def _train(
    run: RunSpec,
    method: LearningMethod,
    sets: list[tuple[Tensor, Tensor]],
    training: TrainingState,
    recorder: Recorder,
    place: JobDirectory,
    checkpoint_seconds: float,
) -> None:
    steps = run.tasks[-1].steps
    if training.step == run.start:
        _record_start(run, training, recorder, sets)
    first = training.step - run.start
    for step in progress(range(first, steps), steps, run.id, done=first):
        factor = learning_rate_factor(run.optimizer.schedule, step, steps)
        wanted = recorder.wants(training.step + 1)
        of_step = _update(run, training, method, method.batch(step), factor, wanted)
        training.step += 1
        if wanted:
            _record(run, training, recorder, sets, of_step)
        if place.is_due(checkpoint_seconds) and step + 1 < steps:
            recorder.flush()
            recorder.store.files.sync()
            place.save(CHECKPOINT, training.to_bytes())
            place.heartbeat()
    recorder.flush()


def _update(
    run: RunSpec,
    training: TrainingState,
    method: LearningMethod,
    batch: tuple[Tensor, Tensor],
    factor: float,
    wanted: bool,
) -> dict[str, np.ndarray]:
    """One step of every seed. Their losses are summed: no network's gradient sees another.

    Returns:
        `STEP_LOG` of the step, each [S] and of the parameters before it, if they are wanted.
    """
    inputs, labels = (each.flip(1) for each in batch) if run.reversed_batches else batch
    start, losses, norms = 0, [], []
    for stack, optimizer in zip(training.stacks, training.optimizers, strict=True):
        mine = slice(start, start + stack.models)
        start += stack.models
        stack.begin_step(training.step)
        stack.zero_grad()
        loss = per_network_loss(run.loss, stack(inputs[mine]), labels[mine])
        penalty = method.penalty(stack, mine)
        (loss if penalty is None else loss + penalty).sum().backward()
        if wanted:
            losses.append(loss.detach().double().cpu())
            norms.append(_norms(stack.gradients()).cpu())
        optimizer.step(stack.gradients(), factor)
    each = zip(STEP_LOG, (losses, norms), strict=True)
    return {name: torch.cat(values).numpy() for name, values in each} if wanted else {}


def _norms(gradients: Mapping[str, Tensor]) -> Tensor:
    """Norm of the gradient of each network, float64 [M], of name → [M, …]."""
    squares = [g.detach().double().flatten(1).square().sum(1) for g in gradients.values()]
    return torch.stack(squares).sum(0).sqrt()


def _record_start(
    run: RunSpec, training: TrainingState, recorder: Recorder, sets: list[tuple[Tensor, Tensor]]
) -> None:
    """Before the first step: step 0's snapshot, or the log alone where the parent has the snapshot.

    The parent's log at this step lacks the task that begins here.
    """
    if run.parent is None:
        unknown = {name: np.full(len(run.seeds), np.nan) for name in STEP_LOG}
        _record(run, training, recorder, sets, unknown)
    else:
        loss, accuracy, _ = _log(run, training, training.parameters(), sets)
        recorder.start(loss, accuracy)


def _record(
    run: RunSpec,
    training: TrainingState,
    recorder: Recorder,
    sets: list[tuple[Tensor, Tensor]],
    of_step: dict[str, np.ndarray],
) -> None:
    """Keep a snapshot with its log, that of the step to it, and note which seeds are not finite."""
    parameters = training.parameters()
    loss, accuracy, finite = _log(run, training, parameters, sets)
    newly = ~finite & (training.diverged_step < 0)
    training.diverged_step[newly] = training.step
    for seed in np.flatnonzero(newly):
        log.warning("seed %d diverged at step %d", run.seeds[seed], training.step)
    log_row = {"loss": loss, "accuracy": accuracy, **of_step}
    recorder.add(training.step, parameters, training.constants(), log_row)


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
        finite &= _are_finite(values.flatten(1)).numpy()
    accuracy[~finite] = np.nan
    return loss, accuracy, finite


def _are_finite(rows: Tensor) -> Tensor:
    """Which rows are finite throughout: where their sums are, which takes no copy of them."""
    finite = rows.sum(1).isfinite()
    return finite if finite.all() else rows.isfinite().all(1)


def _finish(
    training: TrainingState, kept: dict[str, Tensor], store: ZarrStore, record: dict[str, Any]
) -> None:
    """What is known at the end only: divergence, what the next task needs, the time taken."""
    store.write("diverged_step", ..., training.diverged_step)
    for group, named in (("optimizer", training.optimizer_tensors()), ("method", kept)):
        for name, tensor in named.items():
            values = tensor.cpu().numpy()
            dims = ("seed", *(f"{name}_{axis}" for axis in range(values.ndim - 1)))
            store.add(f"{group}/{name}", Array(dims, values.shape, values.dtype), values)
    store.describe(provenance=record)
