"""The networks of a learning curve: known truths, company, kills, divergence."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ntkscope.data.tasks.store import load_task
from ntkscope.errors import ConfigError, ModelError, StoreError
from ntkscope.models import build_network, initial_parameters
from ntkscope.models.zoo import architecture
from ntkscope.stores import read_store
from ntkscope.training.learning_curve import train as job
from ntkscope.training.learning_curve.batches import SampleOrder
from ntkscope.training.learning_curve.group import Group
from tests.unit.training.learning_curve.conftest import (
    contents,
    make_networks,
    numbers,
    train,
    write_task,
)
from tests.unit.training.test_training_task import kill_at

LAST = {"stop": "convergence", "converged_loss": 1e-30}  # keeps the last parameters


def plain_torch(spec, task_path, seed, n, steps):
    """The network of a seed and n after each of some steps, by torch's own optimiser."""
    task, learning = load_task(task_path), spec.learning
    place = task.seeds.index(seed)
    x, y = (f("train", place, n, dtype=torch.float64) for f in (task.inputs, task.targets))
    network = build_network(architecture(spec.model, task.shape, 1), seed).double()
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=learning.learning_rate,
        momentum=learning.momentum,
        weight_decay=learning.weight_decay,
    )
    order, batch = SampleOrder(seed, n), min(learning.batch_size or n, n)
    for step in range(steps):
        index = torch.from_numpy(order(step * batch, (step + 1) * batch))
        f = network(x[index])[:, 0]
        if learning.loss == "mse":
            loss = ((f - y[index]) ** 2).mean()
        else:
            loss = F.softplus(-f * y[index]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


@pytest.mark.parametrize(
    "learning",
    [
        {"momentum": 0.9, "weight_decay": 0.01},
        {"momentum": 0.0, "loss": "logistic"},
        {"batch_size": None},
        {"batch_size": 20},
        {"reversed_batches": True},
        {"reversed_batches": True, "batch_size": None},
    ],
    ids=["momentum", "logistic", "full-batch", "mixed-batches", "reversed", "full-batch reversed"],
)
def test_each_network_is_what_plain_torch_makes_of_it(tmp_path, task_path, learning):
    spec = make_networks(**{**LAST, **learning})
    found = contents(train(spec, task_path, tmp_path))
    for place in ((0, 0), (1, 1), (2, 2)):
        seed, n = spec.task.seeds[place[0]], spec.sizes[place[1]]
        network = plain_torch(spec, task_path, seed, n, spec.learning.budget(n))
        kept = numbers(found, "best", *place)
        assert found["best_step"][place] == spec.learning.budget(n)
        for name, parameter in network.named_parameters():
            torch.testing.assert_close(kept[name], parameter.detach(), rtol=1e-10, atol=1e-12)
        x = load_task(task_path).inputs("test", place[0], 30, dtype=torch.float64)
        outputs = network(x)[:, 0].detach().numpy()
        np.testing.assert_allclose(found["prediction"][place], outputs, rtol=1e-5, atol=1e-6)


def test_gradient_descent_of_a_linear_network_has_its_closed_form(tmp_path, task_path):
    model = {"depth": 0, "bias": False}
    spec = make_networks(model=model, batch_size=None, momentum=0.0, steps_at_least=40, **LAST)
    found = contents(train(spec, task_path, tmp_path))
    task, (i, j) = load_task(task_path), (1, 2)
    x, y = (f("train", i, 48, dtype=torch.float64).numpy() for f in (task.inputs, task.targets))
    start = initial_parameters(architecture(spec.model, (6,), 1), 1)["readout.weight"].double()
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    factor = np.eye(6) - 2 * spec.learning.learning_rate / 48 * x.T @ x
    expected = best + np.linalg.matrix_power(factor, 40) @ (start.numpy()[0] - best)
    np.testing.assert_allclose(found["best/readout.weight"][i, j, 0], expected, rtol=1e-10)
    residual = x @ expected - y
    assert found["train_loss"][i, j] == pytest.approx((residual**2).mean(), rel=1e-10)


def test_early_stopping_keeps_the_best_that_it_saw(tmp_path, task_path):
    spec = make_networks(patience=2.0, patience_from=5, steps_at_least=300)
    found = contents(train(spec, task_path, tmp_path))
    task, early = load_task(task_path), 0
    for place in np.ndindex(3, 3):
        steps = found["log_step"][place]
        seen = steps >= 0
        score = list(
            zip(*(found[f"log_validation_{k}"][place] for k in ("error", "loss")), strict=True)
        )
        best = min(range(seen.sum()), key=lambda k: score[k])
        assert found["best_step"][place] == steps[best]
        assert found["validation_error"][place] == score[best][0]
        assert found["last_step"][place] == steps[seen][-1]
        for k in range(seen.sum()):
            over = steps[k] > 2 * max(min((score[m], steps[m]) for m in range(k + 1))[1], 5)
            assert over == (k == seen.sum() - 1) or steps[k] == found["budget"][place]
        early += found["last_step"][place] < found["budget"][place]
        network = build_network(architecture(spec.model, (6,), 1)).double()
        network.load_state_dict(numbers(found, "best", *place))
        for split, name in (("validation", "validation_error"), ("test", "error")):
            x, y = (f(split, place[0], dtype=torch.float64) for f in (task.inputs, task.targets))
            wrong = network(x)[:, 0].sign() != y
            assert found[name][place] == pytest.approx(wrong.double().mean().item())
    assert early


def test_budgets_follow_n_and_the_last_step_is_looked_at(tmp_path, task_path):
    spec = make_networks(seeds=(0,), learning_rate=1e-5)
    found = contents(train(spec, task_path, tmp_path))
    assert found["budget"].tolist() == [[60, 60, 90]]
    assert (found["last_step"] == found["budget"]).all()
    assert (found["log_step"].max(2) == found["budget"]).all()


def test_to_convergence_it_ends_when_the_training_loss_is_small(tmp_path, task_path):
    spec = make_networks(stop="convergence", converged_loss=0.2, steps_at_least=3000)
    found = contents(train(spec, task_path, tmp_path))
    assert (found["best_step"] == found["last_step"]).all()
    ended = found["last_step"] < found["budget"]
    assert ended.any()
    assert (found["train_loss"][ended] < 0.2).all()


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="the bits are those of MKL")
@pytest.mark.parametrize("batch_size", [8, None])
def test_a_network_has_the_same_bits_in_any_company(tmp_path, task_path, batch_size):
    settings = {"precision": "float32", "batch_size": batch_size, "epochs": 5}
    together = contents(train(make_networks(**settings), task_path, tmp_path / "all"))
    for seeds, sizes in (((1,), (20,)), ((0, 1), (12, 20))):
        spec = make_networks(seeds, sizes, **settings)
        fewer = contents(train(spec, task_path, tmp_path / "few"))
        place = seeds.index(1), sizes.index(20)
        for name, values in fewer.items():
            if values.ndim > 1 and not name.startswith("initial/"):
                assert values[place].tobytes() == together[name][1, 1].tobytes(), name


def test_a_network_is_the_same_in_any_company(tmp_path, task_path):
    together = contents(train(make_networks(), task_path, tmp_path / "all"))
    alone = contents(train(make_networks((1,), (20,)), task_path, tmp_path / "one"))
    for name in ("best_step", "error", "log_step", "log_validation_error", "validation_error"):
        np.testing.assert_array_equal(together[name][1, 1], alone[name][0, 0])
    for name, value in numbers(alone, "best", 0, 0).items():
        kept = together[f"best/{name}"][1, 1]
        np.testing.assert_allclose(kept, value, rtol=1e-12, atol=1e-13)


def test_images_that_stay_uint8_give_the_same_bits(tmp_path, monkeypatch):
    path = write_task(tmp_path / "images.zarr", shape=(4, 4, 2))
    spec = make_networks((0, 1), (12,), steps_at_least=10, epochs=1)
    once = contents(train(spec, path, tmp_path / "once"))
    table = "ntkscope.training.learning_curve.input_table"
    monkeypatch.setattr(f"{table}.NORMALISED_BYTES", 0)
    as_used = contents(train(spec, path, tmp_path / "used"))
    for name, values in once.items():
        assert values.tobytes() == as_used[name].tobytes(), name


def test_convolutions_one_by_one_are_those_of_a_stack(tmp_path, monkeypatch):
    path = write_task(tmp_path / "images.zarr", shape=(4, 4, 2))
    model = {"kind": "cnn5", "depth": 5, "width": 2, "initialisation": "he"}
    spec = make_networks(sizes=(4, 12), model=model, steps_at_least=10, epochs=1)
    stacked = contents(train(spec, path, tmp_path / "stack"))
    monkeypatch.setattr(
        "ntkscope.training.learning_curve.members.stack_sizes", lambda *a: [1] * a[-1]
    )
    single = contents(train(spec, path, tmp_path / "single"))
    for name in stacked:
        np.testing.assert_allclose(stacked[name], single[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("batch_size", [8, None])
def test_interrupted_anywhere_it_ends_with_the_same_bits(
    tmp_path, task_path, monkeypatch, batch_size
):
    spec = make_networks(
        (0, 1), (12, 48), during=(0, 7, 70), batch_size=batch_size, patience=2, patience_from=3
    )
    whole = contents(train(spec, task_path, tmp_path / "whole"))
    calls, step = 0, Group.step

    def interrupted(self):
        nonlocal calls
        calls += 1
        if calls % 23 == 0:
            raise KeyboardInterrupt
        step(self)

    monkeypatch.setattr(Group, "step", interrupted)
    for _ in range(30):
        try:
            cut = train(spec, task_path, tmp_path / "cut", checkpoint_seconds=0)
            break
        except KeyboardInterrupt:
            continue
    assert calls > 46
    resumed = contents(cut)
    for name, values in whole.items():
        assert values.tobytes() == resumed[name].tobytes(), name
    assert not (tmp_path / "cut" / "state").exists()


def test_what_was_begun_with_other_samples_is_not_gone_on_with(tmp_path, task_path, monkeypatch):
    spec = make_networks((0, 1), (12, 48))
    other = write_task(tmp_path / "other.zarr", scale=(1.5, 1.5, 1.5))
    calls, step = 0, Group.step

    def interrupted(self):
        nonlocal calls
        calls += 1
        if calls == 23:
            raise KeyboardInterrupt
        step(self)

    monkeypatch.setattr(Group, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(spec, task_path, tmp_path / "cut", checkpoint_seconds=0)
    begun = contents(train(spec, other, tmp_path / "cut"))
    for name, values in contents(train(spec, other, tmp_path / "whole")).items():
        assert values.tobytes() == begun[name].tobytes(), name


KILLED = """
import sys, time
from pathlib import Path
from ntkscope.config.curve_specs import NetworksSpec
from ntkscope.training.learning_curve.group import Group
from ntkscope.training import train_networks
step = Group.step
def slow(self):
    time.sleep(0.02)
    step(self)
Group.step = slow
spec, task, output, state = sys.argv[1:]
train_networks(NetworksSpec.model_validate_json(spec), Path(task), Path(output),
               state=Path(state), stage="", checkpoint_seconds=0)
"""


def test_killed_by_sigkill_it_ends_with_the_same_bits(tmp_path, task_path, networks):
    whole = contents(train(networks, task_path, tmp_path / "whole"))
    output, state = tmp_path / "networks.zarr", tmp_path / "state"
    arguments = [networks.model_dump_json(), str(task_path), str(output), str(state)]
    kill_at(state / job.CHECKPOINT, KILLED, arguments)
    assert not output.exists()
    resumed = contents(train(networks, task_path, tmp_path))
    for name, values in whole.items():
        assert values.tobytes() == resumed[name].tobytes(), name


def test_a_network_that_diverges_is_marked_and_leaves_the_others_alone(tmp_path, task_path):
    wild = write_task(tmp_path / "wild.zarr", scale=(1, 1e30, 1))
    spec = make_networks(during=(1, 50), precision="float32")
    found = contents(train(spec, wild, tmp_path / "wild"))
    tame = contents(train(spec, task_path, tmp_path / "tame"))
    assert found["diverged"].tolist() == [[False] * 3, [True] * 3, [False] * 3]
    for name in ("error", "squared_error", "train_error", "train_loss", "validation_error"):
        assert np.isnan(found[name][1]).all()
        np.testing.assert_array_equal(found[name][[0, 2]], tame[name][[0, 2]])
    assert (found["best_step"][1] == -1).all()
    assert np.isnan(found["best/readout.weight"][1]).all()
    assert np.isnan(found["prediction"][1]).all()
    assert found["during_diverged"].tolist() == [[False] * 2, [True] * 2, [False] * 2]
    assert np.isnan(found["during/readout.weight"][1]).all()


def test_snapshots_are_taken_on_the_way_and_past_the_end(tmp_path, task_path):
    during = (0, 9, 400)
    spec = make_networks((0, 1), patience=2, patience_from=2, during=during)
    found = contents(train(spec, task_path, tmp_path / "during"))
    plain = make_networks((0, 1), patience=2, patience_from=2)
    without = contents(train(plain, task_path, tmp_path / "without"))
    assert (found["last_step"] < 400).all()
    for name in set(without) - {"step"}:
        np.testing.assert_allclose(found[name], without[name], rtol=1e-12)
    for snapshot, step in enumerate(during):
        network = plain_torch(spec, task_path, 1, 48, step)
        for name, parameter in network.named_parameters():
            kept = found[f"during/{name}"][1, snapshot]
            np.testing.assert_allclose(kept, parameter.detach().numpy(), rtol=1e-9, atol=1e-12)
        task = load_task(task_path)
        x, y = (f("test", 1, dtype=torch.float64) for f in (task.inputs, task.targets))
        error = ((network(x)[:, 0] - y) ** 2).mean().item()
        assert found["during_squared_error"][1, snapshot] == pytest.approx(error, rel=1e-9)


def test_errors_of_real_targets_are_relative_to_the_test_targets_variance(tmp_path):
    path = write_task(tmp_path / "real.zarr", error="squared")
    found = contents(train(make_networks(), path, tmp_path))
    for seed in range(3):
        y = load_task(path).targets("test", seed).double().numpy()
        squared = ((found["prediction"][seed] - y) ** 2).mean(1)
        np.testing.assert_allclose(found["squared_error"][seed], squared, rtol=1e-5)
        np.testing.assert_allclose(found["error"][seed], squared / y.var(), rtol=1e-5)


def test_the_logistic_loss_is_refused_for_real_targets(tmp_path):
    path = write_task(tmp_path / "real.zarr", error="squared")
    with pytest.raises(ConfigError, match="logistic"):
        train(make_networks(loss="logistic"), path, tmp_path)


def test_seeds_that_the_task_has_not_are_refused(tmp_path, task_path):
    with pytest.raises(StoreError, match=r"\[7\]"):
        train(make_networks((0, 7)), task_path, tmp_path)


def test_a_module_without_known_layers_is_refused(tmp_path, task_path):
    model = {"kind": "module", "function": "torch.nn:Linear"}
    with pytest.raises(ModelError, match="layers"):
        train(make_networks(model=model), task_path, tmp_path)


def test_the_store_is_opened_by_xarray(tmp_path, task_path):
    path = train(make_networks(during=(1,)), task_path, tmp_path)
    data = read_store(path, "networks")
    assert data.error.dims == ("seed", "size")
    assert data.prediction.dims == ("seed", "size", "test")
    assert data.prediction.dtype == np.float32
    assert data.log_step.dims == ("seed", "size", "evaluation")
    assert data["size"].values.tolist() == [12, 20, 48]
    assert data.step.values.tolist() == [1]
    assert read_store(path, "networks", "best")["hidden1.weight"].shape == (3, 3, 8, 6)
    assert read_store(path, "networks", "during")["hidden1.weight"].shape == (3, 1, 8, 6)
    initial = read_store(path, "networks", "initial")["hidden1.weight"]
    drawn = initial_parameters(architecture(make_networks().model, (6,), 1), 2)
    np.testing.assert_array_equal(initial[2], drawn["hidden1.weight"].double())
