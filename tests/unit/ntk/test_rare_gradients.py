"""Gradients that only rare samples have, or get from one another, with the outputs as they were."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ntkscope import empirical_ntk
from ntkscope.errors import ModelError
from tests.oracles.ntk import ntk


class Net(nn.Module):
    """A forward of its own, f(net, x, which of the samples are rare)."""

    def __init__(self, f: Callable[..., Tensor]) -> None:
        super().__init__()
        self.f = f
        self.a, self.b, self.c, self.d = (
            nn.Linear(5, 7), nn.Linear(7, 7), nn.Linear(7, 2), nn.Linear(7, 7),
        )  # fmt: skip
        self.d.load_state_dict(self.b.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.a(x))
        return self.c(torch.tanh(self.d(torch.tanh(self.f(self, h, x[:, :1] > 3)))))


def inputs(samples: int = 100, seed: int = 0) -> Tensor:
    """Two samples of them are rare."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, 5, generator=generator, dtype=torch.float64).clamp(-2, 2)
    x[torch.randperm(samples, generator=generator)[:2], 0] = 4.0
    return x


def equals_the_oracle(f: Callable[..., Tensor]) -> None:
    torch.manual_seed(0)
    model, x = Net(f).double(), inputs()
    expected = ntk(model, x, x, "trace")
    for options in ({}, {"chunk": 64, "verify": "off"}, {"verify": "off"}):
        found = empirical_ntk(model, x, **options)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def _only_among(rare: Tensor, h: Tensor, instead: float) -> Tensor:
    return torch.where(rare, h, torch.full_like(h, instead))


ALONG_THE_SAMPLES = {
    "sum": lambda h, r: (h * r).sum(0, keepdim=True),
    "mean of all axes": lambda h, r: (h * r).mean(),
    "largest": lambda h, r: _only_among(r, h, -9).amax(0),
    "norm": lambda h, r: (h * r).norm(dim=0),
    "normalised": lambda h, r: F.normalize(h * r, dim=0),
    "softmax": lambda h, r: h * _only_among(r, h, -99).softmax(0),
    "sequence second": lambda h, r: (h * r)[None].sum(1),
    "tokens": lambda h, r: (h * r)[:, None].expand(-1, 3, -1).flatten(0, 1).logsumexp(0),
    "attention": lambda h, r: F.scaled_dot_product_attention(
        h, h, h, (r & r.mT) | torch.eye(len(h), dtype=torch.bool)
    ),
}


@pytest.mark.parametrize("name", ALONG_THE_SAMPLES)
def test_rare_samples_that_give_one_another_gradients_alone(name: str) -> None:
    def f(net: Net, h: Tensor, rare: Tensor) -> Tensor:
        given = rare * ALONG_THE_SAMPLES[name](net.b(h), rare)
        return net.b(h) + given - given.detach()

    equals_the_oracle(f)


class Normalised(torch.autograd.Function):
    """Of the rare samples the gradient together has norm 1."""

    @staticmethod
    def forward(ctx, h, rare):
        ctx.rare = rare
        return h.clone()

    @staticmethod
    def backward(ctx, g):
        size = (g * ctx.rare).norm()
        return torch.where(ctx.rare & (size > 0), g / size, g), None


def test_a_backward_pass_of_the_users_own_that_mixes_rare_samples() -> None:
    equals_the_oracle(lambda net, h, rare: Normalised.apply(net.b(h), rare))


MOVED = {
    "taken": lambda h, i: h.take(7 * i[:, None] + torch.arange(7)),
    "stacked": lambda h, i: torch.stack([*map(h.unbind(0).__getitem__, i)]),
    "split": lambda h, i: torch.cat([*map(h.split(1).__getitem__, i)]),
}


@pytest.mark.parametrize("name", MOVED)
def test_rare_tokens_that_are_moved(name: str) -> None:
    def f(net: Net, h: Tensor, rare: Tensor) -> Tensor:
        tokens = torch.stack([h, 2 * h], 1).flatten(0, 1)
        order = torch.arange(len(tokens))
        order[2 * rare.nonzero()[:, 0]] = 2 * rare.nonzero()[:, 0].flip(0)
        moved = net.b(MOVED[name](tokens, order))
        return MOVED[name](moved, order).view(len(h), 2, 7).sum(1)

    equals_the_oracle(f)


def _split_over_four_axes(net: Net, h: Tensor, rare: Tensor) -> Tensor:
    def moved(h: Tensor) -> Tensor:
        n = len(h) // 4
        return h.view(2, 2, 1, n, 7).roll((1, 1), (0, 1)).reshape(len(h), 7)

    return moved(net.b(moved(h))) if rare.any() and len(h) % 4 == 0 else net.b(h)


def test_rows_split_over_four_axes() -> None:
    equals_the_oracle(_split_over_four_axes)


ELSEWHERE = {
    "transposed": lambda net, h, rare: torch.where(rare, F.linear(h, net.b.weight.T), h),
    "in a branch": lambda net, h, rare: h @ net.b.weight if rare.any() else h,
    "of a layer above": lambda net, h, rare: h + rare * net.c.weight.sum(),
    "its bias": lambda net, h, rare: h + F.relu(1.0 * rare) * net.b.bias,
    "in place of another": lambda net, h, rare: functional_call(
        net.b, {"weight": net.b.weight.square()}, (h,)
    ),
    "a penalty": lambda net, h, rare: h - rare * net.b.weight.square().mean(),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_weights_that_rare_samples_meet_outside_of_their_layer(name: str) -> None:
    def f(net: Net, h: Tensor, rare: Tensor) -> Tensor:
        return torch.where(rare, ELSEWHERE[name](net, net.b(h), rare), net.b(h))

    equals_the_oracle(f)


def test_equal_layers_in_an_order_that_rare_samples_choose() -> None:
    def f(net: Net, h: Tensor, rare: Tensor) -> Tensor:
        one, other = (net.b, net.d) if rare.any() else (net.d, net.b)
        return one(h) + torch.tanh(other(torch.tanh(h)))

    equals_the_oracle(f)


def _swapped(h: Tensor, rare: Tensor) -> Tensor:
    """Of batches with a rare sample, two others change places."""
    order = torch.arange(len(h))
    if rare.any() and len(h) > 3:
        order[[len(h) // 4, len(h) // 2]] = order[[len(h) // 2, len(h) // 4]]
    return h[order]


def _by_detached_values(net: Net, h: Tensor, rare: Tensor) -> Tensor:
    def moved(h: Tensor) -> Tensor:
        return h + (_swapped(h, rare) - h).detach()

    return moved(net.b(moved(h)))


def _without_gradient(net: Net, h: Tensor, rare: Tensor) -> Tensor:
    h = net.b(h)
    with torch.no_grad():
        h.copy_(_swapped(h, rare))
    h = net.b(torch.tanh(h))
    with torch.no_grad():
        h.copy_(_swapped(h, rare))
    return h


@pytest.mark.parametrize("f", [_by_detached_values, _without_gradient])
def test_values_that_are_moved_out_of_the_sight_of_autograd(f: Callable[..., Tensor]) -> None:
    equals_the_oracle(f)


def test_a_forward_that_was_put_into_a_layer() -> None:
    torch.manual_seed(0)
    model, x = Net(lambda net, h, rare: net.b(h)).double(), inputs()
    a = model.a
    a.forward = lambda x: F.linear(torch.where(x[:, :1] > 3, x.square(), x), a.weight, a.bias)
    expected = ntk(model, x, x, "trace")
    torch.testing.assert_close(empirical_ntk(model, x), expected, rtol=1e-10, atol=1e-10)


def test_samples_in_another_order_beside_one_with_much_larger_gradients() -> None:
    class Scaled(Net):
        def forward(self, x: Tensor) -> Tensor:
            rare = x[:, :1] > 3
            h = self.d(self.b(torch.tanh(self.a(_swapped(x, rare)))))
            return _swapped(self.c(torch.tanh(h)), rare) * x[:, 4:].exp()

    torch.manual_seed(0)
    model, x = Scaled(lambda: None), inputs()
    x[:, 4] = x[:, 4].clamp(max=0)
    x[3, 4] = 9.0
    found = empirical_ntk(model, x.float()).double()
    expected = ntk(model.double(), x, x, "trace")
    size = expected.diagonal().sqrt()
    assert (found - expected).abs().div(size * size[:, None]).max() < 1e-5


def test_a_table_and_its_transpose_are_not_taken_for_one_another() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, 8), nn.Softmax(1)).double()
    x = torch.randn(12, 12, dtype=torch.float64)
    expected = empirical_ntk(model, x, x.T.contiguous())
    for memory in ("6kB", "20kB", "100kB"):
        found = empirical_ntk(model, x, x.T, memory=memory)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("samples", [100, 600])
def test_two_rare_samples_that_change_each_other_are_seen(samples: int) -> None:
    def f(net: Net, h: Tensor, rare: Tensor) -> Tensor:
        return h * (1 + rare * (h.detach() * rare).sum(0))

    torch.manual_seed(0)
    model = Net(f).double()
    for seed in range(8):
        with pytest.raises(ModelError, match="depends on the other samples"):
            empirical_ntk(model, inputs(samples, seed))
