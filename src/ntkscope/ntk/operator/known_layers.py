"""The share of the known layers in a model's NTK, and the samples it is made of, chunk by chunk.

Where memory allows, the layers' gradients are made once and kept; else each product makes them
twice, on the way to the parameters and on the way back, for all its vectors at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ntkscope.ntk.empirical.gradients.factors import (
    FactoredGradients,
    LayerGradients,
    gather_chunks,
    select,
)
from ntkscope.ntk.empirical.gram.readout import collapse_readout, collapsed_shared
from ntkscope.ntk.empirical.layer_gradients import per_sample_gradients
from ntkscope.ntk.empirical.plan import Plan
from ntkscope.ntk.operator.layer_jacobian import Direction, pull, push, zero

GradientsByLayer = dict[str, LayerGradients]


@dataclass
class LayerPart:
    """Sums over layers with a formula.

    Attributes:
        model: maps [N, …] to [N, K].
        plan: of these layers only.
        rows, columns: inputs [N, …], [M, …].
        chunk: samples in one pass.
        dtype: of sums over samples.
        held: the gradients of rows and of columns; None: they are made anew each time.
    """

    model: nn.Module
    plan: Plan
    rows: Tensor
    columns: Tensor
    chunk: int
    dtype: torch.dtype
    held: tuple[GradientsByLayer, GradientsByLayer] | None = None

    def hold(self) -> None:
        """Make the gradients once and for all.

        With all of a layer's gradients at hand, those just below a linear readout are found to be
        multiples of one (`gram.readout`), which makes that layer's products R times as cheap.
        """
        left = gather_chunks((t for _, t in self._chunks(self.rows, None)), len(self.rows))
        if self.rows is self.columns:
            right = left
        else:
            right = gather_chunks(
                (t for _, t in self._chunks(self.columns, None)), len(self.columns)
            )
        if not self.plan.full:
            both = {name: _fewer(left[name], right[name]) for name in left}
            left, right = ({name: pair[side] for name, pair in both.items()} for side in (0, 1))
        self.held = left, right

    def swapped(self) -> LayerPart:
        """The transpose."""
        held = None if self.held is None else (self.held[1], self.held[0])
        return replace(self, rows=self.columns, columns=self.rows, held=held)

    def product(self, vectors: Tensor) -> Tensor:
        """[p, M] to [p, N], summed over output vectors, or [p, M, R] to [p, N, R] (full)."""
        full = self.plan.full
        directions: dict[str, Direction] = {}
        for here, gradients in self._chunks(self.columns, self.held and self.held[1]):
            for name, each in gradients.items():
                if name not in directions:
                    directions[name] = zero(each, len(vectors), full, self.dtype)
                pull(each, vectors[:, here], full, directions[name])
        found = vectors.new_zeros(len(vectors), len(self.rows), *vectors.shape[2:])
        for here, gradients in self._chunks(self.rows, self.held and self.held[0]):
            for name, each in gradients.items():
                found[:, here] += push(each, directions[name], full)
        return found

    def _chunks(
        self, x: Tensor, held: GradientsByLayer | None
    ) -> Iterator[tuple[slice, GradientsByLayer]]:
        for start in range(0, len(x), self.chunk):
            here = slice(start, start + self.chunk)
            if held is not None:
                yield here, {name: select(each, here) for name, each in held.items()}
                continue
            gradients = per_sample_gradients(self.model, self.plan, x[here])
            yield here, gradients if self.plan.full else _collapsed_readout(gradients)


def _collapsed_readout(gradients: GradientsByLayer) -> GradientsByLayer:
    return {name: collapsed_shared(each) for name, each in gradients.items()}


def _fewer(left: LayerGradients, right: LayerGradients) -> tuple[LayerGradients, LayerGradients]:
    """The same Gram matrix of fewer output vectors, where they exist."""
    if isinstance(left, FactoredGradients) and isinstance(right, FactoredGradients):
        return collapse_readout(left, right)
    return left, right
