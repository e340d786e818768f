"""What a network is made of, as data: the network, its stack and its infinite limit read this."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dense:
    """`weight_scale · W x + bias_scale · b`; W is [outputs, inputs].

    Both scales are 1 unless `ntk` (the NTK parametrisation). A `gain` says how weights start
    (`initial_parameters`): with variance gain²/fan_in, and biases at 0; None: as PyTorch has it.
    """

    name: str
    inputs: int
    outputs: int
    bias: bool = True
    ntk: bool = False
    weight_scale: float = 1.0
    bias_scale: float = 1.0
    gain: float | None = None

    @property
    def fan_in(self) -> int:
        """Inputs of one output unit."""
        return self.inputs


@dataclass(frozen=True)
class Conv:
    """`size`×`size` convolution, stride 1, zero padding that keeps the image's size."""

    name: str
    inputs: int
    outputs: int
    size: int = 3
    bias: bool = True
    ntk: bool = False
    weight_scale: float = 1.0
    bias_scale: float = 1.0
    gain: float | None = None

    @property
    def fan_in(self) -> int:
        """Inputs of one output unit."""
        return self.inputs * self.size**2


@dataclass(frozen=True)
class Activation:
    """Elementwise nonlinearity: relu, tanh, gelu (exact) or erf."""

    kind: str


@dataclass(frozen=True)
class AvgPool:
    """`size`×`size` average pooling, stride `size`, no padding."""

    size: int = 2


@dataclass(frozen=True)
class GlobalAvgPool:
    """Mean over all that is left of the image."""


@dataclass(frozen=True)
class Flatten:
    """Image [channel, y, x] to vector."""


Layer = Dense | Conv | Activation | AvgPool | GlobalAvgPool | Flatten
Architecture = tuple[Layer, ...]
