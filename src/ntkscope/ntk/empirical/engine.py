"""Exact NTKs of any torch module, layer by layer, by the cheapest way for each layer.

A forward and backward pass gives each layer's inputs and output gradients; of these two the layer's
per-sample gradients are made, and their Gram matrices are added up (Novak et al. 2022, "Fast finite
width neural tangent kernel", §3). Only upper tiles are computed where both sides are the same
samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from ntkscope.ntk.empirical.assembly import KernelBlock, allocate_kernel, outputs_last
from ntkscope.ntk.empirical.budget import reuse_freed_memory
from ntkscope.ntk.empirical.cache_tiles import cache_tiles
from ntkscope.ntk.empirical.gradients.factors import (
    ChunkBuffer,
    FactoredGradients,
    LayerGradients,
    select,
)
from ntkscope.ntk.empirical.gram.readout import collapse_readout, collapsed_shared
from ntkscope.ntk.empirical.gram.strategies import add_gram
from ntkscope.ntk.empirical.last_resort import (
    MorePositionsError,
    at_every_position,
    may_fall_back,
    one_at_a_time,
)
from ntkscope.ntk.empirical.layer_gradients import per_sample_gradients
from ntkscope.ntk.empirical.output_blocks import OutputBlock, holding, output_blocks
from ntkscope.ntk.empirical.plan import Plan
from ntkscope.ntk.empirical.tuning import Tuning

GradientsByLayer = dict[str, LayerGradients]


@torch.no_grad()
def compute_kernels(
    model: nn.Module,
    plan: Plan,
    x1: Tensor,
    x2: Tensor | None,
    *,
    by_layer: bool,
    memory: int | str | None = None,
    chunk: int | None = None,
    sparing: bool = False,
) -> dict[str, Tensor]:
    """The NTKs of a planned model, of each module that has parameters of its own or of all.

    Args:
        model: maps [N, …] to [N, K], each sample by itself; in eval mode where that matters.
        plan: of this very model; the parameters' values may have changed since. Where it does not
            fit all samples, they are taken one at a time (`last_resort`).
        x1, x2: inputs [N, …], [N2, …]; x2 None: x1.
        by_layer: else one entry, "", of their sum.
        memory: budget for what is kept of the samples and for the passes, in bytes or as text
            ("2GB"), without the kernels themselves. Where not all samples fit, they pass again for
            each block of those that are held, or fewer outputs are taken at once
            (`output_blocks`). None: everything is held.
        chunk: samples, at most, in one pass.
        sparing: as of `output_blocks.output_blocks`.

    Returns:
        Module name → [N, N2], [N, N2, K] (kind diagonal) or [N, K, N2, K] (kind full), of which
        the outputs are the outer axes in memory; exactly symmetric where x2 is None. A parameter
        that several modules share belongs to the first.

    Raises:
        ModelError: memory too small.
    """
    reuse_freed_memory(plan.tuning.retained_bytes)
    if x2 is not None and plan.tuning.swap_ratio * len(x1) <= len(x2):  # products want many rows
        found = compute_kernels(
            model,
            plan,
            x2,
            x1,
            by_layer=by_layer,
            memory=memory,
            chunk=chunk,
            sparing=sparing,
        )
        return {name: _swapped(kernel, plan) for name, kernel in found.items()}
    compute = partial(
        _compute, model, by_layer=by_layer, memory=memory, chunk=chunk, sparing=sparing
    )
    try:
        try:
            return compute(plan=plan, x1=x1, x2=x2)
        except MorePositionsError:
            return compute(plan=at_every_position(plan), x1=x1, x2=x2)
    except Exception as error:
        if not may_fall_back(plan, error):
            raise
    return compute(plan=one_at_a_time(plan), x1=x1, x2=x2)


def _swapped(kernel: Tensor, plan: Plan) -> Tensor:
    """Of [N2, …, N, …] the kernel of rows and columns the other way round."""
    if plan.pairs == "trace":
        return kernel.mT.contiguous()
    return kernel.permute(2, 3, 0, 1) if plan.full else kernel.transpose(0, 1)


def _compute(
    model: nn.Module,
    plan: Plan,
    x1: Tensor,
    x2: Tensor | None,
    *,
    by_layer: bool,
    memory: int | str | None,
    chunk: int | None,
    sparing: bool,
) -> dict[str, Tensor]:
    """As of `compute_kernels`, by this plan and no other."""
    n, m = len(x1), len(x1 if x2 is None else x2)
    groups: dict[str, list[str]] = {}
    for layer in plan.layers:
        if layer.owns:
            groups.setdefault(layer.module_name if by_layer else "", []).append(layer.name)
    found = {key: allocate_kernel(plan, n, m) for key in groups}
    parts = list(output_blocks(plan, memory, n, 0 if x2 is None else m, chunk, sparing=sparing))
    for outputs in holding(parts, max(n, m)):
        kernels = {
            key: KernelBlock(values, plan, outputs, symmetric=x2 is None)
            for key, values in found.items()
        }
        sums = {kernels[key]: groups[key] for key in groups}
        for left, right, at, same in _blocks(model, outputs, x1, x2):
            _multiply(outputs.plan, left, right, at, same, sums)
            del left, right  # before the next are made
        for kernel in kernels.values():
            kernel.finish()
    return {key: outputs_last(values, plan.pairs) for key, values in found.items()}


def _blocks(
    model: nn.Module, outputs: OutputBlock, x1: Tensor, x2: Tensor | None
) -> Iterator[tuple[GradientsByLayer, GradientsByLayer, tuple[int, int], bool]]:
    """Gradients of a block of rows and of columns, where it stands, whether they are the same.

    With one set of samples, and of outputs, only the blocks from the diagonal on. Few columns stand
    beside many rows: every block of rows passes all later samples once more, so there should be few
    blocks.
    """
    blocking, same = outputs.blocking, x2 is None and outputs.on_diagonal
    high, wide, batch = blocking.row_block, blocking.column_block, blocking.batch
    columns = x1 if x2 is None else x2
    for row in range(0, len(x1), high):
        rows = x1[row : row + high]
        left = _gradients(model, outputs.plan, rows, batch)
        first = 0
        if same:
            yield left, left, (row, row), True
            first = row + len(rows)
        for column in range(first, len(columns), wide):
            right = _gradients(model, outputs.beside, columns[column : column + wide], batch)
            yield left, right, (row, column), False
            del right
        del left


def _gradients(model: nn.Module, plan: Plan, x: Tensor, batch: int) -> GradientsByLayer:
    if len(x) <= batch:
        return per_sample_gradients(model, plan, x)
    buffer = ChunkBuffer(len(x), plan.tuning.huge_page_bytes)
    for some in x.split(batch):
        buffer.add(per_sample_gradients(model, plan, some, buffer.out(len(some))))
    return buffer.gradients


def _multiply(
    plan: Plan,
    left: GradientsByLayer,
    right: GradientsByLayer,
    at: tuple[int, int],
    same: bool,
    sums: dict[KernelBlock, list[str]],
) -> None:
    """A block's products, tile by tile: of a tile all layers, while it is in the cache.

    Args:
        plan: with the strategies.
        left, right: gradients of the block's rows and columns.
        at: its first row and column in the kernels.
        same: rows and columns are the same, and only tiles from the diagonal on are wanted.
        sums: which layers' kernels add up to which kernel.
    """
    assert plan.backpropagation is not None
    strategies = {layer.name: layer.strategy for layer in plan.layers}
    left, right = dict(left), dict(right)
    if plan.pairs == "trace" and not plan.backpropagation.collapses_outputs:
        for name in left:
            if strategies[name] == "factored":
                left[name], right[name] = _collapsed(left[name], right[name], plan.tuning)
    if plan.pairs == "trace" and len(plan.output_vectors) > plan.tuning.many_outputs:
        for side in (left, right):
            side.update({name: collapsed_shared(each) for name, each in side.items()})
    n, m = (next(iter(side.values())).samples for side in (left, right))
    for rows, columns in cache_tiles(n, m, plan, same):
        for kernel, names in sums.items():
            total = kernel.tile(rows.stop - rows.start, columns.stop - columns.start)
            for place, name in enumerate(names):
                one, other = select(left[name], rows), select(right[name], columns)
                first = place == 0
                add_gram(
                    total, one, other, strategies[name], plan.pairs, first=first, tuning=plan.tuning
                )
            kernel.write(total, at[0] + rows.start, at[1] + columns.start)


def _collapsed(
    left: LayerGradients, right: LayerGradients, tuning: Tuning
) -> tuple[LayerGradients, LayerGradients]:
    """Gradients of one output vector, where the products that this saves are worth the look."""
    assert isinstance(left, FactoredGradients) and isinstance(right, FactoredGradients)
    if min(left.samples, right.samples) < tuning.readout_samples:
        return left, right
    return collapse_readout(left, right, tuning.readout_rows)
