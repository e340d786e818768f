"""Some entries of a finished kernel against brute force: a sample at a time, an output at a time.

Whatever went wrong on the way (samples mixed, chunks put together wrongly, memory that nobody
wrote) shows in entries of samples that are far apart.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.ntk.empirical.engine import compute_kernels
from ntkscope.ntk.empirical.plan import Plan
from ntkscope.ntk.empirical.precision import cast, cast_model
from ntkscope.ntk.empirical.rounding import Rounding
from ntkscope.ntk.empirical.truth import true_gradients

_Entry = tuple[str, int, int, float, float]  # layer, row, column, as it is, as it should be
_Wrong = _Entry | None

VERIFY = ("off", "entries", "all")
_SMALL = 200  # samples, below which more entries are looked at
_ELEMENTS = 2**24  # of gradients, above which fewer samples are


def check_entries(
    model: nn.Module,
    plan: Plan,
    kernels: dict[str, Tensor],
    x1: Tensor,
    x2: Tensor | None,
    *,
    every: bool = False,
) -> None:
    """Compare entries of a kernel, or of every layer's, with their definition.

    Args:
        model, plan: of the kernel.
        kernels: as of `engine.compute_kernels`.
        x1, x2: its inputs.
        every: all entries, else those of a few samples, drawn anew for each number of samples.

    Raises:
        ModelError: an entry is another, or infinite where it should not be.
    """
    outputs = some_outputs(plan, every=every)
    columns = x1 if x2 is None else x2
    most = _how_many(model, len(x1), outputs)
    rows = list(range(len(x1))) if every else spread(len(x1), most, seed=0)
    others = list(range(len(columns))) if every else spread(len(columns), most, seed=1)
    if x2 is None and not every:
        others = rows
    found = {name: _entries(plan, k, rows, others, outputs) for name, k in kernels.items()}
    if is_compared_alone(model, plan, len(x1), every=every):
        _compare_alone(model, plan, found, (x1, columns), (rows, others), outputs)
        return
    same = x2 is None and rows == others
    _compare_by_brute_force(
        model, plan, found, (x1, None if same else columns), (rows, others), outputs
    )


def check_column(
    model: nn.Module, plan: Plan, column: Tensor, place: int, x1: Tensor, x2: Tensor
) -> None:
    """Compare some entries of a column of a kernel with their definition.

    Args:
        model, plan: of the kernel.
        column: [N], or [N, K, k] (kind full) of k outputs, those of `some_outputs`.
        place: of the column's sample in x2.
        x1, x2: inputs of rows and columns.

    Raises:
        ModelError: an entry is another.
    """
    rows = spread(len(x1), 2, seed=0)
    outputs = some_outputs(plan)
    if plan.full:
        found = column[rows][:, outputs].unsqueeze(1)
    else:
        found = column[rows].unsqueeze(1)
    _compare_by_brute_force(
        model, plan, {"": found.cpu().double()}, (x1, x2), (rows, [place]), outputs
    )


def _compare_by_brute_force(
    model: nn.Module,
    plan: Plan,
    found: dict[str, Tensor],
    sides: tuple[Tensor, Tensor | None],
    places: tuple[list[int], list[int]],
    outputs: list[int],
) -> None:
    names: dict[str, list[str]] = {}
    for layer in plan.layers:
        if layer.owns:
            names.setdefault(layer.module_name, []).extend(layer.owns)
    if "" in found and len(found) == 1:
        names = {"": [name for own in names.values() for name in own]}
    left, right = sides[0][places[0]], None if sides[1] is None else sides[1][places[1]]
    wrong, doubt = _differing(model, plan, names, left, right, outputs, found, plan.rounding)
    if wrong and doubt:
        wrong = _decided(model, plan, names, left, right, outputs, found)
    if wrong:
        raise _refusal(model, wrong, *places)


def _refusal(
    model: nn.Module,
    wrong: _Entry,
    rows: Sequence[int],
    others: Sequence[int],
    against: str = "by brute force",
) -> ModelError:
    name, a, b, value, expected = wrong
    what = "overflows" if math.isinf(value) else "is wrong"
    return ModelError(
        f"the kernel {what}: entry ({rows[a]}, {others[b]}) is {value:.8g}, and {against} "
        f"{expected:.8g}",
        where=f"{type(model).__name__}, {name}" if name else type(model).__name__,
        remedy="outputs may depend on the other samples, or the network calculates in a lower "
        "precision: see that each sample is by itself; or compute in float64",
    )


def is_compared_alone(model: nn.Module, plan: Plan, samples: int, *, every: bool) -> bool:
    """Whether entries are compared with those of these samples alone: no code of the user's runs.

    Brute force would take longer than the kernel, whose formulas the plan has proven.
    """
    large = samples >= _SMALL or _size(model, some_outputs(plan, every=every)) > _ELEMENTS
    known = plan.backpropagation is not None and not plan.backpropagation.runs_model
    return large and known and not every


def _compare_alone(
    model: nn.Module,
    plan: Plan,
    found: dict[str, Tensor],
    sides: tuple[Tensor, Tensor],
    places: tuple[list[int], list[int]],
    outputs: list[int],
) -> None:
    """With the same formulas, of a few samples by themselves."""
    by_layer, same = set(found) != {""}, sides[0] is sides[1]
    x, y = (side[at] for side, at in zip(sides, places, strict=True))
    alone = compute_kernels(model, plan, x, None if same else y, by_layer=by_layer)
    if same:
        scales = [_scales(plan, alone)] * 2
    else:
        each = (compute_kernels(model, plan, some, None, by_layer=False) for some in (x, y))
        scales = [_scales(plan, one) for one in each]
    allowed = 8 * plan.rounding.possible * scales[0][:, None] * scales[1]
    every = range(len(x)), range(len(y))
    for name, kernel in alone.items():
        expected = _entries(plan, kernel, *every, outputs)
        error = (found[name] - expected).abs()
        error[~found[name].isfinite() & ~expected.isfinite()] = 0
        wrong = ~(error <= allowed.reshape(*allowed.shape, *(1,) * (error.ndim - 2)))
        if bool(wrong.any()):
            at = tuple(wrong.nonzero()[0].tolist())
            entry = name, at[0], at[1], float(found[name][at]), float(expected[at])
            raise _refusal(model, entry, *places, "of these samples alone")


def _scales(plan: Plan, kernels: dict[str, Tensor]) -> Tensor:
    """√Θ[n, n] of each sample, the largest of its outputs."""
    whole = sum(k.double() for k in kernels.values())
    assert isinstance(whole, Tensor)
    if plan.pairs == "full":
        whole = whole.diagonal(0, 1, 3)
    each = whole.diagonal(0, 0, 1)  # samples last
    return each.reshape(-1, each.shape[-1]).abs().amax(0).sqrt().cpu()


def spread(samples: int, count: int, seed: int) -> list[int]:
    """Some samples: one drawn of each of as many equal parts."""
    count = min(samples, count)
    generator = torch.Generator().manual_seed(samples + seed)
    drawn = torch.rand(count, generator=generator).tolist()
    return [min(samples - 1, int((i + u) * samples / count)) for i, u in enumerate(drawn)]


def _size(model: nn.Module, outputs: list[int]) -> int:
    """Of one sample's gradients."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad) * len(outputs)


def _how_many(model: nn.Module, samples: int, outputs: list[int]) -> int:
    if samples >= _SMALL or _size(model, outputs) > _ELEMENTS:
        return 2
    return 4 if samples > 16 else 8


def some_outputs(plan: Plan, *, every: bool = False) -> list[int]:
    """Which output vectors: of a trace all, else the first and the last."""
    count = len(plan.output_vectors)
    if plan.pairs == "trace" or every:
        return list(range(count))
    return sorted({0, count - 1})


def _entries(
    plan: Plan, kernel: Tensor, rows: Sequence[int], columns: Sequence[int], outputs: list[int]
) -> Tensor:
    """[n, m], or [n, m, r] or [n, m, r, r] of some outputs; float64."""
    if plan.pairs == "full":
        part = kernel[rows][:, outputs][:, :, columns][..., outputs].permute(0, 2, 1, 3)
    elif plan.pairs == "diagonal":
        part = kernel[rows][:, columns][..., outputs]
    else:
        part = kernel[rows][:, columns]
    return part.cpu().double()


def _differing(
    model: nn.Module,
    plan: Plan,
    names: dict[str, list[str]],
    left: Tensor,
    right: Tensor | None,
    outputs: list[int],
    found: dict[str, Tensor],
    rounding: Rounding,
) -> tuple[_Wrong, bool]:
    """The worst entry that is not right to rounding, if there is one; whether that is in doubt."""
    vectors = plan.output_vectors[outputs]
    expected, scales = _brute_force(model, plan.pairs, names, left, right, vectors)
    worst: _Wrong = None
    least, doubt = 0.0, True
    whole = sum(scales.values(), torch.zeros((), dtype=torch.float64))
    for name, values in found.items():
        error = (values - expected[name]).abs()
        scale = scales[name] + 4 * rounding.eps * whole
        relative = error / scale
        relative[error == 0] = 0
        relative[~expected[name].isfinite() & ~values.isfinite()] = 0  # no evidence
        relative[relative.isnan()] = math.inf
        flat = relative.flatten(2).amax(2) if relative.ndim > 2 else relative
        top = float(flat.max()) if flat.numel() else 0.0
        if top > 4 * rounding.relative and top > least:
            at = int(relative.argmax())
            a, b = divmod(int(flat.argmax()), flat.shape[1])
            value, right_value = float(values.flatten()[at]), float(expected[name].flatten()[at])
            worst, least = (name, a, b, value, right_value), top
            doubt = rounding.arbiter and top < 1e-2
    return worst, doubt


def _decided(
    model: nn.Module,
    plan: Plan,
    names: dict[str, list[str]],
    left: Tensor,
    right: Tensor | None,
    outputs: list[int],
    found: dict[str, Tensor],
) -> _Wrong:
    """The same against float64, where several layers' rounding may have come together."""
    try:
        wide = cast_model(model, torch.float64)
        sides = cast(left, torch.float64), cast(right, torch.float64)
        rounding = Rounding(plan.rounding.eps, 8 * plan.rounding.possible, arbiter=False)
        return _differing(wide, plan, names, *sides, outputs, found, rounding)[0]
    except (ModelError, RuntimeError):
        rounding = Rounding(plan.rounding.eps, 8 * plan.rounding.possible, arbiter=False)
        return _differing(model, plan, names, left, right, outputs, found, rounding)[0]


def _brute_force(
    model: nn.Module,
    pairs: str,
    names: dict[str, list[str]],
    left: Tensor,
    right: Tensor | None,
    vectors: Tensor,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Entries as of `_entries`, and the scale of each: √(Θ[n,n] Θ[m,m])."""
    learning = [name for own in names.values() for name in own]
    every = [*left.split(1), *(right.split(1) if right is not None else ())]
    each = [true_gradients(model, learning, x, vectors)[1] for x in every]
    n, r = len(left), len(vectors)
    first = {name: slice(0, n) for name in names}
    blocks: dict[str, dict[tuple[int, int], Tensor]] = {name: {} for name in names}
    held: list[list[dict[str, Tensor]]] = []
    for k in range(r):
        held.append([_flat(next(gradients), names) for gradients in each])
        partners = range(k + 1) if pairs == "full" else [k]
        for name in names:
            for other in partners:
                blocks[name][k, other] = _gram(held[k], held[other], name)
        if pairs != "full":
            held[k] = []
    columns = slice(n, None) if right is not None else slice(None)
    found, scales = {}, {}
    for name, block in blocks.items():
        diagonal = torch.stack([block[k, k].diagonal() for k in range(r)], 1)  # [samples, r]
        if pairs == "trace":
            total = torch.stack([block[k, k] for k in range(r)]).mean(0)
            diagonal = diagonal.mean(1, keepdim=True)
        elif pairs == "diagonal":
            total = torch.stack([block[k, k] for k in range(r)], 2)
        else:
            total = torch.stack(
                [
                    torch.stack([block[k, q] if q <= k else block[q, k].T for q in range(r)], 2)
                    for k in range(r)
                ],
                2,
            )
        found[name] = total[first[name], columns]
        size = diagonal.amax(1).sqrt()
        scale = size[first[name], None] * size[columns]
        scales[name] = scale.reshape(*scale.shape, *(1 for _ in range(total.ndim - 2)))
    return found, scales


def _flat(gradients: dict[str, Tensor], names: dict[str, list[str]]) -> dict[str, Tensor]:
    """Of each layer, one vector in float64."""
    return {
        name: torch.cat([_real(gradients[each]).flatten().double() for each in own])
        for name, own in names.items()
    }


def _real(g: Tensor) -> Tensor:
    return torch.view_as_real(g) if g.is_complex() else g


def _gram(left: list[dict[str, Tensor]], right: list[dict[str, Tensor]], name: str) -> Tensor:
    """⟨left_n, right_m⟩ of a layer, float64."""
    found = torch.zeros(len(left), len(right), dtype=torch.float64)
    same = left is right
    for a, b in itertools.product(range(len(left)), range(len(right))):
        swapped = same and b < a
        found[a, b] = found[b, a] if swapped else float(left[a][name] @ right[b][name])
    return found
