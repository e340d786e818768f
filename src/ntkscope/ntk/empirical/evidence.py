"""Samples that can prove something, drawn over the whole batch, and their true gradients.

A blank, NaN, equal or extreme sample proves nothing: of some draws, those are kept whose gradients
are finite, not zero, and of no very unlike size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ntkscope.ntk.empirical.plan import Plan
from ntkscope.ntk.empirical.truth import Named, true_gradients

_ELEMENTS = 2**24  # of gradients that are held, about
_FEWEST, _MOST, _DRAWN = 4, 12, 3  # samples; draws for each
_EXTREME = 1e6  # times the size of other samples' gradients


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


def draw(model: nn.Module, plan: Plan, x: Tensor, *, few: bool) -> Evidence:
    """Samples of x and their gradients, one sample at a time.

    Args:
        model: of the plan.
        plan: of which layers and output vectors are set.
        x: the whole batch [N, …].
        few: two samples do, as no code of the user's runs.

    Raises:
        ModelError: autograd records nothing.
    """
    names = [name for layer in plan.layers for name in layer.owns]
    vector = random_output_vector(plan.output_vectors)
    wanted = min(len(x), 2 if few else _how_many(model))
    generator = torch.Generator().manual_seed(len(x))
    order = torch.randperm(len(x), generator=generator)[: _DRAWN * wanted].tolist()
    kept: list[tuple[int, Tensor, Named]] = []
    others: list[tuple[int, Tensor, Named]] = []
    sizes: list[float] = []
    for number, i in enumerate(order):
        if len(kept) == wanted:
            break
        y, found = true_gradients(model, names, x[i : i + 1], vector)
        gradient = next(found)
        size = float(largest(list(gradient.values())))
        proves = 0 < size < math.inf and not _is_extreme(size, sizes)
        if proves and not any(torch.equal(x[i], x[j]) for j, _, _ in kept):
            kept.append((i, y, gradient))
            sizes.append(size)
        elif len(others) < wanted:
            others.append((i, y, gradient))
        del gradient, number
    informative = bool(kept)
    if not kept:
        kept = others[:2]
    at = torch.tensor([i for i, _, _ in kept], device=x.device)
    outputs = torch.cat([y for _, y, _ in kept])
    return Evidence(x[at], vector, outputs, [g for _, _, g in kept], informative)


def _is_extreme(size: float, sizes: list[float]) -> bool:
    return bool(sizes) and not 1 / _EXTREME < size / sorted(sizes)[len(sizes) // 2] < _EXTREME


def _how_many(model: nn.Module) -> int:
    size = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return max(_FEWEST, min(_MOST, _ELEMENTS // max(1, size)))


def random_output_vector(output_vectors: Tensor) -> Tensor:
    """[1, K], which depends on nothing but K."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, output_vectors.shape[1], generator=generator).to(output_vectors)
