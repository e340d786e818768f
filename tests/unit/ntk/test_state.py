"""What stands around a call, or a forward does, neither changes a kernel nor stays changed."""

import copy
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from ntkscope.errors import ModelError, StoreError
from ntkscope.ntk import empirical_ntk, plan_ntk, write_ntk
from ntkscope.ntk.empirical.api import PlanError
from ntkscope.ntk.operator import NTKOperator
from ntkscope.stores import read_store
from tests.unit.ntk.test_evidence import error, made, vectors, wide

torch.set_num_threads(1)
ROOT = Path(__file__).parents[3]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.h = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.h(torch.tanh(self.a(x)))


def straight():
    return nn.Sequential(nn.Linear(6, 64), nn.Tanh(), nn.Linear(64, 3))


@pytest.mark.parametrize("make", [Net, straight])
def test_inference_mode_around_the_call_has_no_effect(tmp_path, make):
    model, x = made(make), vectors()
    expected = empirical_ntk(model, x)
    plan = plan_ntk(model, x)
    with torch.inference_mode():
        for inputs in (x, x.clone()):
            assert torch.equal(empirical_ntk(model, inputs), expected)
            assert torch.equal(empirical_ntk(model, inputs, plan=plan), expected)
            product = NTKOperator(model, inputs) @ torch.eye(7)
            torch.testing.assert_close(product, expected, rtol=1e-5, atol=1e-5)
        assert plan_ntk(model, x.clone()).layers
        assert write_ntk(tmp_path / "a.zarr", model, x.clone())
        with pytest.raises(ModelError, match="inference_mode"):
            empirical_ntk(make(), x)
    np.testing.assert_allclose(read_store(tmp_path / "a.zarr", "kernels").ntk, expected, rtol=1e-5)


@pytest.mark.parametrize("make", [Net, straight])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_around_the_call_has_no_effect(make, dtype):
    model, x = made(make), vectors()
    expected = empirical_ntk(model, x)
    with torch.autocast("cpu", dtype=dtype):
        assert torch.equal(empirical_ntk(model, x), expected)
        assert torch.equal(empirical_ntk(model, x, plan=plan_ntk(model, x)), expected)
        product = NTKOperator(model, x) @ torch.eye(7)
        assert torch.is_autocast_enabled("cpu")
    torch.testing.assert_close(product, expected, rtol=1e-5, atol=1e-5)


class Autocasts(Net):
    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return super().forward(x).float()


def test_autocast_inside_is_refused_or_right():
    """Its own rounding is not that of the dtype that the kernel would be given in."""
    with pytest.raises(ModelError, match=r"lower precision|other samples"):
        assert error(made(Autocasts), vectors()) > 1e-5


class Checkpointed(nn.Module):
    """A block is run again on the way back; its parameters are hidden from `autograd.grad`."""

    def __init__(self, blocks=1, first=False):
        super().__init__()
        make = lambda: nn.Sequential(nn.Linear(6, 6), nn.Tanh())  # noqa: E731
        self.first = nn.Linear(6, 6) if first else None
        self.blocks = nn.ModuleList(make() for _ in range(blocks))
        self.h, self.save = nn.Linear(6, 3), True

    def forward(self, x):
        x = x.clone().requires_grad_() if self.first is None else self.first(x)
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=True) if self.save else block(x)
        return self.h(x)


@pytest.mark.parametrize("options", [{}, {"blocks": 2}, {"first": True}])
def test_reentrant_checkpoints(options):
    model, x = made(lambda: Checkpointed(**options)), vectors()
    found = empirical_ntk(model, x, by_layer=True)
    product = NTKOperator(model, x) @ torch.eye(7)
    model.save = False
    expected = empirical_ntk(model, x, by_layer=True)
    assert set(found) == set(expected)
    for name, kernel in found.items():
        torch.testing.assert_close(kernel, expected[name], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(product, sum(expected.values()), rtol=1e-5, atol=1e-5)


class Hides(torch.autograd.Function):
    """Goes back through a block into its parameters by itself, as re-entrant checkpoints do."""

    @staticmethod
    def forward(ctx, block, x):
        ctx.block, ctx.x = block, x.detach()
        with torch.no_grad():
            return block(x)

    @staticmethod
    def backward(ctx, g):
        x = ctx.x.requires_grad_()
        with torch.enable_grad():
            y = ctx.block(x)
        y.backward(g)
        return None, x.grad


class HiddenByAFunction(Checkpointed):
    def forward(self, x):
        x = x.clone().requires_grad_()
        return self.h(Hides.apply(self.blocks[0], x) if self.save else self.blocks[0](x))


def test_parameters_that_autograd_does_not_see_are_refused():
    model, x = made(HiddenByAFunction), vectors()
    with pytest.raises(ModelError, match="by brute force"):
        empirical_ntk(model, x)
    assert all(p.grad is None for p in model.parameters())


class NoGrad(Net):
    def forward(self, x):
        with torch.no_grad():
            return super().forward(x)


class Backbone(Net):
    def forward(self, x):
        with torch.no_grad():
            x = torch.tanh(self.a(x))
        return self.h(x)


def test_no_grad_in_forward():
    with pytest.raises(ModelError, match="no_grad"):
        empirical_ntk(made(NoGrad), vectors())
    assert error(made(Backbone), vectors()) < 1e-6


class InPlace(Net):
    """Works on its own input."""

    def __init__(self, way):
        super().__init__()
        self.way = way

    def forward(self, x):
        {
            "scaled": lambda: x.mul_(0.5),
            "a little": lambda: x.mul_(0.999),
            "clamped": lambda: x.clamp_(-1, 1),
            "relu": lambda: F.relu(x, inplace=True),
            "a part": x[:, :2].zero_,
        }[self.way]()
        return super().forward(x)


@pytest.mark.parametrize("way", ["scaled", "a little", "clamped", "relu", "a part"])
def test_a_forward_works_on_a_copy_of_its_input(way):
    model, x = made(InPlace, way), vectors()
    before = x.clone()
    for how in ({}, {"chunk": 2}, {"force": "fallback"}, {"plan": plan_ntk(model, x)}):
        assert error(model, x, **how) < 1e-6
        found = empirical_ntk(model, x, x[:3], **how)
        assert torch.equal(x, before)
    product = NTKOperator(model, x, x[:3]) @ torch.eye(3)
    torch.testing.assert_close(product, found, rtol=1e-5, atol=1e-5)
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    "first", [nn.ReLU(inplace=True), nn.Sequential(nn.Flatten(), nn.ELU(inplace=True))]
)
def test_a_first_layer_in_place(first):
    model = made(lambda: nn.Sequential(copy.deepcopy(first), nn.Linear(6, 5), nn.Linear(5, 3)))
    x = vectors()
    before = x.clone()
    for plan in (None, plan_ntk(model, x)):
        assert error(model, x, plan=plan) < 1e-6
        empirical_ntk(model, x, plan=plan)
        assert torch.equal(x, before)


class Restless(Net):
    """Changes all that is its own: buffers that are made, grow and are filled; lists, modes."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("grows", torch.zeros(1))
        self.register_buffer("later", None)
        self.plain, self.seen, self.count = torch.zeros(2), [], 0

    def forward(self, x):
        self.calls += 1
        self.grows = torch.cat([self.grows, torch.zeros(1)])
        self.later = x.detach()
        self.plain.add_(1)
        self.seen.append(len(x))
        self.count += 1
        self.fresh = x
        self.a.eval()
        if "new" not in self._buffers:
            self.register_buffer("new", torch.ones(3))
        return super().forward(x)


def test_all_that_a_forward_changes_is_restored():
    model, x = made(Restless), vectors()
    grows = model.grows
    plan = plan_ntk(model, x)
    for how in ({}, {"plan": plan}, {"kind": "full"}):
        assert error(model, x, **how) < 1e-6
    NTKOperator(model, x) @ torch.eye(7)
    assert set(dict(model.named_buffers())) == {"calls", "grows"}
    assert model.grows is grows
    assert (model.calls, len(model.grows), model.seen, model.count) == (0, 1, [], 0)
    assert model.later is None
    assert not model.plain.any()
    assert not hasattr(model, "fresh")
    assert model.a.training


def test_gradients_hooks_and_random_states_are_as_they_were():
    model, x, fired = made(Restless), vectors(), []
    model.a.weight.grad = torch.ones(8, 6)
    gradient = model.a.weight.grad
    model.h.weight.register_hook(lambda g: fired.append(1))
    model.h.weight.register_post_accumulate_grad_hook(lambda p: fired.append(2))
    handle = model.a.register_forward_hook(lambda *arguments: None)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    empirical_ntk(model, x)
    plan_ntk(model, x)
    assert model.a.weight.grad is gradient
    assert (gradient == 1).all()
    assert list(model.a._forward_hooks) == [handle.id]
    assert fired == []
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1], states[2]) == (np.random.get_state()[1].tolist(), random.getstate())


class Renormalised(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.h = nn.Embedding(9, 4, max_norm=1.0), nn.Linear(4, 3)

    def forward(self, t):
        return self.h(torch.tanh(self.e(t).mean(1)))


def test_weights_that_forward_renormalises_are_restored():
    model, t = made(Renormalised), torch.randint(0, 9, (5, 4))
    before = model.e.weight.detach().clone()
    found = empirical_ntk(model, t)
    operator = NTKOperator(model, t)
    for _ in range(2):
        torch.testing.assert_close(operator @ torch.eye(5), found, rtol=1e-5, atol=1e-6)
    assert torch.equal(model.e.weight, before)
    model(t)  # renormalises
    model.e.max_norm = None
    torch.testing.assert_close(found, empirical_ntk(model, t), rtol=1e-5, atol=1e-6)


class Learns(Net):
    def forward(self, x):
        with torch.no_grad():
            self.a.weight.mul_(0.999)
        return super().forward(x)


def test_a_forward_that_changes_its_parameters_is_refused():
    with pytest.raises(ModelError, match=r"in place|random|other samples"):
        empirical_ntk(made(Learns), vectors())


class Changeable(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.h = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.norm, self.slope, self.act = nn.BatchNorm1d(6), nn.LeakyReLU(0.1), torch.tanh

    def forward(self, x):
        x = F.dropout(self.act(self.a(x)), 0.5, self.training)
        return self.h(self.slope(self.norm(self.b(x))))


CHANGES = {
    "parameters of a": lambda m: m.a.requires_grad_(False),
    "parameters of b": lambda m: setattr(m.b, "weight", m.a.weight),
    "modes of": lambda m: m.train(),
    "modes of a": lambda m: m.a.train(),
    "settings of slope": lambda m: setattr(m.slope, "negative_slope", 0.9),
    "settings of": lambda m: setattr(m, "act", torch.sin),
    "hooks of h": lambda m: m.h.register_forward_hook(lambda module, x, y: 2 * y),
    "layers of h": lambda m: setattr(m, "h", nn.Linear(6, 3)),
    "layers": lambda m: setattr(m, "more", nn.Linear(6, 3)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_plan_and_an_operator_of_a_changed_model_are_refused(what):
    model, x = made(Changeable).eval(), vectors()
    plan, operator = plan_ntk(model, x), NTKOperator(model, x)
    empirical_ntk(model, x, plan=plan)
    operator @ torch.ones(7)
    CHANGES[what](model)
    if what != "modes of":
        with pytest.raises(PlanError, match=f"changed since the plan: {what}"):
            empirical_ntk(model, x, plan=plan)
        with pytest.raises(ModelError, match=f"{what}.* changed since|no trainable parameter"):
            operator @ torch.ones(7)
    for refused in (lambda: empirical_ntk(model, x, plan=plan), lambda: operator @ torch.ones(7)):
        with pytest.raises(ModelError, match=r"changed|eval|no trainable parameter"):
            refused()


VALUES = {
    "load_state_dict(assign=True)": lambda m: m.load_state_dict(
        {k: 3 * v for k, v in m.state_dict().items()}, assign=True
    ),
    "data of a weight": lambda m: m.a.weight.data.mul_(3),
    "data of a bias": lambda m: m.h.bias.data.add_(1),
    "data exchanged": lambda m: setattr(m.a.weight, "data", 2 * m.a.weight.data),
    "a buffer": lambda m: m.norm.running_var.mul_(9),
    "a buffer exchanged": lambda m: setattr(m.norm, "running_mean", torch.ones(6)),
    "no_grad": lambda m: torch.no_grad()(m.a.weight.mul_)(3),
    "one number by NumPy": lambda m: m.a.weight.detach().numpy().__setitem__((0, 0), 5),
}


@pytest.mark.parametrize("what", VALUES)
def test_an_operator_refuses_other_values_and_a_plan_takes_them(what):
    model, x = made(Changeable).eval(), vectors()
    plan, operator, across = plan_ntk(model, x), NTKOperator(model, x), NTKOperator(model, x, x[:2])
    VALUES[what](model)
    for each in (operator, across, across.T):
        with pytest.raises(ModelError, match=r"changed since.*\n.*\n.*make a new NTKOperator"):
            each @ torch.ones(each.shape[1])
    assert error(model, x, plan=plan) < 1e-6
    assert (NTKOperator(model, x) @ torch.ones(7)).isfinite().all()


def test_an_operator_of_changed_inputs_is_refused():
    model, x = made(Changeable).eval(), vectors()
    for change in (lambda x: x.mul_(2), lambda x: x.data.mul_(2)):
        operator = NTKOperator(model, x)
        change(x)
        with pytest.raises(ModelError, match="inputs"):
            operator @ torch.ones(7)


OTHERS = {
    "slope": lambda m: setattr(m.slope, "negative_slope", 0.9),
    "activation": lambda m: setattr(m, "act", torch.sin),
    "mode": lambda m: m.slope.train(),
    "buffer": lambda m: m.norm.running_var.mul_(2),
    "eps of a norm": lambda m: setattr(m.norm, "eps", 0.1),
    "hidden": lambda m: m.a.register_forward_hook(lambda module, x, y: 2 * y),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_store_is_not_finished_with_another_network(tmp_path, what):
    model, x = made(Changeable).eval(), vectors(8)
    other = copy.deepcopy(model)
    OTHERS[what](other)
    assert not write_ntk(tmp_path / "a.zarr", model, x, tile=4, part=(0, 2))
    with pytest.raises(StoreError, match="another model"):
        write_ntk(tmp_path / "a.zarr", other, x, tile=4, part=(1, 2))
    assert write_ntk(tmp_path / "a.zarr", copy.deepcopy(model), x, tile=4, part=(1, 2))
    found = torch.from_numpy(read_store(tmp_path / "a.zarr", "kernels").ntk.values)
    torch.testing.assert_close(found, empirical_ntk(model, x), rtol=1e-5, atol=1e-5)


def test_half_precision_is_not_stored(tmp_path):
    with pytest.raises(ModelError, match=r"model\.float"):
        write_ntk(tmp_path / "a.zarr", made(Net).half(), vectors().half())


def test_a_finer_copy_leaves_the_model_alone():
    model = made(Net)
    assert wide(vectors()).dtype == torch.float64
    model.a.weight.grad = torch.ones(8, 6)
    empirical_ntk(copy.deepcopy(model).half(), vectors().half())
    assert (model.a.weight.grad == 1).all()


def test_a_store_is_finished_by_another_process(tmp_path):
    """What it is of is told the same there: no address of an object, no number of a device."""
    code = (
        "import copy, sys, torch\n"
        "from ntkscope.ntk import write_ntk\n"
        "from tests.unit.ntk.test_state import Changeable, made, vectors\n"
        "model, part = made(Changeable).eval(), int(sys.argv[2])\n"
        "print(write_ntk(sys.argv[1], model, vectors(8), tile=4, part=(part, 2)))"
    )
    model = made(Changeable).eval()
    assert not write_ntk(tmp_path / "a.zarr", model, vectors(8), tile=4, part=(0, 2))
    again = [sys.executable, "-c", code, str(tmp_path / "a.zarr"), "1"]
    found = subprocess.run(again, capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "True"
