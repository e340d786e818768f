"""Training: the same numbers stacked or alone, resumed or not; snapshots, divergence, twins."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import xarray as xr

from ntkscope.config.specs import ModelSpec, OptimizerSpec
from ntkscope.data.images import load_samples
from ntkscope.data.inputs import to_inputs
from ntkscope.data.sampling import batch_indices, task_labels
from ntkscope.errors import NtkscopeError, StoreError
from ntkscope.models import StackedNetwork, build_network
from ntkscope.models.zoo import architecture
from ntkscope.runtime.device import choose_device
from ntkscope.stores import read_store
from ntkscope.training import snapshot_steps, task, train_task
from ntkscope.training.batches import Batches
from ntkscope.training.evaluation import evaluate, evaluation_sets
from ntkscope.training.losses import per_network_loss

OPTIMIZERS = [
    OptimizerSpec(learning_rate=0.1),
    OptimizerSpec(learning_rate=0.1, momentum=0.9, weight_decay=0.01, schedule="cosine"),
    OptimizerSpec(kind="adam", learning_rate=0.01, schedule="linear"),
]


GROUPS = ("parameters", "constants", "optimizer", "method")


def train(run, images_path, folder, **options):
    """Train a run's whole lineage into `folder`; its last store."""
    parent = None
    for member in run.lineage:
        output = folder / f"{member.id}.zarr"
        if not output.exists():
            train_task(
                member,
                images_path,
                parent,
                output,
                state=folder / "state" / member.id,
                stage="",
                **options,
            )
        parent = output
    return parent


def train_interrupted(monkeypatch, run, images_path, folder, every):
    """As `train`, with an interruption at every so many updates and a checkpoint after each."""
    calls, update = 0, task._update

    def interrupted(*arguments):
        nonlocal calls
        calls += 1
        if calls % every == 0:
            raise KeyboardInterrupt
        return update(*arguments)

    monkeypatch.setattr(task, "_update", interrupted)
    for _ in range(20):
        try:
            resumed = train(run, images_path, folder, checkpoint_seconds=0)
            break
        except KeyboardInterrupt:
            continue
    assert calls > 24
    return resumed


def contents(path):
    """All arrays of a store, by group and name."""
    groups = [None, *(g.name for g in path.iterdir() if g.name in GROUPS)]
    data = {g: xr.open_zarr(path, group=g, consolidated=False).load() for g in groups}
    return {
        f"{g}/{n}": v.values for g, dataset in data.items() for n, v in dataset.variables.items()
    }


def assert_same_bits(first, second):
    first, second = contents(first), contents(second)
    assert first.keys() == second.keys()
    for name in first:
        assert first[name].tobytes() == second[name].tobytes(), name


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["sgd", "momentum-cosine", "adam-linear"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_training_is_what_plain_torch_does(run, images_path, tmp_path, optimizer, loss):
    run = run.model_copy(update={"optimizer": optimizer, "loss": loss, "precision": "float64"})
    stored = read_store(train(run, images_path, tmp_path), "snapshots", group="parameters")
    images = load_samples(images_path)
    layers = architecture(run.model, images.train.shape[1:], 4)
    network = build_network(layers, seed=1).double()
    if optimizer.kind == "adam":
        torchs = torch.optim.Adam(network.parameters(), lr=optimizer.learning_rate)
    else:
        torchs = torch.optim.SGD(
            network.parameters(),
            lr=optimizer.learning_rate,
            momentum=optimizer.momentum,
            weight_decay=optimizer.weight_decay,
        )
    for number, member in enumerate(run.tasks):
        labels = task_labels(images.train_labels, member)
        batches = batch_indices(images.train_labels, member, number, 1, run.batch_size, "epochs")
        factors = {
            "constant": np.ones(12),
            "linear": 1 - np.arange(12) / 12,
            "cosine": (1 + np.cos(np.pi * np.arange(12) / 12)) / 2,
        }[optimizer.schedule]
        for batch, factor in zip(batches, factors, strict=True):
            inputs = to_inputs(images, images.train[batch], torch.device("cpu"), torch.float64)
            target = torch.from_numpy(labels[batch])
            logits = network(inputs)
            if loss == "mse":
                value = (logits - F.one_hot(target, 4)).square().sum(1).mean() / 2
            else:
                value = F.cross_entropy(logits, target)
            torchs.param_groups[0]["lr"] = optimizer.learning_rate * factor
            torchs.zero_grad()
            value.backward()
            torchs.step()
    for name, parameter in network.named_parameters():
        found = stored[name].isel(seed=1, snapshot=-1).values
        np.testing.assert_allclose(found, parameter.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_stacked_and_one_by_one_agree(run, images_path, tmp_path, monkeypatch, kind):
    run = run.model_copy(update={"model": ModelSpec(kind=kind, depth=1, width=8)})
    together = train(run, images_path, tmp_path / "together")
    monkeypatch.setattr(task, "stack_sizes", lambda *_: [1, 1, 1])
    alone = train(run, images_path, tmp_path / "alone")
    first, second = contents(together), contents(alone)
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-4, atol=1e-5)


def test_a_seed_trains_the_same_in_any_company(run, images_path, tmp_path):
    both = contents(train(run, images_path, tmp_path / "three"))
    alone = run.model_copy(update={"seeds": (2,)})
    single = contents(train(alone, images_path, tmp_path / "one"))
    for name, values in single.items():
        if name.startswith("parameters/"):
            np.testing.assert_allclose(values[0], both[name][2], rtol=1e-4, atol=1e-6)


def test_snapshots_are_where_they_should_be(run):
    first, second = run.lineage
    assert snapshot_steps(first).tolist() == [0, 1, 2, 3, 4, 9, 10, 11, 12]
    assert snapshot_steps(second).tolist() == [13, 14, 15, 16, 24]
    assert snapshot_steps(run.parent.model_copy(update={"continues": False})).tolist()[-2:] == [
        4,
        12,
    ]


def test_a_run_and_its_twin_share_their_first_task(run, images_path, tmp_path):
    assert run.parent == run.twin.parent
    assert run.id != run.twin.id
    shift, twin = (contents(train(r, images_path, tmp_path)) for r in (run, run.twin))
    assert len(list(tmp_path.glob("*.zarr"))) == 3
    assert not np.array_equal(shift["parameters/readout.weight"], twin["parameters/readout.weight"])


def test_a_task_starts_with_the_log_its_parent_ended_with(run, images_path, tmp_path):
    ended, shift, twin = (
        read_store(train(member, images_path, tmp_path), "snapshots")
        for member in (run.parent, run, run.twin)
    )
    assert "start_loss" not in ended
    for name in ("loss", "accuracy"):
        for log in (shift, twin):
            assert log[f"start_{name}"].dims == ("seed", "seen")
            np.testing.assert_array_equal(log[f"start_{name}"][:, 0], ended[name][:, -1, 0])
        np.testing.assert_array_equal(twin[f"start_{name}"][:, 1], ended[name][:, -1, 0])


def test_the_log_of_a_step_is_of_its_batch(run, images_path, tmp_path):
    """By plain SGD a step is the rate times the gradient; the loss is that of the drawn batch."""
    run = run.model_copy(update={"optimizer": OPTIMIZERS[0]})
    path = train(run.parent, images_path, tmp_path)
    log, parameters = read_store(path, "snapshots"), read_store(path, "snapshots", "parameters")
    steps = log["step"].values
    pairs = np.flatnonzero(np.diff(steps) == 1)
    moved = sum(
        np.square(np.diff(each.values.astype(float), axis=1)).sum(tuple(range(2, each.ndim)))
        for each in parameters.values()
    )
    expected = np.sqrt(moved)[:, pairs] / run.optimizer.learning_rate
    np.testing.assert_allclose(log["gradient_norm"].values[:, pairs + 1], expected, rtol=1e-4)
    batches = Batches(run.parent, load_samples(images_path), torch.device("cpu"))
    for place in pairs:
        values = {n: torch.from_numpy(v.values[:, place]) for n, v in parameters.items()}
        stack = StackedNetwork(architecture(run.model, (8, 8, 1), 4), values)
        inputs, labels = batches(int(steps[place]))
        loss = per_network_loss(run.loss, stack(inputs), labels).detach()
        np.testing.assert_allclose(log["batch_loss"].values[:, place + 1], loss, rtol=1e-5)
    assert np.isnan(log[["batch_loss", "gradient_norm"]].isel(snapshot=0).to_array()).all()


def test_the_start_log_is_of_the_parameters_before_the_first_step(run, images_path, tmp_path):
    parent = read_store(train(run.parent, images_path, tmp_path), "snapshots", "parameters")
    last = {n: torch.from_numpy(values.values[:, -1]) for n, values in parent.items()}
    images = load_samples(images_path)
    stack = StackedNetwork(architecture(run.model, images.train.shape[1:], 4), last)
    loss, accuracy = evaluate([stack], evaluation_sets(run, images, torch.device("cpu")), run.loss)
    log = read_store(train(run, images_path, tmp_path), "snapshots")
    np.testing.assert_allclose(log["start_loss"], loss, rtol=1e-6)
    np.testing.assert_array_equal(log["start_accuracy"], accuracy)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["sgd", "momentum", "adam"])
def test_interrupted_anywhere_it_ends_with_the_same_bits(
    run, images_path, tmp_path, monkeypatch, optimizer
):
    run = run.model_copy(update={"optimizer": optimizer})
    whole = train(run, images_path, tmp_path / "whole")
    resumed = train_interrupted(monkeypatch, run, images_path, tmp_path / "cut", every=5)
    assert_same_bits(whole, resumed)
    assert not list((tmp_path / "cut" / "state").iterdir())


KILLED = """
import sys, time
from pathlib import Path
from ntkscope.config.specs import RunSpec
from ntkscope.training import task
update = task._update
def slow(*arguments):
    time.sleep(0.05)
    return update(*arguments)
task._update = slow
run, images, output, state = sys.argv[1:]
task.train_task(RunSpec.model_validate_json(run), Path(images), None, Path(output),
                state=Path(state), stage="", checkpoint_seconds=0)
"""


def kill_at(checkpoint, code, arguments):
    """Run code in a process of its own until there is a checkpoint."""
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], start_new_session=True)
    while not checkpoint.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_killed_by_sigkill_it_ends_with_the_same_bits(run, images_path, tmp_path):
    first = run.parent
    whole = train(first, images_path, tmp_path / "whole")
    output, state = tmp_path / "cut.zarr", tmp_path / "state"
    arguments = [first.model_dump_json(), str(images_path), str(output), str(state)]
    kill_at(state / task.CHECKPOINT, KILLED, arguments)
    assert not output.exists()
    train_task(first, images_path, None, output, state=state, stage="")
    assert_same_bits(whole, output)


def test_state_of_other_sources_is_not_used(run, images_path, tmp_path, monkeypatch):
    first = run.parent
    monkeypatch.setattr(task.JobDirectory, "finish", lambda *_: None)
    options = {"state": tmp_path / "state", "checkpoint_seconds": 0}
    train_task(first, images_path, None, tmp_path / "a.zarr", stage="old", **options)
    begun = []
    beginning = task._beginning
    monkeypatch.setattr(task, "_beginning", lambda *a: begun.append(1) or beginning(*a))
    train_task(first, images_path, None, tmp_path / "a.zarr", stage="old", **options)
    assert not begun
    train_task(first, images_path, None, tmp_path / "a.zarr", stage="new", **options)
    assert begun


def test_divergence_is_recorded_for_its_seed_alone(run, images_path, tmp_path, monkeypatch):
    update = task._update

    def poison(run, training, *rest):
        of_step = update(run, training, *rest)
        if training.step == 5:
            training.stacks[0].parameter("readout.bias").data[1] = np.inf
        return of_step

    monkeypatch.setattr(task, "_update", poison)
    log = read_store(train(run, images_path, tmp_path), "snapshots")
    assert log["diverged_step"].values.tolist() == [-1, 9, -1]
    assert np.isfinite(log["accuracy"].sel(seed=[0, 2])).all()
    assert np.isnan(log["accuracy"].sel(seed=1)).all()


def test_a_parent_of_another_length_is_refused(run, images_path, tmp_path):
    short = run.parent.model_copy(update={"tasks": (run.tasks[0].model_copy(update={"steps": 6}),)})
    parent = train(short, images_path, tmp_path)
    with pytest.raises(StoreError, match="end at step 6, but the task begins at step 12"):
        train_task(run, images_path, parent, tmp_path / "x.zarr", state=tmp_path / "s", stage="")


def test_an_absent_device_is_refused():
    if torch.cuda.is_available():
        pytest.skip("cuda is there")
    with pytest.raises(NtkscopeError, match="no cuda device"):
        choose_device("cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cpu_and_gpu_agree(run, images_path, tmp_path):
    cpu = contents(train(run, images_path, tmp_path / "cpu", device="cpu"))
    gpu = contents(train(run, images_path, tmp_path / "gpu", device="cuda"))
    for name in cpu:
        np.testing.assert_allclose(cpu[name], gpu[name], rtol=1e-3, atol=1e-4)


def test_jobs_that_train_or_compute_kernels_import_nothing_they_do_not_need():
    """84 of 116 jobs of the default workflow: half a second each counts."""
    heavy = ("xarray", "pandas", "scipy", "sklearn", "matplotlib", "torchvision", "torch._dynamo")
    code = (
        "import sys, ntkscope.training, ntkscope.kernels\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_reversed_batches_are_the_same_mathematics(images_path, run, tmp_path):
    assert "reversed_batches" not in run.model_dump()
    exact = run.model_copy(update={"precision": "float64"})
    backwards = exact.model_copy(update={"reversed_batches": True})
    one, other = (
        xr.open_zarr(train(each, images_path, tmp_path), group="parameters", consolidated=False)
        for each in (exact, backwards)
    )
    assert not one.equals(other)
    xr.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
