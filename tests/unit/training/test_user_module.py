"""A network of the user's own: a residual CNN with batch norm and dropout, from task to kernel."""

import random
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from ntkscope.config.specs import KernelSpec, ModelSpec
from ntkscope.config.user_code import function_digest
from ntkscope.data.images import load_samples
from ntkscope.data.inputs import to_inputs
from ntkscope.errors import ModelError
from ntkscope.kernels import compute_kernels, stage
from ntkscope.models import load_tensors
from ntkscope.models.single import SingleNetwork
from ntkscope.models.try_out import fault_of
from ntkscope.models.zoo import define
from ntkscope.stores import read_store
from ntkscope.training import task
from tests.oracles.ntk import ntk
from tests.unit.training.test_training_task import assert_same_bits, train, train_interrupted

SOURCE = """
import random
import numpy as np
import torch
from torch import nn

class Residual(nn.Module):
    def __init__(self, channels, width, outputs, dropout):
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.inner = nn.Conv2d(width, width, 3, padding=1)
        self.drop = nn.Dropout(dropout)
        self.readout = nn.Linear(width, outputs)
        self.readout.bias.requires_grad_(False)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        x = x + torch.relu(self.inner(x))
        return self.readout(self.drop(x.mean((2, 3))))

def residual(shape, outputs, width=3, dropout=0.2):
    return Residual(shape[0], width, outputs, dropout)

def words(shape, outputs):
    return nn.Sequential(nn.Embedding(7, 3), nn.Flatten(), nn.Linear(3 * shape[0], outputs))

def dense(shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, outputs))

def lazy(shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(5), nn.ReLU(), nn.Linear(5, outputs))

def by_numpy(shape, outputs):
    layer = nn.Linear(16, outputs)
    with torch.no_grad():
        layer.weight[:] = torch.from_numpy(np.random.randn(outputs, 16)) * random.random()
    return nn.Sequential(nn.Flatten(), layer)

CALLS = []

def growing(shape, outputs):
    CALLS.append(1)
    width = 4 + len(CALLS)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, width), nn.ReLU(), nn.Linear(width, outputs))

class Both(nn.Linear):
    def forward(self, x):
        y = super().forward(x.flatten(1))
        return (y, y) if self.training else y

class Fewer(nn.Linear):
    def forward(self, x):
        y = super().forward(x.flatten(1))
        return y[:, 1:] if self.training else y

def both(shape, outputs): return Both(16, outputs)
def fewer(shape, outputs): return Fewer(16, outputs)
number = 3
def fails(shape, outputs): raise KeyError("width")
def ends(shape, outputs): raise SystemExit(0)
def huge(shape, outputs): raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
def no_module(shape, outputs): return 3
def without_parameters(shape, outputs): return nn.Flatten()
def wrong_input(shape, outputs): return nn.Linear(7, outputs)
def wrong_output(shape, outputs): return nn.Sequential(nn.Flatten(), nn.Linear(16, 9))
def mixing(shape, outputs):
    norm = nn.BatchNorm1d(outputs, track_running_stats=False)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, outputs), norm)

class Of(nn.Module):
    def __init__(self, change, outputs):
        super().__init__()
        self.change, self.calls = change, 0
        self.hidden, self.readout = nn.Linear(16, 5), nn.Linear(5, outputs)

    def forward(self, x):
        self.calls += 1
        return self.readout(self.change(self.hidden(x.flatten(1)), self))

def of(change):
    return lambda shape, outputs: Of(change, outputs)

def unseen(shape, outputs):
    network = mixing_maps(shape, outputs)
    nn.init.zeros_(network[-1].weight)
    return network

def mixing_maps(shape, outputs):
    norm = nn.BatchNorm2d(3, track_running_stats=False)
    return nn.Sequential(nn.Conv2d(1, 3, 3), norm, nn.Flatten(), nn.Linear(12, outputs))

centred = of(lambda x, network: x - x.mean(0))
dropping = of(lambda x, network: nn.functional.dropout(x, 0.1))
by_python = of(lambda x, network: x * random.random())
counting = of(lambda x, network: x * network.calls)
single = of(lambda x, network: x.float() * 2)
normed = of(lambda x, network: nn.functional.layer_norm(x, (5,)))
"""


def spec(function="own.nets:residual", **arguments):
    return ModelSpec(kind="module", depth=1, width=1, function=function, arguments=arguments)


@pytest.fixture
def user_run(run, tmp_path, monkeypatch):
    """The tiny run with a network from a package in the working folder."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "nets.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield run.model_copy(update={"model": spec(), "seeds": (0, 1), "precision": "float64"})
    for name in [name for name in sys.modules if name.partition(".")[0] == "own"]:
        del sys.modules[name]


def test_a_module_trains_and_its_kernels_are_those_of_the_definition(
    user_run, images_path, tmp_path, monkeypatch
):
    snapshots = train(user_run, images_path, tmp_path)
    kernel = KernelSpec(samples=5, classes=(0, 1), labels=(0, 1), precision="float64")
    output = tmp_path / "kernels.zarr"
    state = tmp_path / "kernel-state"
    compute_kernels(user_run, kernel, images_path, snapshots, output, state=state, stage="")
    found = read_store(output, "kernels")
    assert found["layer"].values.tolist() == ["stem", "norm", "inner", "readout"]
    images = load_samples(images_path)
    probe = to_inputs(
        images, images.train[found["image"].values], torch.device("cpu"), torch.float64
    )
    groups = [read_store(snapshots, "snapshots", group=g) for g in ("parameters", "constants")]
    assert {"norm.running_mean", "readout.bias"} <= set(groups[1].data_vars)
    network = define(user_run.model, (4, 4, 1), 4).build().double().eval()
    for seed, snapshot in ((0, 0), (1, 4)):
        index = {"seed": seed, "snapshot": snapshot}
        numbers = {
            str(name): torch.from_numpy(values.isel(index).values)
            for group in groups
            for name, values in group.data_vars.items()
        }
        load_tensors(network, numbers)
        expected = ntk(network, probe, probe, "trace").numpy()
        np.testing.assert_allclose(found["ntk"].isel(index).values, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found["layer_ntk"].sum("layer"), found["ntk"], rtol=1e-12)
    monkeypatch.setattr(stage, "_WHOLE_BYTES", 0)  # all kernels are large: in tiles
    output = tmp_path / "tiles.zarr"
    compute_kernels(user_run, kernel, images_path, snapshots, output, state=state, stage="")
    xr.testing.assert_allclose(read_store(output, "kernels"), found, rtol=1e-9, atol=1e-12)
    steps = groups[1]["norm.num_batches_tracked"]
    np.testing.assert_array_equal(steps.isel(seed=0), found["step"].values)


def test_a_job_refuses_sources_that_have_changed_since(user_run):
    digest = function_digest(user_run.model.function, "")
    model = user_run.model.model_copy(update={"source_digest": digest})
    define(model, (4, 4, 1), 4)
    with Path("own/nets.py").open("a") as file:
        file.write("MORE = 1\n")
    with pytest.raises(ModelError, match="have changed since") as caught:
        define(model, (4, 4, 1), 4)
    assert "own.nets" in str(caught.value)


def test_a_module_trains_as_by_a_plain_loop(user_run, images_path, tmp_path, monkeypatch):
    """And as the same network of known layers, whose seeds go all at once."""
    user_run = user_run.model_copy(update={"model": spec("own.nets:dense")})
    described = user_run.model_copy(update={"model": ModelSpec(kind="mlp", depth=1, width=5)})
    layers = define(described.model, (4, 4, 1), 4)
    names = {"1.weight": "hidden1.weight", "1.bias": "hidden1.bias"}
    names |= {"3.weight": "readout.weight", "3.bias": "readout.bias"}
    drawn = task.initial_tensors

    def same_start(definition, seed):
        numbers = drawn(layers, seed)
        return numbers if definition.layers else {own: numbers[n] for own, n in names.items()}

    monkeypatch.setattr(task, "initial_tensors", same_start)
    alone, stacked = (
        read_store(train(each, images_path, tmp_path), "snapshots", group="parameters")
        for each in (user_run, described)
    )
    for own, name in names.items():
        np.testing.assert_allclose(alone[own].values, stacked[name].values, rtol=1e-9, atol=1e-12)


def test_a_module_interrupted_anywhere_ends_with_the_same_bits(
    user_run, images_path, tmp_path, monkeypatch
):
    whole = train(user_run, images_path, tmp_path / "whole")
    resumed = train_interrupted(monkeypatch, user_run, images_path, tmp_path / "cut", every=7)
    assert_same_bits(whole, resumed)


def test_a_seed_of_a_module_trains_the_same_in_any_company(user_run, images_path, tmp_path):
    alone = user_run.model_copy(update={"seeds": (1,)})
    both, single = (
        read_store(train(each, images_path, tmp_path), "snapshots", group="parameters")
        for each in (user_run, alone)
    )
    for name in single.data_vars:
        assert single[name].values[0].tobytes() == both[name].values[1].tobytes()


def test_a_seed_is_what_torch_is_seeded_with(user_run):
    definition = define(user_run.model, (4, 4, 1), 4)
    torch.manual_seed(7)
    expected = torch.nn.Conv2d(1, 3, 3, padding=1).weight
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert torch.equal(definition.build(7).stem.weight, expected)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("function", ["lazy", "by_numpy"])
def test_all_random_numbers_of_a_seed_are_its_own(user_run, function):
    """Those of layers that wait for an input, too; and nobody else's are drawn."""
    model = define(spec(f"own.nets:{function}"), (1, 4, 4), 10)
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    found = {}
    for seed in (0, 5, 1, 0, 1, 5):
        for begin in (random.seed, np.random.seed, torch.manual_seed):  # as another process
            begin(7)
        parameters = torch.cat([p.flatten() for p in model.build(seed).parameters()])
        assert torch.equal(found.setdefault(seed, parameters), parameters)
    assert len({each.norm().item() for each in found.values()}) == 3
    random.setstate(before[0])
    np.random.set_state(before[1])
    torch.set_rng_state(before[2])
    model.build(3)
    assert random.getstate() == before[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before[1][1])
    assert torch.equal(torch.get_rng_state(), before[2])


def test_whatever_is_drawn_in_a_forward_pass_is_of_the_step():
    """By torch, Python or NumPy: a killed job ends with the same bits."""

    class Noisy(nn.Linear):
        def forward(self, x):
            drawn = torch.rand(()), random.random(), np.random.random()
            return super().forward(x) * torch.tensor(drawn)

    network, x = SingleNetwork(Noisy(2, 3), seed=4), torch.ones(1, 1, 2)

    def outputs(step):
        network.begin_step(step)
        return network(x)

    first, second = outputs(0), outputs(1)
    assert not (first == second).any()
    assert torch.equal(outputs(0), first)


def test_large_seeds_are_not_cut_to_32_bits(user_run):
    model = define(spec("own.nets:dense"), (1, 4, 4), 10)
    ends = {float(model.build(seed)[-1].weight.sum()) for seed in (0, 2**32, 2**40, 2**32 + 1)}
    assert len(ends) == 4


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("growing", r"1\.weight is of shape \[\d+, 16\] in the first, of shape \[\d+, 16\] in the"),
        ("both", r"for inputs \[\d+, 1, 4, 4\] is tuple, not \[\d+, 4\], in training"),
        ("fewer", r"for inputs \[\d+, 1, 4, 4\] is \[\d+, 3\], not \[\d+, 4\], in training"),
    ],
)
def test_what_differs_from_call_to_call_is_named(user_run, images_path, tmp_path, function, words):
    model = spec(f"own.nets:{function}")
    with pytest.raises(ModelError, match=words) as caught:
        train(user_run.model_copy(update={"model": model}), images_path, tmp_path)
    assert f"where: own.nets:{function}" in str(caught.value)
    assert "to do: let " in str(caught.value)


def test_stored_tensors_of_another_network_are_refused(user_run):
    network = define(spec("own.nets:dense"), (4, 4, 1), 4).build()
    tensors = dict(network.state_dict())
    for wrong in (
        {**tensors, "1.bias": torch.zeros(6)},
        {**tensors, "5.bias": torch.zeros(6)},
        {name: t for name, t in tensors.items() if name != "1.bias"},
    ):
        with pytest.raises(ModelError, match=r"[15]\.bias is") as caught:
            load_tensors(network, wrong, "own.nets:dense")
        assert "where: own.nets:dense" in str(caught.value)
    load_tensors(network, tensors)


def test_networks_are_tried_before_any_job(user_run):
    def tried(function, **arguments):
        model = spec(f"own.nets:{function}", **arguments).model_dump(mode="json")
        return {"model": model, "shape": [4, 4, 1], "outputs": 4, "tokens": False}

    good = [tried("residual", width=2), tried("residual", width=3), tried("lazy")]
    assert fault_of(good) == ""
    fails = fault_of([*good, tried("fails")])
    assert re.search(r"raises KeyError: 'width' \(nets.py, line \d+\)", fails)
    assert f"where: own.nets:fails, {Path.cwd()}/own/nets.py" in fails
    assert "raises SystemExit: 0 (nets.py" in fault_of([tried("huge"), tried("ends")])
    assert fault_of([tried("huge")]) == ""
    assert "two calls make two networks" in fault_of([tried("growing")])
    unknown = fault_of([tried("residual", depth=7)])
    assert "unexpected keyword argument 'depth'" in unknown
    assert "(called with depth=7)" in unknown
    Path("own/broken.py").write_text("\nundefined\n")
    broken = {**tried("lazy"), "model": spec("own.broken:f").model_dump(mode="json")}
    assert "NameError: name 'undefined' is not defined (broken.py, line 2)" in fault_of([broken])


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("centred", "depends on the other samples of its batch"),
        ("mixing_maps", "depends on the other samples of its batch"),
        ("unseen", "depends on the other samples of its batch"),
        ("dropping", "draws random numbers in eval mode"),
        ("by_python", "draws random numbers in eval mode"),
        ("counting", "depends on how often it was called"),
        ("normed", ""),
        ("residual", ""),
        ("single", ""),
    ],
)
def test_a_network_without_a_kernel_is_refused_before_any_job(user_run, function, words):
    model = spec(f"own.nets:{function}").model_dump(mode="json")
    tried = {"model": model, "shape": [4, 4, 1], "outputs": 4, "tokens": False}
    before = torch.get_rng_state(), random.getstate()
    found = fault_of([tried])
    assert words in found
    assert bool(words) == bool(found)
    assert (f"where: own.nets:{function}, {Path.cwd()}/own/nets.py" in found) == bool(words)
    assert ("to do: let each sample's output in eval mode" in found) == bool(words)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]


@pytest.mark.parametrize("function", ["centred", "dropping"])
def test_what_only_the_kernel_finds_is_told_to_who_wrote_the_network(
    user_run, images_path, tmp_path, function
):
    run = user_run.model_copy(update={"model": spec(f"own.nets:{function}")})
    snapshots = train(run, images_path, tmp_path)
    kernel = KernelSpec(samples=5, classes=(0, 1), labels=(0, 1), precision="float64")
    stores = (images_path, snapshots, tmp_path / "kernels.zarr")
    with pytest.raises(ModelError, match=f"where: own.nets:{function}") as error:
        compute_kernels(run, kernel, *stores, state=tmp_path / "kernel-state", stage="")
    assert "let each sample's output in eval mode depend on that sample alone" in str(error.value)
    assert "model.eval()" not in str(error.value)


def test_a_network_of_tokens_gets_whole_numbers(user_run):
    network = define(spec("own.nets:words"), (5,), 4, tokens=True).build(0)
    assert network(torch.arange(5).expand(2, 5)).shape == (2, 4)
    with pytest.raises(ModelError, match="fails on inputs"):
        define(spec("own.nets:words"), (5,), 4).build()


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("nowhere.nets:residual", "cannot be imported: ModuleNotFoundError"),
        ("own.nets:absent", "cannot be imported: AttributeError"),
        ("own.nets:number", "is no function"),
        ("own.nets:fails", "raises KeyError"),
        ("own.nets:no_module", "returns int, not a torch.nn.Module"),
        ("own.nets:without_parameters", "without a parameter to train"),
        ("own.nets:wrong_input", r"fails on inputs \[2, 1, 4, 4\]"),
        ("own.nets:wrong_output", r"is \[2, 9\], not \[2, 4\]"),
        ("own.nets:mixing", r"fails on inputs \[1, 1, 4, 4\]"),
    ],
)
def test_what_is_not_as_it_should_be_is_said(user_run, function, words):
    with pytest.raises(ModelError, match=words) as error:
        define(spec(function), (4, 4, 1), 4).build()
    assert f"where: {function}" in str(error.value)
    assert "to do: " in str(error.value)
