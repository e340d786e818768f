"""Inputs together with the variances that every pair they are in needs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ntkscope.models import Architecture
from ntkscope.ntk.infinite.layouts.layout import Layout
from ntkscope.ntk.infinite.layouts.vector import VectorLayout
from ntkscope.ntk.infinite.variances import preactivation_variances


@dataclass(frozen=True)
class Samples:
    """Inputs and what was found out about each by itself.

    Attributes:
        x: [channel, y, x, N], or [inputs, N].
        variances: [y, x, N] or [N] for each activation.
    """

    x: Tensor
    variances: tuple[Tensor, ...]

    def __getitem__(self, which: slice) -> Samples:
        """Some of the samples, contiguous: broadcasting over them is then one long loop."""
        variances = tuple(q[..., which].contiguous() for q in self.variances)
        x = self.x[..., which]
        return Samples(x if x.dim() == 2 else x.contiguous(), variances)

    @property
    def count(self) -> int:
        """N."""
        return self.x.shape[-1]


def samples(
    layers: Architecture, layout: Layout, x: Tensor, normal_biases: bool, at_once: int
) -> Samples:
    """Inputs [N, channel, y, x] with their variances (see `preactivation_variances`)."""
    x = x.flatten(1).T if isinstance(layout, VectorLayout) else x.movedim(0, -1).contiguous()
    return Samples(x, tuple(preactivation_variances(x, layers, layout, normal_biases, at_once)))


def any_zeros(s1: Samples, s2: Samples) -> tuple[bool, ...]:
    """For each activation, whether any sample has a preactivation of no variance."""
    both = zip(s1.variances, s2.variances, strict=True)
    return tuple(bool((q1 == 0).any() or (q2 == 0).any()) for q1, q2 in both)
