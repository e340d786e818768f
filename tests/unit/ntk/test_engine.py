"""The engine, on every kind of layer and every way of using one, against the definition."""

import warnings
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ntkscope.errors import ModelError
from ntkscope.ntk import empirical_ntk, plan_ntk
from ntkscope.ntk.empirical.budget import choose_blocking, parse_bytes
from ntkscope.ntk.empirical.gram.outer_product import add_factored
from ntkscope.ntk.empirical.gram.readout import collapse_readout
from ntkscope.ntk.empirical.gram.strategies import STRATEGIES
from ntkscope.ntk.empirical.layer_gradients import per_sample_gradients
from ntkscope.ntk.empirical.planner import make_plan
from ntkscope.ntk.empirical.tuning import Tuning
from ntkscope.runtime import matmul
from tests.oracles.jacobian import jacobian_layer_ntks
from tests.oracles.networks import NAMES, network
from tests.oracles.ntk import ntk, of_kind

torch.set_num_threads(1)
KINDS = ("trace", "full", "pseudo", "diagonal")
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop|Using padding='same'")


def relative_error(found, expected):
    return ((found - expected).abs().max() / expected.abs().max()).item()


def strategies(name, **how):
    model, x, _ = network(name)
    plan = make_plan(model, x, None, "trace", **how)
    return {layer.name: layer.strategy for layer in plan.layers}


def is_symmetric(kernel, kind):
    if kind == "full":
        return torch.equal(kernel, kernel.permute(2, 3, 0, 1))
    return torch.equal(kernel, kernel.transpose(0, 1))


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_definition(name):
    model, x1, x2 = network(name)
    for other in (None, x2):
        full = ntk(model, x1, x1 if other is None else other, "full")
        for kind in KINDS:
            found = empirical_ntk(model, x1, other, kind=kind)
            expected = of_kind(full, kind)
            assert found.shape == expected.shape
            assert relative_error(found, expected) < 1e-10
            assert other is not None or is_symmetric(found, kind)


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_gives_the_same(name):
    model, x1, x2 = network(name)
    full = ntk(model, x1, x2, "full")
    for kind in ("trace", "full", "diagonal"):
        for force in STRATEGIES:
            found = empirical_ntk(model, x1, x2, kind=kind, force=force)
            assert relative_error(found, of_kind(full, kind)) < 1e-10


def test_layer_ntks_sum_to_the_whole():
    model, x1, x2 = network("residual batch norm")
    for other in (None, x2):
        layers = empirical_ntk(model, x1, other, by_layer=True)
        whole = empirical_ntk(model, x1, other)
        torch.testing.assert_close(sum(layers.values()), whole, rtol=1e-12, atol=1e-12)


def test_a_forced_strategy_is_taken_where_it_can_be():
    assert set(strategies("vectors", force="factored").values()) == {"factored"}
    assert strategies("conv2d same", force="structured")["0"] == "structured"
    assert strategies("conv2d same", force="factored")["0"] != "factored"
    assert strategies("conv2d same", force="pixels")["0"] == "pixels"
    assert strategies("vectors", force="pixels")["0"] != "pixels"
    assert set(strategies("recurrent", force="fallback").values()) == {"fallback"}


def test_what_no_module_knows_is_captured_where_it_is_used():
    captured = {}
    for name in NAMES:
        model, x1, x2 = network(name)
        layers = plan_ntk(model, x1, x2).layers
        assert "fallback" not in {layer.strategy for layer in layers}
        captured[name] = {layer.module_name for layer in layers if layer.by_use}
    assert {name: modules for name, modules in captured.items() if modules} == {
        "conv3d": {"1"},
        "instance norm": {"1"},
        "vision transformer": {""},
        "shared block": {""},
        "attention": {"attend", "attend.out_proj"},
        "attention, batch second": {"inner", "attend", "attend.out_proj"},
        "custom parameter": {""},
        "weight used by hand too": {"linear"},
        "weight norm": {"0", "0.parametrizations.weight"},
        "folded": {"places"},
    }


@pytest.mark.parametrize("name", NAMES)
def test_layers_are_those_of_the_plain_jacobian(name):
    model, x1, x2 = network(name)
    if name in {"tied", "language tied", "language"}:
        pytest.skip("the plain Jacobian counts tied weights twice, and vmap pads wrongly")
    found = empirical_ntk(model, x1, x2, by_layer=True)
    expected = dict(jacobian_layer_ntks(model, x1, x2, "trace"))
    assert list(found) == list(expected)
    for layer, kernel in expected.items():
        torch.testing.assert_close(found[layer], kernel, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["residual batch norm", "language", "vectors", "custom parameter"])
def test_the_same_whatever_is_held_and_passed_at_once(name, kind):
    model, x1, x2 = network(name, samples=7)
    for other in (None, x2):
        whole = empirical_ntk(model, x1, other, kind=kind)
        for how in ({"chunk": 1}, {"chunk": 3}, {"memory": 60_000}, {"memory": "80kB", "chunk": 2}):
            found = empirical_ntk(model, x1, other, kind=kind, **how)
            torch.testing.assert_close(found, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("samples", [1, 2])
def test_few_samples(samples):
    for name in ("vision transformer", "recurrent", "residual group norm", "folded"):
        model, x1, x2 = network(name, samples=samples)
        for other in (None, x2):
            expected = ntk(model, x1, x1 if other is None else other, "full")
            assert relative_error(empirical_ntk(model, x1, other, kind="full"), expected) < 1e-10


@pytest.mark.parametrize(
    "name", ["vectors", "residual batch norm", "vision transformer", "language", "conv2d dilated"]
)
def test_float32_is_right_to_rounding(name):
    model, x1, _ = network(name)
    expected = ntk(model, x1, x1, "full")
    single = x1.float() if x1.is_floating_point() else x1
    assert relative_error(empirical_ntk(model.float(), single, kind="full"), expected) < 1e-5


def test_below_a_readout_one_cotangent_will_do():
    torch.manual_seed(0)
    relu = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    relu, x = relu.double(), torch.randn(7, 4, dtype=torch.float64)
    plan = make_plan(relu, x, None, "trace")
    left, right = (per_sample_gradients(relu, plan, part) for part in (x[:3], x[3:]))
    reduced = {name: collapse_readout(left[name], right[name]) for name in left}
    assert {name: a.output_gradients.shape[3] for name, (a, _) in reduced.items()} == {
        "0": 3,
        "2": 1,
        "4": 3,
    }
    found, expected = torch.zeros(3, 4).double(), torch.zeros(3, 4).double()
    add_factored(found, *reduced["2"], "trace")
    add_factored(expected, left["2"], right["2"], "trace")
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


_LAYERS = st.sampled_from(
    [
        lambda c: nn.Conv2d(c, c, 3, padding=1),
        lambda c: nn.Conv2d(c, c, 3, padding=1, groups=2, bias=False),
        lambda c: nn.Conv2d(c, c, 1),
        lambda c: nn.GroupNorm(2, c),
        nn.BatchNorm2d,
        lambda c: nn.InstanceNorm2d(c, affine=True),
        lambda c: nn.Tanh(),
        lambda c: nn.ReLU(inplace=True),
        lambda c: nn.AvgPool2d(2, 1, 1),
        lambda c: nn.MaxPool2d(2, 1),
        lambda c: nn.Upsample(scale_factor=2),
        lambda c: nn.LazyConv2d(4, 2),
        lambda c: nn.Sequential(nn.Flatten(2), nn.LazyLinear(9), nn.Unflatten(2, (3, 3))),
    ]
)


@settings(max_examples=25)
@given(
    st.lists(_LAYERS, min_size=1, max_size=5),
    st.integers(0, 5),
    st.sampled_from(list(KINDS)),
    st.sampled_from([None, *STRATEGIES]),
)
def test_random_compositions(makers, seed, kind, force):
    torch.manual_seed(seed)
    layers = [make(4) for make in makers]
    shared = layers[0] if layers[0]._parameters else nn.Identity()
    model = nn.Sequential(shared, *layers, nn.Flatten(), nn.LazyLinear(2)).double().eval()
    x = torch.randn(4, 4, 4, 4, dtype=torch.float64)
    try:
        model(x)
    except (RuntimeError, ValueError):  # the layers do not fit
        return
    try:
        expected = ntk(model, x, x, kind)
    except RuntimeError:  # an in-place operation after one that needs its output
        with pytest.raises(ModelError, match="in-place"):
            empirical_ntk(model, x, kind=kind, force=force)
        return
    assert relative_error(empirical_ntk(model, x, kind=kind, force=force), expected) < 1e-10


class Spoiler(nn.Module):
    """Adds in place to what a layer needs for its gradient."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        x = torch.tanh(x)
        x += self.inner(x)
        return self.head(x)


class FunctionalDropout(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)

    def forward(self, x):
        return nn.functional.dropout(self.inner(x))


class Centred(nn.Module):
    """Subtracts the mean of the batch."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)

    def forward(self, x):
        return self.inner(x - x.mean(0))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Spoiler(), "x = x + y, not x += y"),
        (FunctionalDropout(), "training=self.training"),
        (Centred(), "depends on the other samples"),
        (nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.1)), "call model.eval()"),
        (nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), "call model.eval()"),
        (
            nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=False)).eval(),
            "running statistics",
        ),
    ],
)
def test_models_without_a_kernel_are_refused(model, says):
    with pytest.raises(ModelError) as error:
        empirical_ntk(model, torch.randn(4, 3))
    assert says in str(error.value)


class ReadTokens(nn.Module):
    """Of tokens [N, T, 4] those whose first number is positive."""

    def __init__(self):
        super().__init__()
        self.mix, self.hidden, self.readout = nn.Linear(4, 4), nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x):
        mixed = self.mix(x).cumsum(1)
        return self.readout((torch.tanh(self.hidden(mixed)) * (x[..., :1] > 0)).sum(1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_of_which_one_position_is_read_is_kept_there(kind):
    torch.manual_seed(0)
    model, x = ReadTokens().double(), torch.randn(9, 5, 4, dtype=torch.float64)
    x[..., 0] = -x[..., 0].abs()
    x[range(9), [0, 1, 2, 3, 4, 4, 3, 2, 1], 0] *= -1
    plan = plan_ntk(model, x, kind=kind)
    assert [layer.one_position for layer in plan.layers] == [False, True, False]
    assert [layer.strategy for layer in plan.layers][1] == "factored"
    several = x.clone()
    several[7, :, 0] = 1.0  # and not as the plan was made for
    for given_x, other in ((x, None), (several, None), (x[:4], several)):
        expected = of_kind(ntk(model, given_x, given_x if other is None else other, "full"), kind)
        for how in ({}, {"chunk": 2}):
            found = empirical_ntk(model, given_x, other, kind=kind, plan=plan, **how)
            assert relative_error(found, expected) < 1e-10


@pytest.mark.parametrize("outputs", [1, 3])
def test_gradients_in_either_order_in_memory_are_the_same(outputs, monkeypatch):
    torch.manual_seed(0)
    layers = nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 2), nn.Linear(2, outputs)
    model = nn.Sequential(*layers[:3], nn.Tanh(), Mean(), layers[3])
    layers[1].bias.requires_grad_(False)
    x = torch.randn(6, 7, 3)
    expected = of_kind(ntk(model.double(), x.double(), x.double(), "full"), "trace")
    model.float()
    for onednn in (False, True):
        monkeypatch.setattr(matmul, "_mkl_is_slow", lambda on=onednn: on)
        monkeypatch.setattr(matmul, "_WORTH", 0)
        for how in ({}, {"chunk": 2}, {"force": "materialised"}):
            assert relative_error(empirical_ntk(model, x, **how), expected) < 1e-5


class Mean(nn.Module):
    """Over tokens: the gradient is the same for all, and once in memory."""

    def forward(self, x):
        return x.mean(1)


def test_memory_that_cannot_do_is_refused():
    model, x, _ = network("residual batch norm")
    with pytest.raises(ModelError, match="do not fit"):
        empirical_ntk(model, x, memory="1kB")
    with pytest.raises(ValueError, match="2GB"):
        empirical_ntk(model, x, memory="much")


def test_a_budget_is_kept():
    assert parse_bytes("2GB") == 2 * 10**9
    assert parse_bytes("1KiB") == parse_bytes(1024) == 1024
    for memory in (10_000, 100_000, 10**6):
        blocking = choose_blocking(memory, samples=1000, working=500, gradients=300)
        assert blocking.batch * (500 + 300) + blocking.row_block * 300 <= memory
        assert blocking.batch * 500 + (blocking.column_block + blocking.row_block) * 300 <= memory
        assert min(blocking.row_block, blocking.column_block, blocking.batch) >= 1
    assert choose_blocking(None, samples=1000, working=500, gradients=300).row_block == 1000
    assert choose_blocking("2MB", 1000, 500, 300) == choose_blocking(None, 1000, 500, 300)


def test_a_pass_has_some_samples_where_the_budget_allows():
    large = {"samples": 32, "working": 10**6, "gradients": 1000, "one_pass": 10**6, "fewest": 8}
    assert choose_blocking(None, **large).batch == choose_blocking("50MB", **large).batch == 8
    assert choose_blocking("5MB", **large).batch == 1
    assert choose_blocking(None, **large, chunk=2).batch == 2


def test_without_a_budget_half_of_what_is_free_is_used(monkeypatch):
    model, x, _ = network("residual batch norm", samples=9)
    whole = empirical_ntk(model, x)
    plan = plan_ntk(model, x, tuning=Tuning(unasked_bytes=0))  # no kernel is too small to ask
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=120_000))
    found = empirical_ntk(model, x, plan=plan)
    torch.testing.assert_close(found, whole, rtol=1e-12, atol=1e-12)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(ModelError, match="memory = 500"):
        empirical_ntk(model, x, plan=plan)


class Fails(nn.Module):
    """Fails once a graph is wanted, having touched all that it can."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 2)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        self.inner.eval()
        torch.rand(1)
        if torch.is_grad_enabled():
            raise RuntimeError("as asked")
        return self.inner(x)


def test_the_model_is_left_as_it_was_found_also_by_a_failure():
    model = Fails()
    model.inner.weight.grad = torch.ones(2, 3)
    random = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="as asked"):
        empirical_ntk(model, torch.ones(3, 3))
    assert model.inner.training
    assert model.calls == 0
    assert torch.equal(model.inner.weight.grad, torch.ones(2, 3))
    assert torch.equal(torch.get_rng_state(), random)
    assert not model.inner._forward_hooks


@pytest.mark.parametrize("name", NAMES)
def test_parameters_and_hooks_are_left_as_they_were(name):
    model, x, _ = network(name)
    before = [(n, id(p), p.clone()) for n, p in model.named_parameters()]
    with torch.no_grad(), warnings.catch_warnings():
        empirical_ntk(model, x)
    for (found, same, value), (after, parameter) in zip(
        before, model.named_parameters(), strict=True
    ):
        assert (found, same) == (after, id(parameter))
        assert torch.equal(value, parameter)
        assert parameter.grad is None
    assert not any(module._forward_hooks for module in model.modules())
