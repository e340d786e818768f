"""The kernels of one tile: every sample of one set with every sample of another."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ntkscope.models import Activation, Architecture
from ntkscope.ntk.infinite.dual_activations import Dual, Through, dual, through
from ntkscope.ntk.infinite.layouts.layout import Layout
from ntkscope.ntk.infinite.nearness import near_pairs
from ntkscope.ntk.infinite.propagate import Options, Pairs, propagate
from ntkscope.ntk.infinite.samples import Samples


@dataclass(frozen=True)
class Engine:
    """What does not change from tile to tile.

    Attributes:
        layers: the architecture; a Flatten at its start has been done.
        layout: of the inputs' pixels.
        options: what is asked for.
        zeros: for each activation, whether any sample has a preactivation of no variance.
        through: how an activation's closed form is applied: plainly or compiled.
    """

    layers: Architecture
    layout: Layout
    options: Options
    zeros: tuple[bool, ...]
    through: Through = through

    @property
    def last_kinks(self) -> tuple[bool, ...]:
        """For each activation, whether it has a kink and the next one has none: nearest pairs.

        From one kink to the next the angles shrink; past others they may grow again.
        """
        kinds = [layer.kind for layer in self.layers if isinstance(layer, Activation)]
        kinks = [dual(kind).near is not None for kind in kinds]
        return tuple(a and not any(kinks[i + 1 : i + 2]) for i, a in enumerate(kinks))


def cross_kernels(
    engine: Engine,
    K: Tensor,
    s1: Samples,
    s2: Samples,
    same: tuple[Tensor, Tensor] | None,
    close: list[Tensor] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """NNGP [A, B] of the outputs, and their NTK if wanted.

    Args:
        engine: the network and what is asked for.
        K: `cross_products` of the samples; overwritten.
        s1, s2: A and B samples.
        same: indices of the pairs that are one and the same input, or None.
        close: gets masks [A, B] of pairs that are nearly equal; None: they are not looked for.
    """
    each = zip(s1.variances, s2.variances, engine.zeros, engine.last_kinks, strict=True)

    def nonlinearity(pairs: Pairs, layer: Activation) -> Pairs:
        q1, q2, zeros, last_kink = next(each)
        if close is not None and last_kink:
            found = near_pairs(pairs.K, q1, q2, same)
            close.extend(() if found is None else (found,))
        return _activate(pairs, dual(layer.kind), (q1, q2), zeros, same, engine.through)

    end = propagate(Pairs(K, None, engine.layout), engine.layers, nonlinearity, engine.options)
    return end.K, end.T


def _activate(
    pairs: Pairs,
    closed_form: Dual,
    q: tuple[Tensor, Tensor],
    zeros: bool,
    same: tuple[Tensor, Tensor] | None,
    apply: Through,
) -> Pairs:
    """K and Θ · E[φ'φ'], with the exact values for a sample and itself."""
    layout, T = pairs.layout, pairs.T
    q1, q2 = layout.spread(q[0][..., :, None], q[1][..., None, :])
    before = None if T is None or same is None else layout.diagonal(T)[..., same[0], same[1]]
    K, T = apply(closed_form.pair, pairs.K, q1, q2, T)
    if T is not None and zeros and closed_form.flat_at_zero:
        T.mul_(q1 > 0).mul_(q2 > 0)
    if same is not None:
        k, slope = closed_form.same(q[0][..., same[0]])
        layout.diagonal(K)[..., same[0], same[1]] = k
        if T is not None and before is not None:
            layout.diagonal(T)[..., same[0], same[1]] = before * slope
    return Pairs(K, T, layout)
