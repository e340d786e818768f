"""What an infinite-width kernel needs of a network and its inputs, checked before anything runs."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ntkscope.errors import ModelError
from ntkscope.models import Activation, Architecture, AvgPool, Conv, Dense, Flatten, GlobalAvgPool
from ntkscope.models.architecture import Layer
from ntkscope.ntk.infinite.dual_activations import dual


def check_inputs(x1: Tensor, x2: Tensor | None) -> None:
    """Refuse integers, half precision, and two sets that differ in kind.

    Raises:
        ModelError: says which.
    """
    problem = None
    if x1.dtype not in (torch.float32, torch.float64):
        problem = f"the inputs are {x1.dtype}, not float32 or float64"
    elif x2 is not None and (x1.dtype, x1.device) != (x2.dtype, x2.device):
        problem = "the two sets of inputs differ in dtype or device"
    elif x2 is not None and x1.shape[1:] != x2.shape[1:]:
        problem = f"inputs of shape {tuple(x1.shape[1:])} and {tuple(x2.shape[1:])}"
    if problem is not None:
        raise ModelError(problem, where="x1, x2", remedy="convert them; images: [N, channel, y, x]")


def check_layers(layers: Architecture, shape: tuple[int, ...]) -> None:
    """Follow a sample's shape through the layers.

    Raises:
        ModelError: a layer that cannot take what comes before it, an unknown activation or one of
            what is not Gaussian, or an output that is not a vector.
    """
    gaussian = False
    for layer in layers:
        if isinstance(layer, Activation) and not gaussian:
            raise ModelError(
                f"{layer} acts on what is not Gaussian in the limit: no layer with weights stands "
                "between it and the inputs, or the activation before",
                where="the layers of an infinite-width kernel",
                remedy="put a dense or convolutional layer before each activation",
            )
        gaussian = isinstance(layer, Dense | Conv) or (
            gaussian and not isinstance(layer, Activation)
        )
        found = _after(layer, shape)
        if found is None:
            raise ModelError(
                f"{layer} cannot take an input of shape {shape}",
                where="the layers of an infinite-width kernel",
                remedy="give images [N, channel, y, x] of the size the network was described for",
            )
        shape = found
    if len(shape) != 1 or not isinstance(layers[-1], Dense):
        raise ModelError(
            "the network does not end in a dense readout",
            where="the layers of an infinite-width kernel",
            remedy="end it with Flatten and Dense",
        )


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
