"""What training and kernels need of a network, whether its layers are described or it is a module.

A network's tensors are its trained parameters and its constants: buffers (a batch norm's running
statistics) and parameters that do not require a gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ntkscope.errors import ModelError
from ntkscope.models.architecture import Architecture
from ntkscope.models.initialise import initial_parameters
from ntkscope.models.network import build_network


class Build(Protocol):
    """Makes the network of a seed, float32 on the CPU; seed None: any values."""

    def __call__(self, seed: int | None = None) -> nn.Module:
        """A new module."""


@dataclass(frozen=True)
class Definition:
    """A network of known input shape and number of outputs.

    Attributes:
        build: makes it; its inputs are [N, *shape], its outputs [N, outputs].
        layers: its description, which many seeds at once and the infinite limit need; None where
            there is only the module.
        function: of the user that makes it, `package.module:function`; None: it is ours.
        outputs: K, where it is known.
    """

    build: Build
    layers: Architecture | None = None
    function: str | None = None
    outputs: int | None = None


@dataclass(frozen=True)
class Layered:
    """Builds the network of a description."""

    layers: Architecture

    def __call__(self, seed: int | None = None) -> nn.Module:
        """`build_network` of the layers."""
        return build_network(self.layers, seed)


def of_layers(layers: Architecture) -> Definition:
    """The definition of a network by its layers."""
    return Definition(Layered(layers), layers)


def trained_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """Name → parameter of those that require a gradient; a shared one has its first name."""
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def constants(network: nn.Module) -> dict[str, Tensor]:
    """Name → buffer, or parameter that requires no gradient."""
    frozen = {name: p.detach() for name, p in network.named_parameters() if not p.requires_grad}
    return {**frozen, **dict(network.named_buffers())}


def layer_names(network: nn.Module) -> list[str]:
    """Names of the modules that have trained parameters of their own, in order."""
    return list(dict.fromkeys(name.rpartition(".")[0] for name in trained_parameters(network)))


def initial_tensors(definition: Definition, seed: int) -> dict[str, Tensor]:
    """Name → parameter or constant of a seed's network before training, on the CPU."""
    if definition.layers is not None:
        return initial_parameters(definition.layers, seed)
    network = definition.build(seed)
    return {n: value.detach() for n, value in _tensors(network).items()}


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return {**trained_parameters(network), **constants(network)}


def check_alike(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], function: str | None
) -> None:
    """Compare the tensors of two networks that a function has made.

    Args:
        found, expected: name → parameter or constant, of the later and of the first network.
        function: for the error.

    Raises:
        ModelError: their names or shapes differ.
    """
    for name in {**expected, **found}:
        new, old = (_shape(tensors.get(name)) for tensors in (found, expected))
        if new != old:
            raise ModelError(
                f"two calls make two networks: {name} is {old} in the first, {new} in the other",
                where=function,
                remedy="let the shapes depend on the function's arguments alone, not on random "
                "numbers, files, or how often it was called",
            )


def _shape(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else f"of shape {list(tensor.shape)}"


@torch.no_grad()
def load_tensors(
    network: nn.Module, tensors: Mapping[str, Tensor], function: str | None = None
) -> None:
    """Copy parameters and constants, by their names, into a network.

    Args:
        network: of the same tensors.
        tensors: name → numbers.
        function: of the user that has made both networks, for the error.

    Raises:
        ModelError: names or shapes are others.
    """
    own = _tensors(network)
    check_alike(own, tensors, function)
    for name, tensor in own.items():
        tensor.copy_(tensors[name])
