"""Exact NTKs of any torch module, layer by layer, by the cheapest way for each layer.

One forward pass records what enters each layer, one backward pass a cotangent what flows back; of
these two a layer's per-sample gradients are made of, and their Gram matrices added up (Novak et al.
2022, "Fast finite width neural tangent kernel", §3). Only upper tiles are computed where both sides
are the same samples.

Against the plain Jacobians of `jacobian.py`, float32, one thread of a shared two-core machine, both
in one process by turns, least of 3 to 6 (seconds under load; the MLP's Jacobian once):

| network                                 | N   | kind  | engine | Jacobian | ratio |
|-----------------------------------------|-----|-------|--------|----------|-------|
| convolutions 32, 64 on 32×32×3, K = 10  | 50  | trace | 0.56   | 1.45     | 2.6   |
| the same                                | 50  | full  | 0.53   | 1.90     | 3.6   |
| Myrtle-5, 32 channels, K = 1            | 50  | trace | 0.15   | 0.25     | 1.6   |
| the same, K = 10                        | 50  | trace | 0.89   | 2.50     | 2.8   |
| the same, K = 10                        | 50  | full  | 1.14   | 2.74     | 2.4   |
| MLP 784-512-512-10                      | 200 | trace | 0.043  | 50.8     | 1200  |
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ntkscope.kernels.below_readout import one_cotangent
from ntkscope.kernels.features import terms_of
from ntkscope.kernels.memory import Portions, portions
from ntkscope.kernels.plan import Plan
from ntkscope.kernels.planning import make_plan
from ntkscope.kernels.results import Result
from ntkscope.kernels.strategies import add_gram
from ntkscope.kernels.terms import OuterProducts, Term, gather, part
from ntkscope.kernels.tiling import tiles

Terms = dict[str, Term]
_WORTH_A_LOOK = 2**26  # multiply-adds


def layer_ntks(
    model: nn.Module,
    x1: Tensor,
    x2: Tensor | None,
    kind: str,
    *,
    by_layer: bool = True,
    memory: int | str | None = None,
    chunk: int | None = None,
    force: str | None = None,
    plan: Plan | None = None,
) -> dict[str, Tensor]:
    """The NTK of each module that has parameters of its own; their sum is the model's NTK.

    Args:
        model: maps [N, …] to [N, K], each sample by itself; in eval mode where that matters.
        x1, x2: inputs [N, …], [N2, …]; x2 None: x1.
        kind: one of `conventions.EMPIRICAL_KINDS`.
        by_layer: else one entry, "", of their sum.
        memory: budget for what is kept of the samples and for the passes, in bytes or as text
            ("2GB"), without the kernels themselves; samples that do not fit are passed again for
            each block of those that are held. None: everything is held.
        chunk: at most so many samples in one pass.
        force: a strategy for all layers that allow it (`strategies.STRATEGIES`).
        plan: of this very model and kind, made before; the parameters' values may have changed.
            None: one by the nominal rates, which is the same in every process.

    Returns:
        Module name → [N, N2], or [N·K, N2·K] (kind full), or [N, N2, K] (kind diagonal); exactly
        symmetric where x2 is None. A parameter that several modules share belongs to the first.

    Raises:
        ModelError: a model whose kernel is not defined, or memory too small.
    """
    if plan is None:
        plan = make_plan(model, x1, x2, kind, force)
    found = kernels(model, plan, x1, x2, by_layer=by_layer, memory=memory, chunk=chunk)
    if plan.pairs == "every":
        return {name: k.flatten(2).flatten(0, 1) for name, k in found.items()}
    return found


@torch.no_grad()
def kernels(
    model: nn.Module,
    plan: Plan,
    x1: Tensor,
    x2: Tensor | None,
    *,
    by_layer: bool,
    memory: int | str | None = None,
    chunk: int | None = None,
) -> dict[str, Tensor]:
    """As `layer_ntks`, but of kind full a view [N, K, N2, K] of memory with the outputs first."""
    n, m = len(x1), len(x1 if x2 is None else x2)
    split = portions(memory, n, plan.working_bytes, plan.term_bytes, chunk)
    names = [layer.name for layer in plan.layers if layer.owns]
    groups = {name: [name] for name in names} if by_layer else {"": names}
    found = {key: Result(plan, n, m, symmetric=x2 is None) for key in groups}
    for left, right, at, same in _blocks(model, plan, x1, x2, split):
        _multiply(plan, left, right, at, same, {found[key]: groups[key] for key in groups})
        del left, right  # before the next are made
    return {key: result.kernel for key, result in found.items()}


def _blocks(
    model: nn.Module, plan: Plan, x1: Tensor, x2: Tensor | None, split: Portions
) -> Iterator[tuple[Terms, Terms, tuple[int, int], bool]]:
    """Terms of held rows, terms of columns, where their block stands, whether they are the same.

    With one set of samples only the blocks from the diagonal on. Few columns stand beside many
    rows: every block of rows passes all later samples once more, so there should be few blocks.
    """
    columns = x1 if x2 is None else x2
    for row in range(0, len(x1), split.held):
        rows = x1[row : row + split.held]
        left = _terms(model, plan, rows, split.chunk)
        first = 0
        if x2 is None:
            yield left, left, (row, row), True
            first = row + len(rows)
        for column in range(first, len(columns), split.beside):
            right = _terms(model, plan, columns[column : column + split.beside], split.chunk)
            yield left, right, (row, column), False
            del right
        del left


def _terms(model: nn.Module, plan: Plan, x: Tensor, chunk: int) -> Terms:
    if len(x) <= chunk:
        return terms_of(model, plan, x)
    return gather((terms_of(model, plan, some) for some in x.split(chunk)), len(x))


def _multiply(
    plan: Plan,
    left: Terms,
    right: Terms,
    at: tuple[int, int],
    same: bool,
    sums: dict[Result, list[str]],
) -> None:
    """A block's products, tile by tile: of a tile all layers, while it is in the cache.

    Args:
        plan: with the strategies.
        left, right: terms of the block's rows and columns.
        at: its first row and column in the results.
        same: rows and columns are the same, and only tiles from the diagonal on are wanted.
        sums: which layers' kernels add up to which result.
    """
    strategies = {layer.name: layer.strategy for layer in plan.layers}
    left, right = dict(left), dict(right)
    if plan.pairs == "summed":
        for name in left:
            if strategies[name] == "factored":
                left[name], right[name] = _reduced(left[name], right[name])
    n, m = (next(iter(side.values())).samples for side in (left, right))
    for rows, columns in tiles(n, m, plan, same):
        for result, names in sums.items():
            total = result.tile(rows.stop - rows.start, columns.stop - columns.start)
            for name in names:
                one, other = part(left[name], rows), part(right[name], columns)
                add_gram(total, one, other, strategies[name], plan.pairs)
            result.write(total, at[0] + rows.start, at[1] + columns.start)


def _reduced(left: Term, right: Term) -> tuple[Term, Term]:
    """Terms of one cotangent, where the products that this saves are worth the look."""
    assert isinstance(left, OuterProducts) and isinstance(right, OuterProducts)
    products = left.samples * right.samples * left.gradients[0].numel()
    return one_cotangent(left, right) if products > _WORTH_A_LOOK else (left, right)
