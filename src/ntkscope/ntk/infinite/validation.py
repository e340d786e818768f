"""What an infinite-width kernel needs of a network and its inputs, checked before anything runs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ntkscope.errors import ModelError
from ntkscope.models import Activation, Architecture, AvgPool, Conv, Dense, Flatten, GlobalAvgPool
from ntkscope.models.architecture import Layer
from ntkscope.ntk.empirical.arguments import check_samples
from ntkscope.ntk.infinite.dual_activations import dual


def check_inputs(x1: Any, x2: Any) -> None:
    """Refuse several inputs, integers, half precision, and two sets that differ in kind.

    Raises:
        ModelError: says which.
    """
    for name, x in (("x1", x1), ("x2", x2)):
        if not isinstance(x, torch.Tensor | np.ndarray | type(None)) or x1 is None:
            raise ModelError(
                f"{name} is a {type(x).__name__}: an infinite-width kernel is of one tensor",
                where=name,
                remedy="give a tensor [N, …], float32 or float64",
            )
    check_samples(x1, x2)
    problem = None
    if x1.dim() < 2:
        problem = f"inputs of shape {tuple(x1.shape)} have no features"
    elif x1.dtype not in (torch.float32, torch.float64):
        problem = f"the inputs are {x1.dtype}, not float32 or float64"
    elif x2 is not None and (x1.dtype, x1.device) != (x2.dtype, x2.device):
        problem = "the two sets of inputs differ in dtype or device"
    elif x2 is not None and x1.shape[1:] != x2.shape[1:]:
        problem = f"inputs of shape {tuple(x1.shape[1:])} and {tuple(x2.shape[1:])}"
    if problem is not None:
        raise ModelError(
            problem,
            where="x1, x2",
            remedy="convert them; images: [N, channel, y, x]; tokens: one-hot, for a Linear",
        )


def check_variances(both: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Refuse preactivations so small that the products of their variances underflow, or overflow.

    Angles between small ones would be those of what is left of q1 q2 − K², and the arcsine of K
    over an infinite product is 0. A few small samples beside others are none of this: what they
    lose is beyond the last digit of the largest entries.

    Args:
        both: of each activation the variances of the first samples and of the second.

    Raises:
        ModelError: says what to do.
    """
    for variances in both:
        kind = torch.finfo(variances[0].dtype)
        largest = max((float(q.max()) for q in variances if q.numel()), default=0.0)
        if kind.max > largest > math.sqrt(kind.max) / 4:
            raise ModelError(
                f"the variances of preactivations are up to {largest:.0e}: their products "
                f"overflow in {variances[0].dtype}",
                where="x1, x2",
                remedy="scale the inputs down, use smaller W_std and b_std, or give float64",
            )
        if 0 < largest < math.sqrt(kind.tiny / kind.eps):
            raise ModelError(
                f"the variances of preactivations are at most {largest:.0e}: their products "
                f"underflow in {variances[0].dtype}",
                where="x1, x2",
                remedy="scale the inputs up (without biases a kernel of ReLUs scales with their "
                "square), or give them in float64",
            )


def unfit(layers: Architecture, shape: tuple[int, ...]) -> ModelError | None:
    """Why layers have no limit for samples of a shape, which is followed through them.

    A layer that cannot take what comes before it, an unknown activation or one of what is not
    Gaussian, or an output that is not a vector.
    """
    gaussian = False
    for layer in layers:
        if isinstance(layer, Activation) and not gaussian:
            return _unfit(
                f"{layer} acts on what is not Gaussian in the limit: no layer with weights stands "
                "between it and the inputs, or the activation before",
                "put a dense or convolutional layer before each activation",
            )
        gaussian = isinstance(layer, Dense | Conv) or (
            gaussian and not isinstance(layer, Activation)
        )
        found = _after(layer, shape)
        if found is None:
            return _unfit(
                f"{layer} cannot take an input of shape {shape}",
                "give images [N, channel, y, x] of the size the network was described for",
            )
        shape = found
    if len(shape) != 1 or not isinstance(layers[-1], Dense):
        return _unfit(
            "the network does not end in a dense readout", "end it with Flatten and Dense"
        )
    return None


def _unfit(what: str, remedy: str) -> ModelError:
    return ModelError(what, where="the layers of an infinite-width kernel", remedy=remedy)


def _after(layer: Layer, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """A sample's shape after a layer; None where it does not fit."""
    match layer:
        case Activation():
            dual(layer.kind)
            return shape
        case Flatten():
            return (math.prod(shape),)
        case Dense():
            return (layer.outputs,) if shape == (layer.inputs,) else None
        case Conv():
            fits = len(shape) == 3 and shape[0] == layer.inputs and layer.size % 2
            return (layer.outputs, *shape[1:]) if fits else None
        case GlobalAvgPool():
            return (shape[0], 1, 1) if len(shape) == 3 else None
        case AvgPool():
            fits = len(shape) == 3 and min(shape[1:]) >= layer.size
            return (shape[0], *(n // layer.size for n in shape[1:])) if fits else None
