"""What a kernel is held against: samples that prove something, and brute force in float64.

Networks whose kernel would be wrong where the first samples, one sample or a sum were looked at.
"""

import contextlib
import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ntkscope.errors import ModelError
from ntkscope.ntk import empirical_ntk, plan_ntk, write_ntk
from ntkscope.ntk.empirical import engine
from ntkscope.ntk.empirical.checked import Checked
from ntkscope.ntk.empirical.entries import spread
from ntkscope.ntk.empirical.planner import make_plan
from ntkscope.ntk.empirical.rounding import Rounding, same_rows
from ntkscope.ntk.operator import NTKOperator
from tests.oracles.ntk import ntk

torch.set_num_threads(1)
KINDS = ("trace", "full", "pseudo", "diagonal")


def wide(x):
    return x.clone().double() if x.is_floating_point() else x


def error(model, x, x2=None, kind="trace", **how):
    """Largest of the kernel, relative to the largest element of that in float64."""
    exact = copy.deepcopy(model).double()
    expected = ntk_or_zero(exact, wide(x), wide(x if x2 is None else x2), kind)
    found = empirical_ntk(model, x.clone(), x2, kind=kind, **how).double()
    return ((found - expected).abs().max() / expected.abs().max()).item()


def ntk_or_zero(model, x1, x2, kind):
    grad = torch.autograd.grad

    def materialised(y, parameters, **options):
        return grad(y, parameters, allow_unused=True, materialize_grads=True, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.autograd, "grad", materialised)
        return ntk(model, x1, x2, kind)


def vectors(count=7, width=6):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(1))


def made(model_class, *arguments):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return model_class(*arguments)


class Autoencoder(nn.Module):
    """Its weight is used in its layer and again by hand."""

    def __init__(self):
        super().__init__()
        self.enc = nn.Linear(6, 4, bias=False)

    def forward(self, x):
        return F.linear(torch.tanh(self.enc(x)), self.enc.weight.t())


class Experts(nn.Module):
    """Two convolutions, of which each sample passes one."""

    def __init__(self):
        super().__init__()
        self.experts = nn.ModuleList(nn.Conv2d(3, 8, 3) for _ in range(2))
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        route, out = (x[:, 0, 0, 0] > 0).long(), x.new_zeros(len(x), 8)
        for number, expert in enumerate(self.experts):
            at = (route == number).nonzero().squeeze(1)
            if len(at):
                out = out.index_add(0, at, torch.tanh(expert(x[at])).mean((2, 3)))
        return self.head(torch.tanh(out))


class SortedExperts(Experts):
    """The samples of one expert after those of the other, as batched experts have them."""

    def forward(self, x):
        order = (x[:, 0, 0, 0] > 0).long().argsort(stable=True)
        out = torch.tanh(self.experts[0](x[order])).mean((2, 3))
        return self.head(torch.tanh(out))[order.argsort()]


class Sorted(nn.Module):
    """The batch by length, and back."""

    def __init__(self):
        super().__init__()
        self.e, self.a = nn.Embedding(11, 6, padding_idx=0), nn.Linear(6, 6)
        self.h = nn.Linear(6, 3)

    def forward(self, t):
        order = (t != 0).sum(1).argsort(descending=True, stable=True)
        return self.h(torch.tanh(self.a(self.e(t[order]).mean(1))))[order.argsort()]


class OnlyPositive(nn.Module):
    """Uses its first layer's weight again, for samples of which the first number is positive."""

    def __init__(self):
        super().__init__()
        self.a, self.h = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x):
        again = (x[:, :1] > 0).to(x) * F.linear(x * x, self.a.weight)
        return self.h(torch.tanh(self.a(x) + again))


@pytest.mark.parametrize("first", ["as drawn", "blank", "nan", "equal", "huge"])
@pytest.mark.parametrize("model_class", [Autoencoder, OnlyPositive])
def test_first_samples_that_prove_nothing(model_class, first):
    x, model = vectors(9), made(model_class)
    if first == "blank":
        x[:2] = 0
    elif first == "nan":
        x[0] = torch.nan
    elif first == "equal":
        x[1] = x[0] = x[0].clone().fill_(-0.5)
    elif first == "huge":
        x[0] *= 1e9
    if first == "nan":
        for other in (None, x[1:], x):
            with pytest.raises(ModelError, match=r"(?s)NaN or infinity in samples 0\n.*x"):
                empirical_ntk(model, x[1:] if other is x else x, other)
        found = empirical_ntk(model, x, verify="off")
        assert found[0].isnan().all()
        rest = ntk(copy.deepcopy(model).double(), wide(x[1:]), wide(x[1:]), "trace")
        torch.testing.assert_close(found[1:, 1:].double(), rest, rtol=1e-5, atol=1e-6)
    elif first == "huge":
        rest = ntk(copy.deepcopy(model).double(), wide(x[1:]), wide(x[1:]), "trace")
        found = empirical_ntk(model, x)[1:, 1:].double()
        assert ((found - rest).abs().max() / rest.abs().max()) < 1e-5
    else:
        assert error(model, x) < 1e-6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model_class", [Experts, SortedExperts])
def test_samples_that_pass_different_layers(model_class, kind):
    x = torch.randn(7, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    x[:, 0, 0, 0] = 1
    x[4, 0, 0, 0] = -1
    for _ in range(2):
        assert error(made(model_class), x, kind=kind) < 1e-6
    assert error(made(model_class), x, x[2:5], kind=kind) < 1e-6


def test_one_sample_of_many_that_passes_another_layer():
    x = torch.randn(60, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    x[:, 0, 0, 0] = 1
    x[37, 0, 0, 0] = -1
    assert error(made(Experts), x) < 1e-6
    assert error(made(Experts), x, chunk=16) < 1e-6


def test_a_batch_that_is_sorted_in_forward():
    lengths = torch.tensor([5, 4, 2, 5, 3, 1, 4])
    t = torch.randint(1, 11, (7, 5), generator=torch.Generator().manual_seed(1))
    t = t * (torch.arange(5) < lengths[:, None])
    assert error(made(Sorted), t) < 1e-6
    assert error(made(Sorted), t[lengths.argsort(descending=True)]) < 1e-6


class Guard(nn.Module):
    """One sample that is too large changes all."""

    def forward(self, x):
        return x / x.abs().max() * 3 if x.abs().max() > 3 else x


class Ghost(nn.Module):
    """Centres batches of more than two."""

    def forward(self, x):
        return x - x.mean(0) if len(x) > 2 else x


class Neighbours(nn.Module):
    """Some samples see the one before."""

    def forward(self, x):
        return torch.where(x[:, :1] > 1, x + 0.01 * x.roll(1, 0), x)


class Position(nn.Module):
    """A sample's place in the batch is an input."""

    def forward(self, x):
        return x + 1e-3 * torch.arange(len(x)).to(x)[:, None]


class Leak(nn.Module):
    def forward(self, x):
        return 0.8 * x + 0.2 * x.mean(0)


class FaintLeak(nn.Module):
    def forward(self, x):
        return x + 1e-3 * x.mean(0)


MIXERS = (Guard, Ghost, Neighbours, Position, Leak, FaintLeak)


@pytest.mark.parametrize("mixer", MIXERS)
def test_samples_that_are_mixed_are_refused(mixer):
    x = vectors()
    x[:2].clamp_(-1, 1)
    x[5] *= 9
    model = nn.Sequential(mixer(), nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        with pytest.raises(ModelError, match="depends on the other samples"):
            empirical_ntk(copy.deepcopy(model).to(dtype), x.to(dtype))
    with pytest.raises(ModelError, match="depends on the other samples"):
        empirical_ntk(model, x[:1], x)
    with pytest.raises(ModelError, match="depends on the other samples"):
        plan_ntk(model, x)


class HiddenMixing(nn.Module):
    """Adds nothing to the outputs, and the mean's gradient."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 3)

    def forward(self, x):
        y = torch.tanh(self.inner(x))
        return y + (y.mean(0) - y.mean(0).detach())


def test_gradients_that_are_mixed_are_found():
    x, model = vectors(), made(HiddenMixing)
    with contextlib.suppress(ModelError):
        assert error(model, x) < 1e-6


class Draws(nn.Module):
    def __init__(self, draw):
        super().__init__()
        self.inner, self.draw = nn.Linear(6, 3), draw

    def forward(self, x):
        self.draw()
        return self.inner(x)


@pytest.mark.parametrize("draw", [lambda: torch.rand(1), lambda: torch.randperm(3)])
def test_a_forward_that_draws_random_numbers_is_refused(draw):
    model, before = Draws(draw), torch.get_rng_state()
    with pytest.raises(ModelError, match="random"):
        empirical_ntk(model, vectors())
    assert torch.equal(before, torch.get_rng_state())


class Again(nn.Module):
    """Uses a weight again, so many times."""

    def __init__(self, times):
        super().__init__()
        self.a, self.h, self.times = nn.Linear(6, 16), nn.Linear(16, 3), times

    def forward(self, x):
        return self.h(torch.tanh(self.a(x)) + self.times * F.linear(x, self.a.weight))


@pytest.mark.parametrize("times", [3e-2, 3e-3, 3e-4, 3e-5])
def test_a_small_share_of_a_gradient_is_not_taken_for_rounding(times):
    assert error(made(Again, times), vectors()) < 1e-6
    assert error(made(Again, times).double(), vectors().double()) < 1e-12


class Centred(nn.Module):
    """Embeddings without their mean: every row has a gradient, nearly all a small one."""

    def __init__(self):
        super().__init__()
        self.e, self.h = nn.Embedding(5000, 6), nn.Linear(6, 3).requires_grad_(False)

    def forward(self, t):
        return self.h(torch.tanh(self.e(t).mean(1) - self.e.weight.mean(0)))


def test_many_small_gradients_are_not_taken_for_rounding():
    t = torch.randint(0, 5000, (5, 5), generator=torch.Generator().manual_seed(1))
    model = made(Centred)
    found = empirical_ntk(model, t).double()
    expected = ntk(copy.deepcopy(model).double(), t, t, "trace")
    torch.testing.assert_close(found, expected, rtol=2e-4, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_right_to_its_own_rounding(dtype):
    model = made(lambda: nn.Sequential(nn.Linear(6, 64), nn.Tanh(), nn.Linear(64, 3))).to(dtype)
    x = vectors().to(dtype)
    eps = torch.finfo(dtype).eps
    found = empirical_ntk(model, x)
    assert found.dtype == dtype
    assert error(model, x) < eps
    assert error(made(OnlyPositive).to(dtype), x) < eps
    plan = plan_ntk(model, x)
    torch.testing.assert_close(empirical_ntk(model, x, plan=plan), found)
    assert model[0].weight.dtype == dtype


def test_overflow_is_an_error():
    x = 300 * vectors().half()
    big = made(lambda: nn.Sequential(nn.Linear(6, 400), nn.ReLU(), nn.Linear(400, 3)))
    with pytest.raises(ModelError, match=r"overflows in torch\.float16"):
        empirical_ntk(copy.deepcopy(big).half(), x)
    with pytest.raises(ModelError, match=r"overflows in torch\.float32"):
        empirical_ntk(big, 1e18 * x.float())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by_layer", [False, True])
@pytest.mark.parametrize("verify", ["entries", "all"])
def test_a_wrong_entry_is_found(monkeypatch, kind, by_layer, verify):
    model = made(lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)))
    x, compute = vectors(), engine.compute_kernels

    def wrong(*arguments, **options):
        found = compute(*arguments, **options)
        next(iter(found.values()))[:] *= 1.001
        return found

    monkeypatch.setattr("ntkscope.ntk.empirical.api.compute_kernels", wrong)
    for other in (None, x[:3]):
        with pytest.raises(ModelError, match="by brute force"):
            empirical_ntk(model, x, other, kind=kind, by_layer=by_layer, verify=verify)
        empirical_ntk(model, x, other, kind=kind, by_layer=by_layer, verify="off")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by_layer", [False, True])
def test_a_wrong_entry_of_many_samples_of_known_layers_is_found(monkeypatch, kind, by_layer):
    model = made(lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)))
    x, compute = vectors(230), engine.compute_kernels

    def wrong(*arguments, **options):
        found = compute(*arguments, **options)
        next(iter(found.values()))[100:] *= 1.001
        return found

    for other in (None, x[:7]):
        empirical_ntk(model, x, other, kind=kind, by_layer=by_layer)
    monkeypatch.setattr("ntkscope.ntk.empirical.api.compute_kernels", wrong)
    for other in (None, x[:7]):
        with pytest.raises(ModelError, match="of these samples alone"):
            empirical_ntk(model, x, other, kind=kind, by_layer=by_layer)


def test_nan_never_passes(monkeypatch):
    model, x = made(lambda: nn.Sequential(nn.Linear(6, 3))), vectors()
    compute = engine.compute_kernels

    def wrong(*arguments, **options):
        return {name: k * torch.nan for name, k in compute(*arguments, **options).items()}

    monkeypatch.setattr("ntkscope.ntk.empirical.api.compute_kernels", wrong)
    with pytest.raises(ModelError, match="NaN at samples 0, 1, 2, 3, 4, 5, 6 of x1"):
        empirical_ntk(model, x)
    with pytest.raises(ModelError, match="NaN at samples 0, 1, 2 of x2"):
        empirical_ntk(model, x, x[:3])
    nan, one = torch.full((1, 2), torch.nan), torch.ones(1, 2)
    rounding = Rounding.of(model)
    assert same_rows(nan, one, rounding) == (False, False)
    assert same_rows(one, nan, rounding) == (False, False)
    assert not rounding.allows(nan[0], one[0])


@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_can_be_verified(kind):
    model, x = made(OnlyPositive), vectors()
    for other in (None, x[:3]):
        assert error(model, x, other, kind=kind, verify="all") < 1e-6
    with pytest.raises(ValueError, match="verify"):
        empirical_ntk(model, x, verify="some")


def test_a_wrong_tile_is_not_written(tmp_path, monkeypatch):
    model, x, compute = made(OnlyPositive), vectors(), engine.compute_kernels

    def wrong(*arguments, **options):
        return {name: 1.01 * k for name, k in compute(*arguments, **options).items()}

    monkeypatch.setattr("ntkscope.ntk.tiled.tiled_kernel.compute_kernels", wrong)
    with pytest.raises(ModelError, match="by brute force"):
        write_ntk(tmp_path / "a.zarr", model, x)
    assert write_ntk(tmp_path / "b.zarr", model, x, verify="off")


def test_entries_are_of_samples_far_apart():
    for count in (2, 5, 200, 10_000):
        found = spread(count, 2, seed=0)
        assert found[0] < count / 2 < found[1] + 1 <= count
    assert spread(1, 4, seed=0) == [0]


def test_a_kernel_is_verified_once_and_again_for_other_inputs():
    model, checked = made(OnlyPositive), Checked()
    x, y = vectors(300), vectors(300)
    assert checked.is_due(model, x, None, ())
    checked.note(model, x, None, (), 1.0)
    assert not checked.is_due(model, x, None, ())
    assert checked.is_due(model, y, None, ())
    assert checked.is_due(model, x, y, ())
    assert checked.is_due(model, x, None, ("chunk",))
    with torch.no_grad():
        model.a.weight.mul_(2)
    assert not checked.is_due(model, x, None, ())
    checked.earn(60)
    assert checked.is_due(model, x, None, ())
    x.mul_(2)
    assert checked.is_due(model, x, None, ())


def test_formulas_are_kept_where_rounding_alone_is_seen():
    layers = [nn.Linear(50, 50), nn.LayerNorm(50), nn.GELU()] * 12
    model = made(lambda: nn.Sequential(*copy.deepcopy(layers), nn.Linear(50, 3)))
    plan = make_plan(model, 100 * vectors(30, 50), None, "trace")
    assert not plan.fallback_parameters


class WithItsNegative(nn.Module):
    """Calls a layer on all samples, and then on all their negatives."""

    def __init__(self):
        super().__init__()
        self.a, self.h = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x):
        one, other = torch.tanh(self.a(torch.cat([x, 2 - x]))).chunk(2)
        return self.h(one + 2 * other)


@pytest.mark.parametrize("which", ["all equal", "one proves", "others in x2"])
def test_the_order_of_samples_shows_where_few_of_them_differ(which):
    model, x, x2 = made(WithItsNegative).double(), vectors().double(), None
    if which == "one proves":
        x[1:] = torch.nan  # their gradients prove nothing
        found = empirical_ntk(model, x, verify="off")[:1, :1]
        torch.testing.assert_close(found, ntk(model, x[:1], x[:1], "trace"))
        return
    x[:] = x[:1].clone()
    if which == "others in x2":
        x2 = vectors(4).double() + 1
    found = empirical_ntk(model, x, x2, verify="off")
    torch.testing.assert_close(found, ntk(model, x, x if x2 is None else x2, "trace"))


def test_outputs_that_cancel_are_no_mixing_of_samples():
    model = made(lambda: nn.Sequential(nn.LSTM(6, 4, batch_first=True), Last(), nn.Linear(4, 1)))
    model, x = model.double(), torch.randn(9, 5, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model[2].bias -= model(x.double()[3:4])[0, 0] * (1 - 1e-9)
    assert error(model, x.double()) < 1e-10


class Last(nn.Module):
    """Of a recurrent layer's outputs."""

    def forward(self, y):
        return y[0][:, -1]


@pytest.mark.parametrize("verify", ["entries", "off"])
def test_the_sample_that_a_model_fails_on_is_named(verify):
    tokens = torch.randint(9, (7, 4))
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(16, 2))
    spoilt = tokens.clone()
    spoilt[5, 1] = 9
    with pytest.raises(ModelError, match=r"(?s)fails on sample 5 of x1, .*out of range"):
        empirical_ntk(model, spoilt, verify=verify)
    with pytest.raises(ModelError, match=r"(?s)fails on sample 5 of x2, .*out of range"):
        empirical_ntk(model, tokens, spoilt, verify=verify)
    with pytest.raises(ModelError, match=r"(?s)fails on sample 0 of x2, .*shape \(5,\)"):
        empirical_ntk(model, tokens, torch.randint(9, (3, 5)), verify=verify)
    with pytest.raises(ModelError, match="sample 5 of x2"):
        NTKOperator(model, tokens, spoilt) @ torch.ones(7)


def test_samples_that_are_not_finite_may_be_masked_by_the_model():
    x = vectors()
    x[2, 1], x[4, 0] = torch.nan, torch.inf
    masking = Masking()
    assert error(masking, x.nan_to_num(0, 0)) < 1e-6
    torch.testing.assert_close(
        empirical_ntk(masking, x), empirical_ntk(masking, x.nan_to_num(0, 0))
    )
    plain = made(lambda: nn.Sequential(nn.Linear(6, 3)))
    for refused in (lambda: NTKOperator(plain, x), lambda: empirical_ntk(plain, x)):
        with pytest.raises(ModelError, match="not finite: NaN or infinity in samples 2, 4"):
            refused()
    with torch.no_grad():
        masking.a.weight[0, 0] = torch.nan
    with pytest.raises(ModelError, match=r"parameter a\.weight is not finite"):
        empirical_ntk(masking, vectors())


class Masking(nn.Module):
    """Takes zero for what is not finite."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.a = nn.Linear(6, 3)

    def forward(self, x):
        return torch.tanh(self.a(x.nan_to_num(0, 0)))
