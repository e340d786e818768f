"""Layers and calls whose infinite width is not known: why, and what to use in their place."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

KNOWN = """
Linear; Conv1d, 2d, 3d, with groups of which there stay as many, or depthwise before a layer that
mixes channels; elementwise activations but PReLU and those with jumps; AvgPool, AdaptiveAvgPool,
Upsample, Flatten; LayerNorm and RMSNorm over channels, GroupNorm, BatchNorm as initialised and in
eval mode; ntkscope.ntk.infinite.GlobalSelfAttention; Identity, and Dropout in eval mode; sums of
independent branches, torch.cat of channels, and functions of one preactivation
"""

_AVERAGE = "use average pooling, a mean over positions or a stride"
_ATTENTION = "use ntkscope.ntk.infinite.GlobalSelfAttention, whose dot products are over d"
_NORM = "use nn.LayerNorm or nn.RMSNorm over the channels, or nn.GroupNorm, as modules"

_FAMILIES: tuple[tuple[str, str, str], ...] = (
    (
        r"max_?(un)?pool|^a?max$|^a?min$|maximum|minimum|fractionalmax|lp_?pool",
        "a maximum (or norm) over correlated Gaussians has no kernel in closed form",
        _AVERAGE,
    ),
    (
        r"embedding",
        "it is a linear layer of one-hot tokens, and is known as that",
        "give one-hot tokens [N, tokens, vocabulary] as floats to nn.Linear(vocabulary, width, "
        "bias=False), with W_std = √vocabulary for vectors that start from N(0, 1)",
    ),
    (
        r"^(rnn|lstm|gru)",
        "the same weights act at each step of time, and weights that are used twice are not known",
        "use convolutions over time (nn.Conv1d), or empirical_ntk of wide networks",
    ),
    (
        r"multihead|scaled_dot|transformer",
        "its dot products are over √d and stay random: no closed form is known (Hron et al. 2020)",
        _ATTENTION,
    ),
    (
        r"softmax|softmin",
        "its outputs depend on each other",
        f"leave it out behind the readout: a kernel is of logits; of attention, {_ATTENTION}",
    ),
    (
        r"prelu|rrelu",
        "its slope is learned, or drawn at random",
        "use nn.LeakyReLU with its slope",
    ),
    (
        r"hardshrink|threshold|sign$|heaviside|round|floor|ceil|^[gl][te]$",
        "it jumps: the kernel of what learns through it does not exist, or is 0",
        "use a continuous function, such as nn.Softshrink, nn.ReLU or nn.Hardtanh",
    ),
    (
        r"^glu$|bilinear|^i?mul$|matmul|^[bm]m$|einsum",
        "it multiplies two signals: such kernels are known of functions of one preactivation only",
        "use nn.SiLU or another activation, or GlobalSelfAttention",
    ),
    (
        r"instance_?norm|localresponse|local_response",
        "it divides by what one or few channels have, which stays random however many there are",
        "use nn.LayerNorm, or nn.GroupNorm with few groups",
    ),
    (
        r"^layernorm|^rmsnorm",
        "it averages over positions too, or not over channels",
        "use nn.GroupNorm(1, channels), or let the channels be the last axis and normalise over "
        "them only",
    ),
    (r"normalize|_norm$|^norm$|^std$|^var$", "it is known as a module only", _NORM),
    (
        r"convtranspose|conv_transpose",
        "how often each of its weights is used depends on the place",
        "use nn.Upsample and a convolution",
    ),
    (
        r"parametrized",
        "its weights are computed from other parameters, which learn in another way",
        "call torch.nn.utils.parametrize.remove_parametrizations",
    ),
    (
        r"shuffle|unfold|^fold",
        "positions become channels, or channels positions, which are not alike",
        "use a convolution with a stride in place of Unfold or PixelUnshuffle, nn.Upsample in "
        "place of PixelShuffle",
    ),
    (
        r"^stack$|^chunk$|^split|unbind",
        "it makes or removes an axis, or several signals of one",
        "use torch.cat of channels, sums, or slices of positions",
    ),
)


def unknown(of: nn.Module | str | Any) -> tuple[str, str]:
    """Why a module or function has no kernel, and what to do."""
    name = of if isinstance(of, str) else getattr(of, "__name__", type(of).__name__)
    for pattern, why, remedy in _FAMILIES:
        if re.search(pattern, name.lower()):
            return why, remedy
    return "its infinite width is not known", f"use {' '.join(KNOWN.split())}"
