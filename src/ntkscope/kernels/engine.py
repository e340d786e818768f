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

import math
from collections.abc import Iterator

from torch import Tensor, nn

from ntkscope.kernels.below_readout import one_cotangent
from ntkscope.kernels.conventions import mirror
from ntkscope.kernels.features import terms_of
from ntkscope.kernels.memory import Portions, portions
from ntkscope.kernels.plan import Plan
from ntkscope.kernels.planning import make_plan
from ntkscope.kernels.strategies import elements_per_pair, gram
from ntkscope.kernels.terms import OuterProducts, Term, gather, part

_TILE_ELEMENTS = 2**22  # of the largest temporary of a tile


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
        kind: trace, full or pseudo (`conventions.KINDS`).
        by_layer: else one entry, "", of their sum.
        memory: budget for what is kept of the samples and for the passes, in bytes or as text
            ("2GB"), without the kernels themselves; samples that do not fit are passed again for
            each block of those that are held. None: everything is held.
        chunk: at most so many samples in one pass.
        force: a strategy for all layers that allow it (`strategies.STRATEGIES`).
        plan: of this very model and kind, made before; the parameters' values may have changed.

    Returns:
        Module name → [N, N2], or [N·K, N2·K] (kind full); exactly symmetric where x2 is None. A
        parameter that several modules share belongs to the first.

    Raises:
        ModelError: a model whose kernel is not defined, or memory too small.
    """
    n, m = len(x1), len(x1 if x2 is None else x2)
    if plan is None:
        plan = make_plan(model, x1, x2, kind, force)
    split = portions(memory, n, plan.working_bytes, plan.term_bytes, chunk)
    R = len(plan.starts)
    shape = (R, n, R, m) if plan.full else (n, m)
    keys = [layer.name for layer in plan.layers if layer.owns] if by_layer else [""]
    found = {key: plan.starts.new_zeros(shape) for key in keys}
    for left, right, at, same in _blocks(model, plan, x1, x2, split):
        for layer in plan.layers:
            if layer.owns:
                out = found[layer.name if by_layer else ""]
                _add(out, left[layer.name], right[layer.name], at, layer.strategy, same)
        del left, right  # before the next are made
    return {key: _finished(plan, kind, value, x2 is None) for key, value in found.items()}


def _finished(plan: Plan, kind: str, kernel: Tensor, symmetric: bool) -> Tensor:
    """Mean over outputs (trace), rows in order (sample, output) (full), lower half filled in."""
    if kind == "trace":
        kernel /= len(plan.starts)
    if plan.full:
        kernel = kernel.permute(1, 0, 3, 2).flatten(2).flatten(0, 1)
    return mirror(kernel) if symmetric else kernel


def _blocks(
    model: nn.Module, plan: Plan, x1: Tensor, x2: Tensor | None, split: Portions
) -> Iterator[tuple[dict[str, Term], dict[str, Term], tuple[int, int], bool]]:
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


def _terms(model: nn.Module, plan: Plan, x: Tensor, chunk: int) -> dict[str, Term]:
    if len(x) <= chunk:
        return terms_of(model, plan, x)
    return gather((terms_of(model, plan, some) for some in x.split(chunk)), len(x))


def _add(
    out: Tensor, left: Term, right: Term, at: tuple[int, int], strategy: str, same: bool
) -> None:
    """Add a block's products at (row, column) of out, tile by tile."""
    full = out.ndim == 4
    if strategy == "factored" and not full:
        assert isinstance(left, OuterProducts) and isinstance(right, OuterProducts)
        left, right = one_cotangent(left, right)
    n, m = left.samples, right.samples
    for rows, columns in _tiles(n, m, elements_per_pair(left, full), same):
        tile = gram(part(left, rows), part(right, columns), strategy, full)
        r, c = (
            slice(offset + s.start, offset + s.stop)
            for s, offset in zip((rows, columns), at, strict=True)
        )
        if full:
            out[:, r, :, c] += tile
        else:
            out[r, c] += tile


def _tiles(n: int, m: int, elements: int, same: bool) -> Iterator[tuple[slice, slice]]:
    """Tiles of [n, m] that cover it, or its upper triangle (same)."""
    pairs = max(1, _TILE_ELEMENTS // elements)
    high = min(max(64, min(n // 4, 512)), math.isqrt(pairs))
    wide = max(1, pairs // high)
    for row in range(0, n, high):
        for column in range(row if same else 0, m, wide):
            yield slice(row, min(row + high, n)), slice(column, min(column + wide, m))
