"""One tile of pairs through the layers: covariance K and tangent kernel Θ, layer by layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ntkscope.models import Activation, Architecture, AvgPool, Conv, Dense, Flatten, GlobalAvgPool
from ntkscope.ntk.infinite.affine import AffineLaw, affine_law
from ntkscope.ntk.infinite.layouts.layout import Layout
from ntkscope.ntk.infinite.layouts.vector import VectorLayout


@dataclass
class Pairs:
    """The kernels of a tile's pairs at one depth.

    Attributes:
        K: covariance of one channel or unit.
        T: the NTK of the layers so far, as K; None before the first parameter, or if unwanted.
        layout: of the pixels in both.
    """

    K: Tensor
    T: Tensor | None
    layout: Layout


@dataclass(frozen=True)
class Options:
    """What is asked for: the NTK as well as the NNGP; biases drawn from N(0, 1)."""

    ntk: bool
    normal_biases: bool


Nonlinearity = Callable[[Pairs, Activation], Pairs]


def propagate(
    pairs: Pairs, layers: Architecture, nonlinearity: Nonlinearity, options: Options
) -> Pairs:
    """The kernels after the last layer (Jacot et al. 2018, theorem 1; Arora et al. 2019, sec. 4).

    Args:
        pairs: covariance of the inputs; its tensors are overwritten.
        layers: the architecture; a Flatten at its start has been done.
        nonlinearity: what an activation does: it needs the variances, which the pairs do not have.
        options: what is asked for.
    """
    for layer in layers:
        match layer:
            case Activation():
                pairs = nonlinearity(pairs, layer)
            case Dense() | Conv():
                pairs = _affine(pairs, layer, options)
            case AvgPool() | GlobalAvgPool():
                pairs = _pool(pairs, layer)
            case Flatten():
                pairs = _mapped(pairs, pairs.layout.flatten, VectorLayout())
    return pairs


def _affine(pairs: Pairs, layer: Dense | Conv, options: Options) -> Pairs:
    """K' = weight · S + bias, Θ' = weight · mean(Θ) + weight_gradient · S + bias_gradient."""
    law = affine_law(layer, options.normal_biases)
    K, T, taps = pairs.K, pairs.T, 1
    if isinstance(layer, Conv):
        taps = layer.size**2
        K = pairs.layout.box_sum(K, layer.size)
        T = None if T is None else pairs.layout.box_sum(T, layer.size)
    if options.ntk:
        T = _tangent(K, T, law, taps)
    K = K.mul_(law.weight / taps)
    return Pairs(K.add_(law.bias) if law.bias else K, T, pairs.layout)


def _tangent(S: Tensor, T: Tensor | None, law: AffineLaw, taps: int) -> Tensor:
    """Θ' from S and the Θ before, both still to be divided by `taps`."""
    if T is None:
        T = S * (law.weight_gradient / taps)
    else:
        T = T.mul_(law.weight / taps).add_(S, alpha=law.weight_gradient / taps)
    return T.add_(law.bias_gradient) if law.bias_gradient else T


def _pool(pairs: Pairs, layer: AvgPool | GlobalAvgPool) -> Pairs:
    layout = pairs.layout
    if isinstance(layer, GlobalAvgPool):
        return _mapped(pairs, layout.global_pool, layout)
    return _mapped(pairs, lambda M: layout.pool(M, layer.size), layout.pooled(layer.size))


def _mapped(pairs: Pairs, linear: Callable[[Tensor], Tensor], layout: Layout) -> Pairs:
    """A layer without parameters acts on K and Θ alike."""
    return Pairs(linear(pairs.K), None if pairs.T is None else linear(pairs.T), layout)
