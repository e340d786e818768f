"""How many outputs go back at once, where the samples do not fit into memory with all of them.

Fewer outputs at once leave room for more samples, so that fewer samples have to pass again; but
each part of the outputs takes a forward pass and the products of what came in of its own. Of
halvings of the outputs the one is chosen that should be fastest; where no budget is given, of those
that should hardly be slower the one that takes least memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.budget import Blocking, choose_blocking, pass_bytes
from ntkscope.ntk.empirical.costs import passes_cost
from ntkscope.ntk.empirical.gram.strategies import COSTS
from ntkscope.ntk.empirical.plan import Plan


@dataclass(frozen=True)
class OutputBlock:
    """Some outputs of the rows and some of the columns.

    Attributes:
        plan, beside: of the rows' and of the columns' outputs.
        rows, columns: which outputs they are.
        blocking: of the samples.
    """

    plan: Plan
    beside: Plan
    rows: slice
    columns: slice
    blocking: Blocking

    @property
    def on_diagonal(self) -> bool:
        """Rows and columns are of the same outputs."""
        return self.rows == self.columns


def output_blocks(
    plan: Plan,
    memory: int | str | None,
    n: int,
    m: int,
    chunk: int | None,
    *,
    sparing: bool = False,
) -> Iterator[OutputBlock]:
    """All outputs in parts that fit; of all pairs of outputs (kind full) the upper half if m = 0.

    Args:
        plan: of all outputs.
        memory, chunk: as of `budget.choose_blocking`.
        n, m: rows and columns; m = 0: the columns are the rows.
        sparing: whether to take less memory than there is, where that hardly takes longer.

    Raises:
        ModelError: not even two samples fit with one output.
    """
    R = len(plan.output_vectors)
    at_once = _at_once(plan, memory, n, m, chunk, sparing)
    some = [slice(first, min(first + at_once, R)) for first in range(0, R, at_once)]
    crossed = plan.pairs == "full" and len(some) > 1
    blocking = _split(plan, at_once, memory, n, max(m, n if crossed else 0), chunk)
    for number, rows in enumerate(some):
        partners = some[number if m == 0 else 0 :] if crossed else [rows]
        for columns in partners:
            left, right = (plan.of_outputs(plan.output_vectors[side]) for side in (rows, columns))
            yield OutputBlock(left, right, rows, columns, blocking)


def slowdown(plan: Plan, memory: int) -> float:
    """How many times as long a plan's kernel takes within a budget, as with enough.

    Raises:
        ModelError: too little memory.
    """
    n, m = plan.samples
    at_once = _at_once(plan, memory, n, m, None, sparing=False)
    R = len(plan.output_vectors)
    crossed = plan.pairs == "full" and at_once < R
    blocking = _split(plan, at_once, memory, n, max(m, n if crossed else 0), None)
    enough = _seconds(plan, R, _split(plan, R, None, n, m, None), n, m)
    return max(1.0, _seconds(plan, at_once, blocking, n, m) / enough) if enough else 1.0


def holding(parts: list[OutputBlock], samples: int) -> list[OutputBlock]:
    """The same, with the forward passes of one part kept for the others where each side is one."""
    if len(parts) == 1 or not _is_one_pass(parts[0].blocking, samples):
        return parts
    assert parts[0].plan.backpropagation is not None
    way = parts[0].plan.backpropagation.holding()
    return [
        replace(
            part,
            plan=replace(part.plan, backpropagation=way),
            beside=replace(part.beside, backpropagation=way),
        )
        for part in parts
    ]


def _is_one_pass(blocking: Blocking, samples: int) -> bool:
    return min(blocking.batch, blocking.row_block, blocking.column_block) >= samples


def _at_once(
    plan: Plan, memory: int | str | None, n: int, m: int, chunk: int | None, sparing: bool
) -> int:
    R = len(plan.output_vectors)
    if plan.tuning.outputs_at_once is not None:
        return plan.tuning.outputs_at_once
    if memory is None or R == 1:
        return R
    sparing = sparing and (n + m) * plan.gradient_bytes > plan.tuning.unspared_bytes
    best, least = None, math.inf
    failure: ModelError | None = None
    for halvings in range(math.ceil(math.log2(R)) + 1):
        at_once = -(-R >> halvings)
        crossed = plan.pairs == "full" and at_once < R
        try:
            blocking = _split(plan, at_once, memory, n, max(m, n if crossed else 0), chunk)
        except ModelError as error:
            failure = error
            continue
        if at_once == R and blocking.row_block == n and not sparing:
            return R
        seconds = _seconds(plan, at_once, blocking, n, m)
        if seconds < (plan.tuning.sparing_slowdown * least if sparing else least):
            best, least = at_once, min(seconds, least)
            kept = plan.of_outputs(plan.output_vectors[:at_once]).gradient_bytes
            if sparing and (n + m) * kept <= plan.tuning.unspared_bytes:
                break
    if best is None:
        assert failure is not None
        raise failure
    return best


def _split(
    plan: Plan, at_once: int, memory: int | str | None, n: int, others: int, chunk: int | None
) -> Blocking:
    part = plan.of_outputs(plan.output_vectors[:at_once])
    most = pass_bytes(plan.output_vectors.device, plan.tuning)
    each, fewest = (part.working_bytes, part.gradient_bytes), plan.tuning.pass_samples
    return choose_blocking(memory, n, *each, chunk, others, most, fewest)


def _seconds(plan: Plan, at_once: int, blocking: Blocking, n: int, m: int) -> float:
    """Expected time in all parts of what depends on how the outputs are blocking."""
    times = -(-len(plan.output_vectors) // at_once)
    blocks = -(-n // blocking.row_block)
    again = (n + blocks * m) / (n + m) if m else (blocks + 1) / 2  # times that a sample passes
    if plan.pairs == "full" and times > 1:
        times, again = times**2, 2 * again
    held = _is_one_pass(blocking, max(n, m)) and plan.runs_model
    total = 0.0
    for layer in plan.layers:
        if layer.shape is not None:
            shape = replace(layer.shape, output_vectors=at_once)
            total += plan.throughput.seconds(COSTS[layer.strategy](shape))
            total += again * plan.throughput.seconds(passes_cost(shape))
            if held:
                forward = passes_cost(replace(shape, output_vectors=0))
                total -= plan.throughput.seconds(forward) * (times - 1) / times
    return times * total
