"""Ways of learning: what they add to the loss and the batches, and what they keep."""

import pytest
import torch

from ntkscope.config.specs import MethodSpec, ModelSpec
from ntkscope.data.images import load_samples
from ntkscope.errors import ConfigError
from ntkscope.models import initial_parameters
from ntkscope.models.zoo import define
from ntkscope.stores import read_store
from ntkscope.training.batches import Batches
from ntkscope.training.methods import TaskStart, method_of
from ntkscope.training.stacking import make_stack
from tests.unit.training.test_training_task import assert_same_bits, train, train_interrupted


def by(run, kind, strength):
    return run.model_copy(update={"method": MethodSpec(kind=kind, strength=strength)})


def start_of(run, images_path, kept=None, parameters=None):
    images, device = load_samples(images_path), torch.device("cpu")
    batches = [Batches(run, images, device, number) for number in range(len(run.tasks))]
    return TaskStart(batches.__getitem__, parameters or {}, kept or {})


@pytest.fixture
def linear(run):
    """A run of linear networks in float64, and its stack of all seeds."""
    model = ModelSpec(kind="mlp", depth=0, width=1)
    run = run.model_copy(update={"precision": "float64", "model": model})
    definition = define(model, (4, 4, 1), 4)
    drawn = [initial_parameters(definition.layers, seed) for seed in run.seeds]
    numbers = {n: torch.stack([d[n] for d in drawn]).double() for n in drawn[0]}
    stack = make_stack(definition, numbers, run.seeds, torch.float64, torch.device("cpu"))
    return run, stack, numbers


def test_plain_is_what_runs_were_and_are_called(run):
    assert "method" not in run.model_dump()
    assert by(run, "ewc", 2.0).id != by(run, "ewc", 1.0).id != run.id


def test_an_unknown_method_is_refused_with_those_that_there_are(run, images_path):
    with pytest.raises(ConfigError, match="called 'evc'") as error:
        method_of(by(run, "evc", 1.0), start_of(run, images_path))
    assert "ewc, plain, replay" in str(error.value)


def test_the_fisher_information_of_a_linear_network_is_its_formula(linear, images_path):
    """F of W_kj under softmax: the mean over images of p_k (1 − p_k) x_j²."""
    run, stack, numbers = linear
    start = start_of(run, images_path)
    found = method_of(by(run, "ewc", 1.0), start).end_task([stack])
    batches = start.batches(1)
    x = torch.cat([batches(step)[0] for step in range(8, 12)], 1).flatten(2)
    logits = x @ numbers["readout.weight"].mT + numbers["readout.bias"].unsqueeze(1)
    p = logits.softmax(2)
    bias = (p * (1 - p)).mean(1)
    weight = torch.einsum("sbk,sbj->skj", p * (1 - p), x.square()) / x.shape[1]
    torch.testing.assert_close(found["readout.bias"], bias, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(found["readout.weight"], weight, rtol=1e-10, atol=1e-14)


def test_the_penalty_is_its_formula_and_pulls_back(linear, images_path):
    run, stack, numbers = linear
    kept = {name: torch.full_like(value, 2.0) for name, value in numbers.items()}
    anchor = {name: value - 0.5 for name, value in numbers.items()}
    method = method_of(by(run, "ewc", 3.0), start_of(run, images_path, kept, anchor))
    penalty = method.penalty(stack, slice(0, 3))
    size = 16 * 4 + 4
    torch.testing.assert_close(penalty, torch.full((3,), 3.0 / 2 * 2.0 * 0.25 * size).double())
    penalty.sum().backward()
    bias = stack.gradients()["readout.bias"]
    torch.testing.assert_close(bias, torch.full_like(bias, 3.0 * 2.0 * 0.5))


def test_consolidation_holds_what_mattered(run, images_path, tmp_path):
    """Σ F (θ − θ*)² at the second task's end: the less, the stronger."""
    distances = []
    for number, strength in enumerate((0.0, 1.0, 10.0)):
        folder = tmp_path / str(number)
        snapshots = train(by(run, "ewc", strength), images_path, folder)
        before = next(folder.glob("*-t1-*.zarr"))
        fisher = read_store(before, "snapshots", group="method")
        anchor, end = (
            read_store(path, "snapshots", group="parameters").isel(snapshot=-1)
            for path in (before, snapshots)
        )
        terms = [fisher[n].values * (end[n].values - anchor[n].values) ** 2 for n in fisher]
        distances.append(sum(term.sum() for term in terms))
    assert distances[0] > distances[1] > distances[2] > 0


def test_replay_mixes_batches_of_the_tasks_before(run, images_path):
    start = start_of(run, images_path)
    method = method_of(by(run, "replay", 0.25), start)
    inputs, labels = method.batch(5)
    own, old = start.batches(1)(5), start.batches(0)(5)
    assert torch.equal(inputs[:, :6], own[0][:, :6])
    assert torch.equal(inputs[:, 6:], old[0][:, 6:])
    assert set(labels[:, :6].unique().tolist()) == {2, 3}
    assert set(labels[:, 6:].unique().tolist()) <= {0, 1}


def test_replay_forgets_less(run, images_path, tmp_path):
    ends = [
        read_store(train(each, images_path, tmp_path / each.method.kind), "snapshots")
        for each in (run, by(run, "replay", 0.5))
    ]
    losses = [end["loss"].values[:, -1, 0].mean() for end in ends]
    assert losses[1] < losses[0]


@pytest.mark.parametrize("kind", ["ewc", "replay"])
def test_interrupted_it_ends_with_the_same_bits(run, images_path, tmp_path, monkeypatch, kind):
    run = by(run, kind, 0.5)
    whole = train(run, images_path, tmp_path / "whole")
    resumed = train_interrupted(monkeypatch, run, images_path, tmp_path / "cut", every=7)
    assert_same_bits(whole, resumed)
