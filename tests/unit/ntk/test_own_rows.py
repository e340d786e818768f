"""Forward passes that put some batches in another order, and back: right, however they are cut."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ntkscope import NTKOperator, empirical_ntk
from ntkscope.ntk.empirical.gradients.fast_ops import FasterBackward
from tests.oracles.ntk import ntk


class Sorted(nn.Module):
    """Sequences, the longest first, layers, and their own order again."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.embedding, self.hidden, self.last = (
            nn.Embedding(9, 5), nn.Linear(5, 6), nn.Linear(6, 3),
        )  # fmt: skip

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        lengths = (tokens > 0).sum(1)
        if self.how == "flip":  # of rare batches alone
            rare = bool((lengths < 6).any())
            x = tokens.flip(0) if rare else tokens
            y = self._layers(x)
            return y.flip(0) if rare else y
        order = lengths.argsort(descending=True, stable=True)
        if self.how == "index":
            return self._layers(tokens[order])[order.argsort()]
        x = tokens.index_select(0, order)
        return self._layers(x).index_select(0, order.argsort())

    def _layers(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.last(self.hidden(self.embedding(tokens).mean(1)).tanh())


@pytest.mark.parametrize("how", ["index", "select", "flip"])
@pytest.mark.parametrize("seed", [0, 2])
def test_batches_that_are_sorted_only_sometimes(how: str, seed: int) -> None:
    torch.manual_seed(seed)
    tokens = torch.randint(1, 9, (120, 6))
    tokens[torch.randperm(120)[:2], 4:] = 0
    model = Sorted(how).double()
    expected = ntk(model, tokens, tokens, "trace")
    for options in ({}, {"chunk": 16}, {"memory": "100kB"}):
        found = empirical_ntk(model, tokens, **options)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    operator = NTKOperator(model, tokens, chunk=16)
    torch.testing.assert_close(
        operator.product(torch.eye(120, dtype=torch.float64)), expected, rtol=1e-10, atol=1e-10
    )


class Routed(nn.Module):
    """Rows in two groups, by a threshold, that a layer sees group by group."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.first, self.last = how, nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        m = x[:, 0] > -2.3
        k, n, i = int(m.sum()), len(x), torch.arange(len(x))
        order = torch.cat([i[m], i[~m]])
        match self.how:
            case "masks":
                h = torch.cat([x[m], x[~m]])
            case "embedding":
                h = torch.nn.functional.embedding(order, x)
            case "one-hot":
                h = torch.nn.functional.one_hot(order, n).to(x) @ x
            case "roll":
                h = x.roll(4 * (n - k))
            case "cat":
                h = torch.cat([x[k:], x[:k]])
        h = self.last(torch.tanh(self.first(h)))
        out = torch.zeros_like(h)
        match self.how:
            case "roll":
                return h.roll(-2 * (n - k))
            case "cat":
                return torch.cat([h[n - k :], h[: n - k]])
            case "masks":
                out[m], out[~m] = h[:k], h[k:]
                return out
        return out.index_add(0, order, h)


@pytest.mark.parametrize("how", ["masks", "embedding", "one-hot", "roll", "cat"])
def test_rare_rows_of_another_group(how: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(120, 4, dtype=torch.float64).clamp(-2, 2)
    x[[40, 77], 0] = -2.5
    model = Routed(how).double()
    expected = ntk(model, x, x, "trace")
    for options in ({}, {"chunk": 16}, {"verify": "off"}, {"chunk": 16, "verify": "off"}):
        found = empirical_ntk(model, x, **options)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


class Tokens(nn.Module):
    """Tokens of all samples in one row, of which a layer sees rare ones in another order."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first, self.hidden, self.last = nn.Linear(3, 5), nn.Linear(5, 5), nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.first(x)).flatten(0, 1)
        order = torch.arange(len(h))
        rare = (x[..., 0].flatten() > 2.5).nonzero()[:, 0]
        order[rare] = rare.flip(0)
        if self.how == "brackets":
            h = self.hidden(h[order])[order.argsort()]
        else:
            h = torch.zeros_like(h).index_copy(0, order, self.hidden(h.index_select(0, order)))
        return self.last(torch.tanh(h).view(len(x), -1, 5)).mean(1)


@pytest.mark.parametrize("how", ["brackets", "copied"])
def test_rare_tokens_in_another_order(how: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(120, 4, 3, dtype=torch.float64).clamp(-2, 2)
    x[[40, 77], 0, 0] = 3.0
    model = Tokens(how).double()
    expected = ntk(model, x, x, "trace")
    for options in ({}, {"chunk": 16, "verify": "off"}):
        found = empirical_ntk(model, x, **options)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def equals_the_oracle(network: Callable[..., nn.Module], *how: str) -> None:
    """Of 100 samples, one of them rare, however they are cut, verified or not."""
    torch.manual_seed(0)
    x = torch.randn(100, 5, dtype=torch.float64).clamp(-2, 2)
    x[85, 0] = 4.0
    model = network(*how).double()
    expected = ntk(model, x, x, "trace")
    for options in ({}, {"chunk": 16}, {"chunk": 16, "verify": "off"}):
        found = empirical_ntk(model, x, **options)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


class Halves(nn.Module):
    """Of batches with a rare sample a layer sees the second half first."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 7), nn.Linear(7, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rare = bool((x[:, 0] > 3).any()) and len(x) % 2 == 0
        h = torch.tanh(self.first(x))
        if rare:
            h = h.view(2, len(x) // 2, 7).flip(0).reshape(len(x), 7)
        y = self.last(torch.tanh(h))
        return y.view(2, len(x) // 2, 2).flip(0).reshape(len(x), 2) if rare else y


def test_rows_split_over_two_axes() -> None:
    equals_the_oracle(Halves)


class Rare(nn.Module):
    """Of batches with a rare sample a layer sees the rows in another order, its own inverse."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first, self.hidden, self.last = nn.Linear(5, 7), nn.Linear(7, 7), nn.Linear(7, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rare = bool((x[:, 0] > 3).any()) and len(x) > 1
        h = torch.tanh(self.first(x))
        h = torch.tanh(self.hidden(self.moved(h) if rare else h))
        return self.last(self.moved(h) if rare else h)

    def moved(self, h: torch.Tensor) -> torch.Tensor:
        """Rows [N, 7] in the other order."""
        raise NotImplementedError


class Reversed(Rare):
    """The last row first, by no index of rows."""

    def moved(self, h: torch.Tensor) -> torch.Tensor:
        n = len(h)
        P = REVERSED[n]
        match self.how:
            case "bmm":
                return torch.bmm(P.view(1, n, n), h.view(1, n, 7)).view(n, 7)
            case "conv":
                return nn.functional.conv1d(h.view(1, n, 7), P.view(n, n, 1)).view(n, 7)
            case "sum":
                return (P.view(n, n, 1) * h.view(1, n, 7)).sum(1)
        return h.mT.contiguous().view(1, 7, n).flip(2).view(7, n).mT


REVERSED = {n: torch.eye(n, dtype=torch.float64).flip(0) for n in range(1, 201)}


@pytest.mark.parametrize("how", ["bmm", "conv", "sum", "third axis"])
def test_rows_reversed_behind_another_axis(how: str) -> None:
    equals_the_oracle(Reversed, how)


class Swapped(Rare):
    """Two rows swapped, by weights or by shifts."""

    def moved(self, h: torch.Tensor) -> torch.Tensor:
        n, (i, j) = len(h), (len(h) // 4, len(h) // 2)
        P = SWAP[n]
        match self.how:
            case "linear":
                return nn.functional.linear(h.mT, P).mT
            case "from the left":
                return P @ h
            case "bilinear":
                one = torch.ones(7, 1, dtype=h.dtype)
                return nn.functional.bilinear(h.t().contiguous(), one, P.view(n, n, 1)).t()
            case "conv":
                return nn.functional.conv1d(h, P.view(n, n, 1))
        up, down = (nn.functional.pad(h, (0, 0, m, -m)) for m in (i - j, j - i))
        at = torch.arange(n)[:, None]
        return torch.where(at == i, up, torch.where(at == j, down, h))


class Neighbours(Rare):
    """Two neighbouring rows swapped."""

    def moved(self, h: torch.Tensor) -> torch.Tensor:
        n, i = len(h), len(h) // 4
        flat, P, at = h.reshape(-1), PAIR[n], torch.arange(n)[:, None]
        cuts = [7 * k for k in (0, i, i + 1, i + 2, n)]
        match self.how:
            case "flat":
                a, b, c, d = (flat[j:k] for j, k in itertools.pairwise(cuts))
                return torch.cat([a, c, b, d]).view(n, 7)
            case "one row":
                a, b, c, d = (flat[None, j:k] for j, k in itertools.pairwise(cuts))
                return torch.cat([a, c, b, d], 1).view(n, 7)
            case "pooled":
                pairs = (P[:, :, None] * h[None])[:, None]
                return n * nn.functional.avg_pool2d(pairs, (n, 1))[:, 0, 0]
            case "expanded":
                return (P[:, None] @ h.expand(n, n, 7))[:, 0]
            case "weighed":
                pairs = (P[:, :, None] * h).reshape(n, n * 7)
                return nn.functional.linear(pairs, torch.eye(7, dtype=h.dtype).repeat(1, n))
            case "windows":
                up, _, down = nn.functional.unfold(h.view(1, n, 7), (3, 1), padding=(1, 0)).view(
                    3, n, 7
                )
            case "means":
                down, up = (
                    3 * nn.functional.avg_pool2d((h * (at == k))[None], (3, 1), 1, (1, 0))[0]
                    for k in (i + 1, i)
                )
        return torch.where(at == i, down, torch.where(at == i + 1, up, h))


PAIR = {n: torch.eye(n, dtype=torch.float64) for n in range(1, 201)}
for n, P in PAIR.items():
    if n > 1:
        P[[n // 4, n // 4 + 1]] = P[[n // 4 + 1, n // 4]]


@pytest.mark.parametrize(
    "how", ["flat", "one row", "pooled", "expanded", "weighed", "windows", "means"]
)
def test_two_neighbours_swapped(how: str) -> None:
    equals_the_oracle(Neighbours, how)


SWAP = {}
for n in range(1, 201):
    P = torch.eye(n, dtype=torch.float64)
    P[[n // 4, n // 2]] = P[[n // 2, n // 4]]
    SWAP[n] = nn.Parameter(P, requires_grad=False)


@pytest.mark.parametrize("how", ["linear", "from the left", "bilinear", "conv", "pad"])
def test_two_rows_swapped_by_weights_or_by_shifts(how: str) -> None:
    equals_the_oracle(Swapped, how)


ORDER = torch.tensor([1, 0, 2, 3])
WEIGHTS = nn.Parameter(torch.eye(4).flip(0))
UNSURE = {
    "brackets": lambda x: x[ORDER],
    "brackets, second axis": lambda x: x.mT[:, ORDER],
    "list": lambda x: x[[3, 1, 2, 0]],
    "mask": lambda x: x[torch.tensor([True, False, True, True])],
    "assigned": lambda x: torch.zeros(4, 3).__setitem__(ORDER, x),
    "index_select": lambda x: torch.index_select(x, 0, ORDER),
    "gather": lambda x: x.gather(0, ORDER[:, None].expand(4, 3)),
    "flip": lambda x: torch.flip(x, [0]),
    "flip, dims by themselves": lambda x: x.flip(1, 0),
    "roll": lambda x: x.roll(1),
    "sort": lambda x: x.sort(dim=0, descending=True).values,
    "scatter": lambda x: torch.zeros(4, 3).index_add(0, ORDER, x),
    "of samples": lambda x: nn.functional.embedding(ORDER, x),
    "product": lambda x: torch.eye(4) @ x,
    "parts": lambda x: torch.cat([x[2:], x[:2]]),
    "halves": lambda x: x.chunk(2)[1],
    "tokens": lambda x: x.requires_grad_().view(12, 1)[torch.arange(12).flip(0)],
    "tokens, turned": lambda x: x.requires_grad_().view(12, 1).T,
    "turned": lambda x: x.mT,
    "to the end": lambda x: x[:, :, None].permute(1, 2, 0),
    "as many": lambda x: x.new_zeros(4, 4).t(),
    "one row": lambda x: nn.functional.linear(x[:, 0], WEIGHTS),
    "from the left": lambda x: WEIGHTS @ x,
    "channels": lambda x: nn.functional.conv1d(x, WEIGHTS[..., None]),
    "shifted": lambda x: nn.functional.pad(x, (0, 0, 1, -1)),
    "windows of rows": lambda x: x.unfold(0, 3, 1),
    "windows along rows": lambda x: nn.functional.unfold(x[None], (2, 1)),
    "pooled along rows": lambda x: nn.functional.avg_pool2d(x[None], (3, 1), 1, (1, 0)),
    "channels of one image": lambda x: nn.functional.pixel_shuffle(x[:, :, None], 2),
    "of other sides": lambda x: x.requires_grad_().view(3, 4),
    "of one row": lambda x: x.requires_grad_().view(1, 12),
    "paired": lambda x: x.requires_grad_() * torch.ones(4, 4, 1),
    "expanded in front": lambda x: x.requires_grad_().expand(4, 4, 3),
    "sum by keyword": lambda x: torch.sum(input=x.requires_grad_(), dim=0),
    "sum": lambda x: x.requires_grad_().sum(0),
    "of all": lambda x: F.softmax(x.requires_grad_() * 2, dim=0),
    "list of operands": lambda x: torch.einsum("ij,jk->ik", [torch.eye(4), x]),
    "norm of all rows": lambda x: F.layer_norm(x.requires_grad_(), (4, 3)),
    "norm of groups of rows": lambda x: F.group_norm(x.requires_grad_()[None], 2),
    "tokens of one sequence": lambda x: F.scaled_dot_product_attention(x, x, x),
    "tokens, cut": lambda x: x.requires_grad_().view(12, 1).chunk(2),
    "parts of a table": lambda x: nn.functional.embedding(ORDER[:2], x),
}
SURE = {
    "other axis": lambda x: x.roll(1, 1).sort(1).values[:, :2],
    "table": lambda x: nn.functional.embedding(ORDER, nn.Parameter(torch.ones(4, 2))),
    "gather": lambda x: x.gather(1, torch.zeros(4, 1, dtype=torch.long)),
    "parts": lambda x: torch.cat([x, 2 * x], 1).chunk(2, dim=1)[0],
    "tokens": lambda x: x.requires_grad_().view(12, 1)[:, 0].view(4, 3),
    "products of samples": lambda x: x[:, None] @ x[:, :, None],
    "images": lambda x: nn.functional.conv2d(x.view(4, 1, 1, 3), torch.ones(2, 1, 1, 2)).sum(2),
    "tokens first": lambda x: nn.Linear(3, 2)(x[:, None].expand(4, 5, 3).permute(1, 0, 2)),
    "as many": lambda x: nn.Linear(4, 4)(nn.functional.pad(x, (0, 1))),
    "flat and back": lambda x: x.requires_grad_().flatten().exp().view(4, 3)[:, None, :],
    "windows": lambda x: nn.functional.unfold(x.requires_grad_().view(4, 1, 1, 3), (1, 2)).mT,
    "pooled": lambda x: nn.functional.max_pool1d(x.requires_grad_(), 3).expand(2, 4, 1) + 1,
    "layers": nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.LayerNorm(2)),
    "attention": lambda x: nn.MultiheadAttention(3, 1, batch_first=True)(*[x[:, None]] * 3)[0],
    "arithmetic": lambda x: (1 - x) / (2 + x.exp()) ** 2 + 1 / (1 + x * x).sum(1, keepdim=True),
}


@pytest.mark.parametrize("name", UNSURE)
def test_what_may_move_rows_is_not_trusted(name: str) -> None:
    with FasterBackward(4) as mode:
        UNSURE[name](torch.arange(12.0).view(4, 3))
    assert not mode.is_row_wise


@pytest.mark.parametrize("name", SURE)
def test_what_leaves_rows_in_their_place_costs_nothing(name: str) -> None:
    with FasterBackward(4) as mode:
        SURE[name](torch.arange(12.0).view(4, 3))
    assert mode.is_row_wise
