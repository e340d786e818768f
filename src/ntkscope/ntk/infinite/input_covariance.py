"""Covariances of the inputs: means over channels of products of pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from ntkscope.ntk.infinite.layouts.layout import Layout
from ntkscope.ntk.infinite.layouts.vector import VectorLayout
from ntkscope.runtime.matmul import matmul_nt


def cross_products(x1: Tensor, x2: Tensor, layout: Layout) -> Tensor:
    """[…, A, B] of every sample of x1 [channel, y, x, A] (or [inputs, A]) with every one of x2."""
    if isinstance(layout, VectorLayout):
        return matmul_nt(x1.mT, x2.mT).div_(len(x1))
    return _channel_mean(x1[..., :, None], x2[..., None, :], layout)


def own_products(x: Tensor, layout: Layout) -> Tensor:
    """[…, N, 1] of every sample of x [channel, y, x, N] (or [inputs, N]) with itself."""
    return _channel_mean(x[..., None], x[..., None], layout)


def _channel_mean(u: Tensor, v: Tensor, layout: Layout) -> Tensor:
    if isinstance(layout, VectorLayout):
        return (u * v).mean(0)
    total = torch.mul(*layout.spread(u[0], v[0]))
    for channel in range(1, len(u)):
        total.addcmul_(*layout.spread(u[channel], v[channel]))
    return total.div_(len(u))
