"""`train_networks`: the networks of a learning curve, each to its best, as a store."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from ntkscope.config.curve_specs import NetworksSpec
from ntkscope.data.tasks.store import load_task
from ntkscope.errors import ModelError
from ntkscope.models import Architecture, initial_parameters
from ntkscope.models.zoo import define
from ntkscope.runtime.device import choose_device, repeatable
from ntkscope.runtime.logs import log
from ntkscope.runtime.provenance import provenance
from ntkscope.stores import JobDirectory, ZarrStore
from ntkscope.training.learning_curve.evaluation import Evaluation
from ntkscope.training.learning_curve.group import Group
from ntkscope.training.learning_curve.log import CurveLog
from ntkscope.training.learning_curve.members import groups_of, members_of
from ntkscope.training.learning_curve.record import allocate_networks, is_whole, write_log
from ntkscope.training.learning_curve.samples import CurveSamples
from ntkscope.training.learning_curve.state import CurveState, state_from_bytes
from ntkscope.training.state import Named

CHECKPOINT = "state.safetensors"


def train_networks(
    networks: NetworksSpec,
    task_path: Path,
    output: Path,
    *,
    state: Path,
    stage: str,
    device: str = "auto",
    threads: int = 1,
    checkpoint_seconds: float = 30.0,
) -> None:
    """Train a learning curve's networks; write those kept, their errors and how they got there.

    Args:
        networks: what to train: one network for each seed and number of training samples n.
        task_path: the task's store.
        output: the store to make, of kind `networks`: groups `initial` (seed, …), `best` (seed,
            size, …), and with snapshots `during` (seed, snapshot, …), with an array for each
            parameter; `error`, `squared_error`, `prediction` (seed, size, test) on the test set,
            and the rest of `record`. A network that diverged has NaN and no parameters.
        state: the job's directory: killed and called again, training goes on from there and ends
            with the same bits.
        stage: digest of the stage's sources: its state with another, or of other samples, is not
            used.
        device: auto, cpu, cuda or mps.
        threads: CPU threads.
        checkpoint_seconds: seconds between checkpoints.

    Raises:
        ModelError: a network whose layers are not described.
        StoreError: the task's store is missing or has not enough samples.
    """
    began = time.monotonic()
    chosen = choose_device(device)
    spec = networks.model_dump(mode="json")
    content = str(load_task(task_path).store.group.attrs.get("sha256"))
    identity = {"networks": networks.id, "task": content, "stage": stage, "threads": threads}
    identity |= {"device": chosen.type}
    with JobDirectory(state, identity) as place, repeatable(threads):
        samples = CurveSamples(networks, task_path, chosen)
        definition = define(networks.model, samples.task.shape, 1)
        if definition.layers is None:
            raise _unknown_layers(networks)
        members = members_of(networks)
        groups = groups_of(members, definition, samples.task.shape)
        initial = _initial(networks, definition.layers, chosen)
        stacks = [len(together.indices) for together in groups]
        record = provenance(networks=spec, device=str(chosen), threads=threads, stacks=stacks)
        attrs = {"networks": networks.id, "error": samples.task.error, "provenance": record}
        training, store = _start(networks, definition.layers, initial, chosen, place, attrs)
        evaluation = Evaluation(definition.layers, networks.learning, samples)
        while training.group < len(groups):
            together = groups[training.group]
            group = Group(members, together, training, samples, evaluation, store)
            group.begin(initial)
            _train(group, place, checkpoint_seconds)
            training.next_group()
        write_log(store, training.log, members)
        store.describe(provenance={**record, "wall_seconds": time.monotonic() - began})
        store.seal()
        place.finish(output)


def _unknown_layers(networks: NetworksSpec) -> ModelError:
    return ModelError(
        "networks of a learning curve train as a stack, which needs a description of their layers",
        where=networks.model.function,
        remedy="use one of the kinds of network that have one",
    )


def _initial(spec: NetworksSpec, layers: Architecture, device: torch.device) -> Named:
    """Name → [S, …], the same for every n."""
    drawn = [initial_parameters(layers, seed) for seed in spec.task.seeds]
    dtype = getattr(torch, spec.learning.precision)
    return {n: torch.stack([d[n] for d in drawn]).to(device, dtype) for n in drawn[0]}


def _start(
    spec: NetworksSpec,
    layers: Architecture,
    initial: Named,
    device: torch.device,
    place: JobDirectory,
    attrs: dict[str, Any],
) -> tuple[CurveState, ZarrStore]:
    """The last checkpoint and its store, or the beginning and an empty store."""
    for checkpoint in place.saved(CHECKPOINT):
        training = state_from_bytes(checkpoint, spec, layers, device)
        store = allocate_networks(spec, initial, training.log, place.store, attrs)
        where = f"step {training.step} of group {training.group + 1}"
        if is_whole(store, training.log):
            log.info("going on from %s", where)
            return training, store
        log.warning("not from %s: parameters written before it are lost", where)
    training = CurveState(CurveLog(spec))
    place.clear_store()
    return training, allocate_networks(spec, initial, training.log, place.store, attrs)


def _train(group: Group, place: JobDirectory, checkpoint_seconds: float) -> None:
    """A group to its end, with a checkpoint now and then."""
    while group.training.indices:
        group.step()
        if place.is_due(checkpoint_seconds):
            group.store.files.sync()
            place.save(CHECKPOINT, group.training.to_bytes())
            place.heartbeat()
