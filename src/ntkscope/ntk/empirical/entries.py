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
    outputs = _outputs(plan, every)
    columns = x1 if x2 is None else x2
    most = _how_many(model, len(x1), outputs)
    rows = list(range(len(x1))) if every else spread(len(x1), most, seed=0)
    others = list(range(len(columns))) if every else spread(len(columns), most, seed=1)
    if x2 is None and not every:
        others = rows
    found = {name: _entries(plan, k, rows, others, outputs) for name, k in kernels.items()}
    large = len(x1) >= _SMALL or _size(model, outputs) > _ELEMENTS
    if large and not every and plan.backpropagation and not plan.backpropagation.runs_model:
        _compare_alone(model, plan, found, (x1, columns), (rows, others), outputs)
        return
    names: dict[str, list[str]] = {}
    for layer in plan.layers:
        if layer.owns:
            names.setdefault(layer.module_name, []).extend(layer.owns)
    if "" in kernels and len(kernels) == 1:
        names = {"": [name for own in names.values() for name in own]}
    left, right = x1[rows], None if x2 is None else columns[others]
    if x2 is None and rows != others:
        right = columns[others]
    wrong, doubt = _differing(model, plan, names, left, right, outputs, found, plan.rounding)
    if wrong and doubt:
        wrong = _decided(model, plan, names, left, right, outputs, found)
    if wrong:
        raise _refusal(model, wrong, rows, others)


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


def _compare_alone(
    model: nn.Module,
    plan: Plan,
    found: dict[str, Tensor],
    sides: tuple[Tensor, Tensor],
    places: tuple[list[int], list[int]],
    outputs: list[int],
) -> None:
    """Where no code of the user's runs: the same formulas, which are proven, of a pair by itself.

    Brute force would take longer than the kernel.
    """
    by_layer = set(found) != {""}
    scales = [
        {i: _scale(compute_kernels(model, plan, x[i : i + 1], None, by_layer=False)) for i in at}
        for x, at in list(zip(sides, places, strict=True))[: 1 if sides[0] is sides[1] else 2]
    ]
    for (a, i), (b, j) in itertools.product(*map(enumerate, places)):
        if sides[0] is sides[1] and j < i:
            continue
        x, y = sides[0][i : i + 1], sides[1][j : j + 1]
        alone = compute_kernels(model, plan, x, y, by_layer=by_layer)
        allowed = 8 * plan.rounding.possible * math.sqrt(scales[0][i] * scales[-1][j])
        for name, kernel in alone.items():
            expected = _entries(plan, kernel, [0], [0], outputs)
            value = found[name][a : a + 1, b : b + 1]
            same = (value - expected).abs() <= allowed
            same |= ~value.isfinite() & ~expected.isfinite()
            if not bool(same.all()):
                wrong = name, a, b, float(value.flatten()[0]), float(expected.flatten()[0])
                raise _refusal(model, wrong, *places, "of these samples alone")


def _scale(kernels: dict[str, Tensor]) -> float:
    return float(kernels[""].abs().max())


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


def _outputs(plan: Plan, every: bool) -> list[int]:
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
        held.append([next(gradients) for gradients in each])
        partners = range(k + 1) if pairs == "full" else [k]
        for name, own in names.items():
            for other in partners:
                blocks[name][k, other] = _gram(held[k], held[other], own)
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


def _gram(left: list[dict[str, Tensor]], right: list[dict[str, Tensor]], own: list[str]) -> Tensor:
    """⟨left_n, right_m⟩ over some parameters, float64."""
    found = torch.zeros(len(left), len(right), dtype=torch.float64)
    same = left is right
    for a, b in itertools.product(range(len(left)), range(len(right))):
        if same and b < a:
            found[a, b] = found[b, a]
            continue
        found[a, b] = float(sum(_dot(left[a][name], right[b][name]) for name in own))
    return found


def _dot(a: Tensor, b: Tensor) -> Tensor:
    a, b = a.flatten(), b.flatten()
    if a.is_complex():
        a, b = torch.view_as_real(a).flatten(), torch.view_as_real(b).flatten()
    return a.double() @ b.double()
