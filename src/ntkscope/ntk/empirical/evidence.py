"""Samples that can prove something, drawn over the whole batch, and their true gradients.

A blank, NaN, equal or extreme sample proves nothing: of some draws, those are kept whose gradients
are finite, not zero, and of no very unlike size.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ntkscope.ntk.empirical.inputs import tensors_of
from ntkscope.ntk.empirical.plan import Plan
from ntkscope.ntk.empirical.truth import Named, true_gradients

_ELEMENTS = 2**24  # of gradients that are held, about
_FEWEST, _MOST, _DRAWN = 4, 12, 3  # samples; draws for each
_EXTREME = 1e6  # times the size of other samples' gradients

_Found = tuple[Tensor, Tensor, Named]  # a sample, its outputs, its gradient


@dataclass
class Evidence:
    """What formulas are compared with.

    Attributes:
        x: samples [m, …], in an order of no meaning.
        vector: of outputs [1, K], which depends on nothing but K.
        outputs: [m, K] of each sample by itself.
        gradients: of each sample, of ⟨vector, f(x)⟩.
        informative: whether there is any gradient that is finite and not zero.
    """

    x: Tensor
    vector: Tensor
    outputs: Tensor
    gradients: list[Named] = field(default_factory=list)
    informative: bool = True

    def scales(self, names: list[str]) -> list[Tensor]:
        """Of each sample, the largest element of some parameters' gradients."""
        return [largest([g[name] for name in names]) for g in self.gradients]


def largest(tensors: list[Tensor]) -> Tensor:
    """The largest absolute value; NaN if there is one."""
    return torch.stack(
        [t.abs().max() if t.numel() else t.new_zeros(()).abs() for t in tensors]
    ).max()


def draw(
    model: nn.Module, plan: Plan, x1: Tensor, x2: Tensor | None = None, *, few: bool
) -> Evidence:
    """Samples of x1 and x2 and their gradients, one sample at a time.

    Args:
        model: of the plan.
        plan: of which layers and output vectors are set.
        x1, x2: the whole batches [N, …]; x2 None, or of other shape than x1: x1 only.
        few: two samples do, as no code of the user's runs.

    Raises:
        ModelError: autograd records nothing.
    """
    names = [name for layer in plan.layers for name in layer.owns]
    vector = random_output_vector(plan.output_vectors)
    wanted = 2 if few else _how_many(model)
    candidates = _drawn(x1, x2, _DRAWN * wanted, few=few)
    wanted = min(wanted, len(candidates))
    kept: list[_Found] = []
    others: list[_Found] = []
    sizes: list[float] = []
    for x in candidates:
        if len(kept) == wanted:
            break
        y, found = true_gradients(model, names, x, vector)
        gradient = next(found)
        size = float(largest(list(gradient.values())))
        proves = 0 < size < math.inf and not _is_extreme(size, sizes)
        if proves and not any(torch.equal(x, other) for other, _, _ in kept):
            kept.append((x, y, gradient))
            sizes.append(size)
        elif len(others) < wanted:
            others.append((x, y, gradient))
        del gradient
    informative = bool(kept)
    if not kept:
        kept = others[:2]
    elif len(kept) == 1 < len(candidates):  # alone, any order of samples passes for the right one
        kept = [*kept, *others[:1], *kept]
    x, outputs = torch.cat([x for x, _, _ in kept]), torch.cat([y for _, y, _ in kept])
    return Evidence(x, vector, outputs, [g for _, _, g in kept], informative)


def _drawn(x1: Tensor, x2: Tensor | None, count: int, *, few: bool) -> list[Tensor]:
    """Samples [1, …] to be looked at, of both sets in turn: one set may be blank, or all equal."""
    first = x1 if x2 is None or len(x1) > 1 or len(x2) < 2 else x2
    second = x2 if x2 is not None and not few and first is x1 and _fit(x1, x2) else None
    orders = [
        torch.randperm(len(x), generator=torch.Generator().manual_seed(len(x)))[:count].tolist()
        for x in (first, second)
        if x is not None
    ]
    found = [first[i : i + 1] for i in orders[0]]
    if second is not None:
        others = [second[i : i + 1] for i in orders[1]]
        turns = itertools.zip_longest(found, others)
        found = [x for pair in turns for x in pair if x is not None]
    return found[:count]


def _fit(x1: Tensor, x2: Tensor) -> bool:
    one, other = ([t.shape[1:] for t in tensors_of(x)] for x in (x1, x2))
    return one == other


def _is_extreme(size: float, sizes: list[float]) -> bool:
    return bool(sizes) and not 1 / _EXTREME < size / sorted(sizes)[len(sizes) // 2] < _EXTREME


def _how_many(model: nn.Module) -> int:
    size = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return max(_FEWEST, min(_MOST, _ELEMENTS // max(1, size)))


def random_output_vector(output_vectors: Tensor) -> Tensor:
    """[1, K], which depends on nothing but K."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, output_vectors.shape[1], generator=generator).to(output_vectors)
