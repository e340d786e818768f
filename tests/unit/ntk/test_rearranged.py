"""Forward passes that put some batches in another order, and back: right, however they are cut."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ntkscope import NTKOperator, empirical_ntk
from ntkscope.ntk.empirical.gradients.fast_ops import FasterBackward
from ntkscope.ntk.empirical.gradients.rearranged import RearrangedError
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


ORDER = torch.tensor([1, 0, 2, 3])
MOVES = {
    "brackets": lambda x: x[ORDER],
    "brackets, second axis": lambda x: x.mT[:, ORDER],
    "list": lambda x: x[[3, 1, 2, 0]],
    "assigned": lambda x: torch.zeros(4, 3).__setitem__(ORDER, x),
    "index_select": lambda x: torch.index_select(x, 0, ORDER),
    "gather": lambda x: x.gather(0, ORDER[:, None].expand(4, 3)),
    "take_along_dim": lambda x: torch.take_along_dim(x, ORDER[:, None], 0),
    "flip": lambda x: torch.flip(x, [0]),
    "flip, dims by themselves": lambda x: x.flip(1, 0),
    "roll": lambda x: x.roll(1, 0),
    "sort": lambda x: x.sort(dim=0, descending=True).values,
}
STAYS = {
    "last of each": lambda x: x[torch.arange(4), torch.tensor([0, 2, 1, 1])],
    "mask": lambda x: x[torch.tensor([True, False, True, True])],
    "some": lambda x: x[torch.tensor([2, 0])],
    "own order": lambda x: x[torch.arange(4)],
    "other axis": lambda x: x.flip(1).roll(1, 1).sort(1).values[:, torch.tensor([2, 0, 1])],
    "table": lambda x: nn.Parameter(torch.ones(4, 2))[ORDER],
    "gather": lambda x: x.gather(1, torch.zeros(4, 1, dtype=torch.long)),
    "sorted already": lambda x: x.sort(dim=0).values,
}


@pytest.mark.parametrize("name", MOVES)
def test_other_orders_are_seen(name: str) -> None:
    with FasterBackward(4), pytest.raises(RearrangedError):
        MOVES[name](torch.arange(12.0).view(4, 3))


@pytest.mark.parametrize("name", STAYS)
def test_the_samples_own_order_is_let_through(name: str) -> None:
    with FasterBackward(4):
        STAYS[name](torch.arange(12.0).view(4, 3))
