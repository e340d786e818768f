"""The kernels of a traced network: each sample by itself first, then tiles of pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ntkscope.ntk.empirical.gradients.hugepages import new_empty
from ntkscope.ntk.empirical.tuning import TUNING
from ntkscope.ntk.infinite.affine import AffineLaw
from ntkscope.ntk.infinite.duplicates import equal_pairs, identities
from ntkscope.ntk.infinite.graph.steps import (
    KT,
    Activate,
    Add,
    Affine,
    Attend,
    Flatten,
    Move,
    Normalise,
    Step,
    equal_positions,
)
from ntkscope.ntk.infinite.nearness import near_pairs
from ntkscope.ntk.infinite.tiles import pairs_per_tile, tiles
from ntkscope.ntk.infinite.validation import check_variances
from ntkscope.ntk.kinds import mirror

Own = dict[int, Tensor]
"""Step → what it needs of each sample by itself, [..., N]."""

Sides = Callable[[int, Activate | Normalise | Attend, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Program:
    """A network as steps between kernels.

    Attributes:
        steps: from 1 on; step 0 are the inputs.
        inputs: of each step, numbers of steps before it.
        laws: of the layers with weights.
        channel: which axis of a sample is that of its channels.
        output: the last step that counts.
        positions: the most that a step has.
    """

    steps: tuple[Step, ...]
    inputs: tuple[tuple[int, ...], ...]
    laws: tuple[AffineLaw, ...]
    channel: int
    output: int
    positions: int

    @property
    def sought(self) -> frozenset[int]:
        """Steps before which nearly equal pairs are looked for: of images, by the first kink."""
        kinks = [
            number
            for number, step in enumerate(self.steps, 1)
            if isinstance(step, Activate) and step.dual.near is not None
        ]
        return frozenset(kinks if self.positions == 1 else kinks[:1])


def graph_kernels(
    program: Program, x1: Tensor, x2: Tensor | None, wanted: Sequence[str], tile: int | None
) -> list[Tensor]:
    """NNGP and NTK, as far as they are wanted, [N, N2], in the dtype of x1, computed in float64."""
    pairs = tile or pairs_per_tile(program.positions**2, torch.float64, x1.device)
    first = _by_position(x1, program.channel)
    second = first if x2 is None else _by_position(x2, program.channel)
    own1 = _own(program, first, pairs)
    own2 = own1 if x2 is None else _own(program, second, pairs)
    check_variances(
        (own1[number], own2[number])
        for number, step in enumerate(program.steps, 1)
        if isinstance(step, Activate) and number in own1
    )
    labels = identities(x1) * 2 if x2 is None else identities(x1, x2)
    out = {name: new_empty(x1, len(x1), second.shape[-1]) for name in wanted}
    precise = "ntk" in out and x1.dtype == torch.float64
    sought = program.sought if precise else frozenset()
    for rows, columns in tiles(len(x1), second.shape[-1], pairs, x2 is None):
        same = equal_pairs(labels[0][rows], labels[1][columns])
        sides = [{s: t[..., rows] for s, t in own1.items()}]
        sides += [{s: t[..., columns] for s, t in own2.items()}]
        start = _products(first[..., rows, None], second[..., None, columns])
        found, close = _tile(program, start, sides, same, "ntk" in wanted, sought)
        for name, kernel in out.items():
            part = found.K if name == "nngp" else found.T
            assert part is not None
            kernel[rows, columns] = part[0, 0]
        if close is not None:
            both = first[..., rows], second[..., columns]
            part = near_kernel(program, both, (sides[0], sides[1]), close, pairs)
            out["ntk"][rows, columns][close] = part
    if x2 is None:
        for kernel in out.values():
            mirror(kernel)
    return list(out.values())


def near_kernel(
    program: Program,
    x: tuple[Tensor, Tensor],
    own: tuple[Own, Own],
    pairs: tuple[Tensor, Tensor],
    at_once: int,
) -> Tensor:
    """The NTK [n] of pairs of samples that are nearly equal, with their distances (`nearness`).

    Args:
        program: of the network.
        x: both sets [channel, P, N], float64.
        own: what the steps need of each sample by itself.
        pairs: indices [n] of samples of either set.
        at_once: pairs, which bounds the memory.
    """
    rows = [s.permute(2, 1, 0).contiguous() for s in x]
    found = []
    for i, j in zip(pairs[0].split(at_once), pairs[1].split(at_once), strict=True):
        sides = [{s: t[..., i, None] for s, t in own[0].items()}]
        sides += [{s: t[..., j, None] for s, t in own[1].items()}]
        found.append(_run_near(program, _start_near(rows[0], rows[1], i, j), sides)[0, 0, :, 0])
    return torch.cat(found)


def _start_near(x1: Tensor, x2: Tensor, i: Tensor, j: Tensor) -> KT:
    """Covariances and distances of the pairs i, j of rows [N, P, channel], a few at a time."""
    each = max(1, TUNING.infinite_tile_bytes // (64 * max(1, x1[0].numel())))
    parts = []
    for k, m in zip(i.split(each), j.split(each), strict=True):
        u, v = x1.index_select(0, k), x2.index_select(0, m)
        apart = u - v
        parts.append(torch.stack([u @ v.mT, apart @ apart.mT]))
    K, D = torch.cat(parts, 1).div_(x1.shape[2]).permute(0, 2, 3, 1)[..., None]
    return KT(K, None, D)


def _run_near(program: Program, start: KT, sides: list[Own]) -> Tensor:
    """Θ; the pair axes of everything are [n, 1]."""

    def both(number: int, step: Step, K: Tensor) -> tuple[Tensor, Tensor]:
        return sides[0][number], sides[1][number]

    end = _run(program, start, both, lambda *_: None, tangent=True, keys=False)
    assert end.T is not None
    return end.T


def _tile(
    program: Program,
    start: Tensor,
    sides: list[Own],
    same: tuple[Tensor, Tensor] | None,
    tangent: bool,
    sought: frozenset[int],
) -> tuple[KT, tuple[Tensor, Tensor] | None]:
    """[1, 1, A, B] of covariances [P, P', A, B] of the inputs; and pairs that are nearly equal."""
    close: list[Tensor] = []

    def both(number: int, step: Step, K: Tensor) -> tuple[Tensor, Tensor]:
        return sides[0][number][..., :, None], sides[1][number][..., None, :]

    def exact(number: int, step: Activate, before: KT, after: KT) -> None:
        if number in sought:
            q1, q2 = sides[0][number], sides[1][number]
            found = near_pairs(equal_positions(before.K), q1, q2, same)
            close.extend(() if found is None else (found,))
        if same is not None:
            step.exact(before, after, sides[0][number][..., same[0]], same)

    end = _run(program, KT(start, None), both, exact, tangent=tangent, keys=False)
    if not close:
        return end, None
    i, j = torch.stack(close).any(0).nonzero(as_tuple=True)
    return end, (i, j)


def _own(program: Program, x: Tensor, at_once: int) -> Own:
    """What steps need of each sample of x [channel, P, N] by itself."""
    chunks: list[Own] = []
    for part in x.split(max(1, at_once), -1):
        chunks.append(_own_of(program, part))
    return {s: torch.cat([own[s] for own in chunks], -1) for s in chunks[0]}


def _own_of(program: Program, x: Tensor) -> Own:
    """The pair axes are [N, 1]: each sample with itself."""
    own: Own = {}

    def both(number: int, step: Activate | Normalise | Attend, K: Tensor) -> tuple[Tensor, Tensor]:
        own[number] = step.own(K).contiguous()
        return own[number][..., None], own[number][..., None]

    def exact(number: int, step: Activate, before: KT, after: KT) -> None:
        every = torch.arange(x.shape[-1], device=x.device)
        step.exact(before, after, own[number], (every, torch.zeros_like(every)))

    start = KT(_products(x[..., None], x[..., None]), None)
    _run(program, start, both, exact, tangent=False, keys=True)
    return own


def _run(
    program: Program,
    start: KT,
    both: Sides,
    exact: Callable[[int, Activate, KT, KT], None],
    *,
    tangent: bool,
    keys: bool,
) -> KT:
    """All steps that the output needs; the keys of attention only where they are asked for."""
    read = [_read(step, of, keys) for step, of in zip(program.steps, program.inputs, strict=True)]
    last = _last_uses(program, read)
    there = {0: start}
    for number, (step, of) in enumerate(zip(program.steps, read, strict=True), 1):
        if number not in last:
            continue
        x = [there[i] for i in of]
        match step:
            case Affine():
                found = step.apply(x[0], program.laws[step.number], tangent)
            case Activate():
                found = step.apply(x[0], *both(number, step, x[0].K))
                exact(number, step, x[0], found)
            case Normalise():
                found = step.apply(x[0], *both(number, step, x[0].K), tangent)
            case Attend():
                found = step.apply(x[0], *both(number, step, x[-1].K))
            case Move() | Flatten():
                found = step.apply(x[0])
            case Add():
                found = step.apply(x)
        there[number] = found
        for i in set(of):
            if last[i] == number:
                del there[i]
    return there[program.output]


def _read(step: Step, inputs: tuple[int, ...], keys: bool) -> tuple[int, ...]:
    return inputs[:1] if isinstance(step, Attend) and not keys else inputs


def _last_uses(program: Program, read: list[tuple[int, ...]]) -> dict[int, int]:
    """Step → the last that reads it, of all that the output needs."""
    last = {program.output: len(program.steps) + 1}
    for number in range(len(program.steps), 0, -1):
        if number in last:
            for i in read[number - 1]:
                last.setdefault(i, number)
    return last


def _by_position(x: Tensor, channel: int) -> Tensor:
    """[channel, P, N] in float64."""
    moved, positions = (
        x.double().movedim(channel + 1, 0),
        math.prod(x.shape[1:]) // x.shape[channel + 1],
    )
    return moved.reshape(len(moved), len(x), positions).transpose(1, 2).contiguous()


def _products(u: Tensor, v: Tensor) -> Tensor:
    """Means over channels [P, P', A, B] of u [channel, P, A, 1] and v [channel, P, 1, B]."""
    total = u[0][:, None] * v[0][None]
    for c in range(1, len(u)):
        total.addcmul_(u[c][:, None], v[c][None])
    return total.div_(len(u))
