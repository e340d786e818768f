"""Each sample's own variances, which every pair it is in needs."""

from __future__ import annotations

import torch
from torch import Tensor

from ntkscope.models import Activation, Architecture
from ntkscope.ntk.infinite.dual_activations import dual
from ntkscope.ntk.infinite.input_covariance import own_products
from ntkscope.ntk.infinite.layouts.layout import Layout
from ntkscope.ntk.infinite.propagate import Options, Pairs, propagate


def preactivation_variances(
    x: Tensor, layers: Architecture, layout: Layout, normal_biases: bool, samples: int
) -> list[Tensor]:
    """The variance of every preactivation that an activation sees.

    Args:
        x: inputs [channel, y, x, N], or [inputs, N].
        layers: the architecture; a Flatten at its start has been done.
        layout: of the pixels: pooling needs the covariances of a sample's own pixels too.
        normal_biases: see `affine_law`.
        samples: at once, which bounds the memory.

    Returns:
        A tensor [y, x, N] or [N] for each activation.
    """
    chunks = [_of_chunk(part, layers, layout, normal_biases) for part in x.split(samples, -1)]
    return [torch.cat(parts, -1) for parts in zip(*chunks, strict=True)]


def _of_chunk(x: Tensor, layers: Architecture, layout: Layout, normal_biases: bool) -> list[Tensor]:
    """The pair axes are [N, 1]: each sample with itself."""
    found: list[Tensor] = []

    def nonlinearity(pairs: Pairs, layer: Activation) -> Pairs:
        q = pairs.layout.diagonal(pairs.K).clone()
        found.append(q[..., 0])
        K, _ = dual(layer.kind).pair(pairs.K, *pairs.layout.spread(q, q))
        pairs.layout.diagonal(K).copy_(dual(layer.kind).same(q)[0])
        return Pairs(K, None, pairs.layout)

    start = Pairs(own_products(x, layout), None, layout)
    propagate(start, layers, nonlinearity, Options(ntk=False, normal_biases=normal_biases))
    return found
